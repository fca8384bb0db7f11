use axum::http::StatusCode;

#[larder::cache(ttl = "5x")]
async fn no_unit() -> StatusCode {
    StatusCode::OK
}

#[larder::cache(ttl = "300")]
async fn bare_number() -> StatusCode {
    StatusCode::OK
}

#[larder::cache(ttl = 300)]
async fn no_text() -> StatusCode {
    StatusCode::OK
}

#[larder::cache(ttl("5m"))]
async fn no_equals() -> StatusCode {
    StatusCode::OK
}

#[larder::cache(ttl = "1m", sie = "8d")]
async fn too_long() -> StatusCode {
    StatusCode::OK
}

#[larder::cache(ttl = "0s", swr = "5s")]
async fn endless_refresh() -> StatusCode {
    StatusCode::OK
}

fn main() {}

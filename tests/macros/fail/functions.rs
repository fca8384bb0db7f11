use axum::http::StatusCode;

#[larder::cache(ttl = "5m")]
fn not_async() -> StatusCode {
    StatusCode::OK
}

#[larder::invalidates("products")]
fn not_async_either() -> StatusCode {
    StatusCode::OK
}

#[larder::cache(ttl = "5m")]
struct NoFunction;

fn main() {}

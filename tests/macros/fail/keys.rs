use axum::http::StatusCode;

#[larder::cache(tll = "5m")]
async fn unknown() -> StatusCode {
    StatusCode::OK
}

#[larder::cache(ttl = "5m", ttl = "6m")]
async fn twice() -> StatusCode {
    StatusCode::OK
}

#[larder::cache]
async fn nothing() -> StatusCode {
    StatusCode::OK
}

#[larder::cache(ttl = "5m", vary("accept language"))]
async fn no_header() -> StatusCode {
    StatusCode::OK
}

#[larder::cache(ttl = "5m", query("page", ""))]
async fn no_parameter() -> StatusCode {
    StatusCode::OK
}

#[larder::cache(ttl = "5m", query = "page")]
async fn no_list() -> StatusCode {
    StatusCode::OK
}

#[larder::invalidates]
async fn nothing_named() -> StatusCode {
    StatusCode::OK
}

#[larder::invalidates(tags("a"))]
async fn named_wrongly() -> StatusCode {
    StatusCode::OK
}

fn main() {}

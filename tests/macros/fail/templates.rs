use axum::{extract::Path, http::StatusCode};

#[larder::cache(ttl = "5m", tags("products", "product:{nope}"))]
async fn unknown(Path(id): Path<u64>) -> StatusCode {
    let _ = id;
    StatusCode::OK
}

#[larder::invalidates("product:{shop}:{product}")]
async fn unknown_of_two(Path((shop, id)): Path<(u64, u64)>) -> StatusCode {
    let _ = (shop, id);
    StatusCode::OK
}

#[larder::cache(ttl = "5m", tags("product:{id"))]
async fn open(Path(id): Path<u64>) -> StatusCode {
    let _ = id;
    StatusCode::OK
}

#[larder::cache(ttl = "5m", tags("product:{}"))]
async fn nameless(Path(id): Path<u64>) -> StatusCode {
    let _ = id;
    StatusCode::OK
}

#[larder::invalidates("")]
async fn empty() -> StatusCode {
    StatusCode::OK
}

fn main() {}

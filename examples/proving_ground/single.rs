//! Items that are invalidated one by one: what programs check who count every version.
//!
//! A write to `/items/{id}` kills all items, since they share a tag; whatever one node has missed is
//! then mended by the next write of anybody. Here a write kills one id and nothing mends it.

use std::time::Duration;

use axum::{
    Router,
    extract::{Path, Request, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use tokio::time;

use crate::{answer::refused, database::Database};

/// Bytes of padding by the class of an id: bodies that are kept as they are, that are compressed,
/// and that take several packets.
const PADDING: [usize; 4] = [0, 300, 3_000, 40_000];

/// Returns the routes over `database`.
pub(crate) fn routes(database: Database) -> Router {
    Router::new()
        .route("/single/{id}", get(show).put(change).delete(change))
        .with_state(database)
}

/// `GET /single/{id}`: reads the version first, then waits as long as `X-Wait` says.
async fn show(
    State(database): State<Database>,
    Path(id): Path<String>,
    request: Request,
) -> Response {
    let version = match database.version(id.clone()).await {
        Ok(version) => version,
        Err(failure) => return broken(&failure.to_string()),
    };
    let headers = request.headers();
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let Ok(wait) = text("x-wait").unwrap_or("0").parse() else {
        return refused("X-Wait takes a number of milliseconds");
    };
    time::sleep(Duration::from_millis(wait)).await;
    let by_uri = request
        .uri()
        .authority()
        .map(|authority| authority.as_str());
    let host = by_uri.or(text("host")).unwrap_or_default();
    let padding = padding(&id, version);
    let checksum = crc32fast::hash(format!("{id}:{host}:{version}:{padding}").as_bytes());
    let [id, host] = [&*id, host].map(serde_json::Value::from);
    let body =
        format!(r#"{{"id":{id},"host":{host},"v":{version},"crc":{checksum},"pad":"{padding}"}}"#);
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}

/// `PUT` and `DELETE /single/{id}`: both add 1.
async fn change(State(database): State<Database>, Path(id): Path<String>) -> Response {
    match database.write(id.clone()).await {
        Ok(version) => {
            let id = serde_json::Value::from(id);
            let body = format!(r#"{{"id":{id},"v":{version}}}"#);
            ([(header::CONTENT_TYPE, "application/json")], body).into_response()
        }
        Err(failure) => broken(&failure.to_string()),
    }
}

/// Letters that belong to this version of this id; every other version compresses badly.
fn padding(id: &str, version: u64) -> String {
    let seed = id.bytes().fold(version, |sum, byte| {
        sum.wrapping_mul(31).wrapping_add(byte.into())
    });
    let length = PADDING[usize::from(id.bytes().last().unwrap_or(0)) % PADDING.len()];
    let mut chance = seed | 1;
    let mut letter = || {
        if version.is_multiple_of(2) {
            return 'p';
        }
        chance ^= chance << 13;
        chance ^= chance >> 7;
        chance ^= chance << 17;
        char::from(b'a' + (chance % 26) as u8)
    };
    (0..length).map(|_| letter()).collect()
}

fn broken(why: &str) -> Response {
    (StatusCode::INTERNAL_SERVER_ERROR, why.to_owned()).into_response()
}

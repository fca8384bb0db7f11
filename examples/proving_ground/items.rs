//! Items: versions that are read before the wait, so that a slow answer really is an old one.

use std::{
    error::Error,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{
    Router,
    extract::{Path, Query, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use tokio::time;

use crate::{answer::refused, database::Database};

/// What the item routes share.
#[derive(Clone, Debug)]
pub(crate) struct Items {
    database: Database,
    mode: Arc<Mutex<Mode>>,
}

/// How reads behave, as the last `POST /mode` asked.
#[derive(Clone, Copy, Debug)]
struct Mode {
    status: StatusCode,
    delay: Duration,
}

type Pairs = Query<Vec<(String, String)>>;

impl Items {
    /// Returns the routes of items over `database`.
    pub(crate) fn routes(database: Database) -> Router {
        let mode = Mode {
            status: StatusCode::OK,
            delay: Duration::ZERO,
        };
        let items = Self {
            database,
            mode: Arc::new(Mutex::new(mode)),
        };
        Router::new()
            .route("/items/{id}", get(show).put(change).delete(change))
            .route("/items", get(list))
            .route("/mode", post(set_mode))
            .with_state(items)
    }

    fn mode(&self) -> Mode {
        *self.mode.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `GET /items/{id}?d=MS`, or the wait in `X-Wait`, which is not part of the key.
async fn show(
    State(items): State<Items>,
    Path(id): Path<String>,
    Query(pairs): Pairs,
    headers: HeaderMap,
) -> Response {
    let version = match items.database.version(id.clone()).await {
        Ok(version) => version,
        Err(failure) => return broken(&*failure),
    };
    let by_header = headers.get("x-wait").and_then(|value| value.to_str().ok());
    let asked = value_of(&pairs, "d").or(by_header).unwrap_or("0");
    let Ok(wait) = asked.parse() else {
        return refused(&format!("a wait of {asked} ms can not be read"));
    };
    time::sleep(Duration::from_millis(wait)).await;
    let checksum = crc32fast::hash(format!("{id}:{version}").as_bytes());
    let id = serde_json::Value::from(id);
    answer_by_mode(
        items.mode(),
        format!(r#"{{"id":{id},"v":{version},"crc":{checksum}}}"#),
    )
    .await
}

/// `GET /items`: how many there are and the sum of their versions.
async fn list(State(items): State<Items>) -> Response {
    match items.database.totals().await {
        Ok((count, sum)) => {
            answer_by_mode(items.mode(), format!(r#"{{"count":{count},"sum":{sum}}}"#)).await
        }
        Err(failure) => broken(&*failure),
    }
}

/// `PUT` and `DELETE /items/{id}`: both add 1, so that versions stay ordered.
///
/// `?status=S` answers S and does not commit, `?after=S` commits and answers S, `?wait=MS` waits
/// after the commit.
async fn change(
    State(items): State<Items>,
    Path(id): Path<String>,
    Query(pairs): Pairs,
) -> Response {
    let number = |name| value_of(&pairs, name).map(str::parse::<u16>).transpose();
    let (Ok(refusal), Ok(after), Ok(wait)) = (number("status"), number("after"), number("wait"))
    else {
        return refused("status, after and wait take a number");
    };
    if let Some(code) = refusal {
        return status_of(code).map_or_else(|| no_status(code), IntoResponse::into_response);
    }
    let after = after.unwrap_or(200);
    let Some(status) = status_of(after) else {
        return no_status(after);
    };
    let version = match items.database.write(id.clone()).await {
        Ok(version) => version,
        Err(failure) => return broken(&*failure),
    };
    time::sleep(Duration::from_millis(wait.unwrap_or(0).into())).await;
    let id = serde_json::Value::from(id);
    json(status, format!(r#"{{"id":{id},"v":{version}}}"#))
}

/// `POST /mode?status=S&delay=MS`: from now on reads wait and answer so.
async fn set_mode(State(items): State<Items>, Query(pairs): Pairs) -> Response {
    let status = value_of(&pairs, "status").unwrap_or("200").parse();
    let delay = value_of(&pairs, "delay").unwrap_or("0").parse();
    let (Ok(status), Ok(delay)) = (status, delay) else {
        return refused("status and delay take a number");
    };
    let Some(status) = status_of(status) else {
        return no_status(status);
    };
    let delay = Duration::from_millis(delay);
    *items.mode.lock().unwrap_or_else(PoisonError::into_inner) = Mode { status, delay };
    format!("status={} delay={}", status.as_u16(), delay.as_millis()).into_response()
}

async fn answer_by_mode(mode: Mode, body: String) -> Response {
    time::sleep(mode.delay).await;
    json(mode.status, body)
}

fn json(status: StatusCode, body: String) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], body).into_response()
}

fn status_of(code: u16) -> Option<StatusCode> {
    StatusCode::from_u16(code).ok()
}

fn no_status(code: u16) -> Response {
    refused(&format!("{code} is no status"))
}

fn broken(failure: &(dyn Error + Send + Sync)) -> Response {
    (StatusCode::INTERNAL_SERVER_ERROR, failure.to_string()).into_response()
}

fn value_of<'a>(pairs: &'a [(String, String)], name: &str) -> Option<&'a str> {
    let pair = pairs.iter().find(|(given, _)| given == name)?;
    Some(&pair.1)
}

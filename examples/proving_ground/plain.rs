//! The small routes: who asks, under which host and URL, with which query; uploads and streams.

use std::time::Duration;

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{OriginalUri, Path, Query, State},
    http::{HeaderMap, StatusCode, Uri, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};

use crate::{
    body::{Content, Manner, ScriptedBody},
    runs::{self, Runs},
};

/// What an answer says that everybody may reuse for a minute.
const SHARED: [(header::HeaderName, &str); 1] = [(header::CACHE_CONTROL, "public, max-age=60")];

/// One event of the endless stream, in server-sent form.
const EVENT: &str = "data: tick\n\n";

/// Events in the endless stream: at one each 100 ms, more than a thousand years of them.
const EVENTS: u64 = 1 << 40;

/// Returns the routes, with `runs` shown at `/runs`.
pub(crate) fn routes(runs: Runs) -> Router {
    Router::new()
        .route("/me", get(me))
        .route(
            "/me-public",
            get(async |headers: HeaderMap| (SHARED, me(headers).await)),
        )
        .route("/host", get(host))
        .route("/echo-url", get(echo_url))
        .route("/q", get(parsed_query))
        .route(
            "/files/{*path}",
            get(async |uri: Uri| (SHARED, uri.path().to_owned())),
        )
        .route("/public", get(async || (SHARED, "hello")))
        .route(
            "/upload",
            post(async |body: Bytes| format!("bytes={}", body.len())),
        )
        .route("/sse", get(events))
        .route("/ping", get(async || "pong"))
        .route("/runs", get(runs::show).with_state(runs))
        .fallback(async || StatusCode::NOT_FOUND)
}

/// Returns the route `/thing/{id}` of one of two routers that are nested under their own names.
pub(crate) fn thing(version: &'static str) -> Router {
    let show = async |Path(id): Path<String>, State(version): State<&'static str>| {
        format!("{version} {id}")
    };
    Router::new()
        .route("/thing/{id}", get(show))
        .with_state(version)
}

async fn me(headers: HeaderMap) -> String {
    let cookies = headers.get_all(header::COOKIE).iter();
    let mut pairs = cookies
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(';'));
    let session = pairs.find_map(|pair| pair.trim().strip_prefix("sid="));
    let token = || headers.get(header::AUTHORIZATION)?.to_str().ok();
    format!("user={}", session.or_else(token).unwrap_or("none"))
}

#[expect(
    deprecated,
    reason = "its belief in forwarded hosts is what the attacks aim at"
)]
async fn host(axum_extra::extract::Host(host): axum_extra::extract::Host) -> impl IntoResponse {
    (SHARED, host)
}

async fn echo_url(OriginalUri(uri): OriginalUri) -> impl IntoResponse {
    let target = uri.path_and_query().map_or("/", |target| target.as_str());
    (SHARED, target.to_owned())
}

async fn parsed_query(Query(pairs): Query<Vec<(String, String)>>) -> impl IntoResponse {
    let pairs = pairs.into_iter().map(|(name, value)| vec![name, value]);
    (SHARED, serde_json::Value::from_iter(pairs).to_string())
}

async fn events() -> Response {
    let content = Content::Events {
        event: EVENT,
        count: EVENTS,
    };
    let manner = Manner {
        pieces: Some(EVENTS),
        gap: Duration::from_millis(100),
        ..Manner::default()
    };
    let body = Body::new(ScriptedBody::new(content, manner));
    ([(header::CONTENT_TYPE, "text/event-stream")], body).into_response()
}

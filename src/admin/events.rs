//! Watching the cache at work, as server-sent events.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    body::Body,
    extract::{Query, State, rejection::QueryRejection},
    response::Response,
};
use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use http_body::Frame;
use serde::Deserialize;
use serde_json::json;
use tokio::time::{Instant, Sleep, sleep};

use super::{
    answer::{Refusal, moment},
    router::Desk,
};
use crate::observe::{Filter, Happening, Listening, Outcome};

/// After how long a silence something is sent, so that proxies leave the connection open.
const HEARTBEAT: Duration = Duration::from_secs(15);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    /// Outcomes, with commas between them.
    outcome: Option<String>,
    route: Option<String>,
    /// `answers`, `invalidations`, or both.
    kind: Option<String>,
    /// One in so many answers.
    sample: Option<u64>,
}

pub(super) async fn events(
    State(desk): State<Arc<Desk>>,
    wanted: Result<Query<Wanted>, QueryRejection>,
) -> Result<Response, Refusal> {
    let Query(wanted) = wanted.map_err(|fault| Refusal::bad(fault.body_text()))?;
    let listening = desk.core().insight.tail.listen(filter(&wanted)?);
    let listening = listening.ok_or_else(|| {
        let message = "too many listen already; there is room for 16";
        Refusal::new(StatusCode::SERVICE_UNAVAILABLE, message)
    })?;
    let stream = Stream {
        listening,
        heartbeat: Box::pin(sleep(Duration::ZERO)),
        stop: Box::pin(desk.core().stop.clone().cancelled_owned()),
    };
    let mut response = Response::new(Body::new(stream));
    let events = HeaderValue::from_static("text/event-stream");
    response.headers_mut().insert(header::CONTENT_TYPE, events);
    Ok(response)
}

fn filter(wanted: &Wanted) -> Result<Filter, Refusal> {
    let outcomes = wanted.outcome.iter().flat_map(|list| list.split(','));
    let outcomes: Option<Vec<Outcome>> = outcomes
        .map(|word| Outcome::ALL.into_iter().find(|one| one.as_str() == word))
        .collect();
    let kinds: Vec<&str> = match &wanted.kind {
        Some(list) => list.split(',').collect(),
        None => vec!["answers", "invalidations"],
    };
    if kinds
        .iter()
        .any(|kind| !["answers", "invalidations"].contains(kind))
    {
        return Err(Refusal::bad("a `kind` is `answers` or `invalidations`"));
    }
    Ok(Filter {
        outcomes: outcomes.ok_or_else(|| Refusal::bad("an `outcome` is one that `stats` has"))?,
        route: wanted.route.clone(),
        every: wanted.sample.unwrap_or(1).max(1),
        answers: kinds.contains(&"answers"),
        invalidations: kinds.contains(&"invalidations"),
    })
}

/// A body that goes on for as long as somebody reads it.
struct Stream {
    listening: Listening,
    /// At first it is over at once, so that a client sees that it is connected.
    heartbeat: Pin<Box<Sleep>>,
    stop: Pin<Box<tokio_util::sync::WaitForCancellationFutureOwned>>,
}

impl http_body::Body for Stream {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let stream = self.get_mut();
        if stream.stop.as_mut().poll(context).is_ready() {
            return Poll::Ready(None);
        }
        let text = match stream.listening.poll(context) {
            Poll::Ready(None) => return Poll::Ready(None),
            Poll::Ready(Some(happening)) => {
                let mut text = event(&happening);
                let dropped = stream.listening.dropped();
                if dropped > 0 {
                    let told = json!({ "dropped": dropped });
                    text.push_str(&format!("event: dropped\ndata: {told}\n\n"));
                }
                text
            }
            Poll::Pending => {
                std::task::ready!(stream.heartbeat.as_mut().poll(context));
                let next = Instant::now() + HEARTBEAT;
                stream.heartbeat.as_mut().reset(next);
                // Asked again, so that it wakes this task when it is over.
                let _not_yet = stream.heartbeat.as_mut().poll(context);
                ": listening\n\n".to_owned()
            }
        };
        Poll::Ready(Some(Ok(Frame::data(text.into()))))
    }
}

fn event(happening: &Happening) -> String {
    let (name, data) = match happening {
        Happening::Answer {
            at,
            outcome,
            route,
            method,
            path,
        } => (
            "answer",
            json!({
                "at": moment(*at),
                "outcome": outcome.as_str(),
                "route": route,
                "method": method.as_str(),
                "path": path,
            }),
        ),
        Happening::Invalidation {
            at,
            source,
            soft,
            targets,
        } => (
            "invalidation",
            json!({ "at": moment(*at), "source": source, "soft": soft, "targets": targets }),
        ),
        Happening::Change { at, action, detail } => (
            "change",
            json!({ "at": moment(*at), "action": action, "detail": detail }),
        ),
    };
    format!("event: {name}\ndata: {data}\n\n")
}

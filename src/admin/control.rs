//! Warming, and pausing routes.

use std::sync::Arc;

use axum::{
    Json,
    extract::{State, rejection::JsonRejection},
};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    answer::{Answer, Refusal},
    router::Desk,
};
use crate::{WarmList, WarmReport};

/// How many URLs one call warms.
const MOST_URLS: usize = 1000;

/// How many are under way at a time if nothing else is asked for, and at most.
pub(super) const CONCURRENCY: usize = 8;
const MOST_CONCURRENCY: usize = 64;

/// How many failures are told.
const MOST_FAILURES: usize = 100;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Warm {
    urls: Vec<String>,
    /// Of URLs that are paths alone.
    host: Option<String>,
    concurrency: Option<usize>,
}

pub(super) async fn warm(
    State(desk): State<Arc<Desk>>,
    order: Result<Json<Warm>, JsonRejection>,
) -> Answer {
    let Json(order) = order.map_err(|fault| Refusal::new(fault.status(), fault.body_text()))?;
    if order.urls.len() > MOST_URLS {
        return Err(Refusal::bad("more than 1000 URLs at a time"));
    }
    let origin = desk.origin()?;
    desk.audit("warm", &format!("{} URLs", order.urls.len()));
    let list = match &order.host {
        Some(host) => WarmList::new().host(host),
        None => WarmList::new(),
    };
    let concurrency = order.concurrency.unwrap_or(CONCURRENCY);
    let concurrency = concurrency.clamp(1, MOST_CONCURRENCY);
    let list = list.urls(&order.urls);
    let warmed = origin.warm(&desk.larder, list, concurrency).await;
    Ok(Json(report(&warmed)))
}

/// Returns what a warming came to.
pub(super) fn report(report: &WarmReport) -> Value {
    let failures: Vec<Value> = report
        .failed
        .iter()
        .take(MOST_FAILURES)
        .map(|failure| json!({ "url": failure.url, "reason": failure.reason }))
        .collect();
    json!({
        "warmed": report.warmed,
        "not_stored": report.not_stored,
        "failed": report.failed.len(),
        "failures": failures,
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Route {
    route: String,
}

pub(super) async fn pause(
    state: State<Arc<Desk>>,
    order: Result<Json<Route>, JsonRejection>,
) -> Answer {
    set(&state, order, true)
}

pub(super) async fn resume(
    state: State<Arc<Desk>>,
    order: Result<Json<Route>, JsonRejection>,
) -> Answer {
    set(&state, order, false)
}

fn set(desk: &Desk, order: Result<Json<Route>, JsonRejection>, paused: bool) -> Answer {
    let Json(order) = order.map_err(|fault| Refusal::new(fault.status(), fault.body_text()))?;
    let route = order.route;
    // What no layer knows is a slip of the pen, and would only fill the table of routes.
    let all = desk.larder.route_statistics();
    if !all.iter().any(|known| known.route == route) {
        let message = format!("no route `{route}` is known; see `routes`");
        return Err(Refusal::not_found(message));
    }
    desk.audit(if paused { "pause" } else { "resume" }, &route);
    let done = if paused {
        desk.larder.pause(&route)
    } else {
        desk.larder.resume(&route)
    };
    if !done {
        let message = format!("`{route}` stands for many routes and can not be paused");
        return Err(Refusal::new(StatusCode::CONFLICT, message));
    }
    Ok(Json(json!({ "route": route, "paused": paused })))
}

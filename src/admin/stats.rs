//! How is it going? Figures of the whole cache and of each route.

use std::sync::Arc;

use axum::{Json, extract::State};
use http::header;
use serde_json::{Map, Value, json};

use super::{answer::seconds, router::Desk};
use crate::observe::{Outcome, Quantiles, Statistics, Traffic, Window};

/// The document for machines that describes these routes.
const DOCUMENT: &str = include_str!("openapi.json");

pub(super) async fn document() -> impl axum::response::IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], DOCUMENT)
}

pub(super) async fn stats(State(desk): State<Arc<Desk>>) -> Json<Value> {
    let statistics = desk.larder.statistics();
    let windows: Map<String, Value> = desk
        .larder
        .windows()
        .iter()
        .map(|window| (window.name.to_owned(), of_window(window)))
        .collect();
    Json(json!({
        "namespace": desk.core().namespace,
        "total": of_statistics(&statistics),
        "windows": windows,
        "memory": {
            "bytes": statistics.bytes,
            "limit": desk.core().memory,
            "entries": statistics.entries,
            "evicted": statistics.evicted,
            "refused": statistics.refused,
        },
        "flights": {
            "runs": statistics.flights,
            "waiters": desk.core().flights.waiters(),
        },
        "values": of_values(&desk),
        "second_tier": second_tier(&desk),
    }))
}

/// Returns how reads of values ended, kind by kind.
#[cfg(feature = "data")]
fn of_values(desk: &Desk) -> Value {
    let kinds = desk.core().values.kinds.all().into_iter();
    kinds
        .map(|(kind, counters)| {
            let [hit, second_tier, stale, load] = counters.statistics(&Traffic::default()).values();
            json!({
                "kind": *kind,
                "hit": hit.2,
                "second_tier": second_tier.2,
                "stale": stale.2,
                "load": load.2,
            })
        })
        .collect()
}

/// There are no values.
#[cfg(not(feature = "data"))]
fn of_values(_: &Desk) -> Value {
    json!([])
}

pub(super) async fn routes(State(desk): State<Arc<Desk>>) -> Json<Value> {
    let known: Vec<_> = desk
        .core()
        .insight
        .layers()
        .iter()
        .flat_map(|layer| layer.routes())
        .collect();
    let route = |route: crate::observe::RouteStatistics| {
        let policy = known.iter().find(|known| known.pattern == route.route);
        let mut object = of_traffic(&route.traffic);
        object.insert("route".to_owned(), route.route.into());
        object.insert("paused".to_owned(), route.paused.into());
        let policy = policy.map_or("none", |known| {
            if known.declared {
                "declared"
            } else {
                "learned"
            }
        });
        object.insert("policy".to_owned(), policy.into());
        Value::Object(object)
    };
    let routes: Vec<Value> = desk
        .larder
        .route_statistics()
        .into_iter()
        .map(route)
        .collect();
    Json(json!({ "routes": routes }))
}

pub(super) async fn health(State(desk): State<Arc<Desk>>) -> Json<Value> {
    let statistics = desk.larder.statistics();
    Json(json!({
        "status": "ok",
        "version": env!("CARGO_PKG_VERSION"),
        "namespace": desk.core().namespace,
        "memory": { "bytes": statistics.bytes, "limit": desk.core().memory },
        "second_tier": second_tier(&desk),
    }))
}

/// What is known of the second tier; null without one.
fn second_tier(desk: &Desk) -> Value {
    let Some(tier) = &desk.core().second else {
        return Value::Null;
    };
    let statistics = tier.statistics();
    let shared = desk.larder.statistics().shared;
    json!({
        "state": if statistics.is_away { "away" } else { "connected" },
        "last_error": tier.last_error().as_deref(),
        "hits": statistics.hits,
        "misses": statistics.misses,
        "corrupt": statistics.corrupt,
        "errors": statistics.errors,
        "written": statistics.written,
        "dropped": statistics.dropped,
        "outbox": shared.pending,
        "sync_age": shared.sync_age.map(seconds),
        "invalidation_lag": seconds(shared.invalidation_lag),
        "epochs": shared.epochs,
    })
}

fn of_statistics(statistics: &Statistics) -> Value {
    let requests: Map<String, Value> = Outcome::ALL
        .iter()
        .map(|outcome| {
            let count = statistics.requests(*outcome);
            (outcome.as_str().to_owned(), count.into())
        })
        .collect();
    json!({
        "requests": requests,
        "hit_bytes": statistics.hit_bytes,
        "filled_bytes": statistics.filled_bytes,
        "stored": statistics.stored(),
        "declined": statistics.declined(),
        "fenced": statistics.fenced(),
        "invalidations": statistics.invalidations(),
        "refreshes": statistics.refreshes(),
        "failures": statistics.failures(),
        "refused_tags": statistics.refused_tags(),
        "writes": of_writes(statistics),
    })
}

/// Returns what became of writes that were to be made later and were not.
#[cfg(feature = "write-behind")]
fn of_writes(statistics: &Statistics) -> Value {
    json!({ "buried": statistics.buried_writes(), "lost": statistics.lost_writes() })
}

/// There are none.
#[cfg(not(feature = "write-behind"))]
fn of_writes(_: &Statistics) -> Value {
    json!({ "buried": 0, "lost": 0 })
}

fn of_window(window: &Window) -> Value {
    let mut object = of_traffic(&window.traffic);
    object.insert("seconds".to_owned(), seconds(window.span));
    object.insert("hit_seconds".to_owned(), of_quantiles(&window.hits));
    object.insert("fill_seconds".to_owned(), of_quantiles(&window.fills));
    Value::Object(object)
}

fn of_traffic(traffic: &Traffic) -> Map<String, Value> {
    let requests: Map<String, Value> = Outcome::ALL
        .iter()
        .map(|outcome| {
            let count = traffic.requests(*outcome);
            (outcome.as_str().to_owned(), count.into())
        })
        .collect();
    let ratio = |ratio: Option<f64>| ratio.map_or(Value::Null, Value::from);
    let object = [
        ("requests", Value::Object(requests)),
        ("hit_ratio", ratio(traffic.hit_ratio())),
        ("byte_hit_ratio", ratio(traffic.byte_hit_ratio())),
        ("hit_bytes", traffic.hit_bytes.into()),
        ("filled_bytes", traffic.filled_bytes.into()),
        ("second_tier_hits", traffic.second_tier_hits.into()),
    ];
    object
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

fn of_quantiles(quantiles: &Quantiles) -> Value {
    json!({
        "measured": quantiles.count,
        "p50": quantiles.p50.map(seconds),
        "p95": quantiles.p95.map(seconds),
        "p99": quantiles.p99.map(seconds),
    })
}

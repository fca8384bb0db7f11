//! Handing the figures on to the `metrics` facade.
//!
//! Nothing is handed on by a request: all is counted in larder's own counters, and once a second what
//! has changed goes to the recorder. So a hit costs the same with and without a recorder, whatever
//! that one does with a counter or a histogram, and labels are made where nobody waits. Every value
//! is handed on as a total, so that a recorder that is installed late misses nothing of the counters.

use std::{
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

use metrics::{
    Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram,
};
use tokio::{runtime::Handle, time::sleep};

use super::{Core, Larder};
use crate::observe::{Histogram, Outcome, RouteStatistics, SPANS, Statistics, middle};

/// How often it is done. Recorders are asked every few seconds at the most.
const EVERY: Duration = Duration::from_secs(1);

/// The outcomes whose durations are measured.
const MEASURED: [Outcome; 5] = [
    Outcome::Hit,
    Outcome::Stale,
    Outcome::Miss,
    Outcome::Collapsed,
    Outcome::Revalidated,
];

/// What of the durations was handed on already.
#[derive(Debug)]
pub(crate) struct Published {
    counts: Mutex<Counts>,
}

#[derive(Debug)]
struct Counts {
    requests: [[u32; SPANS]; MEASURED.len()],
    fills: [u32; SPANS],
    #[cfg(feature = "redis")]
    lag: [u32; SPANS],
}

impl Default for Published {
    fn default() -> Self {
        Self {
            counts: Mutex::new(Counts {
                requests: [[0; SPANS]; MEASURED.len()],
                fills: [0; SPANS],
                #[cfg(feature = "redis")]
                lag: [0; SPANS],
            }),
        }
    }
}

impl Larder {
    /// Hands the figures on to the recorder of the `metrics` facade, as is done every second.
    ///
    /// For those who want them exact at a moment: in a handler that renders them, or in a test. The
    /// names are in the page [`_docs::monitoring`](crate::_docs::monitoring).
    pub fn publish_metrics(&self) {
        self.core.publish();
    }
}

impl Core {
    /// Publishes every second for as long as there is the cache, if there is a runtime.
    pub(super) fn publish_from_now_on(self: &Arc<Self>) {
        let Ok(runtime) = Handle::try_current() else {
            return;
        };
        let (core, stop) = (Arc::downgrade(self), self.stop.clone());
        runtime.spawn(stop.run_until_cancelled_owned(publish_again_and_again(core)));
    }

    pub(super) fn publish(&self) {
        describe();
        let namespace: Arc<str> = self.namespace.as_ref().into();
        for route in self.routes.statistics() {
            publish_route(&namespace, &route);
        }
        publish_totals(&namespace, &self.statistics());
        let mut counts = self
            .published
            .counts
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let Counts {
            requests,
            fills,
            #[cfg(feature = "redis")]
            lag,
        } = &mut *counts;
        for (outcome, before) in MEASURED.into_iter().zip(requests) {
            let histogram = histogram!(
                "larder_request_duration_seconds",
                "namespace" => Arc::clone(&namespace), "outcome" => outcome.as_str()
            );
            record(self.durations.of(outcome), before, &histogram);
        }
        let of_fills =
            histogram!("larder_fill_duration_seconds", "namespace" => Arc::clone(&namespace));
        record(&self.durations.fills, fills, &of_fills);
        #[cfg(feature = "redis")]
        if let Some(relay) = &self.relay {
            let of_lag = histogram!("larder_invalidation_lag_seconds", "namespace" => namespace);
            record(relay.lags(), lag, &of_lag);
        }
    }
}

async fn publish_again_and_again(core: Weak<Core>) {
    loop {
        sleep(EVERY).await;
        let Some(core) = core.upgrade() else { return };
        core.publish();
    }
}

fn publish_route(namespace: &Arc<str>, route: &RouteStatistics) {
    let requests = |outcome: Outcome, tier: &'static str, count: u64| {
        // A route seldom knows all of them: what never happened is no time series.
        if count > 0 {
            counter!(
                "larder_requests_total",
                "namespace" => Arc::clone(namespace),
                "route" => route.route.clone(),
                "outcome" => outcome.as_str(),
                "tier" => tier
            )
            .absolute(count);
        }
    };
    let traffic = &route.traffic;
    for outcome in Outcome::ALL {
        let count = traffic.requests(outcome);
        match outcome {
            Outcome::Hit => {
                let far = traffic.second_tier_hits.min(count);
                requests(outcome, "memory", count - far);
                requests(outcome, "redis", far);
            }
            Outcome::Stale => requests(outcome, "memory", count),
            _ => requests(outcome, "none", count),
        }
    }
}

fn publish_totals(namespace: &Arc<str>, statistics: &Statistics) {
    let totals = [
        ("larder_stored_total", statistics.stored()),
        ("larder_declined_total", statistics.declined()),
        ("larder_invalidations_total", statistics.invalidations()),
        ("larder_refreshes_total", statistics.refreshes()),
        ("larder_failures_total", statistics.failures()),
        ("larder_refused_tags_total", statistics.refused_tags()),
        ("larder_evicted_total", statistics.evicted),
        ("larder_hit_bytes_total", statistics.hit_bytes),
        ("larder_filled_bytes_total", statistics.filled_bytes),
    ];
    for (name, count) in totals {
        counter!(name, "namespace" => Arc::clone(namespace)).absolute(count);
    }
    for (reason, count) in statistics.fenced_by() {
        counter!(
            "larder_fenced_total",
            "namespace" => Arc::clone(namespace), "reason" => reason
        )
        .absolute(count);
    }
    #[cfg(feature = "data")]
    publish_values(namespace, statistics);
    let redis = &statistics.redis;
    let second_tier = [
        ("hit", redis.hits),
        ("miss", redis.misses),
        ("corrupt", redis.corrupt),
        ("error", redis.errors),
        ("written", redis.written),
        ("dropped", redis.dropped),
    ];
    for (what, count) in second_tier {
        counter!(
            "larder_redis_total",
            "namespace" => Arc::clone(namespace), "result" => what
        )
        .absolute(count);
    }
    gauge!("larder_bytes", "namespace" => Arc::clone(namespace), "tier" => "memory")
        .set(float(statistics.bytes));
    gauge!("larder_entries", "namespace" => Arc::clone(namespace), "tier" => "memory")
        .set(float(statistics.entries));
    set(namespace, "larder_flights", statistics.flights);
    let pending = u64::try_from(statistics.shared.pending).unwrap_or(u64::MAX);
    set(namespace, "larder_outbox_pending", pending);
    if let Some(age) = statistics.shared.sync_age {
        gauge!("larder_sync_age_seconds", "namespace" => Arc::clone(namespace))
            .set(age.as_secs_f64());
    }
    set(namespace, "larder_breaker_state", redis.is_away.into());
}

#[cfg(feature = "data")]
fn publish_values(namespace: &Arc<str>, statistics: &Statistics) {
    for (outcome, tier, count) in statistics.values() {
        counter!(
            "larder_value_reads_total",
            "namespace" => Arc::clone(namespace), "outcome" => outcome, "tier" => tier
        )
        .absolute(count);
    }
    #[cfg(feature = "write-behind")]
    for (name, count) in [
        ("larder_writes_buried_total", statistics.buried_writes()),
        ("larder_writes_lost_total", statistics.lost_writes()),
    ] {
        counter!(name, "namespace" => Arc::clone(namespace)).absolute(count);
    }
}

fn set(namespace: &Arc<str>, name: &'static str, value: u64) {
    gauge!(name, "namespace" => Arc::clone(namespace)).set(float(value));
}

/// Records what came in since the last time, each with the middle of its span.
fn record(histogram: &Histogram, before: &mut [u32; SPANS], into: &metrics::Histogram) {
    let counts = histogram.counts();
    for (span, (now, before)) in counts.iter().zip(before.iter()).enumerate() {
        let new = now.wrapping_sub(*before);
        if new > 0 {
            let many = usize::try_from(new).unwrap_or(usize::MAX);
            into.record_many(middle(span).as_secs_f64(), many);
        }
    }
    *before = counts;
}

#[expect(
    clippy::cast_precision_loss,
    reason = "gauges are read by people and graphs"
)]
fn float(value: u64) -> f64 {
    value as f64
}

const COUNTERS: &[(&str, Unit, &str)] = &[
    (
        "larder_requests_total",
        Unit::Count,
        "Requests, by route pattern, by how they were answered, and by the tier that answered",
    ),
    (
        "larder_fenced_total",
        Unit::Count,
        "Responses that were void because of an invalidation when they were looked at",
    ),
    (
        "larder_value_reads_total",
        Unit::Count,
        "Reads of values, by how they ended, and by the tier that answered",
    ),
    (
        "larder_writes_buried_total",
        Unit::Count,
        "Writes set aside since they could not be delivered",
    ),
    (
        "larder_writes_lost_total",
        Unit::Count,
        "Acknowledged writes that somebody removed from their queue",
    ),
    (
        "larder_stored_total",
        Unit::Count,
        "Responses put into the store",
    ),
    (
        "larder_declined_total",
        Unit::Count,
        "Responses of cacheable routes that could not be stored",
    ),
    (
        "larder_invalidations_total",
        Unit::Count,
        "Invalidations, each with all its targets counted as one",
    ),
    (
        "larder_refreshes_total",
        Unit::Count,
        "Refreshes started in the background",
    ),
    (
        "larder_failures_total",
        Unit::Count,
        "Shared handler runs that ended in a panic, an error or a failure status",
    ),
    (
        "larder_refused_tags_total",
        Unit::Count,
        "Tags left out because they break the rules for tags",
    ),
    (
        "larder_evicted_total",
        Unit::Count,
        "Responses that made room for others",
    ),
    (
        "larder_hit_bytes_total",
        Unit::Bytes,
        "Body bytes of answers out of the store, as their handlers sent them",
    ),
    (
        "larder_filled_bytes_total",
        Unit::Bytes,
        "Body bytes that handlers made for the store",
    ),
    (
        "larder_redis_total",
        Unit::Count,
        "What was asked of and written to Redis, by how it went",
    ),
];

const GAUGES: &[(&str, Unit, &str)] = &[
    (
        "larder_bytes",
        Unit::Bytes,
        "Bytes held: keys, heads, bodies and the index",
    ),
    ("larder_entries", Unit::Count, "Responses held"),
    (
        "larder_flights",
        Unit::Count,
        "Handler runs in progress that others could join",
    ),
    (
        "larder_outbox_pending",
        Unit::Count,
        "Invalidations that wait for Redis to come back",
    ),
    (
        "larder_breaker_state",
        Unit::Count,
        "1 while Redis is not asked because it does not answer, else 0",
    ),
    (
        "larder_sync_age_seconds",
        Unit::Seconds,
        "How old the knowledge of invalidations on other nodes is",
    ),
];

const HISTOGRAMS: &[(&str, Unit, &str)] = &[
    (
        "larder_request_duration_seconds",
        Unit::Seconds,
        "Time until the head of an answer, by outcome; of hits one in sixteen is measured",
    ),
    (
        "larder_fill_duration_seconds",
        Unit::Seconds,
        "Time that handler runs took that brought something for the store, up to the end of the body",
    ),
    (
        "larder_invalidation_lag_seconds",
        Unit::Seconds,
        "Time until an invalidation of this node was stamped in Redis and had come round",
    ),
];

/// Says what the figures are. Each time, since there may be another recorder by now.
fn describe() {
    for (name, unit, text) in COUNTERS {
        describe_counter!(*name, *unit, *text);
    }
    for (name, unit, text) in GAUGES {
        describe_gauge!(*name, *unit, *text);
    }
    for (name, unit, text) in HISTOGRAMS {
        describe_histogram!(*name, *unit, *text);
    }
}

#[cfg(test)]
mod tests {
    use metrics_exporter_prometheus::PrometheusBuilder;

    use super::*;

    #[tokio::test]
    async fn figures_reach_the_recorder_under_their_names() {
        let recorder = PrometheusBuilder::new().build_recorder();
        let rendered = recorder.handle();
        let larder = Larder::builder().namespace("shop").build().await.unwrap();
        let route = larder.core.routes.of("/items/{id}");
        for _ in 0..3 {
            route.count_hit(Outcome::Hit, 10);
        }
        route.count(Outcome::Miss);
        larder.invalidate_tag("a").await;
        let half = Duration::from_millis(500);
        larder.core.durations.record(Outcome::Miss, half);
        metrics::with_local_recorder(&recorder, || {
            larder.publish_metrics();
            route.count_hit(Outcome::Hit, 10);
            larder.publish_metrics();
        });
        let text = rendered.render();
        for line in [
            r#"larder_requests_total{namespace="shop",route="/items/{id}",outcome="hit",tier="memory"} 4"#,
            r#"larder_requests_total{namespace="shop",route="/items/{id}",outcome="miss",tier="none"} 1"#,
            r#"larder_invalidations_total{namespace="shop"} 1"#,
            r#"larder_hit_bytes_total{namespace="shop"} 40"#,
            r#"larder_request_duration_seconds_count{namespace="shop",outcome="miss"} 1"#,
            r#"larder_fenced_total{namespace="shop",reason="stamp"} 0"#,
            r#"larder_entries{namespace="shop",tier="memory"} 0"#,
            r#"larder_breaker_state{namespace="shop"} 0"#,
            "# HELP larder_bytes Bytes held",
        ] {
            assert!(text.contains(line), "no `{line}` in:\n{text}");
        }
        let sum = "larder_request_duration_seconds_sum{namespace=\"shop\",outcome=\"miss\"} ";
        let sum = text.split(sum).nth(1).unwrap().lines().next().unwrap();
        assert!(
            (sum.parse::<f64>().unwrap() / 0.5 - 1.0).abs() < 0.1,
            "{sum}"
        );
        // What never happened is no time series: there may be thousands of routes.
        assert!(!text.contains(r#"outcome="refused""#), "{text}");
    }

    #[test]
    fn every_figure_is_on_the_page() {
        let page = include_str!("../docs/monitoring.md");
        let source = include_str!("publish.rs");
        let names = source.split('"').filter(|word| {
            word.starts_with("larder_") && word.chars().all(|c| c.is_ascii_lowercase() || c == '_')
        });
        for name in names {
            assert!(
                page.contains(&format!("`{name}")),
                "`{name}` is not on the page"
            );
        }
    }
}

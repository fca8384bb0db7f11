//! How long did it take? Counted by spans that grow with their length, so that recording is one
//! addition, and a quantile is wrong by the width of one span at most.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use super::Outcome;

/// How many spans there are. The last one begins at 257 seconds and has no end.
pub(crate) const SPANS: usize = 256;

/// Spans per doubling: each is an eighth wider than what it begins at, or less.
const PER_DOUBLING: u64 = 8;

/// The width of the shortest spans, in nanoseconds: no hit is faster than a few of them.
const UNIT: u64 = 16;

/// Durations, by span. Recording neither allocates nor locks.
#[derive(Debug)]
pub(crate) struct Histogram {
    spans: [AtomicU64; SPANS],
}

impl Default for Histogram {
    fn default() -> Self {
        Self {
            spans: std::array::from_fn(|_| AtomicU64::new(0)),
        }
    }
}

impl Histogram {
    pub(crate) fn record(&self, took: Duration) {
        if let Some(counter) = self.spans.get(span_of(took)) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Returns how many durations fell into each span. Wraps after four thousand million, which is
    /// right for the difference of two of them.
    pub(crate) fn counts(&self) -> [u32; SPANS] {
        let mut counts = [0; SPANS];
        for (count, counter) in counts.iter_mut().zip(&self.spans) {
            let wrapped = counter.load(Ordering::Relaxed) & u64::from(u32::MAX);
            *count = u32::try_from(wrapped).unwrap_or_default();
        }
        counts
    }
}

/// How long requests took by how they ended, and the handler runs that brought something to store.
#[derive(Debug, Default)]
pub(crate) struct Durations {
    /// Of hits one in [`MEASURED_HITS`](super::place::MEASURED_HITS) is measured. Requests that went
    /// to their handlers alone are not measured at all: that is the handlers' own time.
    outcomes: [Histogram; Outcome::COUNT],
    pub(crate) fills: Histogram,
}

impl Durations {
    pub(crate) fn record(&self, outcome: Outcome, took: Duration) {
        if let Some(histogram) = self.outcomes.get(outcome as usize) {
            histogram.record(took);
        }
    }

    /// Returns how long requests took that ended so.
    pub(crate) fn of(&self, outcome: Outcome) -> &Histogram {
        self.outcomes.get(outcome as usize).unwrap_or(&self.fills)
    }
}

/// How long half, most and nearly all took. Nothing if nothing was measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Quantiles {
    /// How many were measured.
    pub count: u64,
    /// Half of them took at most this long. Right within an eighth, as the others are.
    pub p50: Option<Duration>,
    /// 95 of 100 took at most this long.
    pub p95: Option<Duration>,
    /// 99 of 100 took at most this long.
    pub p99: Option<Duration>,
}

impl Quantiles {
    /// Returns those of what came in between two counts.
    pub(super) fn between(earlier: &[u32; SPANS], later: &[u32; SPANS]) -> Self {
        let mut counts = [0; SPANS];
        for ((count, later), earlier) in counts.iter_mut().zip(later).zip(earlier) {
            *count = u64::from(later.wrapping_sub(*earlier));
        }
        let count = counts.iter().sum();
        Self {
            count,
            p50: quantile(&counts, count, 50),
            p95: quantile(&counts, count, 95),
            p99: quantile(&counts, count, 99),
        }
    }
}

/// Returns the duration that `percent` of all stay below, placed evenly within its span.
fn quantile(counts: &[u64; SPANS], total: u64, percent: u64) -> Option<Duration> {
    let rank = total.checked_mul(percent)?.div_ceil(100).max(1);
    let mut before = 0_u64;
    for (span, count) in counts.iter().enumerate() {
        if *count > 0 && before + count >= rank {
            let (from, to) = bounds(span);
            let into = (to - from).saturating_mul(rank - before) / count;
            return Some(Duration::from_nanos(from + into));
        }
        before += count;
    }
    None
}

/// Returns the span of a duration.
fn span_of(took: Duration) -> usize {
    let units = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX) / UNIT;
    let span = if units < PER_DOUBLING {
        units
    } else {
        let doublings = u64::from(units.ilog2()) - 3;
        // The leading bit and the three after it say which eighth of the doubling it is.
        let eighth = (units >> doublings) - PER_DOUBLING;
        (doublings + 1) * PER_DOUBLING + eighth
    };
    usize::try_from(span).unwrap_or(SPANS).min(SPANS - 1)
}

/// Returns where a span begins and ends, in nanoseconds.
fn bounds(span: usize) -> (u64, u64) {
    (begin(span), begin(span + 1))
}

/// Returns the middle of a span.
#[cfg(feature = "metrics")]
pub(crate) fn middle(span: usize) -> Duration {
    let (from, to) = bounds(span);
    Duration::from_nanos(from.midpoint(to))
}

fn begin(span: usize) -> u64 {
    let span = u64::try_from(span).unwrap_or(u64::MAX);
    if span < PER_DOUBLING {
        return span * UNIT;
    }
    let doublings = (span / PER_DOUBLING - 1).min(40);
    ((PER_DOUBLING + span % PER_DOUBLING) << doublings) * UNIT
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_span_begins_where_the_one_before_it_ends() {
        for span in 0..SPANS - 1 {
            let (from, to) = bounds(span);
            assert!(from < to, "{span}");
            assert_eq!(span_of(Duration::from_nanos(from)), span);
            assert_eq!(span_of(Duration::from_nanos(to - 1)), span);
            // Below 128 ns the spans are as narrow as they get.
            assert!(to - from <= (from / 8).max(UNIT), "{span}");
        }
        assert_eq!(span_of(Duration::MAX), SPANS - 1);
        assert_eq!(begin(SPANS - 1) / 1_000_000_000, 257);
    }

    #[test]
    fn quantiles_are_right_within_an_eighth() {
        let histogram = Histogram::default();
        for micros in 1..=1000 {
            histogram.record(Duration::from_micros(micros));
        }
        let found = Quantiles::between(&[0; SPANS], &histogram.counts());
        assert_eq!(found.count, 1000);
        for (found, wanted) in [(found.p50, 500.0), (found.p95, 950.0), (found.p99, 990.0)] {
            let micros = found.unwrap().as_secs_f64() * 1e6;
            assert!(
                (micros / wanted - 1.0).abs() < 0.125,
                "{micros} for {wanted}"
            );
        }
    }

    #[test]
    fn of_nothing_there_is_no_quantile() {
        let nothing = Quantiles::between(&[0; SPANS], &[0; SPANS]);
        assert_eq!(nothing, Quantiles::default());
    }

    #[test]
    fn only_what_came_in_between_counts() {
        let histogram = Histogram::default();
        histogram.record(Duration::from_secs(9));
        let earlier = histogram.counts();
        histogram.record(Duration::from_millis(1));
        let found = Quantiles::between(&earlier, &histogram.counts());
        assert_eq!(found.count, 1);
        assert!(found.p99.unwrap() < Duration::from_millis(2));
    }
}

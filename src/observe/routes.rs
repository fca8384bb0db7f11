//! What is counted of each route: by pattern, never by raw path, and bounded.
//!
//! The counters of the routes are the only ones of requests; what the whole handle has answered is
//! their sum. So a hit pays for one set of counters, and the sum is made when somebody asks.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use super::{Outcome, place};

/// How many patterns are counted apart. An application has fewer; those above it share counters.
pub(crate) const MAX_ROUTES: usize = 4096;

/// Stands for requests that no pattern matched.
const UNMATCHED: &str = "unmatched";

/// Stands for the routes that are too many to be counted apart.
const OTHER: &str = "other";

/// How requests were answered: of one route, or of all of them, in a window or since the beginning.
///
/// ```
/// use larder::{Larder, Outcome};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), larder::Error> {
/// let larder = Larder::builder().build().await?;
/// for window in larder.windows() {
///     let traffic = &window.traffic;
///     println!("{}: {} hits, ratio {:?}", window.name, traffic.requests(Outcome::Hit), traffic.hit_ratio());
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Traffic {
    /// By the number of the outcome.
    outcomes: [u64; Outcome::COUNT],
    /// How many of the hits came out of the second tier.
    pub second_tier_hits: u64,
    /// Body bytes of answers out of the store, as their handlers sent them.
    pub hit_bytes: u64,
    /// Body bytes that handlers made for the store.
    pub filled_bytes: u64,
}

impl Traffic {
    /// Returns how many requests ended so.
    #[must_use]
    pub fn requests(&self, outcome: Outcome) -> u64 {
        self.outcomes
            .get(outcome as usize)
            .copied()
            .unwrap_or_default()
    }

    /// Returns the share, from 0 to 1, of the requests that take part in caching which needed no
    /// handler run of their own: hits, stale answers, and those who shared another's run. `None` if
    /// there were no requests.
    #[must_use]
    pub fn hit_ratio(&self) -> Option<f64> {
        let sum = |outcomes: &[Outcome]| outcomes.iter().map(|one| self.requests(*one)).sum();
        let spared = sum(&[Outcome::Hit, Outcome::Stale, Outcome::Collapsed]);
        ratio(spared, sum(&[Outcome::Miss, Outcome::Revalidated]))
    }

    /// Returns the share, from 0 to 1, of the body bytes that came out of the store, of those and
    /// the ones that handlers made for it. `None` if there were none.
    #[must_use]
    pub fn byte_hit_ratio(&self) -> Option<f64> {
        ratio(self.hit_bytes, self.filled_bytes)
    }

    pub(super) fn outcomes(&self) -> [u64; Outcome::COUNT] {
        self.outcomes
    }

    #[cfg(test)]
    pub(super) fn hits(hits: u64) -> Self {
        let mut traffic = Self::default();
        traffic.outcomes[Outcome::Hit as usize] = hits;
        traffic
    }

    /// Adds what another has answered.
    pub(super) fn add(&mut self, other: &Self) {
        for (sum, one) in self.outcomes.iter_mut().zip(&other.outcomes) {
            *sum = sum.wrapping_add(*one);
        }
        self.second_tier_hits = self.second_tier_hits.wrapping_add(other.second_tier_hits);
        self.hit_bytes = self.hit_bytes.wrapping_add(other.hit_bytes);
        self.filled_bytes = self.filled_bytes.wrapping_add(other.filled_bytes);
    }

    /// Returns what came in since `earlier`.
    pub(super) fn since(&self, earlier: &Self) -> Self {
        let mut outcomes = self.outcomes;
        for (now, before) in outcomes.iter_mut().zip(&earlier.outcomes) {
            *now = now.saturating_sub(*before);
        }
        Self {
            outcomes,
            second_tier_hits: self
                .second_tier_hits
                .saturating_sub(earlier.second_tier_hits),
            hit_bytes: self.hit_bytes.saturating_sub(earlier.hit_bytes),
            filled_bytes: self.filled_bytes.saturating_sub(earlier.filled_bytes),
        }
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a ratio is not told to sixteen places"
)]
fn ratio(part: u64, rest: u64) -> Option<f64> {
    let whole = part.saturating_add(rest);
    (whole > 0).then(|| part as f64 / whole as f64)
}

/// One route, and how its requests were answered since the handle was built.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RouteStatistics {
    /// The pattern; `unmatched` for requests that none matched, `other` for the routes above 4096.
    pub route: String,
    /// Whether its requests go to their handlers for now; see [`Larder::pause`](crate::Larder::pause).
    pub paused: bool,
    /// How they were answered.
    pub traffic: Traffic,
}

/// The counters of one route, and whether it is paused.
#[derive(Debug)]
pub(crate) struct RouteState {
    label: Box<str>,
    paused: AtomicBool,
    stripes: [Stripe; place::STRIPES],
}

/// Two lines of a processor's cache, since they are fetched in pairs.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Stripe {
    outcomes: [AtomicU64; Outcome::COUNT],
    second_tier: AtomicU64,
    hit_bytes: AtomicU64,
    filled_bytes: AtomicU64,
}

impl RouteState {
    pub(crate) fn new(label: &str) -> Self {
        Self {
            label: label.into(),
            paused: AtomicBool::new(false),
            stripes: std::array::from_fn(|_| Stripe::default()),
        }
    }

    /// Returns the pattern, or the word for requests without one.
    pub(crate) fn label(&self) -> &str {
        &self.label
    }

    /// Counts an answer.
    pub(crate) fn count(&self, outcome: Outcome) {
        if let Some(counter) = self.stripe().outcomes.get(outcome as usize) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Counts an answer out of the store, with a body of `bytes`.
    #[inline]
    pub(crate) fn count_hit(&self, outcome: Outcome, bytes: u64) {
        let stripe = self.stripe();
        if let Some(counter) = stripe.outcomes.get(outcome as usize) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
        stripe.hit_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Counts that one of the hits came out of the second tier, with a body of `bytes`.
    pub(crate) fn count_second_tier(&self, bytes: u64) {
        let stripe = self.stripe();
        stripe.second_tier.fetch_add(1, Ordering::Relaxed);
        stripe.hit_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Counts a body that a handler made for the store.
    pub(crate) fn count_filled(&self, bytes: u64) {
        self.stripe()
            .filled_bytes
            .fetch_add(bytes, Ordering::Relaxed);
    }

    /// Tells whether its requests go to their handlers, and nothing is stored.
    #[inline]
    pub(crate) fn is_paused(&self) -> bool {
        self.paused.load(Ordering::Relaxed)
    }

    /// Returns what it has answered so far.
    pub(crate) fn traffic(&self) -> Traffic {
        let mut traffic = Traffic::default();
        for stripe in &self.stripes {
            for (sum, counter) in traffic.outcomes.iter_mut().zip(&stripe.outcomes) {
                *sum += counter.load(Ordering::Relaxed);
            }
            traffic.second_tier_hits += stripe.second_tier.load(Ordering::Relaxed);
            traffic.hit_bytes += stripe.hit_bytes.load(Ordering::Relaxed);
            traffic.filled_bytes += stripe.filled_bytes.load(Ordering::Relaxed);
        }
        traffic
    }

    #[inline]
    fn stripe(&self) -> &Stripe {
        self.stripes
            .get(place::stripe())
            .unwrap_or(&self.stripes[0])
    }
}

/// The routes of one handle, shared by all its layers.
#[derive(Debug)]
pub(crate) struct RouteStates {
    by_pattern: Mutex<HashMap<Box<str>, Arc<RouteState>>>,
    unmatched: Arc<RouteState>,
    other: Arc<RouteState>,
}

impl RouteStates {
    pub(crate) fn new() -> Self {
        Self {
            by_pattern: Mutex::default(),
            unmatched: Arc::new(RouteState::new(UNMATCHED)),
            other: Arc::new(RouteState::new(OTHER)),
        }
    }

    /// Returns the state of a pattern, which is made if it is new.
    pub(crate) fn of(&self, pattern: &str) -> Arc<RouteState> {
        let mut all = self.locked();
        if let Some(state) = all.get(pattern) {
            return Arc::clone(state);
        }
        if all.len() >= MAX_ROUTES {
            return Arc::clone(&self.other);
        }
        let state = Arc::new(RouteState::new(pattern));
        all.insert(pattern.into(), Arc::clone(&state));
        state
    }

    /// Returns the state of requests that no pattern matched.
    pub(crate) fn unmatched(&self) -> &Arc<RouteState> {
        &self.unmatched
    }

    /// Returns the state of routes that are too many to be counted apart.
    pub(crate) fn other(&self) -> &Arc<RouteState> {
        &self.other
    }

    /// Pauses a route or lets it go on, and returns whether that could be done.
    pub(crate) fn pause(&self, pattern: &str, paused: bool) -> bool {
        let state = match pattern {
            UNMATCHED => Arc::clone(&self.unmatched),
            OTHER => return false,
            _ => self.of(pattern),
        };
        if Arc::ptr_eq(&state, &self.other) {
            return false;
        }
        state.paused.store(paused, Ordering::Relaxed);
        true
    }

    /// Returns all routes: by pattern in order, then the two that stand for many.
    pub(crate) fn statistics(&self) -> Vec<RouteStatistics> {
        let mut states: Vec<_> = self.locked().values().cloned().collect();
        states.sort_by(|one, another| one.label.cmp(&another.label));
        states.push(Arc::clone(&self.unmatched));
        states.push(Arc::clone(&self.other));
        let statistics = states.iter().map(|state| RouteStatistics {
            route: state.label.clone().into(),
            paused: state.is_paused(),
            traffic: state.traffic(),
        });
        statistics.collect()
    }

    /// Returns what all routes have answered together.
    pub(crate) fn traffic(&self) -> Traffic {
        let all = self.locked();
        let mut sum = self.unmatched.traffic();
        sum.add(&self.other.traffic());
        for state in all.values() {
            sum.add(&state.traffic());
        }
        sum
    }

    fn locked(&self) -> MutexGuard<'_, HashMap<Box<str>, Arc<RouteState>>> {
        self.by_pattern
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes_are_counted_apart_and_summed_up() {
        let routes = RouteStates::new();
        routes.of("/a").count_hit(Outcome::Hit, 10);
        routes.of("/a").count_hit(Outcome::Hit, 5);
        routes.of("/b").count(Outcome::Miss);
        routes.of("/b").count_filled(7);
        routes.unmatched().count(Outcome::Pass);
        assert_eq!(routes.of("/a").traffic().requests(Outcome::Hit), 2);
        assert_eq!(routes.of("/a").traffic().requests(Outcome::Miss), 0);
        let sum = routes.traffic();
        assert_eq!(
            (
                sum.requests(Outcome::Hit),
                sum.requests(Outcome::Miss),
                sum.requests(Outcome::Pass)
            ),
            (2, 1, 1)
        );
        assert_eq!((sum.hit_bytes, sum.filled_bytes), (15, 7));
        let all = routes.statistics();
        let labels: Vec<_> = all.iter().map(|one| one.route.as_str()).collect();
        assert_eq!(labels, ["/a", "/b", "unmatched", "other"]);
    }

    #[test]
    fn a_ratio_is_of_those_that_take_part_in_caching() {
        let state = RouteState::new("/a");
        assert_eq!(state.traffic().hit_ratio(), None);
        for outcome in Outcome::ALL {
            state.count(outcome);
        }
        state.count_hit(Outcome::Hit, 30);
        state.count_filled(10);
        // Two hits, one stale, one collapsed, of those and one miss and one revalidated.
        assert_eq!(state.traffic().hit_ratio(), Some(4.0 / 6.0));
        assert_eq!(state.traffic().byte_hit_ratio(), Some(0.75));
    }

    #[test]
    fn patterns_above_the_bound_share_counters() {
        let routes = RouteStates::new();
        for number in 0..MAX_ROUTES + 10 {
            routes.of(&format!("/{number}")).count(Outcome::Miss);
        }
        assert_eq!(routes.statistics().len(), MAX_ROUTES + 2);
        assert_eq!(routes.other().traffic().requests(Outcome::Miss), 10);
        assert!(!routes.pause("/one-too-many", true));
        assert!(!routes.other().is_paused());
        assert!(routes.pause("/0", true) && routes.of("/0").is_paused());
        assert!(routes.pause("unmatched", true) && routes.unmatched().is_paused());
    }
}

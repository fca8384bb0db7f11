//! What a layer has learned of its routes: by pattern, never by raw path, and bounded.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
};

use arc_swap::ArcSwap;

use crate::{
    clock::Timestamp,
    key::Key,
    observe::{RouteState, RouteStates},
    policy::{Learned, Pattern, PatternMap, RouteTable},
    semantics::no_vary_search::NoVarySearch,
    store::Markers,
};

/// How many patterns one layer remembers. An application has fewer; above it, routes without a
/// declared policy pass.
const MAX_PATTERNS: usize = 4096;

/// How many bytes the keys of the paths may take of which it is remembered how they vary on their
/// query: a few thousand ordinary ones. Strangers choose how long they are.
const MAX_VARIANCE_BYTES: usize = 1 << 20;

/// After how many responses in a row that could not be stored nothing is kept of the requests of a
/// route. Until then the first one that can be is stored; from then on the second one.
const QUIET_AFTER: u32 = 64;

/// One route, as far as it is known without a table.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) pattern: Option<Pattern>,
    pub(crate) state: Arc<RouteState>,
    pub(crate) handler: Learned,
    learned: AtomicBool,
    /// How many responses in a row were none that can be stored.
    unfit: AtomicU32,
    inner: AtomicBool,
    warned: AtomicBool,
    /// The pattern of the layer's table that is the same but for the names of its parameters.
    pub(crate) declared_as: Option<Arc<str>>,
}

impl Known {
    fn new(
        pattern: Option<Pattern>,
        state: Arc<RouteState>,
        declared_as: Option<Arc<str>>,
    ) -> Self {
        Self {
            pattern,
            state,
            declared_as,
            handler: Learned::default(),
            learned: AtomicBool::new(false),
            unfit: AtomicU32::new(0),
            inner: AtomicBool::new(false),
            warned: AtomicBool::new(false),
        }
    }

    /// Says whether a response of the route was one that can be stored.
    pub(crate) fn is_learned(&self) -> bool {
        self.learned.load(Ordering::Relaxed)
    }

    pub(crate) fn learn(&self) {
        self.learned.store(true, Ordering::Relaxed);
    }

    /// Notes that a response was none that can be stored.
    pub(crate) fn was_unfit(&self) {
        if !self.is_quiet() {
            self.unfit.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Says whether so many responses could not be stored that nothing is kept of requests any more.
    pub(crate) fn is_quiet(&self) -> bool {
        self.unfit.load(Ordering::Relaxed) >= QUIET_AFTER
    }

    /// Lets the next request be kept: an answer has looked like one that can be stored.
    pub(crate) fn listen(&self) {
        self.unfit.store(QUIET_AFTER - 1, Ordering::Relaxed);
    }

    /// Says whether another layer of the same handle, nearer to the handler, caches the route.
    pub(crate) fn is_inner(&self) -> bool {
        self.inner.load(Ordering::Relaxed)
    }

    pub(crate) fn leave_to_inner(&self) {
        self.inner.store(true, Ordering::Relaxed);
    }

    /// Returns true the first time it is asked.
    pub(crate) fn warn_once(&self) -> bool {
        !self.warned.swap(true, Ordering::Relaxed)
    }
}

/// The routes that a layer has met.
#[derive(Debug)]
pub(crate) struct KnownRoutes {
    /// For requests without a pattern: the layer is one route then.
    whole: Arc<Known>,
    states: Arc<RouteStates>,
    by_pattern: ArcSwap<PatternMap<Box<str>, Arc<Known>>>,
    writer: Mutex<()>,
    variances: Mutex<Variances>,
    /// The URLs without a pattern that inner layers cache; there is no table until there is one.
    left: OnceLock<Markers>,
}

/// How responses vary on the query, by the key of their path.
#[derive(Debug, Default)]
struct Variances {
    by_path: HashMap<Key, Arc<NoVarySearch>>,
    /// The lengths of the keys together.
    bytes: usize,
}

impl KnownRoutes {
    /// Returns the routes of a new layer; what is counted of them goes to `states`.
    pub(crate) fn new(states: &Arc<RouteStates>) -> Self {
        Self {
            whole: Arc::new(Known::new(None, Arc::clone(states.unmatched()), None)),
            states: Arc::clone(states),
            by_pattern: ArcSwap::default(),
            writer: Mutex::new(()),
            variances: Mutex::default(),
            left: OnceLock::new(),
        }
    }

    /// Returns how the responses of a path vary on its query, by the latest one that said so.
    pub(crate) fn variance(&self, path: &Key) -> Option<Arc<NoVarySearch>> {
        self.variances().by_path.get(path).cloned()
    }

    /// Remembers how the responses of a path vary on its query. With too many paths all are
    /// forgotten, which costs a miss each.
    pub(crate) fn set_variance(&self, path: &Key, variance: Option<Arc<NoVarySearch>>) {
        let mut all = self.variances();
        if all.by_path.remove(path).is_some() {
            all.bytes -= path.len();
        }
        let Some(variance) = variance else {
            return;
        };
        all.bytes += path.len();
        if all.by_path.len() >= MAX_PATTERNS || all.bytes > MAX_VARIANCE_BYTES {
            all.by_path = HashMap::new();
            all.bytes = path.len();
        }
        all.by_path.insert(path.clone(), variance);
    }

    /// Leaves a URL without a pattern to an inner layer, until `until`.
    pub(crate) fn leave_url(&self, key: &[u8], until: Timestamp) {
        self.left.get_or_init(Markers::new).set(key, until);
    }

    /// Says whether any URL without a pattern was ever left to an inner layer.
    #[inline]
    pub(crate) fn has_left(&self) -> bool {
        self.left.get().is_some()
    }

    /// Says whether a URL without a pattern is left to an inner layer.
    #[inline]
    pub(crate) fn is_left(&self, key: &[u8], now: Timestamp) -> bool {
        self.left.get().is_some_and(|left| left.is_set(key, now))
    }

    fn variances(&self) -> MutexGuard<'_, Variances> {
        self.variances
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn whole(&self) -> &Arc<Known> {
        &self.whole
    }

    /// Returns the patterns that the layer has met, and whether their responses were stored.
    #[cfg(feature = "admin")]
    pub(crate) fn all(&self) -> Vec<Arc<Known>> {
        self.by_pattern.load().values().cloned().collect()
    }

    /// Returns the pattern met that a path is of.
    #[cfg(feature = "admin")]
    pub(crate) fn find(&self, path: &str) -> Option<Arc<str>> {
        let mut router = matchit::Router::new();
        for known in self.by_pattern.load().values() {
            if let Some(pattern) = &known.pattern {
                // Patterns of two routers may exclude each other: the first one counts.
                let _excluded = router.insert(&**pattern.text(), Arc::clone(pattern.text()));
            }
        }
        router.at(path).ok().map(|found| Arc::clone(found.value))
    }

    /// Returns what is known of a pattern that has been met before.
    #[cfg(feature = "grpc")]
    pub(crate) fn met(&self, pattern: &str) -> Option<Arc<Known>> {
        self.by_pattern.load().get(pattern).cloned()
    }

    /// Returns what is known of a pattern; nothing if there are too many. `table` is that of the
    /// layer.
    pub(crate) fn of(&self, pattern: &str, table: &RouteTable) -> Option<Arc<Known>> {
        if let Some(known) = self.by_pattern.load().get(pattern) {
            return Some(Arc::clone(known));
        }
        self.add(pattern, table)
    }

    fn add(&self, pattern: &str, table: &RouteTable) -> Option<Arc<Known>> {
        let _turn = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all = PatternMap::clone(&self.by_pattern.load());
        if let Some(known) = all.get(pattern) {
            return Some(Arc::clone(known));
        }
        if all.len() >= MAX_PATTERNS {
            return None;
        }
        let known = Arc::new(Known::new(
            Pattern::parse(pattern).ok(),
            self.states.of(pattern),
            table.same_but_for_names(pattern),
        ));
        all.insert(pattern.into(), Arc::clone(&known));
        self.by_pattern.store(Arc::new(all));
        Some(known)
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue};

    use super::*;

    fn known_routes() -> KnownRoutes {
        KnownRoutes::new(&Arc::new(RouteStates::new()))
    }

    #[test]
    fn patterns_above_the_bound_are_not_learned() {
        let names = |number| format!("/{number}/{{id}}");
        let known = known_routes();
        // One less than there may be, at once: each new one copies the table.
        let most =
            (1..MAX_PATTERNS).map(|number| (names(number).into(), Arc::clone(known.whole())));
        known.by_pattern.store(Arc::new(most.collect()));
        let of = |number| known.of(&names(number), &RouteTable::default());
        assert!(of(0).is_some());
        assert!(of(MAX_PATTERNS).is_none());
        assert!(of(0).is_some());
    }

    #[test]
    fn variances_are_bounded_by_number_and_by_bytes() {
        let field = HeaderValue::from_static("key-order");
        let headers = HeaderMap::from_iter([("no-vary-search".parse().unwrap(), field)]);
        let variance = NoVarySearch::of(&headers).map(Arc::new);
        assert!(variance.is_some());
        for length in [8, 8000] {
            let known = known_routes();
            for number in 0..10_000_u64 {
                let mut key = vec![0; length];
                key[..8].copy_from_slice(&number.to_le_bytes());
                let key = Key::from(key.as_slice());
                known.set_variance(&key, variance.clone());
                known.set_variance(&key, variance.clone());
                assert!(known.variance(&key).is_some(), "the newest is kept");
                let all = known.variances();
                assert!(all.by_path.len() <= MAX_PATTERNS);
                assert_eq!(all.bytes, all.by_path.len() * length);
                assert!(all.bytes <= MAX_VARIANCE_BYTES);
            }
        }
    }

    #[test]
    fn a_path_that_no_longer_says_how_it_varies_is_forgotten() {
        let known = known_routes();
        let key = Key::from(&b"path"[..]);
        let field = HeaderValue::from_static("key-order");
        let headers = HeaderMap::from_iter([("no-vary-search".parse().unwrap(), field)]);
        known.set_variance(&key, NoVarySearch::of(&headers).map(Arc::new));
        known.set_variance(&key, None);
        assert!(known.variance(&key).is_none());
        assert_eq!(known.variances().bytes, 0);
    }
}

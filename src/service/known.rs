//! What a layer has learned of its routes: by pattern, never by raw path, and bounded.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use arc_swap::ArcSwap;

use crate::{
    key::Key,
    observe::{RouteState, RouteStates},
    policy::Pattern,
    semantics::no_vary_search::NoVarySearch,
};

/// How many patterns one layer remembers. An application has fewer; above it, routes without a
/// declared policy pass.
const MAX_PATTERNS: usize = 4096;

/// One route, as far as it is known without a table.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) pattern: Option<Pattern>,
    pub(crate) state: Arc<RouteState>,
    learned: AtomicBool,
    inner: AtomicBool,
    warned: AtomicBool,
}

impl Known {
    fn new(pattern: Option<Pattern>, state: Arc<RouteState>) -> Self {
        Self {
            pattern,
            state,
            learned: AtomicBool::new(false),
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
    by_pattern: ArcSwap<HashMap<Box<str>, Arc<Known>>>,
    writer: Mutex<()>,
    variances: Mutex<HashMap<Key, Arc<NoVarySearch>>>,
}

impl KnownRoutes {
    /// Returns the routes of a new layer; what is counted of them goes to `states`.
    pub(crate) fn new(states: &Arc<RouteStates>) -> Self {
        Self {
            whole: Arc::new(Known::new(None, Arc::clone(states.unmatched()))),
            states: Arc::clone(states),
            by_pattern: ArcSwap::default(),
            writer: Mutex::new(()),
            variances: Mutex::default(),
        }
    }

    /// Returns how the responses of a path vary on its query, by the latest one that said so.
    pub(crate) fn variance(&self, path: &[u8]) -> Option<Arc<NoVarySearch>> {
        let all = self
            .variances
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        all.get(path).cloned()
    }

    /// Remembers how the responses of a path vary on its query. With too many paths all are
    /// forgotten, which costs a miss each.
    pub(crate) fn set_variance(&self, path: &Key, variance: Option<Arc<NoVarySearch>>) {
        let mut all = self
            .variances
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let Some(variance) = variance else {
            all.remove(&**path);
            return;
        };
        if all.len() >= MAX_PATTERNS && !all.contains_key(&**path) {
            all.clear();
        }
        all.insert(path.clone(), variance);
    }

    pub(crate) fn whole(&self) -> &Arc<Known> {
        &self.whole
    }

    /// Returns what is known of a pattern; nothing if there are too many.
    pub(crate) fn of(&self, pattern: &str) -> Option<Arc<Known>> {
        if let Some(known) = self.by_pattern.load().get(pattern) {
            return Some(Arc::clone(known));
        }
        self.add(pattern)
    }

    fn add(&self, pattern: &str) -> Option<Arc<Known>> {
        let _turn = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all = HashMap::clone(&self.by_pattern.load());
        if let Some(known) = all.get(pattern) {
            return Some(Arc::clone(known));
        }
        if all.len() >= MAX_PATTERNS {
            return None;
        }
        let known = Arc::new(Known::new(
            Pattern::parse(pattern).ok(),
            self.states.of(pattern),
        ));
        all.insert(pattern.into(), Arc::clone(&known));
        self.by_pattern.store(Arc::new(all));
        Some(known)
    }
}

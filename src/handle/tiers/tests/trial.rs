//! Tries a case until all has been found that it wants to find.

use std::{
    cell::{Cell, RefCell},
    fmt::Debug,
    ops::Deref,
};

use super::keepers::Keeper;

/// How often a case is tried on a keeper that may forget.
const MOST_ROUNDS: usize = 40;

/// A keeper, and what a case wants of it.
pub(super) struct Trial<K> {
    keeper: K,
    /// For each of the things that the case wants to find, in its order: was it ever found?
    found: RefCell<Vec<bool>>,
    /// How many of them have come up in this round.
    wanted: Cell<usize>,
}

impl<K: Keeper> Trial<K> {
    /// Tries a case, and fails if something that it wants is never found.
    pub(super) async fn passes(case: impl AsyncFn(&Self)) {
        let rounds = if K::MAY_FORGET { MOST_ROUNDS } else { 1 };
        let found = Self::found(case, rounds).await;
        assert!(!found.is_empty(), "it wants nothing");
        assert!(found.iter().all(|own| *own), "never found: {found:?}");
    }

    /// Tries a case once, and fails if all that it wants was found.
    pub(super) async fn fails(case: impl AsyncFn(&Self)) {
        let found = Self::found(case, 1).await;
        assert!(found.iter().any(|own| !own), "nothing had to be found");
    }

    async fn found(case: impl AsyncFn(&Self), rounds: usize) -> Vec<bool> {
        let mut found = Vec::new();
        for _ in 0..rounds {
            let trial = Self {
                keeper: K::start().await,
                found: RefCell::new(found),
                wanted: Cell::new(0),
            };
            case(&trial).await;
            found = trial.found.into_inner();
            if found.iter().all(|own| *own) {
                break;
            }
        }
        found
    }

    /// Notes that a case wants to find something here, and whether it was found; if not, it has to
    /// have been forgotten.
    #[track_caller]
    pub(super) fn wants(&self, is_found: bool, is_forgotten: bool, seen: &dyn Debug) {
        let at = self.wanted.replace(self.wanted.get() + 1);
        let mut found = self.found.borrow_mut();
        if found.len() == at {
            found.push(false);
        }
        found[at] |= is_found;
        assert!(is_found || K::MAY_FORGET && is_forgotten, "{seen:?}");
    }
}

impl<K> Deref for Trial<K> {
    type Target = K;

    fn deref(&self) -> &K {
        &self.keeper
    }
}

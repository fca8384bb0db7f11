//! How reads of values end, kind by kind.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::Counters;

/// How many kinds are counted by their names. An application has a few; those above it are counted
/// together.
const MOST: usize = 256;

/// The name that stands for the kinds above that.
const OTHER: &str = "other";

/// The kinds of values of one handle, with counters for each.
#[derive(Debug, Default)]
pub(crate) struct Kinds(Mutex<BTreeMap<Arc<str>, Arc<Counters>>>);

impl Kinds {
    /// Returns the counters of a kind.
    pub(crate) fn of(&self, kind: &Arc<str>) -> Arc<Counters> {
        let mut all = self.locked();
        let is_named = all.contains_key(kind) || all.len() < MOST;
        let name = if is_named {
            Arc::clone(kind)
        } else {
            OTHER.into()
        };
        Arc::clone(all.entry(name).or_default())
    }

    /// Returns all kinds, by name.
    #[cfg(any(test, feature = "admin"))]
    pub(crate) fn all(&self) -> Vec<(Arc<str>, Arc<Counters>)> {
        let all = self.locked();
        all.iter()
            .map(|(name, counters)| (Arc::clone(name), Arc::clone(counters)))
            .collect()
    }

    fn locked(&self) -> MutexGuard<'_, BTreeMap<Arc<str>, Arc<Counters>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::{Event, Traffic};

    #[test]
    fn kinds_above_the_bound_are_counted_together() {
        let kinds = Kinds::default();
        for number in 0..MOST + 10 {
            let kind = number.to_string().into();
            kinds.of(&kind).note(Event::ValueLoaded);
        }
        let all = kinds.all();
        assert_eq!(all.len(), MOST + 1);
        let (_, other) = all.iter().find(|(name, _)| **name == *OTHER).unwrap();
        let counted = other.statistics(&Traffic::default()).values();
        assert_eq!(counted.map(|(_, _, count)| count), [0, 0, 0, 10]);
    }
}

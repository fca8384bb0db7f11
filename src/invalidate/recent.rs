//! Who invalidated what, and when? The last few, for those who ask why something is gone.
//!
//! The fence knows numbers alone, and keeps them for long; this keeps names, and forgets.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

use super::{Purge, ids};
use crate::{
    clock::Timestamp,
    policy::{Target, TargetId},
};

/// How many invalidations are remembered.
const KEPT: usize = 512;

/// How many targets of each are remembered by name.
const NAMED: usize = 32;

/// One invalidation.
#[derive(Debug)]
pub(crate) struct Recent {
    pub(crate) at: Timestamp,
    /// Who made it, such as `PUT /products/42`.
    pub(crate) source: String,
    pub(crate) soft: bool,
    /// The first of its targets.
    pub(crate) targets: Vec<Target>,
    /// How many more it had.
    pub(crate) unnamed: usize,
    ids: Vec<TargetId>,
}

/// The last invalidations of one handle, newest last.
#[derive(Debug, Default)]
pub(crate) struct Recents {
    all: Mutex<VecDeque<Arc<Recent>>>,
}

impl Recents {
    /// Remembers an invalidation.
    pub(crate) fn add(&self, purge: &Purge, at: Timestamp) -> Vec<Arc<Recent>> {
        let halves = [(&purge.hard, false), (&purge.soft, true)];
        let new: Vec<_> = halves
            .into_iter()
            .filter(|(targets, _)| !targets.is_empty())
            .map(|(targets, soft)| Arc::new(recent(purge, targets, soft, at)))
            .collect();
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        for one in &new {
            if all.len() >= KEPT {
                all.pop_front();
            }
            all.push_back(Arc::clone(one));
        }
        new
    }

    /// Returns the last one that had the target, hard or soft as asked for.
    pub(crate) fn last_of(&self, target: TargetId, soft: bool) -> Option<Arc<Recent>> {
        let all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        let mut newest_first = all.iter().rev();
        newest_first
            .find(|one| one.soft == soft && one.ids.contains(&target))
            .cloned()
    }

    /// Returns those remembered, newest first.
    pub(crate) fn newest(&self, most: usize) -> Vec<Arc<Recent>> {
        let all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter().rev().take(most).cloned().collect()
    }
}

fn recent(purge: &Purge, targets: &[Target], soft: bool, at: Timestamp) -> Recent {
    let targets = targets.get(..NAMED).unwrap_or(targets);
    let whole = if soft { &purge.soft } else { &purge.hard };
    Recent {
        at,
        source: purge.source.to_string(),
        soft,
        targets: targets.to_vec(),
        unnamed: whole.len() - targets.len(),
        ids: ids(targets),
    }
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::*;
    use crate::invalidate::Source;

    const NOW: Timestamp = Timestamp::from_millis(1_767_225_600_000);

    #[test]
    fn the_last_one_that_had_a_target_is_found() {
        let recents = Recents::default();
        let put = || Source::Request(Method::PUT, "/a".into());
        let tag = Target::tag("a");
        recents.add(&Purge::hard([tag.clone(), Target::tag("b")]).by(put()), NOW);
        recents.add(&Purge::soft([tag.clone()]), NOW);
        let hard = recents.last_of(tag.id(), false).unwrap();
        assert_eq!((hard.source.as_str(), hard.targets.len()), ("PUT /a", 2));
        let soft = recents.last_of(tag.id(), true).unwrap();
        assert_eq!(soft.source, "the application");
        assert!(recents.last_of(Target::tag("c").id(), false).is_none());
        assert_eq!(recents.newest(1).len(), 1);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let recents = Recents::default();
        let many = (0..1000).map(|number| Target::tag(&number.to_string()));
        let kept = recents.add(&Purge::hard(many), NOW);
        assert_eq!(
            (kept[0].targets.len(), kept[0].unnamed),
            (NAMED, 1000 - NAMED)
        );
        for _ in 0..2 * KEPT {
            recents.add(&Purge::hard([Target::Everything]), NOW);
        }
        assert_eq!(recents.newest(usize::MAX).len(), KEPT);
        assert!(recents.last_of(Target::tag("0").id(), false).is_none());
    }
}

//! What was invalidated here and not yet everywhere.
//!
//! A target stays until an invalidation of it that was sent *after* it was put in has been seen to
//! come round. So what is put in again while it is on its way stays for another turn. While it is in,
//! nothing that belongs to it is taken from the second tier or goes there: the entry may be older
//! than the invalidation, and the others do not know it yet.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use crate::{
    clock::Timestamp,
    invalidate::Purge,
    policy::{Target, TargetId},
};

/// How many targets may wait. With more than that, everything is invalidated instead: it says the
/// same of each of them, and takes the room of one.
const MOST_WAITING: usize = 10_000;

/// The targets that wait.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    waiting: Mutex<Waiting>,
    /// How many they are, so that nobody has to wait for the lock to learn that there is none.
    count: AtomicUsize,
}

#[derive(Debug, Default)]
struct Waiting {
    targets: HashMap<Target, Wish>,
    ids: HashSet<TargetId>,
    /// Counts what was put in.
    turn: u64,
}

/// How hard a target is to be hit, and when that was last asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Wish {
    /// The moment of a soft purge; none for a hard one, which is the stronger.
    soft: Option<Timestamp>,
    turn: u64,
}

/// Some of what waits, to be sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Batch {
    pub(crate) hard: Vec<Target>,
    pub(crate) soft: Vec<(Timestamp, Target)>,
    /// What was put in up to this turn is in the batch as it is now.
    turn: u64,
}

impl Outbox {
    /// Puts everything in that `purge` names, softly at `now` where it is soft.
    ///
    /// To be called *before* the invalidation is stamped here. The other way round a reader could
    /// take an old entry from the second tier between the two, after the stamp and unhindered.
    pub(crate) fn add(&self, purge: &Purge, now: Timestamp) {
        let mut waiting = self.locked();
        waiting.turn += 1;
        for target in &purge.hard {
            waiting.put(target, None);
        }
        for target in &purge.soft {
            waiting.put(target, Some(now));
        }
        if waiting.targets.len() > MOST_WAITING {
            waiting.targets.clear();
            waiting.put(&Target::Everything, None);
        }
        self.refresh(&mut waiting);
    }

    /// Returns how many targets wait.
    pub(crate) fn len(&self) -> usize {
        self.count.load(Ordering::Acquire)
    }

    /// Returns whether any of `targets` waits.
    pub(crate) fn has_any(&self, targets: &[TargetId]) -> bool {
        self.len() > 0 && {
            let waiting = self.locked();
            targets.iter().any(|target| waiting.ids.contains(target))
        }
    }

    /// Returns up to `most` of what waits.
    pub(crate) fn batch(&self, most: usize) -> Batch {
        let waiting = self.locked();
        let mut batch = Batch {
            turn: waiting.turn,
            ..Batch::default()
        };
        for (target, wish) in waiting.targets.iter().take(most) {
            match wish.soft {
                None => batch.hard.push(target.clone()),
                Some(at) => batch.soft.push((at, target.clone())),
            }
        }
        batch
    }

    /// Takes out what is in `batch`, unless it was put in again since.
    pub(crate) fn remove(&self, batch: &Batch) {
        let mut waiting = self.locked();
        let soft = batch.soft.iter().map(|(_, target)| target);
        for target in batch.hard.iter().chain(soft) {
            if let Some(wish) = waiting.targets.get(target)
                && wish.turn <= batch.turn
            {
                waiting.targets.remove(target);
            }
        }
        self.refresh(&mut waiting);
    }

    fn refresh(&self, waiting: &mut Waiting) {
        waiting.ids = waiting.targets.keys().map(Target::id).collect();
        self.count.store(waiting.targets.len(), Ordering::Release);
    }

    /// The targets are whole between any two operations, so a poisoned lock is a good one.
    fn locked(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    fn put(&mut self, target: &Target, soft: Option<Timestamp>) {
        let turn = self.turn;
        let new = Wish { soft, turn };
        let wish = self.targets.entry(target.clone()).or_insert(new);
        // Hard stays hard, and of two soft purges the first one counts for those that it hit.
        wish.soft = match (wish.soft, soft) {
            (Some(before), Some(now)) => Some(before.min(now)),
            _ => None,
        };
        wish.turn = turn;
    }
}

impl Batch {
    pub(crate) fn is_empty(&self) -> bool {
        self.hard.is_empty() && self.soft.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tag(tag: &str) -> Target {
        Target::tag(tag)
    }

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    fn outbox(steps: &[(&str, Option<u64>)]) -> Outbox {
        let outbox = Outbox::default();
        for (target, soft) in steps {
            put(&outbox, target, *soft);
        }
        outbox
    }

    fn put(outbox: &Outbox, target: &str, soft: Option<u64>) {
        match soft {
            None => outbox.add(&Purge::hard([tag(target)]), at(0)),
            Some(moment) => outbox.add(&Purge::soft([tag(target)]), at(moment)),
        }
    }

    #[test]
    fn a_target_waits_once_and_as_hard_as_it_was_ever_hit() {
        let hard = [(("a", None), ("a", Some(1))), (("a", Some(1)), ("a", None))];
        for (first, second) in hard {
            let batch = outbox(&[first, second]).batch(9);
            assert_eq!((batch.hard, batch.soft), (vec![tag("a")], vec![]));
        }
        let batch = outbox(&[("a", Some(5)), ("a", Some(3)), ("a", Some(8))]).batch(9);
        assert_eq!((batch.hard, batch.soft), (vec![], vec![(at(3), tag("a"))]));
    }

    #[test]
    fn what_was_put_in_again_meanwhile_stays() {
        let outbox = outbox(&[("a", None), ("b", None)]);
        let batch = outbox.batch(9);
        put(&outbox, "a", None);
        outbox.remove(&batch);
        assert_eq!(outbox.len(), 1);
        assert!(outbox.has_any(&[tag("a").id()]) && !outbox.has_any(&[tag("b").id()]));
        outbox.remove(&outbox.batch(9));
        assert_eq!(outbox.len(), 0);
        assert!(!outbox.has_any(&[tag("a").id()]) && outbox.batch(9).is_empty());
    }

    #[test]
    fn what_is_not_in_the_batch_stays() {
        let outbox = outbox(&[("a", None), ("b", None), ("c", Some(1))]);
        let batch = outbox.batch(2);
        assert_eq!(batch.hard.len() + batch.soft.len(), 2);
        outbox.remove(&batch);
        assert_eq!(outbox.len(), 1);
    }

    #[test]
    fn too_many_targets_become_everything() {
        let outbox = Outbox::default();
        let targets = (0..=MOST_WAITING).map(|number| tag(&number.to_string()));
        outbox.add(&Purge::soft(targets), at(1));
        assert_eq!(outbox.batch(9).hard, [Target::Everything]);
        assert_eq!(outbox.len(), 1);
    }
}

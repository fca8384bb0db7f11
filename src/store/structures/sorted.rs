//! A ranking in memory.

use std::{
    cmp::Ordering,
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

/// A score, ordered. It is never `NaN`: nobody could say where that belongs.
#[derive(Clone, Copy, Debug)]
struct Score(f64);

impl PartialEq for Score {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Score {}

impl PartialOrd for Score {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Score {
    fn cmp(&self, other: &Self) -> Ordering {
        // Both zeros are one score, as they are in Redis.
        (self.0 + 0.0).total_cmp(&(other.0 + 0.0))
    }
}

/// Members by score, then by name: the order that Redis has, too.
#[derive(Debug, Default)]
pub(super) struct Sorted {
    scores: HashMap<Arc<str>, f64>,
    order: BTreeSet<(Score, Arc<str>)>,
}

impl Sorted {
    /// Sets the score of a member and tells whether it is new.
    pub(super) fn set(&mut self, member: &str, score: f64) -> bool {
        let member: Arc<str> = member.into();
        let before = self.scores.insert(Arc::clone(&member), score);
        if let Some(before) = before {
            self.order.remove(&(Score(before), Arc::clone(&member)));
        }
        self.order.insert((Score(score), member));
        before.is_none()
    }

    pub(super) fn score(&self, member: &str) -> Option<f64> {
        self.scores.get(member).copied()
    }

    /// Removes a member and tells whether it was there.
    pub(super) fn remove(&mut self, member: &str) -> bool {
        let Some((member, score)) = self.scores.remove_entry(member) else {
            return false;
        };
        self.order.remove(&(Score(score), member))
    }

    /// Returns members from the place `from` on, the highest score first.
    pub(super) fn ranked(&self, from: usize, count: usize) -> Vec<(Box<str>, f64)> {
        let ranked = self.order.iter().rev().skip(from).take(count);
        ranked
            .map(|(score, member)| (Box::from(&**member), score.0))
            .collect()
    }

    /// Returns the place of a member. It looks at all that are before it.
    pub(super) fn place(&self, member: &str) -> Option<usize> {
        let score = Score(self.score(member)?);
        let from = (score, Arc::from(member));
        Some(self.order.range(from..).count() - 1)
    }

    pub(super) fn len(&self) -> usize {
        self.scores.len()
    }
}

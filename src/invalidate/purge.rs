//! What is invalidated in one go.

use crate::policy::{Target, TargetId};

/// The targets of one invalidation, by how hard they are hit.
///
/// They are kept by name, not by [`TargetId`]: an id means nothing in another process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Purge {
    pub(crate) hard: Vec<Target>,
    pub(crate) soft: Vec<Target>,
}

impl Purge {
    pub(crate) fn hard(targets: impl IntoIterator<Item = Target>) -> Self {
        Self {
            hard: targets.into_iter().collect(),
            soft: Vec::new(),
        }
    }

    pub(crate) fn soft(targets: impl IntoIterator<Item = Target>) -> Self {
        Self {
            hard: Vec::new(),
            soft: targets.into_iter().collect(),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.hard.is_empty() && self.soft.is_empty()
    }
}

pub(crate) fn ids(targets: &[Target]) -> Vec<TargetId> {
    targets.iter().map(Target::id).collect()
}

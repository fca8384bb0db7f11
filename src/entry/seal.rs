//! What a stored response was sealed with when its fill began, for the fence to judge.

use std::sync::atomic::AtomicU64;

use crate::policy::TargetId;

/// Where a node stood in the order of invalidations when a fill began.
///
/// `sequence` counts the invalidations of the namespace that this node had applied in `epoch`;
/// `local` counts those that this process made on its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) epoch: u64,
    pub(crate) sequence: u64,
    pub(crate) local: u64,
}

/// What the fence needs to know of an entry.
#[derive(Debug)]
pub(crate) struct Seal {
    pub(crate) position: Position,
    pub(crate) targets: Box<[TargetId]>,
    /// The change count of the fence at which the entry was last found valid. Zero: never.
    pub(crate) checked: AtomicU64,
    /// What that check found: the moment of a soft purge in milliseconds, zero for none.
    pub(crate) soft_at: AtomicU64,
}

impl Seal {
    pub(crate) fn new(position: Position, targets: Vec<TargetId>) -> Self {
        Self {
            position,
            targets: targets.into_boxed_slice(),
            checked: AtomicU64::new(0),
            soft_at: AtomicU64::new(0),
        }
    }
}

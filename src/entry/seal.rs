//! What a stored response was sealed with when its fill began, for the fence to judge.

use crate::{
    clock::Timestamp,
    policy::TargetId,
    sync::{AtomicU64, Ordering},
};

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

/// What the fence needs to know of an entry, and what it last found.
#[derive(Debug)]
pub(crate) struct Seal {
    pub(crate) position: Position,
    pub(crate) targets: Box<[TargetId]>,
    /// The change count of the fence at which the entry was last found alive. Zero: never.
    checked: AtomicU64,
    /// The earliest moment at which a soft purge was found to apply, in milliseconds.
    soft_at: AtomicU64,
}

impl Seal {
    pub(crate) fn new(position: Position, targets: Vec<TargetId>) -> Self {
        Self {
            position,
            targets: targets.into_boxed_slice(),
            checked: AtomicU64::new(0),
            soft_at: AtomicU64::new(Timestamp::NEVER.as_millis()),
        }
    }

    /// Returns what was found at the change count `changes`: the moment of a soft purge, or
    /// [`Timestamp::NEVER`]; nothing if the entry was last checked at another count.
    #[inline]
    pub(crate) fn recall(&self, changes: u64) -> Option<Timestamp> {
        (self.checked.load(Ordering::Acquire) == changes)
            .then(|| Timestamp::from_millis(self.soft_at.load(Ordering::Relaxed)))
    }

    /// Notes that at the change count `changes` the entry was alive and soft-purged at `soft_at`.
    ///
    /// The moment only ever falls. So a slow reader with an older finding can not undo the moment
    /// between the two stores of a faster one, and an entry that was once found soft-purged stays so.
    pub(crate) fn remember(&self, changes: u64, soft_at: Timestamp) {
        self.soft_at
            .fetch_min(soft_at.as_millis(), Ordering::Relaxed);
        self.checked.store(changes, Ordering::Release);
    }
}

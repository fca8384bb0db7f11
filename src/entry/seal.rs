//! What a stored response was sealed with when its fill began, for the fence to judge.

use std::time::Duration;

use crate::{
    clock::Timestamp,
    policy::TargetId,
    sync::{AtomicU64, Ordering},
};

/// How long after its fill began what carries tags may be served while nobody can be asked whether
/// it was invalidated elsewhere.
const TRUSTED_FOR: Duration = Duration::from_secs(1);

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
    /// When the fill began, or the oldest of those whose results it used. What a slow handler
    /// answers is as old as what it read at its beginning.
    pub(crate) begun: Timestamp,
    /// Whether it carries tags. What has none has its lifetime as its whole contract.
    is_tagged: bool,
    /// The change count of the fence at which the entry was last found alive. Zero: never.
    checked: AtomicU64,
    /// The earliest moment at which a soft purge was found to apply, in milliseconds.
    soft_at: AtomicU64,
}

impl Seal {
    /// Returns the seal of something that carries tags, and of which nobody knows when its fill
    /// began: the stricter of what [`begun`](Self::begun) and [`untagged`](Self::untagged) change.
    pub(crate) fn new(position: Position, targets: Vec<TargetId>) -> Self {
        Self {
            position,
            targets: targets.into_boxed_slice(),
            begun: Timestamp::default(),
            is_tagged: true,
            checked: AtomicU64::new(0),
            soft_at: AtomicU64::new(Timestamp::NEVER.as_millis()),
        }
    }

    /// Returns the seal of a fill that began at `begun`.
    pub(crate) fn begun(mut self, begun: Timestamp) -> Self {
        self.begun = begun;
        self
    }

    /// Returns the seal of something that carries no tags, if `is_untagged`.
    pub(crate) fn untagged(mut self, is_untagged: bool) -> Self {
        self.is_tagged &= !is_untagged;
        self
    }

    pub(crate) fn is_tagged(&self) -> bool {
        self.is_tagged
    }

    /// Returns whether it may be served at `now` although nobody knows what was invalidated
    /// elsewhere.
    pub(crate) fn is_trusted(&self, now: Timestamp) -> bool {
        !self.is_tagged || now <= self.begun.after(TRUSTED_FOR)
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

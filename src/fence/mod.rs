//! May this entry still be served? The one place that knows what was invalidated, and when.
//!
//! # The idea
//!
//! Invalidations are numbered. Whoever invalidates takes the next number and *stamps* its targets
//! with it; there are no sets from a target to its entries. A fill takes a [`Position`], the number
//! up to which invalidations are visible here, **before** the handler runs, and the entry keeps it,
//! whenever the fill ends. An entry is alive if none of its targets was stamped with a greater
//! number. So a slow fill that read the old value is dead on arrival, whoever wins the race, and
//! nothing has to be deleted for correctness.
//!
//! # Two counters
//!
//! - The **shared sequence** of an *epoch* counts the invalidations of all nodes. It is raised
//!   elsewhere, and a mirror applies it here in order ([`Fence::apply`]). Losing the registry it
//!   lives in is a new epoch ([`Fence::lose`], [`Fence::restart`]): everything filled before is dead.
//!   Without a registry it stays where it started.
//! - The **local counter** counts what this process invalidated on its own ([`Fence::stamp_local`]).
//!   Its numbers mean nothing anywhere else and never mix with those of the sequence.
//!
//! An entry must pass both.
//!
//! # Invariants
//!
//! 1. *Publishing.* A stamp is visible first, then the change counter moves, then the number counts
//!    as applied ([`PUBLISHING`]). The change counter before the stamp: a reader finds nothing,
//!    remembers the new count and never looks again. The number before the stamp or the change
//!    counter: a fill takes the new number, its handler is served a cached value that the stamp
//!    should have killed, and what it makes of it looks newer than the stamp.
//! 2. *Folding.* A name leaves the stamp table only after its bucket was raised; readers look for
//!    the name first. A soft stamp is only ever replaced by something stronger.
//! 3. *Epochs.* While stamps are replaced there is no epoch, and without one everything is dead. A
//!    reader compares the epoch before and after it has looked at the stamps; a fill reads the epoch
//!    before the number, so a number can only be paired with its own epoch or a dead one.
//! 4. *Nothing heals.* Within an epoch stamps and floor only rise, even across a loss of the
//!    registry that turns out to be none, and the moment of a soft purge that an entry remembers
//!    only falls.
//!
//! # Why the mark is a change counter
//!
//! An entry remembers at which count it was found alive, so that an untouched cache pays one load
//! per hit. It would be tempting to remember the sequence number instead. But two counters, a floor
//! and an epoch can kill an entry, and only one of them moves the sequence; and a number that is
//! taken is not yet a stamp that can be seen. The change counter means one thing: something was
//! published since you looked.
//!
//! # Who may do what
//!
//! Anybody judges and takes positions, at any time, without waiting for an invalidator. Invalidators
//! take turns behind one mutex; it is never held while waiting for anything but the shards of a
//! stamp table. An invalidation is acknowledged when the call that made it has returned: from then
//! on no reader that starts later finds an older entry alive.
//!
//! Not covered: which targets an entry has (`policy`), when an invalidation is acknowledged to a
//! client, and how the sequence travels between nodes. The steps of that protocol are written down,
//! and run against this code, in the model beside it.

mod stamp;
mod stamps;
mod verdict;

#[cfg(all(test, larder_loom))]
mod loom;
#[cfg(not(larder_loom))]
#[cfg(test)]
mod model;
#[cfg(all(test, not(larder_loom)))]
mod tests;

use std::sync::PoisonError;

#[cfg(feature = "admin")]
pub(crate) use self::stamps::Cause;
use self::stamps::{Ages, Stamps};
pub(crate) use self::{
    stamp::Mode,
    stamps::Sizes,
    verdict::{Reason, Verdict},
};
#[cfg(larder_sabotage)]
use crate::sabotage::{Fault, is_planted};
use crate::{
    clock::Timestamp,
    entry::{Position, Seal},
    policy::TargetId,
    sync::{AtomicU64, Mutex, MutexGuard, Ordering},
};

/// The epoch of a process that has not met a registry.
const FIRST_EPOCH: u64 = 1;

/// Stands for "no epoch": nothing is sealed with it that lives, and nothing lives under it.
const NO_EPOCH: u64 = 0;

/// Stands in a count of changes where others invalidate too, so that what is known here is not enough.
/// No entry remembers a count with it.
const OTHERS: u64 = 1 << 63;

/// The order in which an invalidation becomes visible; see the first invariant of the module.
const PUBLISHING: [Step; 3] = [Step::Stamps, Step::Changes, Step::Number];

/// What an invalidation makes visible.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// The stamps of its targets.
    Stamps,
    /// That something has changed.
    Changes,
    /// That fills from here on begin after it.
    Number,
}

/// The judge of all entries of one handle.
#[derive(Debug)]
pub(crate) struct Fence {
    /// Moves with everything that can kill an entry. Starts at one: a seal's zero is "never". With
    /// [`OTHERS`] beside it if there are any.
    changes: AtomicU64,
    epoch: AtomicU64,
    shared: Counter,
    local: Counter,
    writer: Mutex<Writer>,
}

/// One order of invalidations.
#[derive(Debug)]
struct Counter {
    stamps: Stamps,
    /// Every stamp up to this number is visible.
    applied: AtomicU64,
}

/// What only the invalidator whose turn it is may touch.
#[derive(Debug)]
struct Writer {
    shared: Ages,
    local: Ages,
    /// The epoch of the stamps in the shared table, also while there is no epoch.
    stamps_of: u64,
}

/// What became of an invalidation that the mirror handed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Applied {
    /// It is visible, now or since before.
    Visible,
    /// Refused: those after `after` and before it are missing. Catch up, or raise the floor.
    Gap { after: u64 },
    /// Refused: it belongs to another epoch. Restart.
    OtherEpoch,
}

/// A registry as it was read, for [`Fence::restart`].
///
/// Who reads it piece by piece takes `number` first, then `names` and `soft`, then `buckets`, since
/// folding moves stamps that way, and compares the epoch at the end with the one at the beginning.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Snapshot<'a> {
    pub(crate) epoch: u64,
    /// Every stamp up to this number is among those below, or under the floor.
    pub(crate) number: u64,
    /// Everything sealed below it is dead; `number` if no stamps were read, else zero.
    pub(crate) floor: u64,
    pub(crate) stamps: &'a [(TargetId, u64, Mode)],
    /// Buckets that are not zero, by their place in the table.
    pub(crate) buckets: &'a [(usize, u64)],
}

impl Fence {
    /// Returns a fence that knows of no invalidation.
    pub(crate) fn new() -> Self {
        Self::with_sizes(Sizes::DEFAULT)
    }

    /// Returns one for a process that is not the only one that invalidates.
    #[cfg(feature = "redis")]
    pub(crate) fn among_others() -> Self {
        Self::of(Sizes::DEFAULT, true)
    }

    pub(crate) fn with_sizes(sizes: Sizes) -> Self {
        Self::of(sizes, false)
    }

    fn of(sizes: Sizes, has_others: bool) -> Self {
        Self {
            changes: AtomicU64::new(if has_others { OTHERS | 1 } else { 1 }),
            epoch: AtomicU64::new(FIRST_EPOCH),
            shared: Counter::new(sizes),
            local: Counter::new(sizes),
            writer: Mutex::new(Writer {
                shared: Ages::default(),
                local: Ages::default(),
                stamps_of: FIRST_EPOCH,
            }),
        }
    }

    /// Returns what a fill that begins now is sealed with. To be taken before the handler runs.
    pub(crate) fn position(&self) -> Position {
        // The epoch first. Read the other way round, the number of one epoch could meet the next
        // epoch, whose numbers may be lower.
        let epoch = self.epoch.load(Ordering::Acquire);
        Position {
            epoch,
            sequence: self.shared.applied.load(Ordering::Acquire),
            local: self.local.applied.load(Ordering::Acquire),
        }
    }

    /// Returns whether what is sealed with `seal` may be served.
    #[inline]
    pub(crate) fn judge(&self, seal: &Seal) -> Verdict {
        #[cfg(larder_sabotage)]
        if is_planted(Fault::NoFence) {
            return Verdict::Valid;
        }
        let changes = self.changes.load(Ordering::Acquire) & !OTHERS;
        match seal.recall(changes) {
            Some(soft_at) => Verdict::alive(soft_at),
            None => self.examine(seal, changes),
        }
    }

    /// Returns whether what is sealed with `seal` may be served, if nobody else invalidates and nothing
    /// has changed since the last look: then there is nothing to ask, and one comparison says so.
    #[inline]
    pub(crate) fn judge_alone(&self, seal: &Seal) -> Option<Verdict> {
        #[cfg(larder_sabotage)]
        if is_planted(Fault::NoFence) {
            return Some(Verdict::Valid);
        }
        let soft_at = seal.recall(self.changes.load(Ordering::Acquire))?;
        Some(Verdict::alive(soft_at))
    }

    /// Returns the targets of what is sealed so that were invalidated since its fill began.
    ///
    /// For those who ask why something is gone; [`judge`](Self::judge) is what decides.
    #[cfg(feature = "admin")]
    pub(crate) fn causes(&self, seal: &Seal) -> Vec<Cause> {
        let Position {
            sequence, local, ..
        } = seal.position;
        let mut causes = self.shared.stamps.causes(sequence, &seal.targets);
        causes.extend(self.local.stamps.causes(local, &seal.targets));
        causes
    }

    /// Invalidates `targets` for this process and returns the local number of it. Visible to all who
    /// begin after it has returned.
    pub(crate) fn stamp_local(&self, targets: &[TargetId], mode: Mode) -> u64 {
        self.stamp_in(PUBLISHING, targets, mode)
    }

    /// Invalidates `targets` as [`Fence::stamp_local`] does, if nothing has made `seal` void or stale
    /// yet, and returns the position right after that.
    ///
    /// Of two writers that cross, each of whom took its seal before it wrote, only one is told a
    /// position: the other can not know that its value is the later one, and must not store it.
    #[cfg(feature = "data")]
    pub(crate) fn stamp_local_if_current(
        &self,
        seal: &Seal,
        targets: &[TargetId],
    ) -> Option<Position> {
        let mut writer = self.writer();
        if self.judge(seal) != Verdict::Valid {
            return None;
        }
        let number = self.local.applied.load(Ordering::Relaxed).saturating_add(1);
        self.publish(PUBLISHING, number, &self.local, || {
            (self.local.stamps).stamp(&mut writer.local, number, targets, Mode::Hard);
        });
        Some(self.position())
    }

    /// Makes the invalidation with `number` of `epoch` visible, if all those before it are.
    pub(crate) fn apply(
        &self,
        epoch: u64,
        number: u64,
        targets: &[TargetId],
        mode: Mode,
    ) -> Applied {
        let mut writer = self.writer();
        if epoch != self.epoch.load(Ordering::Relaxed) {
            return Applied::OtherEpoch;
        }
        let after = self.shared.applied.load(Ordering::Relaxed);
        if number <= after {
            return Applied::Visible;
        }
        if number != after.saturating_add(1) {
            return Applied::Gap { after };
        }
        self.publish(PUBLISHING, number, &self.shared, || {
            (self.shared.stamps).stamp(&mut writer.shared, number, targets, mode);
        });
        Applied::Visible
    }

    /// Kills everything sealed below `number` of `epoch`, for want of the invalidations up to it.
    ///
    /// Stamps stay: an entry of another node may be sealed at or above `number` and stamped since.
    pub(crate) fn raise_floor(&self, epoch: u64, number: u64) -> Applied {
        let _writer = self.writer();
        if epoch != self.epoch.load(Ordering::Relaxed) {
            return Applied::OtherEpoch;
        }
        if number > self.shared.applied.load(Ordering::Relaxed) {
            self.publish(PUBLISHING, number, &self.shared, || {
                self.shared.stamps.raise_floor(number);
            });
        }
        Applied::Visible
    }

    /// Goes on at `number` as if everything up to it had been seen.
    #[cfg(larder_sabotage)]
    pub(crate) fn skip_to(&self, number: u64) {
        let _writer = self.writer();
        self.publish(PUBLISHING, number, &self.shared, || {});
    }

    /// Kills everything, and all that is filled until [`Fence::restart`]: the registry is lost.
    pub(crate) fn lose(&self) {
        let _writer = self.writer();
        self.epoch.store(NO_EPOCH, Ordering::Release);
        self.changes.fetch_add(1, Ordering::Release);
    }

    /// Takes over the registry of a new epoch, or the present one again. Everything sealed under
    /// another epoch is dead; local stamps stay, and so do shared ones of the same epoch.
    pub(crate) fn restart(&self, snapshot: Snapshot<'_>) {
        let mut writer = self.writer();
        self.epoch.store(NO_EPOCH, Ordering::Release);
        let known = self.shared.applied.load(Ordering::Relaxed);
        let anew = snapshot.epoch != writer.stamps_of;
        let number = if anew {
            snapshot.number
        } else {
            snapshot.number.max(known)
        };
        writer.stamps_of = snapshot.epoch;
        self.publish(PUBLISHING, number, &self.shared, || {
            if anew {
                self.shared.stamps.clear(&mut writer.shared);
            }
            self.shared.stamps.raise_floor(snapshot.floor);
            for (bucket, number) in snapshot.buckets {
                self.shared.stamps.load_bucket(*bucket, *number);
            }
            for (target, number, mode) in snapshot.stamps {
                (self.shared.stamps).stamp(&mut writer.shared, *number, &[*target], *mode);
            }
        });
        // The epoch last: whoever reads it finds the number that belongs to it.
        self.epoch.store(snapshot.epoch, Ordering::Release);
    }

    fn stamp_in(&self, order: [Step; 3], targets: &[TargetId], mode: Mode) -> u64 {
        let mut writer = self.writer();
        let number = self.local.applied.load(Ordering::Relaxed).saturating_add(1);
        self.publish(order, number, &self.local, || {
            (self.local.stamps).stamp(&mut writer.local, number, targets, mode);
        });
        number
    }

    /// Takes the steps of an invalidation in the order given, which is [`PUBLISHING`] except where a
    /// test shows why.
    fn publish(&self, order: [Step; 3], number: u64, counter: &Counter, stamp: impl FnOnce()) {
        let mut stamp = Some(stamp);
        for step in order {
            match step {
                Step::Stamps => {
                    if let Some(stamp) = stamp.take() {
                        stamp();
                    }
                }
                Step::Changes => {
                    self.changes.fetch_add(1, Ordering::Release);
                }
                Step::Number => counter.applied.store(number, Ordering::Release),
            }
        }
    }

    /// Looks at all that can kill an entry, and lets the entry remember that nothing did.
    ///
    /// `changes` was read before anything else, so what is published meanwhile is looked at again.
    #[cold]
    fn examine(&self, seal: &Seal, changes: u64) -> Verdict {
        let position = seal.position;
        let of_this_epoch = || {
            #[cfg(larder_sabotage)]
            if is_planted(Fault::AnyEpoch) {
                return true;
            }
            position.epoch != NO_EPOCH && position.epoch == self.epoch.load(Ordering::Acquire)
        };
        if !of_this_epoch() {
            return Verdict::Dead(Reason::Epoch);
        }
        let shared = self.shared.stamps.judge(position.sequence, &seal.targets);
        let local = self.local.stamps.judge(position.local, &seal.targets);
        // Again, since the stamps above may have been cleared for another epoch.
        if !of_this_epoch() {
            return Verdict::Dead(Reason::Epoch);
        }
        let verdict = shared.and(local);
        match verdict {
            Verdict::Valid => seal.remember(changes, Timestamp::NEVER),
            Verdict::Soft(at) => seal.remember(changes, at),
            Verdict::Dead(_) => {}
        }
        verdict
    }

    fn writer(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counter {
    fn new(sizes: Sizes) -> Self {
        Self {
            stamps: Stamps::new(sizes),
            applied: AtomicU64::new(0),
        }
    }
}

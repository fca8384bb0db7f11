//! The application: data that has versions, and handlers that read it bit by bit.

use super::catalogue::THINGS;
use crate::clock::Timestamp;

/// The data of one thing is in two halves. A validator of an answer tells the first half apart and
/// not the second, as one that is made from a date does.
pub(super) type Versions = [u32; 2];

/// A count of all that happened at the origin, for what has to come before what.
pub(super) type Tick = u64;

#[derive(Default)]
pub(super) struct Origin {
    versions: [Versions; THINGS],
    ticks: Tick,
}

impl Origin {
    /// Writes one half, both, or none of what belongs to `things`.
    pub(super) fn write(&mut self, things: &[usize], halves: [bool; 2]) {
        self.ticks += 1;
        for thing in things {
            for (version, written) in self.versions[*thing].iter_mut().zip(halves) {
                *version += u32::from(written);
            }
        }
    }

    pub(super) fn read(&self, thing: usize) -> Versions {
        self.versions[thing]
    }

    pub(super) fn all(&self) -> [Versions; THINGS] {
        self.versions
    }

    pub(super) fn tick(&mut self) -> Tick {
        self.ticks += 1;
        self.ticks
    }
}

/// What an answer shows of one thing, and when the handler began that read it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part {
    pub(super) thing: usize,
    pub(super) versions: Versions,
    pub(super) began: Tick,
}

/// An answer: what it shows, and how long it is good.
#[derive(Clone, Debug)]
pub(super) struct Content {
    /// Its own part first, then those of the values that it was made from.
    pub(super) parts: Vec<Part>,
    /// When the first of the handlers began whose work is in it.
    pub(super) oldest: u64,
    pub(super) life: Life,
}

/// The moments at which an answer changes its standing.
#[derive(Clone, Copy, Debug)]
pub(super) struct Life {
    pub(super) fresh_until: u64,
    /// The windows after that, in milliseconds: served while renewed, served on failure.
    pub(super) renewed_within: u64,
    pub(super) fails_within: u64,
}

/// How an answer stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    Fresh,
    /// Served, while the handler runs for the next.
    Renewed,
    /// Served only if the handler fails.
    Spare,
    /// To be confirmed by the handler, at most.
    Old,
}

impl Life {
    /// `soft_at` is the moment of a soft purge, or never: it ends freshness, and windows count
    /// from there.
    pub(super) fn standing(&self, now: u64, soft_at: Timestamp) -> Standing {
        let end = self.fresh_until.min(soft_at.as_millis());
        if now < end {
            Standing::Fresh
        } else if now < end.saturating_add(self.renewed_within) {
            Standing::Renewed
        } else if now < end.saturating_add(self.fails_within) {
            Standing::Spare
        } else {
            Standing::Old
        }
    }
}

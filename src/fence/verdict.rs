//! What the fence says of an entry.

use crate::clock::Timestamp;

/// How an entry stands to the invalidations known here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Nothing that it belongs to was invalidated since its fill began.
    Valid,
    /// It was soft-purged: it went stale at that moment, if not before.
    Soft(Timestamp),
    /// It must not be served, nor used for validation.
    Dead(Reason),
}

/// Why an entry is dead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// It was filled under another registry than the present one, or under none.
    Epoch,
    /// It was filled before something this node has missed.
    Floor,
    /// One of its targets was stamped after its fill began.
    Stamp,
    /// Nobody can be asked whether it was invalidated on another node.
    Unverified,
}

impl Verdict {
    /// Returns the verdict on an entry that no hard stamp has killed; `soft_at` is
    /// [`Timestamp::NEVER`] if no soft one applies either.
    #[inline]
    pub(super) fn alive(soft_at: Timestamp) -> Self {
        if soft_at == Timestamp::NEVER {
            Self::Valid
        } else {
            Self::Soft(soft_at)
        }
    }

    /// Returns the stricter of two verdicts.
    pub(super) fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Dead(reason), _) | (_, Self::Dead(reason)) => Self::Dead(reason),
            (Self::Soft(one), Self::Soft(another)) => Self::Soft(one.min(another)),
            (Self::Soft(at), Self::Valid) | (Self::Valid, Self::Soft(at)) => Self::Soft(at),
            (Self::Valid, Self::Valid) => Self::Valid,
        }
    }
}

//! What a key leads to in memory, and how the cache underneath treats it.

use std::{ptr, sync::Arc};

use quick_cache::{Equivalent, Lifecycle, Weighter};

use super::variants::Variants;
use crate::{
    clock::Timestamp,
    entry::{Entry, block},
    key::{Key, Sought},
};

/// What a slot of the index takes, in bytes: 53 of its own, and half as much again because the
/// vectors that it lies in grow by doubling.
pub(super) const INDEX_SLOT: usize = 80;

/// The two counters in front of what an `Arc` holds, in bytes.
const ARC: usize = 2 * size_of::<usize>();

/// What a key leads to. The weight is what it was when the slot was stored.
#[derive(Clone, Debug)]
pub(super) enum Slot {
    Entry {
        weight: u32,
        entry: Arc<Entry>,
    },
    Variants {
        weight: u32,
        variants: Arc<Variants>,
    },
}

impl Slot {
    pub(super) fn of_entry(key: &Key, entry: Arc<Entry>) -> Self {
        // The entry has weighed its own key, which most slots share.
        let key = if ptr::eq(&**key, &*entry.key) {
            0
        } else {
            block(ARC + key.len())
        };
        let weight = entry.weight().saturating_add((INDEX_SLOT + key) as u64);
        Self::Entry {
            weight: u32::try_from(weight).unwrap_or(u32::MAX),
            entry,
        }
    }

    pub(super) fn of_variants(key: &Key, variants: Variants) -> Self {
        let weight = INDEX_SLOT + block(ARC + key.len()) + variants.weight();
        Self::Variants {
            weight: u32::try_from(weight).unwrap_or(u32::MAX),
            variants: Arc::new(variants),
        }
    }

    pub(super) fn is_gone(&self, now: Timestamp) -> bool {
        now >= match self {
            Self::Entry { entry, .. } => entry.life.gone_at,
            Self::Variants { variants, .. } => variants.gone_at(),
        }
    }

    /// Tells whether both hold the same thing, not only equal ones.
    pub(super) fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Entry { entry: a, .. }, Self::Entry { entry: b, .. }) => Arc::ptr_eq(a, b),
            (Self::Variants { variants: a, .. }, Self::Variants { variants: b, .. }) => {
                Arc::ptr_eq(a, b)
            }
            _ => false,
        }
    }
}

impl Equivalent<Key> for Sought<'_> {
    #[inline]
    fn equivalent(&self, key: &Key) -> bool {
        *self.0 == **key
    }
}

/// Weighs a slot by what is written in it.
#[derive(Clone, Debug)]
pub(super) struct ByWeight;

impl Weighter<Key, Slot> for ByWeight {
    #[inline]
    fn weight(&self, _: &Key, slot: &Slot) -> u64 {
        match slot {
            Slot::Entry { weight, .. } | Slot::Variants { weight, .. } => u64::from(*weight),
        }
    }
}

/// Collects what had to leave, so that it is dropped, and counted, outside of the shard's lock.
#[derive(Clone, Debug)]
pub(super) struct Collect;

/// What left its shard during one write: the slot that was replaced, those that were evicted, or the
/// new one if it is too heavy.
pub(super) type Left = Vec<(Key, Slot)>;

impl Lifecycle<Key, Slot> for Collect {
    type RequestState = Left;

    fn on_evict(&self, left: &mut Left, key: Key, slot: Slot) {
        left.push((key, slot));
    }
}

//! The stamp table of one counter: when was this target last invalidated?
//!
//! The latest stamps are kept by name. When there are too many names, the one stamped longest ago
//! is folded: its number goes into one of a fixed number of buckets, by hash and by maximum. A
//! bucket shared with a stranger invalidates too much, never too little; and whoever stamps a
//! million names that nobody else uses moves the buckets, not the floor, so what others filled
//! since stays alive. A soft stamp that is folded becomes a hard one, which is stronger and
//! therefore safe.
//!
//! Readers take no lock that another reader waits for. One writer at a time: its half of the table
//! is [`Ages`], which the owner keeps behind a mutex.
//!
//! Two orders keep a reader from missing a stamp that moves: folding raises the bucket *before* it
//! removes the name, and a reader looks for the name *before* it reads the bucket.

use std::{
    collections::{BTreeSet, HashMap},
    hash::{BuildHasherDefault, Hasher},
    sync::PoisonError,
};

use super::{
    stamp::{Mode, Stamp},
    verdict::{Reason, Verdict},
};
use crate::{
    clock::Timestamp,
    policy::TargetId,
    sync::{AtomicU64, Ordering, RwLock},
};

/// How much a stamp table remembers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sizes {
    /// How many targets are kept by name.
    pub(crate) names: usize,
    /// How many buckets the rest share.
    pub(crate) buckets: usize,
    /// How many locks the names are spread over.
    pub(crate) shards: usize,
}

impl Sizes {
    /// 100,000 names of 24 bytes, which a service seldom stamps within the lifetime of its entries;
    /// 65,536 buckets of 8 bytes; and more shards than cores that invalidate at once.
    pub(crate) const DEFAULT: Self = Self {
        names: 100_000,
        buckets: 65_536,
        shards: 64,
    };
}

/// Why an entry is not as it was stored.
#[cfg(feature = "admin")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// The target was invalidated.
    Hard(TargetId),
    /// The target, or one of those that share its bucket, was invalidated longer ago.
    Folded(TargetId),
    /// The target was made stale.
    Soft(TargetId),
}

type Names = HashMap<TargetId, Stamp, BuildHasherDefault<AsItIs>>;

/// The readers' half of a stamp table.
#[derive(Debug)]
pub(super) struct Stamps {
    /// Not below any stamp: who was sealed at it or later need not look further.
    newest: AtomicU64,
    /// Everything sealed below it is dead.
    floor: AtomicU64,
    shards: Box<[RwLock<Names>]>,
    buckets: Box<[AtomicU64]>,
    limit: usize,
}

/// The writer's half of a stamp table: the names by the number they were last stamped with.
#[derive(Debug, Default)]
pub(super) struct Ages(BTreeSet<(u64, TargetId)>);

impl Stamps {
    pub(super) fn new(sizes: Sizes) -> Self {
        Self {
            newest: AtomicU64::new(0),
            floor: AtomicU64::new(0),
            shards: (0..sizes.shards.max(1))
                .map(|_| RwLock::default())
                .collect(),
            buckets: (0..sizes.buckets.max(1))
                .map(|_| AtomicU64::new(0))
                .collect(),
            limit: sizes.names,
        }
    }

    /// Returns how what was sealed at `number` stands to the stamps of its `targets`.
    pub(super) fn judge(&self, number: u64, targets: &[TargetId]) -> Verdict {
        if number < self.floor.load(Ordering::Acquire) {
            return Verdict::Dead(Reason::Floor);
        }
        if self.newest.load(Ordering::Acquire) <= number {
            return Verdict::Valid;
        }
        let mut soft_at = Timestamp::NEVER;
        for target in targets {
            let (hard, soft) = self.by_name(*target, number);
            if hard.max(self.by_bucket(*target)) > number {
                return Verdict::Dead(Reason::Stamp);
            }
            soft_at = soft_at.min(soft);
        }
        Verdict::alive(soft_at)
    }

    /// Returns those of `targets` that were stamped after `number`.
    #[cfg(feature = "admin")]
    pub(super) fn causes(&self, number: u64, targets: &[TargetId]) -> Vec<Cause> {
        let cause = |target: &TargetId| {
            let (hard, soft_at) = self.by_name(*target, number);
            let target = *target;
            if hard > number {
                Some(Cause::Hard(target))
            } else if self.by_bucket(target) > number {
                Some(Cause::Folded(target))
            } else {
                (soft_at != Timestamp::NEVER).then_some(Cause::Soft(target))
            }
        };
        targets.iter().filter_map(cause).collect()
    }

    /// Stamps `targets` with `number`, and folds what is too much.
    pub(super) fn stamp(&self, ages: &mut Ages, number: u64, targets: &[TargetId], mode: Mode) {
        self.newest.fetch_max(number, Ordering::Release);
        for target in targets {
            self.add(ages, *target, number, mode);
        }
        while ages.0.len() > self.limit
            && let Some((number, target)) = ages.0.pop_first()
        {
            self.raise_bucket(self.bucket_of(target), number);
            self.remove_name(target);
        }
    }

    /// Makes everything sealed below `number` dead.
    pub(super) fn raise_floor(&self, number: u64) {
        self.floor.fetch_max(number, Ordering::Release);
    }

    /// Forgets every stamp, and the floor. Whoever calls this has killed all entries beforehand.
    pub(super) fn clear(&self, ages: &mut Ages) {
        ages.0.clear();
        for shard in &self.shards {
            shard
                .write()
                .unwrap_or_else(PoisonError::into_inner)
                .clear();
        }
        for bucket in &self.buckets {
            bucket.store(0, Ordering::Release);
        }
        self.newest.store(0, Ordering::Release);
        self.floor.store(0, Ordering::Release);
    }

    /// Raises one bucket, by its place in the table, to `number`.
    pub(super) fn load_bucket(&self, bucket: usize, number: u64) {
        self.newest.fetch_max(number, Ordering::Release);
        self.raise_bucket(bucket, number);
    }

    /// Returns how many targets are known by name.
    #[cfg(test)]
    pub(super) fn names(&self) -> usize {
        let names = |shard: &RwLock<Names>| shard.read().map_or(0, |names| names.len());
        self.shards.iter().map(names).sum()
    }

    pub(super) fn by_name(&self, target: TargetId, number: u64) -> (u64, Timestamp) {
        let names = self.shard(target).map(RwLock::read);
        names
            .map(|names| names.unwrap_or_else(PoisonError::into_inner))
            .and_then(|names| {
                let stamp = names.get(&target)?;
                Some((stamp.hard(), stamp.soft_after(number)))
            })
            .unwrap_or((0, Timestamp::NEVER))
    }

    pub(super) fn by_bucket(&self, target: TargetId) -> u64 {
        self.buckets
            .get(self.bucket_of(target))
            .map_or(0, |bucket| bucket.load(Ordering::Acquire))
    }

    fn add(&self, ages: &mut Ages, target: TargetId, number: u64, mode: Mode) {
        let Some(shard) = self.shard(target) else {
            return;
        };
        let mut names = shard.write().unwrap_or_else(PoisonError::into_inner);
        let stamp = names.entry(target).or_default();
        ages.0.remove(&(stamp.newest(), target));
        stamp.add(number, mode);
        ages.0.insert((stamp.newest(), target));
    }

    pub(super) fn raise_bucket(&self, bucket: usize, number: u64) {
        if let Some(bucket) = self.buckets.get(bucket) {
            bucket.fetch_max(number, Ordering::Release);
        }
    }

    pub(super) fn remove_name(&self, target: TargetId) {
        if let Some(shard) = self.shard(target) {
            shard
                .write()
                .unwrap_or_else(PoisonError::into_inner)
                .remove(&target);
        }
    }

    /// The shard is chosen by bits that neither the bucket nor the map of a shard goes by.
    fn shard(&self, target: TargetId) -> Option<&RwLock<Names>> {
        self.shards
            .get(remainder(target.0 >> 40, self.shards.len()))
    }

    pub(super) fn bucket_of(&self, target: TargetId) -> usize {
        remainder(target.0, self.buckets.len())
    }
}

#[cfg(test)]
impl Ages {
    /// Returns how many targets are known by name.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

fn remainder(hash: u64, length: usize) -> usize {
    let length = u64::try_from(length).unwrap_or(u64::MAX).max(1);
    usize::try_from(hash % length).unwrap_or_default()
}

/// The hasher of keys that are hashes already.
#[derive(Debug, Default)]
struct AsItIs(u64);

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, hash: u64) {
        // A map goes by the low bits, and those of an id are its bucket, which strangers may choose.
        self.0 = hash.rotate_right(16);
    }
}

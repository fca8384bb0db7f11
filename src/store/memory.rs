//! The responses in this process's memory, bounded by bytes.
//!
//! # What a slot holds
//!
//! | key | slot |
//! | --- | --- |
//! | primary, of a URL whose newest response does not vary | that response |
//! | primary, of a URL whose newest response varies | the list of its variants, at most 16 |
//! | variant: primary, field names, selecting values | that response |
//!
//! Writers of one URL take turns, so that two variants that are stored at the same time are both in
//! the list afterwards. Readers never wait for them: a list is replaced as a whole, and what it names
//! may be gone, which is a miss. The other way round, when a list is evicted, its variants stay
//! behind unread; they are the next to be evicted.
//!
//! # What the bound means
//!
//! The capacity covers keys, heads, bodies, the index with its ghosts (keys that were evicted
//! lately and come in as favourites if they return) and the table of marks. The weight of a slot is
//! written into it when it is stored and never changes; the cache underneath relies on that.
//!
//! Eviction is the cache's own (S3-FIFO). A slot heavier than the share of one shard that is set
//! aside for favourites would be refused by it, so shards are made as large as the largest body
//! asks for, and refusals are counted.

use std::{
    cell::Cell,
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use http::HeaderMap;
use quick_cache::{OptionsBuilder, sync::Cache};

use super::{
    Found,
    markers::Markers,
    slot::{ByWeight, Collect, INDEX_SLOT, Left, Slot},
    variants::{Variant, Variants},
};
use crate::{
    clock::Timestamp,
    entry::Entry,
    error::{Error, ErrorKind},
    hash::KeyHash,
    key::{Key, Sought},
};

/// The share of a shard for favourites. With 0.8, and ghosts for as many keys as there are entries,
/// the cache was first or close to it on every public trace tried.
const HOT_SHARE: f64 = 0.8;

/// Ghosts per expected entry, see [`HOT_SHARE`].
const GHOST_SHARE: f64 = 1.0;

/// What an entry weighs on average, in bytes, for sizing the ghosts alone.
const TYPICAL_ENTRY: u64 = 8 << 10;

/// How many of the largest bodies a shard has room for.
const BODIES_PER_SHARD: u64 = 4;

/// Shards per processor. More do not lessen contention, and smaller shards evict less well.
const SHARDS_PER_PROCESSOR: usize = 4;

/// The largest head in bytes that is expected with the largest body: 16 KiB of fields, and the maps.
const LARGEST_HEAD: u64 = 32 << 10;

/// How many writers may be at work at a time if they write to different URLs.
const TURNS: usize = 64;

thread_local! {
    /// What the values that select a variant are written to: kept, so that it allocates nothing.
    static SCRATCH: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// The responses in memory.
pub(crate) struct Memory {
    slots: Cache<Key, Slot, ByWeight, KeyHash, Collect>,
    markers: Markers,
    turns: [Mutex<()>; TURNS],
    hasher: KeyHash,
    refused: AtomicU64,
    evicted: AtomicU64,
}

impl Memory {
    /// Returns an empty store that takes `capacity` bytes when it is full.
    ///
    /// # Errors
    ///
    /// Fails if a body of `max_body` bytes would not be taken.
    pub(crate) fn new(capacity: u64, max_body: u64) -> Result<Self, Error> {
        let ghosts = capacity / TYPICAL_ENTRY;
        let fixed = Markers::BYTES.saturating_add(ghosts.saturating_mul(INDEX_SLOT as u64));
        let room = capacity.saturating_sub(fixed);
        let shards = shards(room, max_body);
        let heaviest = share(room / shards);
        let needed = max_body.saturating_add(LARGEST_HEAD);
        if heaviest < needed {
            return Err(Error::new(
                ErrorKind::Configuration,
                format!(
                    "memory of {capacity} bytes can not hold a body of {max_body} bytes; raise \
                     memory_bytes to {} or lower max_body",
                    needed
                        .saturating_add(needed / 3)
                        .saturating_add(Markers::BYTES)
                ),
            ));
        }
        let options = OptionsBuilder::new()
            .weight_capacity(room)
            .estimated_items_capacity(usize::try_from(ghosts).unwrap_or(usize::MAX))
            .shards(usize::try_from(shards).unwrap_or(1))
            .hot_allocation(HOT_SHARE)
            .ghost_allocation(GHOST_SHARE)
            .build()
            .map_err(|cause| Error::new(ErrorKind::Configuration, cause.to_string()))?;
        Ok(Self {
            slots: Cache::with_options(options, ByWeight, KeyHash::new(), Collect),
            markers: Markers::new(),
            turns: std::array::from_fn(|_| Mutex::default()),
            hasher: KeyHash::new(),
            refused: AtomicU64::new(0),
            evicted: AtomicU64::new(0),
        })
    }

    /// Returns what is stored for `request`, whose primary key is `key`. Allocates nothing.
    #[inline]
    pub(crate) fn find(&self, key: &[u8], request: &HeaderMap) -> Found {
        match self.slots.get(&Sought(key)) {
            None => Found::Miss,
            Some(Slot::Entry { entry, .. }) => Found::Hit(entry),
            Some(Slot::Variants { variants, .. }) => self.select(&variants, request),
        }
    }

    /// Returns the one of `variants` that `request` selects.
    fn select(&self, variants: &Variants, request: &HeaderMap) -> Found {
        // Taken out rather than borrowed: an entry that is dropped meanwhile looks nothing up.
        let mut scratch = SCRATCH.try_with(Cell::take).unwrap_or_default();
        let found = variants
            .selected(request, &mut scratch)
            .find_map(|key| self.variant(key));
        // At the end of a thread there is no place left to put it.
        let _ = SCRATCH.try_with(|place| place.set(scratch));
        match (found, variants.newest_names()) {
            (Some(entry), _) => Found::Hit(entry),
            (None, Some(names)) => Found::OtherVariants(Arc::clone(names)),
            (None, None) => Found::Miss,
        }
    }

    /// Returns all responses of a URL, newest first, for asking the handler about any of them.
    pub(crate) fn candidates(&self, primary: &[u8]) -> Vec<Arc<Entry>> {
        match self.slots.peek(&Sought(primary)) {
            None => Vec::new(),
            Some(Slot::Entry { entry, .. }) => vec![entry],
            Some(Slot::Variants { variants, .. }) => variants
                .keys()
                .filter_map(|key| self.variant(key))
                .collect(),
        }
    }

    /// Stores `entry` as the newest response of the URL whose key is `primary`, and tells whether
    /// it was taken.
    ///
    /// A response that varies joins the variants of its URL, or takes the place of the one that the
    /// same requests select. One that does not vary takes the place of all. Either takes the mark of
    /// an uncacheable URL away.
    pub(crate) fn insert(&self, primary: &Key, entry: Arc<Entry>) -> bool {
        self.markers.unset(primary);
        let _turn = self.turn(primary);
        match &entry.variation {
            None => self.insert_only(primary, entry),
            Some(variation) => {
                let variant = Variant::new(primary, variation, entry.life.gone_at);
                self.insert_variant(primary, variant, entry)
            }
        }
    }

    /// Removes all responses of a URL and tells whether there was any.
    pub(crate) fn remove(&self, primary: &[u8]) -> bool {
        let _turn = self.turn(primary);
        let removed = self.slots.remove(&Sought(primary));
        if let Some((_, Slot::Variants { variants, .. })) = &removed {
            self.remove_all(variants.keys());
        }
        removed.is_some()
    }

    /// Marks a URL whose response turned out to be uncacheable, until `until`.
    pub(crate) fn mark_uncacheable(&self, primary: &[u8], until: Timestamp) {
        self.markers.set(primary, until);
    }

    /// Tells whether a URL is marked, so that its requests need not wait for each other.
    pub(crate) fn is_uncacheable(&self, primary: &[u8], now: Timestamp) -> bool {
        self.markers.is_set(primary, now)
    }

    /// Removes what is of no use any more at `now`, and returns how many slots that were.
    ///
    /// It takes some 60 nanoseconds per slot, so it does not belong on an async thread. Readers are
    /// not kept waiting: no lock is held for longer than one slot.
    pub(crate) fn sweep(&self, now: Timestamp) -> usize {
        let gone = self.slots.iter().filter(|(_, slot)| slot.is_gone(now));
        gone.filter(|(key, _)| {
            let removed = self.slots.remove_if(key, |slot| slot.is_gone(now));
            removed.is_some()
        })
        .count()
    }

    /// Shows each response to `look`, until that returns false.
    ///
    /// No lock is held while it looks. What is stored or leaves meanwhile may be shown or not.
    pub(crate) fn visit(&self, mut look: impl FnMut(&Arc<Entry>) -> bool) {
        for (_, slot) in self.slots.iter() {
            if let Slot::Entry { entry, .. } = &slot
                && !look(entry)
            {
                return;
            }
        }
    }

    /// Returns how many slots there are: responses, and lists of variants.
    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    /// Returns how many bytes are taken.
    pub(crate) fn weight(&self) -> u64 {
        self.slots.weight().saturating_add(Markers::BYTES)
    }

    /// Returns how many responses were refused because they are too heavy.
    pub(crate) fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// Returns how many slots had to make room for others.
    pub(crate) fn evicted(&self) -> u64 {
        self.evicted.load(Ordering::Relaxed)
    }

    fn insert_only(&self, primary: &Key, entry: Arc<Entry>) -> bool {
        let before = self.slots.peek(primary);
        let stored = self.put(primary, &Slot::of_entry(primary, entry));
        if let Some(Slot::Variants { variants, .. }) = before {
            self.remove_all(variants.keys());
        }
        stored
    }

    fn insert_variant(&self, primary: &Key, variant: Variant, entry: Arc<Entry>) -> bool {
        let key = variant.key().clone();
        if !self.put(&key, &Slot::of_entry(&key, entry)) {
            return false;
        }
        let before = match self.slots.peek(primary) {
            Some(Slot::Variants { variants, .. }) => variants,
            Some(Slot::Entry { .. }) | None => Arc::default(),
        };
        let (variants, excess) = before.with(variant, |key| self.slots.contains_key(key));
        self.remove_all(&excess);
        self.put(primary, &Slot::of_variants(primary, variants))
    }

    /// Stores a slot, and tells whether it was taken.
    fn put(&self, key: &Key, slot: &Slot) -> bool {
        let mut left = Left::default();
        self.slots
            .insert_with_lifecycle(key.clone(), slot.clone(), &mut left);
        let mut taken = true;
        for (other, other_slot) in &left {
            if other_slot.is(slot) {
                taken = false;
                self.refused.fetch_add(1, Ordering::Relaxed);
            } else if other != key {
                self.evicted.fetch_add(1, Ordering::Relaxed);
            }
        }
        taken
    }

    fn variant(&self, key: &Key) -> Option<Arc<Entry>> {
        match self.slots.get(key)? {
            Slot::Entry { entry, .. } => Some(entry),
            Slot::Variants { .. } => None,
        }
    }

    fn remove_all<'a>(&self, keys: impl IntoIterator<Item = &'a Key>) {
        for key in keys {
            self.slots.remove(key);
        }
    }

    /// Waits for the turn to write to the URL of `primary`.
    fn turn(&self, primary: &[u8]) -> MutexGuard<'_, ()> {
        let hash = self.hasher.of(primary);
        let at = usize::try_from(hash % TURNS as u64).unwrap_or_default();
        let turn = self.turns.get(at).unwrap_or(&self.turns[0]);
        turn.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns how many shards there may be so that each has room for some bodies of `max_body` bytes.
fn shards(room: u64, max_body: u64) -> u64 {
    let processors = thread::available_parallelism().map_or(1, usize::from);
    let most = u64::try_from(processors * SHARDS_PER_PROCESSOR).unwrap_or(1);
    let fitting = room / max_body.max(1).saturating_mul(BODIES_PER_SHARD);
    match fitting.min(most) {
        0 => 1,
        shards => 1 << shards.ilog2(),
    }
}

/// Returns the share of a shard for favourites, which is the heaviest slot that it takes.
fn share(shard: u64) -> u64 {
    shard / 5 * 4
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memory")
            .field("len", &self.len())
            .field("weight", &self.weight())
            .field("capacity", &self.slots.capacity())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;

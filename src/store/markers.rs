//! Which URLs were found uncacheable a moment ago?
//!
//! Requests for one key wait for each other only as long as they may hope to share an answer. A mark
//! says that there is no hope for a while, so that they run side by side.
//!
//! A mark is a place in a table of fixed size and a few bits of the key's hash. A newer mark may take
//! the place of an older one, and two keys may look the same: either costs some waiting or some
//! sharing that was not needed, never a wrong answer. So strangers who ask for many URLs can neither
//! make the table grow nor push responses out of memory.

use std::{
    fmt,
    sync::atomic::{AtomicU64, Ordering},
};

use crate::{clock::Timestamp, hash::KeyHash};

/// How many places the table has, a power of two: uncacheable URLs that are busy at the same time.
const PLACES: usize = 1 << 13;

/// The mark at every URL that has one: 32 bits of its key's hash, then the second at which it ends.
pub(crate) struct Markers {
    places: Box<[AtomicU64]>,
    hasher: KeyHash,
}

impl Markers {
    /// What the table takes in memory, in bytes.
    pub(super) const BYTES: u64 = (PLACES * size_of::<AtomicU64>()) as u64;

    pub(crate) fn new() -> Self {
        Self {
            places: (0..PLACES).map(|_| AtomicU64::new(0)).collect(),
            hasher: KeyHash::new(),
        }
    }

    /// Marks `key` until `until`, rounded down to a second.
    pub(crate) fn set(&self, key: &[u8], until: Timestamp) {
        if let Some((place, tag)) = self.place(key) {
            place.store(tag | seconds(until), Ordering::Relaxed);
        }
    }

    /// Tells whether `key` is marked.
    pub(crate) fn is_set(&self, key: &[u8], now: Timestamp) -> bool {
        self.place(key).is_some_and(|(place, tag)| {
            let mark = place.load(Ordering::Relaxed);
            mark & !SECONDS == tag && mark & SECONDS > seconds(now)
        })
    }

    /// Takes the mark from `key`.
    pub(super) fn unset(&self, key: &[u8]) {
        if let Some((place, tag)) = self.place(key) {
            let mark = place.load(Ordering::Relaxed);
            if mark & !SECONDS == tag {
                // Whoever marked the place in the meantime knows better.
                let _ = place.compare_exchange(mark, 0, Ordering::Relaxed, Ordering::Relaxed);
            }
        }
    }

    /// Returns the place of `key`, and the part of its hash that is written there.
    fn place(&self, key: &[u8]) -> Option<(&AtomicU64, u64)> {
        let hash = self.hasher.of(key);
        let at = usize::try_from(hash & (PLACES as u64 - 1)).ok()?;
        Some((self.places.get(at)?, hash & !SECONDS))
    }
}

/// The half of a mark that holds a time.
const SECONDS: u64 = u32::MAX as u64;

/// Returns `moment` in seconds since the epoch, which fit in 32 bits until the year 2106.
fn seconds(moment: Timestamp) -> u64 {
    (moment.as_millis() / 1000).min(SECONDS)
}

impl fmt::Debug for Markers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Markers").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_767_225_600_000);

    #[test]
    fn a_mark_ends_by_itself() {
        let markers = Markers::new();
        assert!(!markers.is_set(b"a", NOW));
        markers.set(b"a", NOW.after(Duration::from_secs(120)));
        assert!(markers.is_set(b"a", NOW));
        assert!(markers.is_set(b"a", NOW.after(Duration::from_millis(119_999))));
        assert!(!markers.is_set(b"a", NOW.after(Duration::from_secs(120))));
        assert!(!markers.is_set(b"b", NOW));
    }

    #[test]
    fn a_mark_can_be_taken_away() {
        let markers = Markers::new();
        markers.set(b"a", Timestamp::NEVER);
        markers.unset(b"a");
        assert!(!markers.is_set(b"a", NOW));
    }

    #[test]
    fn a_flood_of_marks_keeps_the_newest_and_looks_like_none_of_the_others() {
        let markers = Markers::new();
        let flood = 0..100_000_u32;
        for key in flood.clone() {
            markers.set(&key.to_le_bytes(), Timestamp::NEVER);
        }
        assert!(markers.is_set(&99_999_u32.to_le_bytes(), NOW));
        let kept = flood.filter(|key| markers.is_set(&key.to_le_bytes(), NOW));
        // By chance alone two keys in a million share a place and the 19 bits that tell them apart.
        assert!(kept.count() <= PLACES + 10);
    }
}

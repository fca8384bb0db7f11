//! The bytes of a key, and the buffer they are written into before anybody needs to own them.

use std::{
    fmt,
    hash::{Hash, Hasher},
    ops::{Deref, Range},
    sync::Arc,
};

/// Stands before each group of a row, and before each part of a group.
pub(super) const MORE: u8 = 1;

/// Stands after the last group of a row, and after the last part of a group.
pub(super) const END: u8 = 0;

/// Stands for an absent part, where a length would be: no part is that long.
pub(super) const ABSENT: u32 = u32::MAX - 1;

/// The end of a key without groups and without an owner: two rows that end at once, an absent part.
const PLAIN_END: [u8; 6] = {
    let [a, b, c, d] = ABSENT.to_le_bytes();
    [END, END, a, b, c, d]
};

/// The owned bytes of a key: a row of length-prefixed parts.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct KeyBytes(Arc<[u8]>);

/// The bytes of a key that nobody owns yet, to look up what is stored under it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sought<'a>(pub(crate) &'a [u8]);

/// How many bytes at the beginning are left out of hashes, of which every hit makes one: format,
/// class, and the namespace of nearly all keys. The end of a plain key is left out too. Equality is
/// about all bytes.
const NOT_HASHED: usize = 14;

impl Hash for Sought<'_> {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        let bytes = self.0.get(NOT_HASHED..).unwrap_or(self.0);
        state.write(bytes.strip_suffix(&PLAIN_END).unwrap_or(bytes));
    }
}

impl Hash for KeyBytes {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Sought(&self.0).hash(state);
    }
}

impl Deref for KeyBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl From<&[u8]> for KeyBytes {
    fn from(bytes: &[u8]) -> Self {
        Self(bytes.into())
    }
}

impl fmt::Debug for KeyBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyBytes({})", self.0.escape_ascii())
    }
}

/// How many bytes a buffer has room for at first: more than nearly all keys take.
const FIRST_ROOM: usize = 256;

/// A key being written. Meant to be kept and cleared, so that a look-up allocates nothing.
#[derive(Clone, Debug, Default)]
pub(crate) struct KeyBuffer {
    /// The room that there is, which is more than what was written to it: writing does not ask an
    /// allocator for each part, and most of it comes to a few moves.
    room: Vec<u8>,
    length: usize,
    begun: Begun,
}

/// How a key that is being written begins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Begun {
    /// Who has begun it; zero for nobody who could go on.
    by: u64,
    /// Where the authority stands in it, which is the end of the beginning.
    authority: Range<usize>,
}

impl KeyBuffer {
    /// Returns an empty buffer.
    pub(crate) const fn new() -> Self {
        Self {
            room: Vec::new(),
            length: 0,
            begun: Begun {
                by: 0,
                authority: 0..0,
            },
        }
    }

    /// Forgets what was written, keeps the memory.
    pub(crate) fn clear(&mut self) {
        self.length = 0;
        self.begun = Begun::default();
    }

    /// Takes the next bytes, to be written to.
    #[inline]
    fn take(&mut self, bytes: usize) -> &mut [u8] {
        let start = self.length;
        let end = start + bytes;
        if end > self.room.len() {
            self.grow(end);
        }
        self.length = end;
        self.room.get_mut(start..end).unwrap_or_default()
    }

    #[cold]
    fn grow(&mut self, end: usize) {
        let room = end.max(2 * self.room.len()).max(FIRST_ROOM);
        self.room.resize(room, 0);
    }

    /// Appends one part: its length in four bytes, then its bytes.
    ///
    /// A part is cut from an HTTP head, which is far shorter than four gigabytes; a longer one would
    /// be written with the length `u32::MAX`, which no shorter part has.
    #[inline]
    pub(crate) fn part(&mut self, bytes: &[u8]) {
        write(self.take(4 + bytes.len()), &length(bytes), bytes);
    }

    /// Appends one byte as it is, and one part.
    #[inline]
    pub(crate) fn marked(&mut self, mark: u8, bytes: &[u8]) {
        let [a, b, c, d] = length(bytes);
        write(self.take(5 + bytes.len()), &[mark, a, b, c, d], bytes);
    }

    /// Appends one part whose bytes are not at hand in one piece.
    pub(crate) fn decoded(&mut self, bytes: impl Iterator<Item = u8>) {
        let start = self.length;
        self.raw(&[0; 4]);
        for byte in bytes {
            self.byte(byte);
        }
        let written = u32::try_from(self.length - start - 4).unwrap_or(u32::MAX);
        if let Some(place) = self.room.get_mut(start..start + 4) {
            place.copy_from_slice(&written.to_le_bytes());
        }
    }

    /// Appends a name and the parts that belong to it, however many.
    pub(crate) fn group<'a>(&mut self, name: &str, parts: impl Iterator<Item = &'a [u8]>) {
        self.marked(MORE, name.as_bytes());
        for part in parts {
            self.marked(MORE, part);
        }
        self.end();
    }

    /// Ends a row of groups.
    pub(crate) fn end(&mut self) {
        self.byte(END);
    }

    /// Appends the authority, and notes that the beginning of the key ends there.
    pub(crate) fn begin(&mut self, by: u64, authority: &[u8]) {
        self.part(authority);
        let end = self.length;
        self.begun = Begun {
            by,
            authority: end - authority.len()..end,
        };
    }

    /// Cuts what was written behind its beginning, if that is the same one for `authority`, and tells
    /// whether it is.
    #[inline]
    pub(crate) fn begin_again(&mut self, by: u64, authority: &[u8]) -> bool {
        let Range { start, end } = self.begun.authority;
        let is_same = self.begun.by == by && self.room.get(start..end) == Some(authority);
        if is_same {
            self.length = end;
        }
        is_same
    }

    /// Appends one byte as it is.
    #[inline]
    pub(crate) fn byte(&mut self, byte: u8) {
        write(self.take(1), &[byte], &[]);
    }

    /// Appends bytes that are a row of parts already.
    #[inline]
    pub(crate) fn raw(&mut self, parts: &[u8]) {
        write(self.take(parts.len()), &[], parts);
    }

    /// Appends an absent part, which differs from every present one, the empty one included.
    pub(crate) fn absent(&mut self) {
        self.raw(&ABSENT.to_le_bytes());
    }

    /// Appends two rows without groups and an absent part, at once.
    #[inline]
    pub(crate) fn plain_end(&mut self) {
        self.raw(&PLAIN_END);
    }

    /// Returns what was written.
    #[inline]
    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.room.get(..self.length).unwrap_or_default()
    }

    /// Returns how many bytes fit in before it grows.
    #[cfg(test)]
    pub(crate) fn capacity(&self) -> usize {
        self.room.len()
    }

    /// Returns what was written as an owned key.
    pub(crate) fn to_key(&self) -> KeyBytes {
        KeyBytes::from(self.as_bytes())
    }
}

/// Returns the length of a part, as it is written.
#[inline]
fn length(bytes: &[u8]) -> [u8; 4] {
    u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_le_bytes()
}

/// Writes a few bytes and then others to a place that is as long as both.
#[inline]
fn write<const N: usize>(place: &mut [u8], start: &[u8; N], bytes: &[u8]) {
    if let Some((first, rest)) = place.split_first_chunk_mut::<N>() {
        *first = *start;
        if rest.len() == bytes.len() {
            rest.copy_from_slice(bytes);
        }
    }
}

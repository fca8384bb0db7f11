//! The bytes of a key, and the buffer they are written into before anybody needs to own them.

use std::{
    fmt,
    hash::{Hash, Hasher},
    ops::Deref,
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
/// class, and the namespace of nearly all keys. Equality is about all bytes.
const NOT_HASHED: usize = 14;

impl Hash for Sought<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write(self.0.get(NOT_HASHED..).unwrap_or(self.0));
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

/// A key being written. Meant to be kept and cleared, so that a look-up allocates nothing.
#[derive(Clone, Debug, Default)]
pub(crate) struct KeyBuffer {
    bytes: Vec<u8>,
}

impl KeyBuffer {
    /// Forgets what was written, keeps the memory.
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
    }

    /// Makes room for `bytes` more bytes, so that it need not grow step by step.
    pub(crate) fn reserve(&mut self, bytes: usize) {
        self.bytes.reserve(bytes);
    }

    /// Appends one part: its length in four bytes, then its bytes.
    ///
    /// A part is cut from an HTTP head, which is far shorter than four gigabytes; a longer one would
    /// be written with the length `u32::MAX`, which no shorter part has.
    #[inline]
    pub(crate) fn part(&mut self, bytes: &[u8]) {
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        self.bytes.extend_from_slice(&length.to_le_bytes());
        self.bytes.extend_from_slice(bytes);
    }

    /// Appends one part whose bytes are not at hand in one piece.
    pub(crate) fn decoded(&mut self, bytes: impl Iterator<Item = u8>) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&[0; 4]);
        self.bytes.extend(bytes);
        let length = self.bytes.len() - start - 4;
        let length = u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes();
        if let Some(place) = self.bytes.get_mut(start..start + 4) {
            place.copy_from_slice(&length);
        }
    }

    /// Appends a name and the parts that belong to it, however many.
    pub(crate) fn group<'a>(&mut self, name: &str, parts: impl Iterator<Item = &'a [u8]>) {
        self.byte(MORE);
        self.part(name.as_bytes());
        for part in parts {
            self.byte(MORE);
            self.part(part);
        }
        self.end();
    }

    /// Ends a row of groups.
    pub(crate) fn end(&mut self) {
        self.byte(END);
    }

    /// Cuts what was written behind the row `start` and the part `next`, if it begins with these, and
    /// tells whether it does.
    #[inline]
    pub(crate) fn cut_behind(&mut self, start: &[u8], next: &[u8]) -> bool {
        let length = u32::try_from(next.len()).unwrap_or(u32::MAX);
        let rest = self.bytes.strip_prefix(start);
        let rest = rest.and_then(|rest| rest.strip_prefix(&length.to_le_bytes()));
        let begins = rest.is_some_and(|rest| rest.starts_with(next));
        if begins {
            self.bytes
                .truncate(start.len() + size_of_val(&length) + next.len());
        }
        begins
    }

    /// Appends one byte as it is.
    #[inline]
    pub(crate) fn byte(&mut self, byte: u8) {
        self.bytes.push(byte);
    }

    /// Appends bytes that are a row of parts already.
    #[inline]
    pub(crate) fn raw(&mut self, parts: &[u8]) {
        self.bytes.extend_from_slice(parts);
    }

    /// Appends an absent part, which differs from every present one, the empty one included.
    pub(crate) fn absent(&mut self) {
        self.bytes.extend_from_slice(&ABSENT.to_le_bytes());
    }

    /// Appends two rows without groups and an absent part, at once.
    #[inline]
    pub(crate) fn plain_end(&mut self) {
        self.bytes.extend_from_slice(&PLAIN_END);
    }

    /// Returns what was written.
    #[inline]
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Returns how many bytes fit in before it grows.
    #[cfg(test)]
    pub(crate) fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    /// Returns what was written as an owned key.
    pub(crate) fn to_key(&self) -> KeyBytes {
        KeyBytes::from(self.bytes.as_slice())
    }
}

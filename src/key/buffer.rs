//! The bytes of a key, and the buffer they are written into before anybody needs to own them.

use std::{borrow::Borrow, fmt, ops::Deref, sync::Arc};

/// Stands before each group of a row, and before each part of a group.
pub(super) const MORE: u8 = 1;

/// Stands after the last group of a row, and after the last part of a group.
pub(super) const END: u8 = 0;

/// Stands for an absent part, where a length would be: no part is that long.
pub(super) const ABSENT: u32 = u32::MAX - 1;

/// The owned bytes of a key: a row of length-prefixed parts.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct KeyBytes(Arc<[u8]>);

impl Deref for KeyBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl Borrow<[u8]> for KeyBytes {
    fn borrow(&self) -> &[u8] {
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

    /// Appends one part: its length in four bytes, then its bytes.
    ///
    /// A part is cut from an HTTP head, which is far shorter than four gigabytes; a longer one would
    /// be written with the length `u32::MAX`, which no shorter part has.
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

    /// Appends one byte as it is.
    pub(crate) fn byte(&mut self, byte: u8) {
        self.bytes.push(byte);
    }

    /// Appends bytes that are a row of parts already.
    pub(crate) fn raw(&mut self, parts: &[u8]) {
        self.bytes.extend_from_slice(parts);
    }

    /// Appends an absent part, which differs from every present one, the empty one included.
    pub(crate) fn absent(&mut self) {
        self.bytes.extend_from_slice(&ABSENT.to_le_bytes());
    }

    /// Returns what was written.
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

//! The bytes of a key, and the buffer they are written into before anybody needs to own them.

use std::{borrow::Borrow, fmt, ops::Deref, sync::Arc};

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

    /// Appends an absent part, which differs from every present one, the empty one included.
    pub(crate) fn absent(&mut self) {
        self.bytes.extend_from_slice(&(u32::MAX - 1).to_le_bytes());
    }

    /// Returns what was written.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Returns what was written as an owned key.
    pub(crate) fn to_key(&self) -> KeyBytes {
        KeyBytes::from(self.bytes.as_slice())
    }
}

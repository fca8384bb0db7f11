//! Which requests share an answer? Those whose key bytes are equal, and no others.
//!
//! A key is a row of length-prefixed parts, so that no part can run into the next: two different
//! rows never give the same bytes. In process the whole of it is looked up and compared; nothing is
//! decided by a digest alone.

mod buffer;

pub(crate) use self::buffer::{KeyBuffer, KeyBytes, KeyBytes as Key};

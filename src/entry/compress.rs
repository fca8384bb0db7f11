//! How is a body kept, and how is it read again?
//!
//! | kept as | from | sent |
//! | --- | --- | --- |
//! | [`Coding::Gzip`] | 1 KiB of a [`compressible`] type | as it is, with `Content-Encoding: gzip`, to clients that accept it; inflated to others |
//! | [`Coding::Lz4`] | 2 KiB of a [`compressible`] type | never; it saves memory at a tenth of gzip's price |
//! | [`Coding::Identity`] | everything else, and what compression saves less than a tenth of | as it is |
//!
//! A body is inflated to the length that it was stored with and not a byte further, and that length
//! is looked at before anything is allocated: what comes back from another tier may lie.
//!
//! Where the work runs is for the caller to say: [`packs_long`] and [`unpacks_long`] tell when it is
//! too much for an async thread, which should not be held for more than about 150 microseconds.
//! Not covered: bodies that the handler encoded, which are never touched, and entity tags.

#[cfg(feature = "gzip")]
mod gzip;
#[cfg(feature = "lz4")]
mod lz4;
#[cfg(feature = "gzip")]
mod pool;
mod types;

use bytes::Bytes;

#[cfg(feature = "gzip")]
pub(crate) use self::gzip::Gunzip;
pub(crate) use self::types::compressible;
use super::{Coding, StoredBody};
use crate::error::{Error, ErrorKind};

/// The smallest body in bytes that is kept as gzip: at 1 KiB JSON shrinks to 0.58, at 400 bytes a
/// quarter is saved at best.
#[cfg(feature = "gzip")]
const GZIP_FROM: usize = 1 << 10;

/// The smallest body in bytes that is kept as lz4: at 1 KiB JSON shrinks to 0.82 only.
#[cfg(feature = "lz4")]
const LZ4_FROM: usize = 2 << 10;

/// Above this many bytes compressing with gzip takes longer than 150 microseconds (measured with
/// JSON at level 6).
const GZIP_LONG: u64 = 16 << 10;

/// Above this many bytes inflating, and lz4 in both directions, takes longer than that.
const INFLATE_LONG: u64 = 128 << 10;

/// Above this many bytes copying a body into memory of its own takes longer than that.
const COPY_LONG: u64 = 1 << 20;

/// Tells whether [`pack`] takes too long for an async thread with a body of `length` bytes.
pub(crate) const fn packs_long(wish: Coding, length: u64) -> bool {
    length
        > match wish {
            Coding::Identity => COPY_LONG,
            Coding::Gzip => GZIP_LONG,
            Coding::Lz4 => INFLATE_LONG,
        }
}

/// Tells whether [`unpack`] takes too long for an async thread with this body.
pub(crate) const fn unpacks_long(body: &StoredBody) -> bool {
    !matches!(body.coding, Coding::Identity) && body.length > INFLATE_LONG
}

/// Returns `bytes` as they are to be kept: as `wish` says if that is worth it, in memory of their
/// own in any case.
///
/// The caller has asked [`compressible`]. A `wish` whose feature is left out of the build is
/// [`Coding::Identity`].
pub(crate) fn pack(bytes: Bytes, wish: Coding) -> StoredBody {
    let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    let (coding, bytes) = match packed(&bytes, wish) {
        Some(packed) => (wish, packed.into()),
        None => (Coding::Identity, own(bytes)),
    };
    StoredBody {
        bytes,
        coding,
        length,
    }
}

/// Returns `bytes` in the form of `wish`; `None` if they are too few or hardly shrink.
fn packed(bytes: &Bytes, wish: Coding) -> Option<Vec<u8>> {
    match (wish, bytes.len()) {
        #[cfg(feature = "gzip")]
        (Coding::Gzip, length @ GZIP_FROM..) => gzip::deflate(bytes, worth(length)),
        #[cfg(feature = "lz4")]
        (Coding::Lz4, length @ LZ4_FROM..) => lz4::shrink(bytes, worth(length)),
        _ => None,
    }
}

/// Returns the largest size at which a body of `length` bytes is worth keeping compressed: a tenth
/// must be saved, or reading it again costs more than the memory is worth.
#[cfg(any(feature = "gzip", feature = "lz4"))]
const fn worth(length: usize) -> usize {
    length - length.div_ceil(10)
}

/// Returns `bytes` in a block that holds nothing else and has no other owner.
///
/// A body that came off a socket is a slice of the whole read buffer, one that a handler wrote has
/// room to grow; both would keep more memory than they weigh.
fn own(bytes: Bytes) -> Bytes {
    match bytes.try_into_mut() {
        Ok(alone) if alone.capacity() == alone.len() => alone.freeze(),
        Ok(roomy) => Bytes::copy_from_slice(&roomy),
        Err(shared) => Bytes::copy_from_slice(&shared),
    }
}

/// Returns the body as the handler sent it.
///
/// # Errors
///
/// Fails if it is longer than `cap`, is not exactly as long as it says, or was damaged.
pub(crate) fn unpack(body: &StoredBody, cap: u64) -> Result<Bytes, Error> {
    match body.coding {
        Coding::Identity => {
            let length = capped(body, cap, 1)?;
            if body.bytes.len() != length {
                return Err(damaged("is not as long as it says"));
            }
            Ok(body.bytes.clone())
        }
        #[cfg(feature = "gzip")]
        Coding::Gzip => gzip::inflate(body, cap),
        #[cfg(feature = "lz4")]
        Coding::Lz4 => lz4::grow(body, cap),
        #[cfg(not(all(feature = "gzip", feature = "lz4")))]
        _ => Err(damaged("has a coding that this build does not have")),
    }
}

/// Returns the length that `body` says it has, if it can be believed.
///
/// `ratio` is how many bytes one byte of the coding stands for at most, so that a few bytes can not
/// ask for a large block.
fn capped(body: &StoredBody, cap: u64, ratio: u64) -> Result<usize, Error> {
    let held = u64::try_from(body.bytes.len()).unwrap_or(u64::MAX);
    if body.length > cap {
        return Err(damaged("is longer than a body may be"));
    }
    if body.length > held.saturating_mul(ratio) {
        return Err(damaged("says that it is longer than it can be"));
    }
    usize::try_from(body.length).map_err(|_| damaged("does not fit in memory"))
}

/// Returns the error of a body that can not be read again.
fn damaged(why: &str) -> Error {
    Error::new(
        ErrorKind::Entry,
        format!("stored body {why}; treated as a miss"),
    )
}

#[cfg(test)]
mod tests;

//! lz4 blocks: the length of the content in four bytes, then the block.

use bytes::Bytes;
use lz4_flex::block;

use super::{capped, damaged};
use crate::{entry::StoredBody, error::Error};

/// How many bytes of content one byte of lz4 stands for at most (the block format: a length byte
/// adds 255).
const MOST_PER_BYTE: u64 = 255;

/// Returns `bytes` as an lz4 block; `None` if that takes more than `most` bytes.
pub(super) fn shrink(bytes: &[u8], most: usize) -> Option<Vec<u8>> {
    let mut packed = block::compress_prepend_size(bytes);
    if packed.len() > most {
        return None;
    }
    packed.shrink_to_fit();
    Some(packed)
}

/// Returns the content of an lz4 block.
pub(super) fn grow(body: &StoredBody, cap: u64) -> Result<Bytes, Error> {
    let length = capped(body, cap, MOST_PER_BYTE)?;
    let (said, packed) = body
        .bytes
        .split_first_chunk()
        .ok_or_else(|| damaged("is cut off"))?;
    if u64::from(u32::from_le_bytes(*said)) != body.length {
        return Err(damaged("is not as long as it says"));
    }
    match block::decompress(packed, length) {
        Ok(bytes) if bytes.len() == length => Ok(bytes.into()),
        Ok(_) => Err(damaged("is not as long as it says")),
        Err(_) => Err(damaged("is not what lz4 wrote")),
    }
}

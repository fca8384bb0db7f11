//! gzip members (RFC 1952): one bare header, one deflated block of data, one check.
//!
//! The frame is written here around raw deflate, because that lets compressors be used again: each
//! allocates about 350 KB, which is more than most bodies.

use bytes::Bytes;
use crc32fast::Hasher;
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

use super::{capped, damaged, pool::Pool};
use crate::{entry::StoredBody, error::Error};

/// How hard to try. Level 6 is the usual default; 4 is 2 % larger and hardly cheaper.
const LEVEL: Compression = Compression::new(6);

/// Magic number, deflate, no flags, no time, no extra flags, unknown system (RFC 1952 §2.3).
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];

/// The length in bytes of the check: CRC-32, then the length of the content.
const TRAILER: usize = 8;

/// How many bytes of content one byte of deflate stands for at most (zlib's technical notes).
const MOST_PER_BYTE: u64 = 1032;

/// How many bytes of content a piece of a stream has at most: what one turn of an async thread may
/// inflate (about 70 microseconds).
const PIECE: usize = 64 << 10;

/// Compressors that are free, about 350 KB each.
static ENCODERS: Pool<Compress> = Pool::new(4);

/// Decompressors that are free, about 45 KB each.
static DECODERS: Pool<Decompress> = Pool::new(16);

/// Returns `bytes` as a gzip member; `None` if that takes more than `most` bytes.
pub(super) fn deflate(bytes: &[u8], most: usize) -> Option<Vec<u8>> {
    let room = most.checked_sub(TRAILER)?;
    let mut member = Vec::with_capacity(room);
    member.extend_from_slice(&HEADER);
    let mut encoder = ENCODERS.take(|| Compress::new(LEVEL, false));
    // It ends only when there is room for all of it.
    let status = encoder.compress_vec(bytes, &mut member, FlushCompress::Finish);
    encoder.reset();
    ENCODERS.give(encoder);
    if !matches!(status, Ok(Status::StreamEnd)) {
        return None;
    }
    let length = u32::try_from(bytes.len()).ok()?;
    member.reserve_exact(TRAILER);
    member.extend_from_slice(&crc32fast::hash(bytes).to_le_bytes());
    member.extend_from_slice(&length.to_le_bytes());
    member.shrink_to_fit();
    Some(member)
}

/// Returns the content of a gzip member in one piece.
pub(super) fn inflate(body: &StoredBody, cap: u64) -> Result<Bytes, Error> {
    let mut gunzip = Gunzip::new(body, cap)?;
    let length = capped(body, cap, MOST_PER_BYTE)?;
    gunzip.piece(length)
}

/// The content of a stored gzip body, piece by piece.
///
/// The last piece is given out only after the check, so that a damaged body never looks complete.
#[derive(Debug)]
pub(crate) struct Gunzip {
    deflated: Bytes,
    at: usize,
    left: usize,
    check: Hasher,
    expected: u32,
    decoder: Option<Decompress>,
    /// The deflated data said that it ends here.
    ended: bool,
    failed: bool,
}

impl Gunzip {
    /// Returns the pieces of `body`.
    ///
    /// # Errors
    ///
    /// Fails if the content is longer than `cap` or the body is no gzip member of larder's.
    pub(crate) fn new(body: &StoredBody, cap: u64) -> Result<Self, Error> {
        let left = capped(body, cap, MOST_PER_BYTE)?;
        let foreign = || damaged("is not what gzip wrote");
        let framed = body.bytes.strip_prefix(&HEADER).ok_or_else(foreign)?;
        let (deflated, trailer) = framed.split_last_chunk::<TRAILER>().ok_or_else(foreign)?;
        let [c0, c1, c2, c3, length @ ..] = *trailer;
        if u64::from(u32::from_le_bytes(length)) != body.length {
            return Err(damaged("is not as long as it says"));
        }
        Ok(Self {
            deflated: body.bytes.slice_ref(deflated),
            at: 0,
            left,
            check: Hasher::new(),
            expected: u32::from_le_bytes([c0, c1, c2, c3]),
            decoder: Some(DECODERS.take(|| Decompress::new(false))),
            ended: false,
            failed: false,
        })
    }

    /// Returns the next `size` bytes of the content, checked if they are the last.
    fn piece(&mut self, size: usize) -> Result<Bytes, Error> {
        let mut piece = vec![0; size];
        let mut filled = 0;
        while let Some(rest) = piece.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match self.step(rest)? {
                0 => return Err(damaged("is shorter than it says")),
                written => filled += written,
            }
        }
        self.check.update(&piece);
        self.left -= size;
        if self.left == 0 {
            self.finish()?;
        }
        Ok(piece.into())
    }

    /// Sees to it that the content ends here and is what was compressed.
    fn finish(&mut self) -> Result<(), Error> {
        let excess = if self.ended { 0 } else { self.step(&mut [0])? };
        if excess > 0 || !self.ended || self.at != self.deflated.len() {
            return Err(damaged("is longer than it says"));
        }
        if self.check.clone().finalize() != self.expected {
            return Err(damaged("does not match its checksum"));
        }
        Ok(())
    }

    /// Inflates into `output` and returns how many bytes were written.
    fn step(&mut self, output: &mut [u8]) -> Result<usize, Error> {
        let garbled = || damaged("is not what gzip wrote");
        let decoder = self.decoder.as_mut().ok_or_else(garbled)?;
        let input = self.deflated.get(self.at..).unwrap_or_default();
        let (read, written) = (decoder.total_in(), decoder.total_out());
        let status = decoder
            .decompress(input, output, FlushDecompress::None)
            .map_err(|_| garbled())?;
        let count = |total: u64| usize::try_from(total).unwrap_or(usize::MAX);
        self.at += count(decoder.total_in() - read);
        self.ended = matches!(status, Status::StreamEnd);
        Ok(count(decoder.total_out() - written))
    }
}

impl Iterator for Gunzip {
    type Item = Result<Bytes, Error>;

    /// Returns the next piece, of at most 64 KiB; after an error nothing more.
    fn next(&mut self) -> Option<Self::Item> {
        if self.failed || self.left == 0 {
            return None;
        }
        let piece = self.piece(self.left.min(PIECE));
        self.failed = piece.is_err();
        Some(piece)
    }
}

impl Drop for Gunzip {
    fn drop(&mut self) {
        if let Some(mut decoder) = self.decoder.take() {
            decoder.reset(false);
            DECODERS.give(decoder);
        }
    }
}

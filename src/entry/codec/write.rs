//! Entries to bytes.

use crc32fast::Hasher;
use http::{HeaderMap, HeaderName};

use super::{Encoded, MAGIC, NAMES_MAGIC, PREAMBLE, VERSION, flag, section};
use crate::entry::{Coding, Entry, Life, Origin, Variation};

/// Returns `entry`, the answer to a request to `origin`, in the newest format, with the moments of
/// `life` in the place of its own.
pub(crate) fn encode(entry: &Entry, life: &Life, origin: &Origin<'_>) -> Encoded {
    let mut head = begun(MAGIC);
    put_fixed(&mut head, entry, life);
    put_sections(&mut head, entry, origin);
    // The body's section has no content here: that follows as it is.
    head.push(section::BODY);
    put_length(&mut head, entry.body.bytes.len());

    check(&mut head, &entry.body.bytes);
    Encoded {
        head,
        body: entry.body.bytes.clone(),
    }
}

/// Returns which fields the responses under `key` vary on, in the newest format.
pub(crate) fn encode_names(key: &[u8], names: &[HeaderName]) -> Vec<u8> {
    let mut out = begun(NAMES_MAGIC);
    put_section(&mut out, section::KEY, |out| out.extend_from_slice(key));
    put_section(&mut out, section::VARIATION, |out| {
        put_variation(out, &[], names);
    });
    check(&mut out, &[]);
    out
}

/// Returns a preamble whose checksum is still to come.
fn begun(magic: [u8; 4]) -> Vec<u8> {
    let mut out = Vec::with_capacity(1024);
    out.extend_from_slice(&magic);
    out.push(VERSION);
    out.extend_from_slice(&[0; 4]);
    out
}

/// Writes the checksum of what follows it, and of `body`.
fn check(out: &mut [u8], body: &[u8]) {
    let mut check = Hasher::new();
    check.update(out.get(PREAMBLE..).unwrap_or_default());
    check.update(body);
    if let Some(place) = out.get_mut(PREAMBLE - 4..PREAMBLE) {
        place.copy_from_slice(&check.finalize().to_le_bytes());
    }
}

fn put_fixed(out: &mut Vec<u8>, entry: &Entry, life: &Life) {
    out.push(match entry.body.coding {
        Coding::Identity => 0,
        Coding::Gzip => 1,
        Coding::Lz4 => 2,
    });
    let flags = [
        (entry.reuse.no_cache, flag::NO_CACHE),
        (entry.reuse.must_revalidate, flag::MUST_REVALIDATE),
        (entry.reuse.immutable, flag::IMMUTABLE),
        (entry.negotiated, flag::NEGOTIATED),
    ];
    let flags = flags.iter().filter(|(set, _)| *set);
    out.push(flags.map(|(_, flag)| flag).sum());
    out.extend_from_slice(&entry.status.as_u16().to_le_bytes());
    for number in [
        life.received.as_millis(),
        life.initial_age,
        life.fresh_until.as_millis(),
        life.refresh_from.as_millis(),
        life.revalidate_until.as_millis(),
        life.error_until.as_millis(),
        life.gone_at.as_millis(),
        entry.seal.position.epoch,
        entry.seal.position.sequence,
        entry.body.length,
    ] {
        out.extend_from_slice(&number.to_le_bytes());
    }
}

fn put_sections(out: &mut Vec<u8>, entry: &Entry, origin: &Origin<'_>) {
    put_section(out, section::KEY, |out| out.extend_from_slice(&entry.key));
    if let Some(variation) = &entry.variation {
        let Variation { names, selecting } = &**variation;
        put_section(out, section::VARIATION, |out| {
            put_variation(out, selecting, names);
        });
    }
    put_section(out, section::FIELDS, |out| {
        put_fields(out, &entry.headers())
    });
    if let Some(trailers) = &entry.trailers {
        put_section(out, section::TRAILERS, |out| put_fields(out, trailers));
    }
    if !entry.tags.is_empty() {
        put_section(out, section::TAGS, |out| {
            entry.tags.iter().for_each(|tag| put_text(out, tag));
        });
    }
    for (kind, text) in [
        (section::AUTHORITY, Some(origin.authority)),
        (section::PATH, Some(origin.path)),
        (section::QUERY, origin.query),
        (section::ROUTE, origin.route),
    ] {
        if let Some(text) = text {
            put_section(out, kind, |out| out.extend_from_slice(text.as_bytes()));
        }
    }
}

fn put_section(out: &mut Vec<u8>, kind: u8, content: impl FnOnce(&mut Vec<u8>)) {
    out.push(kind);
    let start = out.len();
    put_length(out, 0);
    content(out);
    let (_, written) = out.split_at_mut(start);
    if let Some((length, content)) = written.split_first_chunk_mut() {
        *length = short(content.len());
    }
}

fn put_variation(out: &mut Vec<u8>, selecting: &[u8], names: &[HeaderName]) {
    put_length(out, selecting.len());
    out.extend_from_slice(selecting);
    for name in names {
        put_text(out, name.as_str());
    }
}

fn put_fields(out: &mut Vec<u8>, headers: &HeaderMap) {
    for (name, value) in headers {
        out.push(u8::from(value.is_sensitive()));
        put_text(out, name.as_str());
        put_length(out, value.len());
        out.extend_from_slice(value.as_bytes());
    }
}

/// Writes a text of at most 65,535 bytes, as names and tags are.
fn put_text(out: &mut Vec<u8>, text: &str) {
    let length = u16::try_from(text.len()).unwrap_or(u16::MAX);
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(text.as_bytes());
}

fn put_length(out: &mut Vec<u8>, length: usize) {
    out.extend_from_slice(&short(length));
}

/// Returns a length in four bytes. A greater one is written so that reading it fails: an entry of
/// four gigabytes is a miss.
fn short(length: usize) -> [u8; 4] {
    u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes()
}

//! Bytes to entries.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode};

use super::{MAGIC, NAMES_MAGIC, Names, PREAMBLE, VERSION, flag, section};
#[cfg(larder_sabotage)]
use crate::sabotage::{Fault, is_planted};
use crate::{
    clock::Timestamp,
    entry::{
        Coding, Entry, Fields, Head, HeadParts, Life, Origin, Place, Position, Seal, StoredBody,
        Variation, fields::to_map, own,
    },
    error::{Error, ErrorKind},
    key::Key,
    policy::{Target, TargetId},
    semantics::reuse::ReuseFlags,
};

/// How many lines a head or trailers may have. Servers allow about a hundred.
const MOST_LINES: usize = 1024;

/// What [`decode`] found.
#[derive(Debug)]
pub(crate) enum Decoded {
    /// An entry, boxed to be as small as the other.
    Entry(Box<Entry>),
    /// What the responses of a URL vary on.
    Names(Names),
    /// Something that only newer versions can read.
    Newer,
}

/// Reads an entry whose body is a slice of `input`. One that went to `place` has the key and the targets
/// of that, which then are not made again.
///
/// # Errors
///
/// Fails if the input is not to the letter what [`encode`](super::encode) writes, in this version
/// or an older one.
pub(crate) fn decode(input: &Bytes, place: Option<Place<'_>>) -> Result<Decoded, Error> {
    let mut reader = Reader { rest: input };
    let magic = reader.array()?;
    if magic != MAGIC && magic != NAMES_MAGIC {
        return Err(broken("does not begin as one"));
    }
    let version = reader.byte()?;
    if version == 0 {
        return Err(broken("has no version"));
    }
    let is_newer = version > VERSION;
    #[cfg(larder_sabotage)]
    let is_newer = is_newer && !is_planted(Fault::NewerRead);
    if is_newer {
        return Ok(Decoded::Newer);
    }
    let expected = u32::from_le_bytes(reader.array()?);
    let is_right = crc32fast::hash(input.get(PREAMBLE..).unwrap_or_default()) == expected;
    #[cfg(larder_sabotage)]
    let is_right = is_right || is_planted(Fault::NoChecksum);
    if !is_right {
        return Err(broken("does not match its checksum"));
    }
    if magic == NAMES_MAGIC {
        return names(reader).map(Decoded::Names);
    }
    let Some(fixed) = Fixed::read(&mut reader)? else {
        return Ok(Decoded::Newer);
    };
    let sections = Sections::read(reader)?;
    sections
        .entry(&fixed, input, place)
        .map(Box::new)
        .map(Decoded::Entry)
}

/// Returns the error of an entry that can not be read.
fn broken(why: &str) -> Error {
    Error::new(
        ErrorKind::Entry,
        format!("stored entry {why}; treated as a miss"),
    )
}

/// What is left of the input.
#[derive(Clone, Copy)]
struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], Error> {
        let (taken, rest) = self
            .rest
            .split_at_checked(length)
            .ok_or_else(|| broken("is cut off"))?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let (taken, rest) = self
            .rest
            .split_first_chunk()
            .ok_or_else(|| broken("is cut off"))?;
        self.rest = rest;
        Ok(*taken)
    }

    fn byte(&mut self) -> Result<u8, Error> {
        self.array().map(|[byte]| byte)
    }

    fn number(&mut self) -> Result<u64, Error> {
        self.array().map(u64::from_le_bytes)
    }

    fn moment(&mut self) -> Result<Timestamp, Error> {
        self.number().map(Timestamp::from_millis)
    }

    /// Takes what a length in four bytes announces.
    fn sized(&mut self) -> Result<&'a [u8], Error> {
        let length = u32::from_le_bytes(self.array()?);
        self.take(usize::try_from(length).map_err(|_| broken("is cut off"))?)
    }

    /// Takes what a length in two bytes announces.
    fn short(&mut self) -> Result<&'a [u8], Error> {
        let length = u16::from_le_bytes(self.array()?);
        self.take(usize::from(length))
    }

    fn is_at_end(&self) -> bool {
        self.rest.is_empty()
    }
}

/// What stands at the same place in every entry.
struct Fixed {
    coding: Coding,
    flags: u8,
    status: StatusCode,
    life: Life,
    position: Position,
    length: u64,
}

impl Fixed {
    /// Returns none if there is a flag that only newer versions know.
    fn read(reader: &mut Reader<'_>) -> Result<Option<Self>, Error> {
        let coding = match reader.byte()? {
            0 => Coding::Identity,
            1 => Coding::Gzip,
            2 => Coding::Lz4,
            _ => return Ok(None),
        };
        let flags = reader.byte()?;
        if flags & !flag::ALL != 0 {
            return Ok(None);
        }
        let status = u16::from_le_bytes(reader.array()?);
        let status = StatusCode::from_u16(status).map_err(|_| broken("has no status"))?;
        let life = Life {
            received: reader.moment()?,
            initial_age: reader.number()?,
            fresh_until: reader.moment()?,
            refresh_from: reader.moment()?,
            revalidate_until: reader.moment()?,
            error_until: reader.moment()?,
            gone_at: reader.moment()?,
        };
        let position = Position {
            epoch: reader.number()?,
            sequence: reader.number()?,
            local: 0,
        };
        #[cfg(larder_sabotage)]
        let position = if is_planted(Fault::LatePromotion) {
            let sequence = u64::MAX;
            Position {
                sequence,
                ..position
            }
        } else {
            position
        };
        Ok(Some(Self {
            coding,
            flags,
            status,
            life,
            position,
            length: reader.number()?,
        }))
    }

    fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }
}

/// The sections, as they stand in the input.
#[derive(Default)]
struct Sections<'a> {
    key: Option<&'a [u8]>,
    variation: Option<&'a [u8]>,
    fields: Option<&'a [u8]>,
    trailers: Option<&'a [u8]>,
    tags: Option<&'a [u8]>,
    authority: Option<&'a [u8]>,
    path: Option<&'a [u8]>,
    query: Option<&'a [u8]>,
    route: Option<&'a [u8]>,
    body: Option<&'a [u8]>,
}

impl<'a> Sections<'a> {
    /// Reads up to the body, which must be the last.
    fn read(mut reader: Reader<'a>) -> Result<Self, Error> {
        let mut all = Self::default();
        while all.body.is_none() {
            let kind = reader.byte()?;
            let content = reader.sized()?;
            let place = match kind {
                section::KEY => &mut all.key,
                section::VARIATION => &mut all.variation,
                section::FIELDS => &mut all.fields,
                section::TRAILERS => &mut all.trailers,
                section::TAGS => &mut all.tags,
                section::AUTHORITY => &mut all.authority,
                section::PATH => &mut all.path,
                section::QUERY => &mut all.query,
                section::ROUTE => &mut all.route,
                section::BODY => &mut all.body,
                _ => continue,
            };
            if place.replace(content).is_some() {
                return Err(broken("has a section twice"));
            }
        }
        if reader.is_at_end() {
            Ok(all)
        } else {
            Err(broken("goes on after its body"))
        }
    }

    fn entry(
        &self,
        fixed: &Fixed,
        input: &Bytes,
        place: Option<Place<'_>>,
    ) -> Result<Entry, Error> {
        let body = present(self.body)?;
        if fixed.coding == Coding::Identity && u64::try_from(body.len()) != Ok(fixed.length) {
            return Err(broken("has a body that is not as long as it says"));
        }
        let tags = self.tags.map(tags).transpose()?.unwrap_or_default();
        let key = present(self.key)?;
        let head = Head::new(HeadParts {
            key: match place {
                Some(place) if **place.key == *key => place.key.clone(),
                _ => Key::from(key),
            },
            status: fixed.status,
            fields: Fields::of_lines(&lines(present(self.fields)?, input)?),
            life: fixed.life,
            seal: Seal::new(fixed.position, self.targets(&tags, place)?).untagged(tags.is_empty()),
            tags: tags.into(),
            variation: self.variation.map(variation).transpose()?,
            reuse: ReuseFlags {
                no_cache: fixed.has(flag::NO_CACHE),
                must_revalidate: fixed.has(flag::MUST_REVALIDATE),
                immutable: fixed.has(flag::IMMUTABLE),
            },
            negotiated: fixed.has(flag::NEGOTIATED),
        });
        let trailers = self.trailers.map(|trailers| lines(trailers, input));
        let trailers = trailers.transpose()?.map(|lines| own(&to_map(&lines)));
        let body = StoredBody {
            bytes: input.slice_ref(body),
            coding: fixed.coding,
            length: fixed.length,
        };
        Ok(Entry::new(Arc::new(head), body, trailers.map(Box::new)))
    }

    /// Makes the targets from where the request went, and from the tags.
    fn targets(&self, tags: &[Arc<str>], place: Option<Place<'_>>) -> Result<Vec<TargetId>, Error> {
        let origin = Origin {
            authority: text(present(self.authority)?)?,
            path: text(present(self.path)?)?,
            query: self.query.map(text).transpose()?,
            route: self.route.map(text).transpose()?,
        };
        let mut targets = match place {
            Some(place) if place.origin == origin => place.targets.to_vec(),
            _ => origin.targets(),
        };
        // As it is written: the tags of cache groups are none that a user could write.
        let tags = tags.iter().map(|tag| Target::Tag(Arc::clone(tag)).id());
        targets.extend(tags);
        Ok(targets)
    }
}

fn present(section: Option<&[u8]>) -> Result<&[u8], Error> {
    section.ok_or_else(|| broken("lacks a section"))
}

fn text(bytes: &[u8]) -> Result<&str, Error> {
    str::from_utf8(bytes).map_err(|_| broken("has a text that is none"))
}

fn tags(section: &[u8]) -> Result<Vec<Arc<str>>, Error> {
    let mut reader = Reader { rest: section };
    let mut tags = Vec::new();
    while !reader.is_at_end() {
        tags.push(text(reader.short()?)?.into());
    }
    Ok(tags)
}

fn names(mut reader: Reader<'_>) -> Result<Names, Error> {
    if reader.byte()? != section::KEY {
        return Err(broken("lacks a section"));
    }
    let key = Key::from(reader.sized()?);
    if reader.byte()? != section::VARIATION {
        return Err(broken("lacks a section"));
    }
    let names = variation(reader.sized()?)?.names;
    // What may follow is what newer versions add.
    Ok(Names { key, names })
}

fn variation(section: &[u8]) -> Result<Variation, Error> {
    let mut reader = Reader { rest: section };
    let selecting = reader.sized()?.into();
    let mut names = Vec::new();
    while !reader.is_at_end() {
        names.push(name(reader.short()?)?);
    }
    Ok(Variation {
        names: names.into(),
        selecting,
    })
}

fn name(bytes: &[u8]) -> Result<HeaderName, Error> {
    HeaderName::from_bytes(bytes).map_err(|_| broken("has a field name that is none"))
}

/// Returns the lines of a head or of trailers, whose values are slices of the input.
fn lines(section: &[u8], input: &Bytes) -> Result<Vec<(HeaderName, HeaderValue)>, Error> {
    let mut reader = Reader { rest: section };
    let mut lines = Vec::new();
    while !reader.is_at_end() {
        if lines.len() == MOST_LINES {
            return Err(broken("has too many fields"));
        }
        let sensitive = reader.byte()? & 1 != 0;
        let name = name(reader.short()?)?;
        let value = input.slice_ref(reader.sized()?);
        // A line end in a value would let it pass for two fields; this refuses it.
        let mut value = HeaderValue::from_maybe_shared(value)
            .map_err(|_| broken("has a field value that is none"))?;
        value.set_sensitive(sensitive);
        lines.push((name, value));
    }
    Ok(lines)
}

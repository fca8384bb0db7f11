//! What is given to readers of bytes that strangers wrote, and what must then hold.
//!
//! Each function takes any bytes and panics if a rule is broken. Two run them: `cargo fuzz`, which
//! looks for inputs that reach new code, and the test beside this file, which needs no tool and
//! changes the seeds of `fuzz/seeds` by chance for a bounded number of times.
//!
//! Inputs are text where that is possible, so that a seed can be read: blocks parted by an empty
//! line, each a row of `name: value` lines.

#![expect(
    clippy::indexing_slicing,
    reason = "a panic in here is a finding, and the indices were found in the same bytes"
)]

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};

use crate::{
    clock::Timestamp,
    entry::{
        Coding, Origin,
        codec::{Decoded, decode, encode},
        compress,
    },
    key::{KeyBuffer, KeyRecipe, KeyedRequest, authority, keep_listed},
    policy::{Key, Pattern, Policy, percent},
    semantics::{
        directives::{Flag, RequestDirectives, ResponseDirectives},
        freshness,
        ranges::{Multipart, Ranges, ranges},
        reuse::ReuseFlags,
        vary::{Vary, selecting, too_wide},
    },
};

#[cfg(test)]
mod tests;

/// A name under `fuzz/seeds`, and what is run with the bytes.
pub type Target = (&'static str, fn(&[u8]));

/// All targets.
pub const TARGETS: [Target; 6] = [
    ("cache_control", cache_control),
    ("entry", entry),
    ("key", key),
    ("range", range),
    ("targeted", targeted),
    ("vary", vary),
];

/// The longest body that a stored entry of this module may unpack to, in bytes.
const MOST_UNPACKED: u64 = 1 << 20;

/// Reads a response head, most of it `Cache-Control`.
pub fn cache_control(input: &[u8]) {
    let headers = head(input, &header::CACHE_CONTROL);
    let now = Timestamp::from_millis(1_700_000_000_000);
    let directives = ResponseDirectives::of(&headers, &[]);
    let date = freshness::date_of(&headers, now);
    let lifetime = freshness::lifetime(&headers, &directives, StatusCode::OK, date, true);
    let explicit = lifetime.is_some_and(|lifetime| lifetime.explicit);
    let _flags = ReuseFlags::of(&directives, explicit);
    let _age = freshness::initial_age(&headers, now, now);
    // Nothing that stands in one line takes the effect of another away.
    let mut forbidden = headers.clone();
    forbidden.append(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    assert!(ResponseDirectives::of(&forbidden, &[]).has(Flag::NoStore));
    assert!(RequestDirectives::of(&forbidden).has(Flag::NoStore));
    // Nor does what comes before it in the line. With a quote somewhere it may be quoted.
    for line in headers.get_all(header::CACHE_CONTROL) {
        let mut bytes = line.as_bytes().to_vec();
        if bytes.contains(&b'"') {
            continue;
        }
        bytes.extend_from_slice(b",No-Store");
        let Ok(line) = HeaderValue::from_bytes(&bytes) else {
            continue;
        };
        let longer = HeaderMap::from_iter([(header::CACHE_CONTROL, line)]);
        assert!(ResponseDirectives::of(&longer, &[]).has(Flag::NoStore));
    }
}

/// Reads a response head for this cache, with fields addressed to it.
pub fn targeted(input: &[u8]) {
    const TARGETS: [HeaderName; 2] = [
        HeaderName::from_static("larder-cache-control"),
        header::CDN_CACHE_CONTROL,
    ];
    let mut headers = head(input, &header::CDN_CACHE_CONTROL);
    let plain = ResponseDirectives::of(&headers, &[]);
    let all = ResponseDirectives::of(&headers, &TARGETS);
    assert!(all.has(Flag::NoTransform) || !plain.has(Flag::NoTransform));
    if !all.has(Flag::Targeted) {
        assert_eq!(
            all, plain,
            "no target is valid, so that Cache-Control decides"
        );
    } else if !plain.has(Flag::NoTransform) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        let beside = ResponseDirectives::of(&headers, &TARGETS);
        assert_eq!(beside, all, "a valid target decides alone");
    }
}

/// Reads the `Vary` of a response and two requests.
pub fn vary(input: &[u8]) {
    let [response, one, other] = blocks(input).map(|block| head(block, &header::VARY));
    let Vary::Names(names) = Vary::of(&response) else {
        return;
    };
    assert!(names.windows(2).all(|pair| match pair {
        [a, b] => a.as_str() < b.as_str(),
        _ => true,
    }));
    let [mut chosen, mut chosen_by_other] = [Vec::new(), Vec::new()];
    selecting(&names, &one, &mut chosen);
    selecting(&names, &other, &mut chosen_by_other);
    if !too_wide(&names, &one) {
        // A name's share is its length and at most its value, with a blank after each comma.
        assert!(chosen.len() <= names.len() * (4 + 2 * 1024));
    }
    if chosen != chosen_by_other {
        return;
    }
    for name in names.iter() {
        assert_eq!(one.contains_key(name), other.contains_key(name), "{name}");
        if *name != header::ACCEPT_ENCODING && *name != header::ACCEPT_LANGUAGE {
            assert_eq!(bare(&one, name), bare(&other, name), "{name}");
        }
    }
}

/// Reads a length, a request with a `Range`, and the head of what is stored.
pub fn range(input: &[u8]) {
    let [length, request, stored] = blocks(input);
    let length = str::from_utf8(length)
        .ok()
        .and_then(|text| text.trim().parse().ok())
        .unwrap_or(1000);
    let request = head(request, &header::RANGE);
    let stored = head(stored, &header::ETAG);
    let Ranges::Parts(parts) = ranges(&Method::GET, &request, &stored, length) else {
        return;
    };
    assert!(!parts.is_empty() && parts.len() <= 16);
    let mut sorted = parts.clone();
    sorted.sort_by_key(|part| part.start);
    let mut end = 0;
    for (at, part) in sorted.iter().enumerate() {
        assert!(part.start < part.end && part.end <= length, "{part:?}");
        assert!(at == 0 || part.start > end, "{part:?} touches one before");
        end = part.end;
    }
    let framed = Multipart::new(&parts, length, stored.get(header::CONTENT_TYPE), 7);
    let size = |bytes: &Bytes| u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    let framing: u64 = framed.heads().iter().map(size).sum::<u64>() + size(framed.tail());
    let content: u64 = parts.iter().map(|part| part.end - part.start).sum();
    assert_eq!(framed.length(), framing.saturating_add(content));
}

/// Reads two requests and sees to it that they share a key only if they ask for the same.
pub fn key(input: &[u8]) {
    let [one, other, _] = blocks(input);
    let (Some(one), Some(other)) = (Asked::of(one), Asked::of(other)) else {
        return;
    };
    let listed = || Policy::new().query(["page", "sort"]);
    let policies = [
        Policy::new(),
        listed(),
        Policy::new()
            .vary(["accept-language"])
            .key_cookies(["theme"]),
        Policy::new().key(Key::route().params()),
        listed()
            .key(Key::route().params())
            .vary(["accept-language"]),
    ];
    let pattern = Pattern::parse("/items/{id}/{*rest}").ok();
    for policy in &policies {
        let same = one.key(policy, pattern.as_ref()) == other.key(policy, pattern.as_ref());
        if !same {
            assert!(one != other, "equal requests have one key");
            continue;
        }
        assert_eq!(one.authority(), other.authority());
        if policy.key.is_some() {
            // Parameters are compared as the handler reads them.
            let decoded = |asked: &Asked| percent::bytes(asked.uri.path()).collect::<Vec<_>>();
            assert_eq!(decoded(&one), decoded(&other));
        } else {
            assert_eq!(one.uri.path(), other.uri.path());
        }
        match &policy.query {
            None => assert_eq!(one.uri.query(), other.uri.query()),
            Some(names) => assert_eq!(one.listed(names), other.listed(names)),
        }
        for name in &policy.vary {
            assert!(
                one.headers
                    .get_all(name)
                    .iter()
                    .eq(other.headers.get_all(name))
            );
        }
    }
}

/// Reads a stored entry.
pub fn entry(input: &[u8]) {
    drop(decode(&Bytes::copy_from_slice(input), None));
    // Any change breaks the checksum; what lies behind it is to be reached too.
    let mut sound = input.to_vec();
    let Some((start, rest)) = sound.split_first_chunk_mut::<9>() else {
        return;
    };
    start[..5].copy_from_slice(b"lrdr\x01");
    start[5..].copy_from_slice(&crc32fast::hash(rest).to_le_bytes());
    let Ok(Decoded::Entry(entry)) = decode(&sound.into(), None) else {
        return;
    };
    if let Ok(body) = compress::unpack(&entry.body, MOST_UNPACKED) {
        let length = u64::try_from(body.len()).unwrap_or(u64::MAX);
        assert_eq!(length, entry.body.length);
        assert!(length <= MOST_UNPACKED || entry.body.coding == Coding::Identity);
    }
    let origin = Origin {
        authority: "shop.test",
        path: "/items/1",
        query: None,
        route: None,
    };
    let written = encode(&entry, &entry.life, &origin);
    let again = Bytes::from([written.head.as_slice(), &written.body].concat());
    let Ok(Decoded::Entry(read)) = decode(&again, None) else {
        unreachable!("what was read can be written and read again");
    };
    assert_eq!(
        (&read.key, read.status, read.life),
        (&entry.key, entry.status, entry.life)
    );
    assert_eq!(
        (&read.body.bytes, &read.tags),
        (&entry.body.bytes, &entry.tags)
    );
    assert_eq!(read.headers(), entry.headers());
    assert_eq!(read.variation, entry.variation);
}

/// Returns the first three blocks of lines; missing ones are empty.
fn blocks(input: &[u8]) -> [&[u8]; 3] {
    let mut rest = input;
    std::array::from_fn(|at| {
        let end = rest.windows(2).position(|pair| pair == b"\n\n");
        let (block, after) = match end {
            Some(end) if at < 2 => (&rest[..end], &rest[end + 2..]),
            _ => (rest, &[][..]),
        };
        rest = after;
        block
    })
}

/// Returns the fields of a block. A line without a field name belongs to `usual`.
fn head(block: &[u8], usual: &HeaderName) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in block.split(|byte| *byte == b'\n').take(64) {
        let named = line
            .iter()
            .position(|byte| *byte == b':')
            .and_then(|at| Some((HeaderName::from_bytes(&line[..at]).ok()?, &line[at + 1..])));
        let (name, value) = named.unwrap_or((usual.clone(), line));
        if let Ok(value) = HeaderValue::from_bytes(value.trim_ascii()) {
            headers.append(name, value);
        }
    }
    headers
}

/// Returns what a field says without what may be between its members.
fn bare(headers: &HeaderMap, name: &HeaderName) -> Vec<u8> {
    let lines = headers.get_all(name).iter();
    let bytes = lines.flat_map(|line| line.as_bytes().iter().copied());
    bytes.filter(|byte| !b", \t".contains(byte)).collect()
}

/// A request whose key is made.
#[derive(Debug, PartialEq)]
struct Asked {
    uri: Uri,
    headers: HeaderMap,
}

impl Asked {
    /// Reads a target in the first line and fields below it.
    fn of(block: &[u8]) -> Option<Self> {
        let end = block.iter().position(|byte| *byte == b'\n');
        let (target, fields) = block.split_at(end.unwrap_or(block.len()));
        let asked = Self {
            uri: Uri::try_from(target).ok()?,
            headers: head(fields, &header::HOST),
        };
        asked.authority().map(|_| asked)
    }

    fn authority(&self) -> Option<String> {
        let authority = authority(&self.uri, &self.headers).ok()?;
        Some(authority.into_owned())
    }

    fn key(&self, policy: &Policy, pattern: Option<&Pattern>) -> Vec<u8> {
        let authority = self.authority().unwrap_or_default();
        let cut = policy
            .query
            .as_deref()
            .and_then(|names| keep_listed(&self.uri, names));
        let uri = cut.as_ref().unwrap_or(&self.uri);
        let request = KeyedRequest {
            path: uri.path(),
            query: uri.query(),
            headers: &self.headers,
            pattern,
            identity: None,
        };
        let mut key = KeyBuffer::default();
        let recipe = KeyRecipe::new("fuzz", "http");
        recipe.begin(&authority, &mut key);
        recipe.finish(policy, &request, &mut key);
        key.as_bytes().to_vec()
    }

    /// Returns the values of the listed parameters as they were sent, in the order of the list.
    fn listed(&self, names: &[Box<str>]) -> Vec<Vec<&str>> {
        let pairs = || {
            self.uri
                .query()
                .into_iter()
                .flat_map(|query| query.split('&'))
        };
        let values = |name: &str| {
            let named = pairs().filter(|pair| pair.split('=').next() == Some(name));
            named.collect::<Vec<_>>()
        };
        names.iter().map(|name| values(name)).collect()
    }
}

//! The name of a target: one text that is the same in every process.
//!
//! It is what a shared registry knows the target by, and what its [`TargetId`] is made of. No two
//! targets have one name: an authority has no slash and a path begins with one, and where a query
//! follows, the length of the path says where it ends.
//!
//! Names and buckets are part of the protocol between nodes: a change of either is a new version of
//! the registry's keys.

use super::{Target, TargetId};
use crate::hash::KeyHash;
use crate::policy::pattern::push_unnamed;

/// The longest name in bytes that is kept as it is. A registry has room for 100,000 names, and
/// strangers choose the paths: of a longer one the digest is kept. Most URLs are shorter.
#[cfg(feature = "redis")]
const LONGEST: usize = 200;

/// Returns what stands for a long name: its kind, and 160 bits of its SHA-256.
#[cfg(feature = "redis")]
fn digest(name: &str) -> String {
    use std::fmt::Write;

    use sha2::{Digest, Sha256};

    let mut short: String = name.chars().take(1).collect();
    short.push('#');
    for byte in Sha256::digest(name.as_bytes()).iter().take(20) {
        // Writing to a `String` can not fail.
        let _ = write!(short, "{byte:02x}");
    }
    short
}

/// Writes names, into one buffer.
#[derive(Debug, Default)]
pub(super) struct Namer(String);

impl Namer {
    /// Returns one with room for names of about so many bytes.
    pub(super) fn with_room(bytes: usize) -> Self {
        /// What a name has besides the texts in it: its kind, and how long a path is.
        const AROUND: usize = 16;
        Self(String::with_capacity(bytes + AROUND))
    }

    pub(super) fn everything(&mut self) -> TargetId {
        self.plain('*', "")
    }

    pub(super) fn host(&mut self, host: &str) -> TargetId {
        self.plain('h', host)
    }

    /// What the parameters of a pattern are called is between a router and its handlers.
    pub(super) fn route(&mut self, pattern: &str) -> TargetId {
        self.0.clear();
        self.0.push('r');
        push_unnamed(pattern, &mut self.0);
        self.id()
    }

    pub(super) fn tag(&mut self, tag: &str) -> TargetId {
        self.plain('t', tag)
    }

    pub(super) fn resource(&mut self, authority: Option<&str>, path: &str) -> TargetId {
        self.located('u', authority, path)
    }

    pub(super) fn prefix(&mut self, authority: Option<&str>, path: &str) -> TargetId {
        self.located('p', authority, path)
    }

    pub(super) fn exact(&mut self, authority: Option<&str>, path: &str, query: &str) -> TargetId {
        self.0.clear();
        self.0.push('x');
        self.push_number(path.len());
        self.0.push(':');
        self.push_location(authority, path);
        self.0.push_str(query);
        self.id()
    }

    pub(super) fn target(&mut self, target: &Target) -> TargetId {
        match target {
            Target::Everything => self.everything(),
            Target::Host(host) => self.host(host),
            Target::Route(pattern) => self.route(pattern),
            Target::Tag(tag) => self.tag(tag),
            Target::Resource { authority, path } => self.resource(authority.as_deref(), path),
            Target::Exact {
                authority,
                path,
                query,
            } => self.exact(authority.as_deref(), path, query),
            Target::Prefix { authority, path } => self.prefix(authority.as_deref(), path),
        }
    }

    #[cfg(any(test, feature = "redis"))]
    pub(super) fn into_name(self) -> String {
        self.0
    }

    /// Returns the id of the name that was written, which is fitted if it is long.
    fn id(&mut self) -> TargetId {
        #[cfg(feature = "redis")]
        if self.0.len() > LONGEST {
            self.0 = digest(&self.0);
        }
        TargetId::of_name(&self.0)
    }

    fn plain(&mut self, kind: char, text: &str) -> TargetId {
        self.0.clear();
        self.0.push(kind);
        self.0.push_str(text);
        self.id()
    }

    fn located(&mut self, kind: char, authority: Option<&str>, path: &str) -> TargetId {
        self.0.clear();
        self.0.push(kind);
        self.push_location(authority, path);
        self.id()
    }

    fn push_number(&mut self, number: usize) {
        if number >= 10 {
            self.push_number(number / 10);
        }
        let digit = u32::try_from(number % 10).ok();
        self.0
            .extend(digit.and_then(|digit| char::from_digit(digit, 10)));
    }

    fn push_location(&mut self, authority: Option<&str>, path: &str) {
        if let Some(authority) = authority {
            self.0.push('@');
            self.0.push_str(authority);
        }
        self.0.push_str(path);
    }
}

impl TargetId {
    /// Returns the id of the target with that name.
    ///
    /// The low 16 bits are the target's [bucket](bucket), which all processes agree on. The rest is
    /// keyed by a random number of this process, since strangers choose the paths.
    pub(crate) fn of_name(name: &str) -> Self {
        let keyed = KeyHash::new().of(name.as_bytes());
        Self(keyed << 16 | u64::from(bucket(name)))
    }
}

/// Returns in which of the 65,536 buckets a name ends when it is no longer kept by itself.
///
/// By FNV-1a (Fowler, Noll and Vo), folded to 16 bits: any spread will do that every version of
/// larder on every machine agrees on. A stranger may choose names that share a bucket, as he could
/// by trying with any hash of this width; what he gains is that too much is invalidated.
pub(crate) fn bucket(name: &str) -> u16 {
    const BASIS: u32 = 0x811c_9dc5;
    const PRIME: u32 = 0x0100_0193;
    let hash = name.bytes().fold(BASIS, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(PRIME)
    });
    let [a, b, c, d] = hash.to_be_bytes();
    u16::from_be_bytes([a ^ c, b ^ d])
}

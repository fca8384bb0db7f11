//! Responses as a newer release would write them, among those of this one: nobody here can read
//! them, and nobody here may take them from those who can.

use std::{collections::HashSet, io};

use crate::{
    cluster::NAMESPACE,
    support::{redis::Redis, resp::Client},
};

/// Where the version stands in what is stored, and the checksum of what follows.
const VERSION: usize = 4;
const CHECKSUM: std::ops::Range<usize> = 5..9;

/// A version that is not written yet.
const NEWER: u8 = 200;

/// What the server says when a key is deleted.
const DELETED: &str = "__keyevent@0__:del";

/// What was written so, and who hears what becomes of it.
pub(crate) struct Newer {
    names: HashSet<String>,
    hears: Client,
}

impl Newer {
    /// Puts a newer form in the place of every response, with another body: if it were read in
    /// spite of its version, that would be seen.
    pub(crate) fn among(redis: &Redis) -> io::Result<Self> {
        let mut client = redis.client()?;
        client.ask(&["CONFIG", "SET", "notify-keyspace-events", "Eg"])?;
        let mut hears = redis.client()?;
        hears.ask(&["SUBSCRIBE", DELETED])?;
        let entries = format!("larder:{NAMESPACE}:e:*");
        let names = client.ask(&["KEYS", &entries])?.list();
        let names: HashSet<_> = names.iter().map(|name| name.text()).collect();
        for name in &names {
            let mut bytes = client.ask(&["GET", name])?.bytes();
            if bytes.len() > CHECKSUM.end {
                age(&mut bytes);
                let words = [b"SET", name.as_bytes(), &bytes, b"KEEPTTL", b"XX"];
                client.send(&words)?;
                client.read()?;
            }
        }
        Ok(Self { names, hears })
    }

    /// Returns what of it was deleted since.
    pub(crate) fn deleted(mut self, redis: &Redis) -> io::Result<Vec<String>> {
        const END: &str = "the end";
        redis.client()?.ask(&["PUBLISH", DELETED, END])?;
        let mut deleted = Vec::new();
        loop {
            let message = self.hears.read()?.list();
            let name = message.last().map(|name| name.text()).unwrap_or_default();
            if name == END {
                return Ok(deleted);
            }
            if self.names.contains(&name) {
                deleted.push(name);
            }
        }
    }
}

/// Makes a newer form of what is stored.
fn age(bytes: &mut [u8]) {
    bytes[VERSION] = NEWER;
    if let Some(last) = bytes.last_mut() {
        *last ^= 1;
    }
    let checksum = crc32fast::hash(&bytes[CHECKSUM.end..]);
    bytes[CHECKSUM].copy_from_slice(&checksum.to_le_bytes());
}

//! What comes back from Redis, and whether it can be believed.

use std::{mem, sync::Arc};

use bytes::Bytes;
use http::HeaderName;
use redis::Value;

#[cfg(larder_sabotage)]
use crate::sabotage::{Fault, is_planted};
use crate::{
    clock::Timestamp,
    entry::{
        Coding, Entry, Place,
        codec::{Decoded, decode},
    },
};

/// What stands under a name.
#[derive(Debug)]
pub(super) enum Read {
    Entry(Box<Entry>),
    /// The responses of the URL vary on these fields.
    Names(Arc<[HeaderName]>),
    /// Nothing, or nothing for this reader, who has no reason to remove it.
    Nothing,
    /// Something that nobody can read; it should be removed.
    Corrupt,
}

/// What a reader knows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reader {
    /// How far the server's clock is ahead, in milliseconds.
    pub(super) ahead: i64,
    pub(super) now: Timestamp,
    /// The longest body that is accepted.
    pub(super) max_body: u64,
    /// The local position of the fence, taken before Redis was asked.
    pub(super) local: u64,
}

impl Reader {
    /// Reads what was answered to a GET of the name of `key`.
    pub(super) fn read(&self, answer: Value, key: &[u8], place: Option<Place<'_>>) -> Read {
        let bytes = match answer {
            Value::BulkString(bytes) => Bytes::from(bytes),
            Value::Nil => return Read::Nothing,
            // Another kind of value in the place of a response, most likely.
            _ => return Read::Corrupt,
        };
        let (decoded, whole) = (decode(&bytes, place), bytes.len());
        // What was read has its own hold of it.
        drop(bytes);
        match decoded {
            Err(_) => Read::Corrupt,
            #[cfg(larder_sabotage)]
            Ok(Decoded::Newer) if is_planted(Fault::NewerRemoved) => Read::Corrupt,
            Ok(Decoded::Newer) => Read::Nothing,
            // Another key of the same digest, or a value that was moved: not ours to remove.
            Ok(Decoded::Names(found)) if *found.key != *key => Read::Nothing,
            Ok(Decoded::Names(found)) => Read::Names(found.names),
            Ok(Decoded::Entry(entry)) => self.entry(entry, whole),
        }
    }

    fn entry(&self, mut entry: Box<Entry>, whole: usize) -> Read {
        let unreadable = match entry.body.coding {
            Coding::Identity => false,
            Coding::Gzip => cfg!(not(feature = "gzip")),
            Coding::Lz4 => cfg!(not(feature = "lz4")),
        };
        let life = entry.life.shifted(self.ahead.saturating_neg());
        if unreadable || entry.body.length > self.max_body || life.gone_at <= self.now {
            return Read::Nothing;
        }
        // It was made just now, so nobody else has it.
        let Some(head) = Arc::get_mut(&mut entry.head) else {
            return Read::Nothing;
        };
        head.life = life;
        head.seal.position.local = self.local;
        slim(&mut entry, whole);
        Read::Entry(entry)
    }
}

/// Lets a small body go of the answer that it is a part of, which would stay in memory as a whole:
/// more than an eighth of what is kept must be body that is counted.
fn slim(entry: &mut Entry, whole: usize) {
    let body = entry.body.bytes.len();
    if whole.saturating_sub(body) > body / 8 {
        // Where it stands, since nobody else holds the answer: what is not body is given back.
        let mut own = Vec::from(mem::take(&mut entry.body.bytes));
        own.shrink_to_fit();
        entry.body.bytes = Bytes::from(own);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::{Origin, codec::encode, samples::Sample};

    const READER: Reader = Reader {
        ahead: 0,
        now: Timestamp::from_millis(0),
        max_body: 1 << 20,
        local: 0,
    };

    fn answer(length: usize) -> Value {
        let entry = Sample::new("key").body(vec![b'a'; length]).entry();
        let origin = Origin {
            authority: "shop.test",
            path: "/",
            query: None,
            route: None,
        };
        let encoded = encode(&entry, &entry.life, &origin);
        Value::BulkString([encoded.head.as_slice(), &encoded.body].concat())
    }

    /// Returns the entry, and how many bytes were allocated for it.
    fn read(answer: Value) -> (Entry, u64) {
        let mut read = Read::Nothing;
        let heap = allocation_counter::measure(|| read = READER.read(answer, b"key", None));
        match read {
            Read::Entry(entry) => (*entry, heap.bytes_total),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_large_body_is_not_copied() {
        let (entry, allocated) = read(answer(100_000));
        assert_eq!(entry.body.bytes.len(), 100_000);
        assert!(allocated < 10_000, "{allocated}");
    }

    #[test]
    fn a_small_body_lets_go_of_the_answer_that_it_was_a_part_of() {
        let (entry, _) = read(answer(100));
        let body = entry.body.bytes.try_into_mut().unwrap();
        assert_eq!((body.len(), body.capacity()), (100, 100));
    }

    #[test]
    fn a_body_that_is_longer_than_may_be_stored_is_nothing() {
        let reader = Reader {
            max_body: 99,
            ..READER
        };
        assert!(matches!(
            reader.read(answer(100), b"key", None),
            Read::Nothing
        ));
    }
}

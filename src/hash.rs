//! The hash by which keys are found in memory, and targets are told apart.
//!
//! Clients choose what is in a key, so they must not be able to choose keys that collide. The hash is
//! NH, as UMAC has it (RFC 4418 §5.2), under random numbers that nobody is ever told: whichever two
//! keys somebody picks, their sums are equal under about one of 2^64 secrets. Every hit hashes a key,
//! and this takes a quarter of what the general hash of the standard library does, which is left for
//! keys that are too long.

use std::{
    hash::{BuildHasher, Hasher, RandomState},
    sync::OnceLock,
};

/// How many pairs of words there are secrets for. Few keys are longer.
const PAIRS: usize = 16;

/// Makes the hashers of a table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KeyHash(&'static Secrets);

/// What the hashes of this process depend on, and nobody knows.
#[derive(Debug)]
struct Secrets {
    pairs: [[u64; 2]; PAIRS],
    sum: [u64; 2],
    long: RandomState,
}

impl KeyHash {
    pub(crate) fn new() -> Self {
        static SECRETS: OnceLock<Secrets> = OnceLock::new();
        Self(SECRETS.get_or_init(Secrets::new))
    }

    /// Returns the hash of a key.
    #[inline]
    pub(crate) fn of(self, key: &[u8]) -> u64 {
        self.0.hash(key)
    }
}

impl Secrets {
    fn new() -> Self {
        let (one, other) = (RandomState::new(), RandomState::new());
        let pair = |at: usize| [one.hash_one(at), other.hash_one(at)];
        Self {
            pairs: std::array::from_fn(pair),
            sum: pair(PAIRS),
            long: RandomState::new(),
        }
    }

    #[inline]
    fn hash(&self, bytes: &[u8]) -> u64 {
        let (words, rest) = bytes.as_chunks::<8>();
        let (pairs, single) = words.as_chunks::<2>();
        let mut secrets = self.pairs.iter();
        let mut sum = 0_u128;
        let mut add = |pair: [u64; 2]| {
            let secret = secrets.next();
            sum = sum.wrapping_add(secret.map_or(0, |secret| product(pair, *secret)));
            secret.is_some()
        };
        for [one, other] in pairs {
            if !add([u64::from_le_bytes(*one), u64::from_le_bytes(*other)]) {
                break;
            }
        }
        // The length tells a piece of a word from one with zeros behind it.
        let (piece, length) = (piece(bytes, rest), bytes.len() as u64);
        let is_whole = match single.first() {
            Some(word) => add([u64::from_le_bytes(*word), piece]) && add([length, 0]),
            None => add([piece, length]),
        };
        if is_whole {
            self.fold(sum)
        } else {
            self.long.hash_one(bytes)
        }
    }

    /// Spreads what the sum says over all bits of the hash.
    #[inline]
    fn fold(&self, sum: u128) -> u64 {
        let [low, high] = halves(sum);
        let [one, other] = self.sum;
        let [low, high] = halves(u128::from(low ^ one) * u128::from(high ^ other));
        low ^ high
    }
}

#[inline]
fn product([one, other]: [u64; 2], secret: [u64; 2]) -> u128 {
    u128::from(one.wrapping_add(secret[0])) * u128::from(other.wrapping_add(secret[1]))
}

#[inline]
#[expect(clippy::cast_possible_truncation, reason = "each is one half")]
const fn halves(number: u128) -> [u64; 2] {
    [number as u64, (number >> 64) as u64]
}

/// Returns the bytes behind the last whole word as a number.
#[inline]
fn piece(bytes: &[u8], rest: &[u8]) -> u64 {
    if rest.is_empty() {
        return 0;
    }
    match bytes.last_chunk::<8>() {
        Some(end) => u64::from_le_bytes(*end) >> (64 - 8 * rest.len()),
        None => (rest.iter().rev()).fold(0, |all, byte| all << 8 | u64::from(*byte)),
    }
}

impl BuildHasher for KeyHash {
    type Hasher = KeyHasher;

    #[inline]
    fn build_hasher(&self) -> KeyHasher {
        KeyHasher {
            secrets: self.0,
            hash: 0,
        }
    }
}

/// Hashes one key.
#[derive(Clone, Debug)]
pub(crate) struct KeyHasher {
    secrets: &'static Secrets,
    hash: u64,
}

impl Hasher for KeyHasher {
    /// Hashes a whole key. What is not written at once is hashed all the same, only not as well.
    #[inline]
    fn write(&mut self, bytes: &[u8]) {
        self.hash = self.hash.rotate_left(1) ^ self.secrets.hash(bytes);
    }

    #[inline]
    fn finish(&self) -> u64 {
        self.hash
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn hash(secrets: &Secrets, bytes: impl AsRef<[u8]>) -> u64 {
        secrets.hash(bytes.as_ref())
    }

    #[test]
    fn nobody_knows_a_hash_beforehand() {
        let (one, other) = (Secrets::new(), Secrets::new());
        for length in [0, 1, 8, 16, 100, 1000] {
            let bytes = vec![b'a'; length];
            assert_eq!(hash(&one, &bytes), hash(&one, &bytes));
            assert_ne!(hash(&one, &bytes), hash(&other, &bytes), "{length}");
        }
    }

    #[test]
    fn every_byte_counts_and_so_does_the_length() {
        let secrets = Secrets::new();
        let mut seen = HashSet::new();
        for length in 0..600 {
            let mut bytes = vec![0; length];
            assert!(seen.insert(hash(&secrets, &bytes)), "{length} zeros");
            for at in 0..length {
                bytes[at] = 1;
                assert!(seen.insert(hash(&secrets, &bytes)), "{at} of {length}");
                bytes[at] = 0;
            }
        }
    }

    #[test]
    fn keys_that_differ_a_little_are_spread_over_all_parts_of_a_table() {
        let secrets = Secrets::new();
        // A table takes its place from the low bits, its tag from the high ones, and the shard from
        // some in between.
        for shift in [0, 20, 40, 56] {
            let mut places = [0_u32; 256];
            for number in 0..100_000 {
                let hash = hash(&secrets, format!("shop.test/pages/{number}"));
                places[usize::from((hash >> shift).to_le_bytes()[0])] += 1;
            }
            // 390 each, with a deviation of 20; ten times that is never met by chance.
            assert!(places.iter().all(|count| (190..590).contains(count)));
        }
    }
}

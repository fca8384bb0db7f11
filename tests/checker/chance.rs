//! Chance that comes out the same for the same seed.

use std::time::Duration;

/// A sequence of numbers (splitmix64).
#[derive(Clone, Debug)]
pub(crate) struct Chance(u64);

impl Chance {
    /// Returns the sequence number `part` of `seed`.
    pub(crate) fn new(seed: u64, part: u64) -> Self {
        let mut mixed = Self(seed.wrapping_mul(0x2545_F491_4F6C_DD1D) ^ part.rotate_left(32));
        mixed.next();
        mixed
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// Returns a number below `bound`.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() >> 32).unwrap() % bound
    }

    pub(crate) fn percent(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    pub(crate) fn pick<T: Copy>(&mut self, among: &[T]) -> T {
        among[self.below(among.len())]
    }

    pub(crate) fn milliseconds(&mut self, from: usize, to: usize) -> Duration {
        let number = from + self.below(to - from + 1);
        Duration::from_millis(u64::try_from(number).unwrap())
    }
}

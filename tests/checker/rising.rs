//! A number that only rises, with the moments at which it did.

use crate::journal::Moment;

/// The highest number so far, at any moment so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rising(Vec<(Moment, u64)>);

impl Rising {
    /// Takes a number; moments come in order.
    pub(crate) fn push(&mut self, moment: Moment, number: u64) {
        if self.0.last().is_none_or(|(_, last)| *last < number) {
            self.0.push((moment, number));
        }
    }

    /// Returns the highest number that came before `moment`, zero if none did.
    pub(crate) fn before(&self, moment: Moment) -> u64 {
        let count = self.0.partition_point(|(at, _)| *at < moment);
        count.checked_sub(1).map_or(0, |last| self.0[last].1)
    }

    /// Returns when the number first was above `number`.
    pub(crate) fn passed(&self, number: u64) -> Option<Moment> {
        let count = self.0.partition_point(|(_, seen)| *seen <= number);
        self.0.get(count).map(|(moment, _)| *moment)
    }
}

#[test]
fn a_rising_number_is_known_at_every_moment() {
    let mut rising = Rising::default();
    for (moment, number) in [(10, 1), (20, 3), (25, 2), (30, 4)] {
        rising.push(moment, number);
    }
    let seen = [10, 11, 20, 26, 31].map(|moment| rising.before(moment));
    assert_eq!(seen, [0, 1, 1, 3, 4]);
    let passed = [0, 1, 2, 3, 4].map(|number| rising.passed(number));
    assert_eq!(passed, [Some(10), Some(20), Some(20), Some(30), None]);
}

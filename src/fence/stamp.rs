//! What is remembered of one target: its last hard stamp and its soft ones.

use crate::clock::Timestamp;

/// How hard an invalidation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Nobody sees what was filled before it.
    Hard,
    /// What was filled before it went stale at the moment given; windows count from there.
    Soft(Timestamp),
}

/// The stamps of one target.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Stamp {
    /// The number of the last hard stamp; zero for none.
    hard: u64,
    /// Boxed, since few targets are ever soft-purged and the table is sized for all of them.
    soft: Option<Box<SoftStamps>>,
}

/// The soft stamps of one target, of which the last one alone would not do.
///
/// With only the last number and moment, an entry that was purged twice would count its windows
/// from the second purge, and a purge every minute would keep it alive for ever. Two pairs are
/// enough: all but the last are merged into the first, with the highest number and the lowest
/// moment, which is too strict only for entries that already lived through two purges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct SoftStamps {
    last: SoftStamp,
    before: SoftStamp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct SoftStamp {
    number: u64,
    at: Timestamp,
}

impl Stamp {
    /// Returns the highest number the target was stamped with, hard or soft.
    pub(super) fn newest(&self) -> u64 {
        self.soft
            .as_ref()
            .map_or(self.hard, |soft| self.hard.max(soft.last.number))
    }

    /// Returns the number of the last hard stamp; zero for none.
    pub(super) fn hard(&self) -> u64 {
        self.hard
    }

    /// Returns the earliest moment at which what was sealed at `number` was soft-purged, or
    /// [`Timestamp::NEVER`].
    pub(super) fn soft_after(&self, number: u64) -> Timestamp {
        match &self.soft {
            Some(soft) if number < soft.before.number => soft.before.at.min(soft.last.at),
            Some(soft) if number < soft.last.number => soft.last.at,
            _ => Timestamp::NEVER,
        }
    }

    /// Adds a stamp. Numbers may come in any order; no stamp weakens another.
    pub(super) fn add(&mut self, number: u64, mode: Mode) {
        match mode {
            Mode::Hard => {
                self.hard = self.hard.max(number);
                // What a soft stamp says of entries that a hard one has killed is of no use.
                self.soft.take_if(|soft| soft.last.number <= self.hard);
            }
            Mode::Soft(_) if number <= self.hard => {}
            Mode::Soft(at) => self.add_soft(SoftStamp { number, at }),
        }
    }

    fn add_soft(&mut self, new: SoftStamp) {
        let Some(soft) = &mut self.soft else {
            let before = SoftStamp {
                number: 0,
                at: Timestamp::NEVER,
            };
            self.soft = Some(Box::new(SoftStamps { last: new, before }));
            return;
        };
        let older = if new.number > soft.last.number {
            std::mem::replace(&mut soft.last, new)
        } else {
            new
        };
        soft.before = SoftStamp {
            number: soft.before.number.max(older.number),
            at: soft.before.at.min(older.at),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn soft(at: u64) -> Mode {
        Mode::Soft(Timestamp::from_millis(at))
    }

    fn stamped(stamps: &[(u64, Mode)]) -> Stamp {
        let mut stamp = Stamp::default();
        for (number, mode) in stamps {
            stamp.add(*number, *mode);
        }
        stamp
    }

    #[test]
    fn a_soft_stamp_applies_to_what_was_sealed_before_it() {
        let stamp = stamped(&[(5, soft(50))]);
        assert_eq!(stamp.soft_after(4), Timestamp::from_millis(50));
        assert_eq!(stamp.soft_after(5), Timestamp::NEVER);
        assert_eq!((stamp.hard(), stamp.newest()), (0, 5));
    }

    #[test]
    fn a_second_soft_purge_does_not_lengthen_the_windows_of_the_first() {
        let stamp = stamped(&[(5, soft(50)), (8, soft(80))]);
        assert_eq!(stamp.soft_after(4), Timestamp::from_millis(50));
        assert_eq!(stamp.soft_after(5), Timestamp::from_millis(80));
        assert_eq!(stamp.soft_after(8), Timestamp::NEVER);
    }

    #[test]
    fn a_third_soft_purge_is_merged_to_the_strict_side() {
        let stamp = stamped(&[(5, soft(50)), (8, soft(80)), (9, soft(90))]);
        assert_eq!(stamp.soft_after(4), Timestamp::from_millis(50));
        assert_eq!(stamp.soft_after(7), Timestamp::from_millis(50));
        assert_eq!(stamp.soft_after(8), Timestamp::from_millis(90));
    }

    #[test]
    fn a_later_hard_stamp_wins_over_a_soft_one() {
        let stamp = stamped(&[(5, soft(50)), (6, Mode::Hard)]);
        assert_eq!((stamp.hard(), stamp.soft_after(4)), (6, Timestamp::NEVER));
        assert_eq!(stamped(&[(6, Mode::Hard), (5, soft(50))]), stamp);
    }

    #[test]
    fn an_earlier_hard_stamp_leaves_a_later_soft_one() {
        let stamp = stamped(&[(5, Mode::Hard), (6, soft(60))]);
        assert_eq!(
            (stamp.hard(), stamp.soft_after(5)),
            (5, Timestamp::from_millis(60))
        );
        assert_eq!(stamped(&[(6, soft(60)), (5, Mode::Hard)]), stamp);
    }

    #[test]
    fn stamps_out_of_order_never_weaken_what_is_there() {
        let stamp = stamped(&[(8, soft(80)), (5, soft(50))]);
        assert_eq!(stamp.soft_after(4), Timestamp::from_millis(50));
        assert_eq!(stamp.soft_after(5), Timestamp::from_millis(80));
        assert_eq!(stamped(&[(8, Mode::Hard), (5, Mode::Hard)]).hard(), 8);
    }
}

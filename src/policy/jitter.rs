//! Spreads the ends of lifetimes, so that entries filled together do not expire together.

use std::time::Duration;

/// Returns `ttl` shortened by at most `share` of itself; `random` says by how much of that.
///
/// Never longer than `ttl`: an answer promised for a minute is not older than a minute. A share
/// that is not above zero shortens nothing.
pub(crate) fn shorten(ttl: Duration, share: f64, random: u64) -> Duration {
    /// The number of values that the upper 53 bits of `random` can have, which `f64` holds exactly.
    const STEPS: f64 = (1_u64 << 53) as f64;
    if share.is_nan() || share <= 0.0 {
        return ttl;
    }
    let part = (random >> 11) as f64 / STEPS;
    let kept = (1.0 - share * part).clamp(0.0, 1.0);
    Duration::try_from_secs_f64(ttl.as_secs_f64() * kept).map_or(ttl, |short| short.min(ttl))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_ends_of_the_range_are_the_whole_ttl_and_the_whole_share() {
        let ttl = Duration::from_secs(100);
        assert_eq!(shorten(ttl, 0.1, 0), ttl);
        let shortest = shorten(ttl, 0.1, u64::MAX);
        assert!(shortest >= Duration::from_secs(90) && shortest < Duration::from_millis(90_001));
    }

    #[test]
    fn a_share_of_nothing_or_no_number_shortens_nothing() {
        for share in [0.0, -1.0, f64::NAN] {
            assert_eq!(shorten(Duration::MAX, share, u64::MAX), Duration::MAX);
        }
    }

    proptest! {
        #[test]
        fn a_lifetime_never_grows_and_keeps_all_but_its_share(
            millis in 0..u64::MAX / 2_000_000,
            share in 0.0..=0.1,
            random: u64,
        ) {
            let ttl = Duration::from_millis(millis);
            let short = shorten(ttl, share, random);
            prop_assert!(short <= ttl);
            prop_assert!(short.as_secs_f64() >= ttl.as_secs_f64() * (1.0 - share) * 0.999_999);
        }
    }
}

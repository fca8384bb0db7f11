//! What time is it? Two answers: one that never jumps, one that agrees with other machines.
//!
//! Lifetimes and ages use [`Clock::now`], which is the wall clock read once at start-up plus the
//! monotonic time since: an administrator who moves the wall clock by an hour neither empties the
//! cache nor makes it immortal (RFC 9111 §4.2.3 asks for a clock, §5.6.7 of RFC 9110 for a reliable
//! one). [`Clock::wall`] is the wall clock itself, compared only with `Date` and `Expires` fields,
//! once per response that is stored.

use std::{
    fmt::Debug,
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

#[cfg(larder_sabotage)]
use crate::sabotage::{Fault, is_planted};

/// A moment in milliseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The latest moment: what never comes.
    pub const NEVER: Self = Self(u64::MAX);

    /// Returns the moment `millis` milliseconds after the Unix epoch.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// Returns the milliseconds since the Unix epoch.
    #[must_use]
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// Returns the moment `duration` later, or [`Timestamp::NEVER`] past the end of time.
    #[must_use]
    pub fn after(self, duration: Duration) -> Self {
        Self(
            self.0
                .saturating_add(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)),
        )
    }

    /// Returns the moment `duration` earlier, or the epoch before the beginning of time.
    #[must_use]
    pub fn before(self, duration: Duration) -> Self {
        Self(
            self.0
                .saturating_sub(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)),
        )
    }

    /// Returns how long after `earlier` this is; zero when it is not after.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }

    /// Returns this moment as the standard library's type, for formatting as an HTTP date.
    #[must_use]
    pub fn to_system_time(self) -> SystemTime {
        UNIX_EPOCH
            .checked_add(Duration::from_millis(self.0))
            .unwrap_or(UNIX_EPOCH)
    }
}

impl From<SystemTime> for Timestamp {
    fn from(time: SystemTime) -> Self {
        Self(0).after(time.duration_since(UNIX_EPOCH).unwrap_or_default())
    }
}

/// Where larder takes the time from.
pub trait Clock: Debug + Send + Sync + 'static {
    /// Returns the moment by a clock that only moves forward.
    fn now(&self) -> Timestamp;

    /// Returns the moment by the wall clock, which may jump.
    fn wall(&self) -> Timestamp;
}

/// The machine's clocks.
///
/// On Linux [`now`](Clock::now) moves on with the kernel's tick, every 1 to 10 milliseconds (4 as a
/// rule): no lifetime is told more finely than by the second, and reading the finer clock would be a
/// tenth of what a hit takes.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock {
    /// How far the wall clock was ahead of the monotonic one at the beginning, in milliseconds.
    ahead: u64,
}

impl SystemClock {
    /// Returns a clock that counts on from the wall clock's present reading.
    #[must_use]
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the clock that others take the time from"
    )]
    pub fn new() -> Self {
        let wall: Timestamp = SystemTime::now().into();
        Self {
            ahead: wall.0.saturating_sub(monotonic()),
        }
    }
}

/// Returns the milliseconds since some moment before the process began.
#[cfg(target_os = "linux")]
#[inline]
fn monotonic() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::MonotonicCoarse);
    // Neither is ever less than zero.
    time.tv_sec.unsigned_abs() * 1000 + time.tv_nsec.unsigned_abs() / 1_000_000
}

/// Returns the milliseconds since some moment of this process.
#[cfg(not(target_os = "linux"))]
#[expect(
    clippy::disallowed_methods,
    reason = "this is the clock that others take the time from"
)]
fn monotonic() -> u64 {
    static BEGINNING: std::sync::LazyLock<Instant> = std::sync::LazyLock::new(Instant::now);
    let passed = BEGINNING.elapsed();
    passed.as_secs() * 1000 + u64::from(passed.subsec_millis())
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        #[cfg(larder_sabotage)]
        if is_planted(Fault::WallClock) {
            return self.wall();
        }
        Timestamp(self.ahead.saturating_add(monotonic()))
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "this is the clock that others take the time from"
    )]
    fn wall(&self) -> Timestamp {
        SystemTime::now().into()
    }
}

/// Measures how long something takes, finer than a [`Clock`] tells the time. A test does not move it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stopwatch(Instant);

impl Stopwatch {
    #[inline]
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the clock that others take the time from"
    )]
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    #[inline]
    pub(crate) fn elapsed(self) -> Duration {
        self.0.elapsed()
    }
}

/// A clock that a test moves by hand. Clones share one time.
///
/// ```
/// use larder::{Clock, TestClock};
/// use std::time::Duration;
///
/// let clock = TestClock::new();
/// let before = clock.now();
/// clock.advance(Duration::from_secs(60));
/// assert_eq!(clock.now().since(before), Duration::from_secs(60));
/// ```
#[derive(Clone, Debug)]
pub struct TestClock {
    now: Arc<AtomicU64>,
    wall_ahead: Arc<AtomicI64>,
}

impl TestClock {
    /// Returns a clock that stands at one fixed moment of the year 2026.
    #[must_use]
    pub fn new() -> Self {
        const START: u64 = 1_767_225_600_000;
        Self {
            now: Arc::new(AtomicU64::new(START)),
            wall_ahead: Arc::default(),
        }
    }

    /// Moves both readings forward.
    pub fn advance(&self, by: Duration) {
        let millis = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
        self.now.fetch_add(millis, Ordering::SeqCst);
    }

    /// Makes the wall clock jump by `millis`, which may be negative, without time passing.
    pub fn jump_wall(&self, millis: i64) {
        self.wall_ahead.fetch_add(millis, Ordering::SeqCst);
    }
}

impl Default for TestClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.now.load(Ordering::SeqCst))
    }

    fn wall(&self) -> Timestamp {
        let ahead = self.wall_ahead.load(Ordering::SeqCst);
        Timestamp(self.now.load(Ordering::SeqCst).saturating_add_signed(ahead))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_jump_of_the_wall_clock_leaves_the_monotonic_reading_alone() {
        let clock = TestClock::new();
        let before = clock.now();
        clock.jump_wall(-3_600_000);
        assert_eq!(clock.now(), before);
        assert_eq!(before.since(clock.wall()), Duration::from_secs(3600));
    }

    #[test]
    fn moments_saturate_at_both_ends() {
        assert_eq!(Timestamp::NEVER.after(Duration::MAX), Timestamp::NEVER);
        assert_eq!(
            Timestamp::from_millis(5).before(Duration::MAX),
            Timestamp::from_millis(0)
        );
        assert_eq!(
            Timestamp::from_millis(5).since(Timestamp::NEVER),
            Duration::ZERO
        );
    }
}

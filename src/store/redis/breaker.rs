//! Is it worth asking at all?
//!
//! A breaker is *closed* while Redis answers. Five failures in a row, or ten among the last twenty
//! calls, *open* it: nobody asks then, and so nobody waits. A probe in the background asks now and
//! then, and closes it with the first good answer. No request is ever the probe.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// The last twenty calls, a bit each.
const WINDOW: u64 = (1 << 20) - 1;

/// Half of them.
const MOST_FAILURES: u32 = 10;

/// The last five calls.
const IN_A_ROW: u64 = (1 << 5) - 1;

/// Whether Redis is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// It answers.
    Closed,
    /// It does not, or too seldom; a probe asks now and then.
    Open,
}

#[derive(Debug, Default)]
pub(super) struct Breaker {
    is_open: AtomicBool,
    /// The latest call is the lowest bit; a failed one is set.
    calls: AtomicU64,
}

impl Breaker {
    pub(super) fn state(&self) -> State {
        if self.is_open.load(Ordering::Acquire) {
            State::Open
        } else {
            State::Closed
        }
    }

    pub(super) fn succeeded(&self) {
        // Nothing to forget: the usual case writes nothing that other threads read.
        if self.calls.load(Ordering::Relaxed) != 0 {
            self.note(0);
        }
    }

    /// Notes a failure. True if it has opened the breaker: then a probe is to be started.
    pub(super) fn failed(&self) -> bool {
        let calls = self.note(1);
        let bad = calls & IN_A_ROW == IN_A_ROW || calls.count_ones() >= MOST_FAILURES;
        bad && self.open()
    }

    /// Opens it. True if it was closed: then a probe is to be started.
    pub(super) fn open(&self) -> bool {
        !self.is_open.swap(true, Ordering::AcqRel)
    }

    pub(super) fn close(&self) {
        self.calls.store(0, Ordering::Relaxed);
        self.is_open.store(false, Ordering::Release);
    }

    /// Shifts a call in and returns the last twenty.
    fn note(&self, failed: u64) -> u64 {
        let shifted = |calls: u64| (calls << 1 | failed) & WINDOW;
        let before = (self.calls).fetch_update(Ordering::Relaxed, Ordering::Relaxed, |calls| {
            Some(shifted(calls))
        });
        shifted(before.unwrap_or_else(|calls| calls))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_failures_in_a_row_open_it_once() {
        let breaker = Breaker::default();
        for _ in 0..4 {
            assert!(!breaker.failed());
        }
        assert_eq!(breaker.state(), State::Closed);
        assert!(breaker.failed());
        assert_eq!(breaker.state(), State::Open);
        assert!(!breaker.failed(), "a second probe would be started");
    }

    #[test]
    fn a_success_between_failures_keeps_it_closed() {
        let breaker = Breaker::default();
        for _ in 0..3 {
            for _ in 0..3 {
                assert!(!breaker.failed());
            }
            for _ in 0..9 {
                breaker.succeeded();
            }
        }
        assert_eq!(breaker.state(), State::Closed);
    }

    #[test]
    fn ten_failures_among_twenty_calls_open_it() {
        let breaker = Breaker::default();
        for call in 1..=10 {
            breaker.succeeded();
            assert_eq!(breaker.failed(), call == 10);
        }
    }

    #[test]
    fn failures_of_long_ago_are_forgotten() {
        let breaker = Breaker::default();
        for _ in 0..4 {
            breaker.failed();
        }
        for _ in 0..20 {
            breaker.succeeded();
        }
        for _ in 0..4 {
            assert!(!breaker.failed());
        }
    }

    #[test]
    fn a_closed_breaker_has_no_memory_of_the_outage() {
        let breaker = Breaker::default();
        while !breaker.failed() {}
        breaker.close();
        assert_eq!(breaker.state(), State::Closed);
        assert!(!breaker.failed());
    }
}

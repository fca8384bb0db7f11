//! What time is it at the server?
//!
//! Clocks of nodes differ, and each node's own only moves forward. An entry that two nodes are to
//! agree on carries the server's time, and each node knows how far that is ahead of its own.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use redis::{Cmd, Value};

use crate::clock::{Clock, Timestamp};

/// A reading that took longer than this many milliseconds says too little, if there is another.
const SLOW: u64 = 50;

/// How far the server's clock is ahead of this process's, in milliseconds. Clones are one.
#[derive(Clone, Debug)]
pub(super) struct ServerTime {
    clock: Arc<dyn Clock>,
    ahead: Arc<AtomicI64>,
}

impl ServerTime {
    /// What is ahead as long as nothing was read.
    const UNKNOWN: i64 = i64::MIN;

    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            ahead: Arc::new(AtomicI64::new(Self::UNKNOWN)),
        }
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Returns how far the server is ahead in milliseconds, less than zero if it is behind.
    pub(super) fn ahead(&self) -> i64 {
        match self.ahead.load(Ordering::Relaxed) {
            Self::UNKNOWN => 0,
            ahead => ahead,
        }
    }

    pub(super) fn question() -> Cmd {
        redis::cmd("TIME")
    }

    /// Takes the answer to [`question`](Self::question), which was sent at `sent`.
    pub(super) fn note(&self, sent: Timestamp, answer: &Value) {
        let Some(server) = millis(answer) else { return };
        let received = self.now();
        let took = received.as_millis().saturating_sub(sent.as_millis());
        if took > SLOW && self.ahead.load(Ordering::Relaxed) != Self::UNKNOWN {
            return;
        }
        let own = sent.as_millis().saturating_add(took / 2);
        let ahead = i128::from(server) - i128::from(own);
        if let Ok(ahead) = i64::try_from(ahead) {
            self.ahead.store(ahead, Ordering::Relaxed);
        }
    }
}

/// Reads seconds and microseconds.
fn millis(answer: &Value) -> Option<u64> {
    let (seconds, micros): (u64, u64) = redis::from_redis_value_ref(answer).ok()?;
    Some(seconds.checked_mul(1000)?.saturating_add(micros / 1000))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::clock::TestClock;

    fn answer(millis: u64) -> Value {
        let bulk = |number: u64| Value::BulkString(number.to_string().into_bytes());
        Value::Array(vec![bulk(millis / 1000), bulk(millis % 1000 * 1000)])
    }

    #[test]
    fn the_server_is_as_far_ahead_as_it_was_halfway_through_the_question() {
        let clock = TestClock::new();
        let time = ServerTime::new(Arc::new(clock.clone()));
        assert_eq!(time.ahead(), 0);
        let sent = clock.now();
        clock.advance(Duration::from_millis(10));
        time.note(sent, &answer(sent.as_millis() + 3_600_005));
        assert_eq!(time.ahead(), 3_600_000);
    }

    #[test]
    fn a_slow_answer_does_not_replace_a_good_one() {
        let clock = TestClock::new();
        let time = ServerTime::new(Arc::new(clock.clone()));
        let sent = clock.now();
        time.note(sent, &answer(sent.as_millis() - 100));
        clock.advance(Duration::from_secs(1));
        time.note(sent, &answer(sent.as_millis() - 90));
        assert_eq!(time.ahead(), -100);
    }

    #[test]
    fn an_answer_that_is_no_time_is_left_alone() {
        let time = ServerTime::new(Arc::new(TestClock::new()));
        time.note(time.now(), &Value::Okay);
        assert_eq!(time.ahead(), 0);
    }
}

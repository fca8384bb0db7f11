//! Writing down how requests were answered.

use super::Core;
use crate::{
    clock::{Stopwatch, Timestamp},
    observe::{Outcome, RouteState, Snapshot, Window},
};

impl Core {
    /// Counts an answer out of the store, with a body of `bytes`.
    ///
    /// `measured` runs since the request came, if it is one of those that are measured.
    #[inline]
    pub(crate) fn hit(
        &self,
        state: &RouteState,
        outcome: Outcome,
        bytes: u64,
        now: Timestamp,
        measured: Option<Stopwatch>,
    ) {
        self.turn(now);
        state.count_hit(outcome, bytes);
        if let Some(stopwatch) = measured {
            self.durations.record(outcome, stopwatch.elapsed());
        }
    }

    /// Counts an answer that did not come out of the store at once.
    pub(crate) fn answered(
        &self,
        state: &RouteState,
        outcome: Outcome,
        measured: Option<Stopwatch>,
    ) {
        self.turn(self.clock.now());
        state.count(outcome);
        if let Some(stopwatch) = measured {
            self.durations.record(outcome, stopwatch.elapsed());
        }
    }

    /// Keeps a snapshot of what was counted up to now, if one is due.
    #[inline]
    fn turn(&self, now: Timestamp) {
        if self.windows.is_due(now) {
            self.windows.turn(now, || self.snapshot(now));
        }
    }

    /// Returns what was counted in each window up to now.
    pub(crate) fn windows(&self) -> Vec<Window> {
        let now = self.clock.now();
        self.turn(now);
        self.windows.windows(now, &self.snapshot(now))
    }

    fn snapshot(&self, now: Timestamp) -> Snapshot {
        Snapshot {
            at: now,
            traffic: self.routes.traffic(),
            hits: self.durations.of(Outcome::Hit).counts(),
            fills: self.durations.fills.counts(),
        }
    }
}

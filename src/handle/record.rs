//! Writing down how requests were answered, and what was invalidated.

use http::{Method, Uri};

use super::Core;
use crate::{
    clock::{Stopwatch, Timestamp},
    entry::Entry,
    fence::Reason,
    invalidate::Purge,
    observe::{Event, Outcome, RouteState, Snapshot, Window},
};

/// How a request was answered.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answered<'a> {
    pub(crate) state: &'a RouteState,
    pub(crate) outcome: Outcome,
    pub(crate) method: &'a Method,
    pub(crate) uri: &'a Uri,
}

impl Core {
    /// Counts an answer out of the store.
    ///
    /// `measured` runs since the request came, if it is one of those that are measured.
    #[inline]
    pub(crate) fn hit(
        &self,
        answered: &Answered<'_>,
        entry: &Entry,
        now: Timestamp,
        measured: Option<Stopwatch>,
    ) {
        self.turn(now);
        let Answered { state, outcome, .. } = *answered;
        state.count_hit(outcome, entry.body.length);
        if let Some(stopwatch) = measured {
            self.durations.record(outcome, stopwatch.elapsed());
        }
        entry.count_hit(measured.is_some());
        self.tell(answered, now);
    }

    /// Counts an answer that did not come out of the store at once.
    pub(crate) fn answered(&self, answered: &Answered<'_>, measured: Option<Stopwatch>) {
        self.answered_at(answered, self.clock.now(), measured);
    }

    /// The same, where the time is known.
    pub(crate) fn answered_at(
        &self,
        answered: &Answered<'_>,
        now: Timestamp,
        measured: Option<Stopwatch>,
    ) {
        self.turn(now);
        answered.state.count(answered.outcome);
        if let Some(stopwatch) = measured {
            self.durations.record(answered.outcome, stopwatch.elapsed());
        }
        self.tell(answered, now);
    }

    /// Tells those who listen; there are such only with the feature `admin`.
    #[cfg(feature = "admin")]
    #[inline]
    fn tell(&self, answered: &Answered<'_>, now: Timestamp) {
        if self.insight.tail.is_heard() {
            let Answered {
                state,
                outcome,
                method,
                uri,
            } = *answered;
            self.insight
                .tail
                .answered(now, outcome, state.label(), method, uri.path());
        }
    }

    #[cfg(not(feature = "admin"))]
    #[expect(
        clippy::unused_self,
        reason = "this has the face of the one that tells"
    )]
    #[inline]
    fn tell(&self, _: &Answered<'_>, _: Timestamp) {}

    /// Counts a response that was found void.
    pub(crate) fn note_fenced(&self, reason: Reason) {
        self.counters.note(match reason {
            Reason::Epoch => Event::FencedByEpoch,
            Reason::Floor => Event::FencedByFloor,
            Reason::Stamp => Event::Fenced,
            Reason::Unverified => Event::Unverified,
        });
    }

    /// Remembers an invalidation.
    #[cfg(feature = "admin")]
    pub(crate) fn invalidated(&self, purge: &Purge) {
        let now = self.clock.now();
        for recent in self.insight.recents.add(purge, now) {
            if self.insight.tail.is_heard() {
                let targets = recent.targets.iter().map(ToString::to_string).collect();
                self.insight
                    .tail
                    .invalidated(now, &recent.source, recent.soft, targets);
            }
        }
    }

    #[cfg(not(feature = "admin"))]
    #[expect(
        clippy::unused_self,
        reason = "this has the face of the one that remembers"
    )]
    pub(crate) fn invalidated(&self, _: &Purge) {}

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

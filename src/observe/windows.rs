//! What happened in the last minute, the last five, the last hour?
//!
//! Counters only ever rise, so a window is the difference between now and a snapshot from back then.
//! The request that finds a snapshot due takes it; nothing runs by itself. A snapshot is stamped
//! with the moment it was due, not with the moment it was taken: had anything been counted in
//! between, it would have been taken then. So after an idle hour the last minute is empty, as it
//! should be.

use std::{
    collections::VecDeque,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use super::{
    histogram::{Quantiles, SPANS},
    routes::Traffic,
};
use crate::clock::Timestamp;

/// The spans of time that are told apart, by name.
const WINDOWS: [(&str, Duration); 3] = [
    ("1m", Duration::from_secs(60)),
    ("5m", Duration::from_secs(5 * 60)),
    ("1h", Duration::from_secs(60 * 60)),
];

/// How far snapshots are apart while there are requests: what the shorter windows are right to.
const NEAR: Duration = Duration::from_secs(10);

/// How far those are apart that are kept for the hour.
const FAR: Duration = Duration::from_secs(120);

/// How many snapshots of either kind are kept: five minutes by 10 s, an hour by 120 s, and one more.
const KEPT: usize = 31;

/// What was counted up to a moment.
#[derive(Clone, Debug)]
pub(crate) struct Snapshot {
    pub(crate) at: Timestamp,
    pub(crate) traffic: Traffic,
    /// How long hits took.
    pub(crate) hits: [u32; SPANS],
    /// How long handler runs took that brought something for the store.
    pub(crate) fills: [u32; SPANS],
}

impl Snapshot {
    /// Returns the snapshot of a handle that has counted nothing yet.
    pub(crate) fn first(at: Timestamp) -> Self {
        Self {
            at,
            traffic: Traffic::default(),
            hits: [0; SPANS],
            fills: [0; SPANS],
        }
    }
}

/// What was counted in the last minute, the last five, or the last hour.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Window {
    /// `1m`, `5m` or `1h`.
    pub name: &'static str,
    /// How long it really is: shorter than its name says while the handle is young, and up to ten
    /// seconds longer, or two minutes of the hour.
    pub span: Duration,
    /// How requests were answered.
    pub traffic: Traffic,
    /// How long fresh hits took in larder. One in sixteen is measured.
    pub hits: Quantiles,
    /// How long handler runs took that brought something for the store, up to the end of the body.
    pub fills: Quantiles,
}

/// The snapshots of one handle.
#[derive(Debug)]
pub(crate) struct Windows {
    /// When the next snapshot is due, in milliseconds.
    due: AtomicU64,
    kept: Mutex<Kept>,
}

#[derive(Debug)]
struct Kept {
    near: VecDeque<Snapshot>,
    far: VecDeque<Snapshot>,
}

impl Windows {
    /// Returns windows over a handle that begins with `first`.
    pub(crate) fn new(first: Snapshot) -> Self {
        let mut kept = Kept {
            near: VecDeque::with_capacity(KEPT),
            far: VecDeque::with_capacity(KEPT),
        };
        kept.far.push_back(first.clone());
        let due = first.at.after(NEAR);
        kept.near.push_back(first);
        Self {
            due: AtomicU64::new(due.as_millis()),
            kept: Mutex::new(kept),
        }
    }

    /// Tells whether a snapshot is due.
    #[inline]
    pub(crate) fn is_due(&self, now: Timestamp) -> bool {
        now.as_millis() >= self.due.load(Ordering::Relaxed)
    }

    /// Keeps a snapshot of what was counted before `now`, if nobody else has since it was due.
    #[cold]
    pub(crate) fn turn(&self, now: Timestamp, snapshot: impl FnOnce() -> Snapshot) {
        let due = self.due.load(Ordering::Relaxed);
        let next = now.after(NEAR).as_millis();
        let mine = now.as_millis() >= due
            && (self.due)
                .compare_exchange(due, next, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok();
        if !mine {
            return;
        }
        let idle = now.as_millis().saturating_sub(due);
        let at = Timestamp::from_millis(due);
        self.kept().keep(Snapshot { at, ..snapshot() }, idle);
    }

    /// Returns what was counted in each window before `now`, which is what `current` was counted at.
    pub(crate) fn windows(&self, now: Timestamp, current: &Snapshot) -> Vec<Window> {
        let kept = self.kept();
        let window = |(name, span)| {
            let earlier = kept.at(now.before(span))?;
            Some(Window {
                name,
                span: now.since(earlier.at).min(span.saturating_add(FAR)),
                traffic: current.traffic.since(&earlier.traffic),
                hits: Quantiles::between(&earlier.hits, &current.hits),
                fills: Quantiles::between(&earlier.fills, &current.fills),
            })
        };
        WINDOWS.into_iter().filter_map(window).collect()
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn keep(&mut self, snapshot: Snapshot, idle: u64) {
        let last = self.far.back().map(|last| last.at).unwrap_or_default();
        let far = u64::try_from(FAR.as_millis()).unwrap_or(u64::MAX);
        // After an idle time the next one may be far off, and would count what came before that
        // time to what came after it.
        if snapshot.at.since(last) >= FAR || idle >= far {
            push(&mut self.far, snapshot.clone());
        }
        push(&mut self.near, snapshot);
    }

    /// Returns the last snapshot up to `moment`, or the first one if all are later.
    fn at(&self, moment: Timestamp) -> Option<&Snapshot> {
        let all = || self.near.iter().chain(&self.far);
        all()
            .filter(|snapshot| snapshot.at <= moment)
            .max_by_key(|snapshot| snapshot.at)
            .or_else(|| all().min_by_key(|snapshot| snapshot.at))
    }
}

fn push(ring: &mut VecDeque<Snapshot>, snapshot: Snapshot) {
    if ring.len() >= KEPT {
        ring.pop_front();
    }
    ring.push_back(snapshot);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::Outcome;

    const START: u64 = 1_000_000;

    /// Counts one hit a second in the seconds given, and asks at the end of the last second.
    struct Run {
        hits: u64,
        windows: Windows,
    }

    fn snapshot(at: Timestamp, hits: u64) -> Snapshot {
        Snapshot {
            traffic: Traffic::hits(hits),
            ..Snapshot::first(at)
        }
    }

    fn second(second: u64) -> Timestamp {
        Timestamp::from_millis(START + second * 1000)
    }

    impl Run {
        fn new() -> Self {
            Self {
                hits: 0,
                windows: Windows::new(snapshot(second(0), 0)),
            }
        }

        fn hit(&mut self, seconds: impl Iterator<Item = u64>) {
            for at in seconds {
                if self.windows.is_due(second(at)) {
                    self.windows
                        .turn(second(at), || snapshot(second(at), self.hits));
                }
                self.hits += 1;
            }
        }

        fn hits(&self, now: u64, name: &str) -> u64 {
            let now = second(now);
            let current = snapshot(now, self.hits);
            if self.windows.is_due(now) {
                self.windows.turn(now, || current.clone());
            }
            let windows = self.windows.windows(now, &current);
            let window = windows.iter().find(|window| window.name == name).unwrap();
            window.traffic.requests(Outcome::Hit)
        }
    }

    #[test]
    fn a_window_holds_what_came_in_while_it_lasted() {
        let mut run = Run::new();
        run.hit(1..=3600);
        assert!(
            (60..=70).contains(&run.hits(3600, "1m")),
            "{}",
            run.hits(3600, "1m")
        );
        assert!((300..=310).contains(&run.hits(3600, "5m")));
        assert!((3590..=3600).contains(&run.hits(3600, "1h")));
        run.hit(3601..=9000);
        assert!((3600..=3720).contains(&run.hits(9000, "1h")));
    }

    #[test]
    fn a_young_handle_counts_from_its_beginning() {
        let mut run = Run::new();
        run.hit(1..=5);
        for (name, _) in WINDOWS {
            assert_eq!(run.hits(6, name), 5);
        }
    }

    #[test]
    fn an_idle_time_is_empty_however_long_the_snapshots_were_not_taken() {
        let mut run = Run::new();
        run.hit(1..=60);
        run.hit(3000..=3010);
        assert_eq!(run.hits(3010, "1m"), 11);
        assert_eq!(run.hits(3010, "5m"), 11);
        assert_eq!(run.hits(3010, "1h"), 71);
        // The near snapshots of before are forgotten by now, the far one of the idle time is not.
        run.hit(3011..=6900);
        assert!((3600..=3720).contains(&run.hits(6900, "1h")));
        run.hit(20_000..=20_005);
        assert_eq!(run.hits(20_006, "1h"), 6);
    }
}

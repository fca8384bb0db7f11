//! What was done and seen, by whom and when; times are nanoseconds since the run began.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Instant,
};

/// A moment of the run.
pub(crate) type Moment = u64;

/// Stands for an end that has not come.
pub(crate) const OPEN: Moment = Moment::MAX;

/// One GET that was answered in full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Read {
    pub(crate) start: Moment,
    pub(crate) end: Moment,
    pub(crate) key: usize,
    /// Which host was asked; each has entries of its own.
    pub(crate) host: usize,
    pub(crate) version: u64,
    pub(crate) at: Place,
    pub(crate) from: From,
}

/// One PUT or DELETE that was answered well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Write {
    pub(crate) start: Moment,
    pub(crate) end: Moment,
    pub(crate) key: usize,
    pub(crate) version: u64,
    pub(crate) at: Place,
    /// Acknowledged for all nodes, not for its own alone.
    pub(crate) global: bool,
}

/// Which node answered, in which of its lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) node: usize,
    /// None if it ended or began meanwhile.
    pub(crate) life: Option<u64>,
}

/// Where an answer came from, as it says itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum From {
    Handler,
    Memory,
    Redis,
}

/// A request without a good answer, or with a wrong one.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    pub(crate) start: Moment,
    pub(crate) end: Moment,
    pub(crate) node: usize,
    pub(crate) wrong: bool,
    pub(crate) what: String,
}

/// Something that will change the version of a key, or kill its entries without a change.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Begun {
    pub(crate) start: Moment,
    pub(crate) key: usize,
    pub(crate) is_write: bool,
}

/// A time in which a node can not be expected to answer soon; of all nodes if it names none.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Disturbance {
    pub(crate) from: Moment,
    pub(crate) to: Moment,
    pub(crate) node: usize,
}

/// A time without faults, long enough after the last one.
#[derive(Clone, Debug)]
pub(crate) struct Quiet {
    pub(crate) from: Moment,
    pub(crate) to: Moment,
    /// Handler runs within it by key, of all nodes together.
    pub(crate) runs: Vec<u64>,
    /// In which of its lives each node is.
    pub(crate) lives: Vec<u64>,
    /// The resident memory of the largest node, in bytes.
    pub(crate) resident: u64,
}

/// What was noted since the last look.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    pub(crate) begun: Vec<Begun>,
    pub(crate) reads: Vec<Read>,
    pub(crate) writes: Vec<Write>,
    pub(crate) failures: Vec<Failure>,
    pub(crate) quiets: Vec<Quiet>,
    /// What was broken or mended, with the moment.
    pub(crate) events: Vec<(Moment, String)>,
}

/// Takes notes of many at once.
///
/// A note is dated while its page is held, so whoever collects all pages has every note that is
/// dated before the collection began.
#[derive(Debug)]
pub(crate) struct Journal {
    began: Instant,
    pages: Vec<Mutex<Batch>>,
    disturbances: Mutex<Vec<Disturbance>>,
}

impl Journal {
    pub(crate) fn new(writers: usize) -> Self {
        Self {
            began: Instant::now(),
            pages: (0..writers).map(|_| Mutex::default()).collect(),
            disturbances: Mutex::default(),
        }
    }

    pub(crate) fn now(&self) -> Moment {
        u64::try_from(self.began.elapsed().as_nanos()).unwrap()
    }

    /// Notes what `note` writes down, given the moment.
    pub(crate) fn note<T>(&self, writer: usize, note: impl FnOnce(&mut Batch, Moment) -> T) -> T {
        let mut page = hold(&self.pages[writer]);
        let now = self.now();
        note(&mut page, now)
    }

    /// Takes all notes so far.
    pub(crate) fn collect(&self) -> Batch {
        let mut all = Batch::default();
        for page in &self.pages {
            let page = std::mem::take(&mut *hold(page));
            all.begun.extend(page.begun);
            all.reads.extend(page.reads);
            all.writes.extend(page.writes);
            all.failures.extend(page.failures);
            all.quiets.extend(page.quiets);
            all.events.extend(page.events);
        }
        all.events.sort();
        all
    }

    /// Says that a node can not be expected to answer from now on.
    pub(crate) fn disturb(&self, node: usize) {
        let from = self.now();
        hold(&self.disturbances).push(Disturbance {
            from,
            to: OPEN,
            node,
        });
    }

    /// Says that it can again, once it has caught up.
    pub(crate) fn settle(&self, node: usize) {
        let to = self.now() + CATCHING_UP;
        let mut disturbances = hold(&self.disturbances);
        let open = disturbances
            .iter_mut()
            .filter(|one| one.node == node && one.to == OPEN);
        open.for_each(|one| one.to = to);
    }

    /// Notes a time that is over.
    pub(crate) fn disturbed(&self, node: usize, from: Moment, to: Moment) {
        hold(&self.disturbances).push(Disturbance { from, to, node });
    }

    /// Forgets disturbances that ended before `moment`, and returns the others.
    pub(crate) fn disturbances_since(&self, moment: Moment) -> Vec<Disturbance> {
        let mut disturbances = hold(&self.disturbances);
        disturbances.retain(|one| one.to >= moment);
        disturbances.clone()
    }
}

/// A node that went on has a queue to work off, in nanoseconds.
const CATCHING_UP: Moment = 1_000_000_000;

fn hold<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

//! What a run comes to in numbers.

use std::{fmt, time::Duration};

use crate::journal::{From, Moment, Read, Write};

/// Upper ends of the classes of staleness, in milliseconds; the last class has none.
const CLASSES: [u64; 11] = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000];

/// Upper ends of the classes of durations, in milliseconds.
const TIMES: [u64; 10] = [1, 2, 5, 10, 20, 50, 100, 400, 1_000, 5_000];

/// Counts of a run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Figures {
    pub(crate) from_handler: u64,
    pub(crate) from_memory: u64,
    pub(crate) from_redis: u64,
    pub(crate) global: u64,
    pub(crate) local: u64,
    /// Faults and their ends.
    pub(crate) events: u64,
    pub(crate) quiets: u64,
    pub(crate) quiet_runs: u64,
    /// Requests without an answer, to nodes that were stopped.
    pub(crate) excused: u64,
    /// Reads behind a global acknowledgement, by how far; the classes of [`CLASSES`] and above.
    stale: [u64; 12],
    stalest: Moment,
    times: [u64; 11],
    longest: Moment,
}

impl Figures {
    pub(crate) fn read(&mut self, read: &Read, stale: Option<Moment>) {
        match read.from {
            From::Handler => self.from_handler += 1,
            From::Memory => self.from_memory += 1,
            From::Redis => self.from_redis += 1,
        }
        if let Some(stale) = stale {
            self.stale[class(&CLASSES, stale)] += 1;
            self.stalest = self.stalest.max(stale);
        }
    }

    pub(crate) fn written(&mut self, write: &Write) {
        if write.global {
            self.global += 1;
        } else {
            self.local += 1;
        }
    }

    pub(crate) fn timed(&mut self, took: Moment) {
        self.times[class(&TIMES, took)] += 1;
        self.longest = self.longest.max(took);
    }

    pub(crate) fn reads(&self) -> u64 {
        self.from_handler + self.from_memory + self.from_redis
    }

    pub(crate) fn stale_reads(&self) -> u64 {
        self.stale.iter().sum()
    }

    /// How many things were broken.
    pub(crate) fn faults(&self) -> u64 {
        self.events / 2
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "reads checked     {} ({} of the handler, {} of memory, {} of Redis)",
            self.reads(),
            self.from_handler,
            self.from_memory,
            self.from_redis
        )?;
        writeln!(
            f,
            "writes            {} acknowledged for all, {} locally",
            self.global, self.local
        )?;
        writeln!(
            f,
            "faults            {}, quiet times {}, requests to stopped nodes unanswered {}",
            self.faults(),
            self.quiets,
            self.excused
        )?;
        let behind = histogram(&CLASSES, &self.stale);
        let stalest = Duration::from_nanos(self.stalest);
        let stale = self.stale_reads();
        writeln!(
            f,
            "behind            {stale} reads, the most {stalest:.1?}: {behind}"
        )?;
        let times = histogram(&TIMES, &self.times);
        let longest = Duration::from_nanos(self.longest);
        write!(f, "time to answer    the most {longest:.1?}: {times}")
    }
}

fn class(ends: &[u64], nanoseconds: Moment) -> usize {
    let milliseconds = nanoseconds.div_ceil(1_000_000);
    ends.partition_point(|end| *end < milliseconds)
}

fn histogram(ends: &[u64], counts: &[u64]) -> String {
    let named = ends.iter().map(|end| format!("<={end} ms"));
    let named = named.chain([format!(">{} ms", ends[ends.len() - 1])]);
    let counted = named.zip(counts).filter(|(_, count)| **count > 0);
    let counted: Vec<String> = counted
        .map(|(name, count)| format!("{name} {count}"))
        .collect();
    if counted.is_empty() {
        "none".to_owned()
    } else {
        counted.join(", ")
    }
}

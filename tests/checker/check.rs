//! Whether what was seen can be: every check is exact, since the truth numbers its versions.
//!
//! | | what must hold |
//! | --- | --- |
//! | K1 | a read on a node, begun after a write was acknowledged there, is not older than it |
//! | K2 | a read anywhere, begun later than the bound after a global acknowledgement, is not older |
//! | K3 | a global acknowledgement on a node holds there through restarts of the node |
//! | K4 | in quiet times, once every node has answered a version of a page, none answers an older one |
//! | K5 | no version that was not yet written; every body whole, and of its own key and host |
//! | K6 | in quiet times a key's handler runs once per node, host and invalidation at most |
//! | K8 | every request is answered, and in time, unless its own node was stopped |
//! | K9 | in quiet times writes are acknowledged for all, local ones have reached everybody, nodes have not grown |
//!
//! K7 is about writes to a database behind the cache, which these nodes do not have.

use std::{collections::HashMap, time::Duration};

use crate::{
    client::LONGEST_WAIT,
    cluster::{HOSTS, KEYS},
    figures::Figures,
    journal::{Batch, Disturbance, Moment, Quiet, Read, Write},
    nemesis::SETTLING,
    plan::Plan,
    rising::Rising,
};

/// How long notes are kept for the judgement of a quiet time, in nanoseconds.
const RECENT: Moment = 20_000_000_000;

/// How long before a quiet time invalidations may still cause runs within it, in nanoseconds.
const LINGERING: Moment = 3_000_000_000;

/// How long a request may wait for the flights of others, and for Redis, in all.
const WAITING: Duration = Duration::from_millis(5_000 + 25);

/// What the machine may add.
const SLACK: Duration = Duration::from_millis(1_000);

/// How much larger than in its first quiet time a node may become, in bytes: as much again as its
/// first tier may hold.
pub(crate) const MOST_GROWTH: u64 = 64 << 20;

/// So few writes say nothing of what all are like.
const FEW: usize = 5;

/// How many violations are kept in words.
const SHOWN: usize = 12;

/// Judges a run, batch by batch.
#[derive(Debug)]
pub(crate) struct Checker {
    plan: Plan,
    keys: Vec<Key>,
    recent_reads: Vec<Read>,
    recent_writes: Vec<Write>,
    events: Vec<(Moment, String)>,
    /// The resident memory of a node in the first quiet time.
    resident: Option<u64>,
    pub(crate) figures: Figures,
    pub(crate) violations: Vec<String>,
    pub(crate) violation_count: u64,
}

/// What is known of one key.
#[derive(Debug, Default)]
struct Key {
    writes_begun: Vec<Moment>,
    invalidations_begun: Vec<Moment>,
    /// Versions that were acknowledged for all nodes.
    global: Rising,
    /// Versions that were acknowledged by a node, for all or not, in one life of it.
    on_node: HashMap<(usize, u64), Rising>,
    /// Versions that a node acknowledged for all, in any life.
    global_on_node: HashMap<usize, Rising>,
    /// Those that were acknowledged for their node alone, until they have been looked for.
    local: Vec<Write>,
}

impl Checker {
    pub(crate) fn new(plan: &Plan) -> Self {
        Self {
            plan: plan.clone(),
            keys: (0..KEYS).map(|_| Key::default()).collect(),
            recent_reads: Vec::new(),
            recent_writes: Vec::new(),
            events: Vec::new(),
            resident: None,
            figures: Figures::default(),
            violations: Vec::new(),
            violation_count: 0,
        }
    }

    /// Takes all that was noted before some moment and after the last batch.
    pub(crate) fn absorb(&mut self, mut batch: Batch, disturbances: &[Disturbance]) {
        batch.begun.sort_by_key(|begun| begun.start);
        for begun in &batch.begun {
            let key = &mut self.keys[begun.key];
            key.invalidations_begun.push(begun.start);
            if begun.is_write {
                key.writes_begun.push(begun.start);
            }
        }
        batch.writes.sort_by_key(|write| write.end);
        self.figures.events += batch.events.len() as u64;
        self.events.extend(batch.events);
        for write in &batch.writes {
            self.keys[write.key].acknowledged(write);
            self.figures.written(write);
        }
        for read in &batch.reads {
            self.judge_read(read);
            self.judge_time("GET", read.at.node, (read.start, read.end), disturbances);
        }
        for write in &batch.writes {
            self.judge_time("PUT", write.at.node, (write.start, write.end), disturbances);
        }
        for failure in &batch.failures {
            let span = (failure.start, failure.end);
            if failure.wrong {
                self.violation("K5", failure.end, &failure.what);
            } else if is_excused(failure.node, span, disturbances) {
                self.figures.excused += 1;
            } else {
                let words = format!("node {}: {}", failure.node, failure.what);
                self.violation("K8", failure.end, &words);
            }
        }
        self.recent_reads.extend(batch.reads);
        self.recent_writes.extend(batch.writes);
        for quiet in &batch.quiets {
            self.judge_quiet(quiet);
        }
        self.forget();
    }

    fn judge_read(&mut self, read: &Read) {
        let key = &self.keys[read.key];
        let newest = key.global.before(read.start);
        let stale = (read.version < newest)
            .then(|| key.global.passed(read.version))
            .flatten()
            .map(|passed| read.start - passed);
        let bound = nanoseconds(self.plan.bound());
        let floors = [
            ("K1", key.on_node(read)),
            ("K2", key.global.before(read.start.saturating_sub(bound))),
            ("K3", key.global_on_node(read)),
        ];
        let possible = key.writes_begun.partition_point(|begun| *begun < read.end) as u64;
        self.figures.read(read, stale);
        for (name, floor) in floors {
            if read.version < floor {
                self.violation(name, read.end, &format!("not below {floor}: {read:?}"));
            }
        }
        if read.version > possible {
            self.violation("K5", read.end, &format!("above {possible}: {read:?}"));
        }
    }

    fn judge_time(
        &mut self,
        what: &str,
        node: usize,
        span: (Moment, Moment),
        disturbances: &[Disturbance],
    ) {
        let took = span.1 - span.0;
        if is_excused(node, span, disturbances) {
            return;
        }
        self.figures.timed(took);
        let locked = if self.plan.lock {
            WAITING
        } else {
            Duration::ZERO
        };
        let wait = Duration::from_millis(2 * LONGEST_WAIT as u64);
        if took > nanoseconds(WAITING + locked + wait + SLACK) {
            let took = Duration::from_nanos(took);
            self.violation(
                "K8",
                span.1,
                &format!("{what} on node {node} took {took:?}"),
            );
        }
    }

    fn judge_quiet(&mut self, quiet: &Quiet) {
        self.figures.quiets += 1;
        self.everybody_together(quiet);
        self.few_runs(quiet);
        self.all_well(quiet);
        let first = *self.resident.get_or_insert(quiet.resident);
        if quiet.resident > first + MOST_GROWTH {
            let words = format!("{first} bytes have become {}", quiet.resident);
            self.violation("K9", quiet.to, &words);
        }
        for key in &mut self.keys {
            key.local
                .retain(|write| write.end + nanoseconds(SETTLING) >= quiet.from);
        }
    }

    /// K4.
    fn everybody_together(&mut self, quiet: &Quiet) {
        let mut reads: Vec<Read> = self.reads_within(quiet);
        reads.sort_by_key(|read| read.end);
        // By host as well: a write that nobody acknowledged, since its node was killed, may have
        // reached the entries of one host and not those of the other.
        let mut seen: HashMap<(usize, usize), Vec<Rising>> = HashMap::new();
        let nodes = self.plan.nodes;
        for read in &reads {
            let of_key = seen
                .entry((read.key, read.host))
                .or_insert_with(|| vec![Rising::default(); nodes]);
            of_key[read.at.node].push(read.end, read.version);
        }
        for read in &reads {
            let answered = seen[&(read.key, read.host)].iter();
            let by_all = answered.map(|node| node.before(read.start)).min();
            if by_all.is_some_and(|floor| read.version < floor) {
                let words = format!("all had answered {by_all:?}: {read:?}");
                self.violation("K4", read.end, &words);
            }
        }
    }

    /// K6, where nothing expires by itself and nobody has to be asked.
    fn few_runs(&mut self, quiet: &Quiet) {
        // A strict node runs its handler whenever Redis does not answer in time.
        if self.plan.lifetimes().ttl < 60 || self.plan.strict {
            return;
        }
        for (key, runs) in quiet.runs.iter().enumerate() {
            let begun = &self.keys[key].invalidations_begun;
            let within = |moment| begun.partition_point(|at| *at < moment);
            let invalidations = within(quiet.to) - within(quiet.from.saturating_sub(LINGERING));
            let most = (self.plan.nodes * HOSTS.len() * (1 + invalidations)) as u64;
            self.figures.quiet_runs += runs;
            if *runs > most {
                let words = format!(
                    "key {key}: {runs} runs on {} nodes with {invalidations} invalidations",
                    self.plan.nodes
                );
                self.violation("K6", quiet.to, &words);
            }
        }
    }

    /// K9.
    fn all_well(&mut self, quiet: &Quiet) {
        let within = |start, end| quiet.from <= start && end <= quiet.to;
        let writes = self.recent_writes.iter();
        let writes: Vec<Write> = writes
            .filter(|write| within(write.start, write.end))
            .copied()
            .collect();
        // One that is local may be due to a machine that was busy for a moment.
        if writes.len() >= FEW && writes.iter().all(|write| !write.global) {
            self.violation(
                "K9",
                quiet.to,
                &format!("still none for all: {:?}", writes[0]),
            );
        }
        for read in self.reads_within(quiet) {
            // What a node knew alone is lost if it ended before it could tell.
            let told = self.keys[read.key].local.iter().filter(|write| {
                write.end + nanoseconds(SETTLING) < quiet.from
                    && write.at.life.is_some()
                    && write.at.life == quiet.lives.get(write.at.node).copied()
            });
            let floor = told.map(|write| write.version).max().unwrap_or(0);
            if read.version < floor {
                self.violation("K9", read.end, &format!("never told of {floor}: {read:?}"));
            }
        }
    }

    fn reads_within(&self, quiet: &Quiet) -> Vec<Read> {
        let reads = self.recent_reads.iter();
        reads
            .filter(|read| quiet.from <= read.start && read.end <= quiet.to)
            .copied()
            .collect()
    }

    fn forget(&mut self) {
        let newest = self.recent_reads.iter().map(|read| read.end).max();
        let from = newest.unwrap_or(0).saturating_sub(RECENT);
        self.recent_reads.retain(|read| read.end >= from);
        self.recent_writes.retain(|write| write.end >= from);
        self.events.retain(|(moment, _)| *moment >= from);
    }

    /// Notes a violation with what had been done shortly before.
    pub(crate) fn violation(&mut self, check: &str, moment: Moment, words: &str) {
        self.violation_count += 1;
        if self.violations.len() == SHOWN {
            return;
        }
        let seconds = Duration::from_nanos(moment).as_secs_f64();
        let mut text = format!("{check} at {seconds:.3} s: {words}");
        let before = self.events.iter().filter(|(at, _)| *at <= moment);
        for (at, event) in before.rev().take(6) {
            let seconds = Duration::from_nanos(*at).as_secs_f64();
            text += &format!("\n      {seconds:.3} s: {event}");
        }
        self.violations.push(text);
    }
}

impl Key {
    fn acknowledged(&mut self, write: &Write) {
        if let Some(life) = write.at.life {
            let of_life = self.on_node.entry((write.at.node, life)).or_default();
            of_life.push(write.end, write.version);
        }
        if write.global {
            self.global.push(write.end, write.version);
            let of_node = self.global_on_node.entry(write.at.node).or_default();
            of_node.push(write.end, write.version);
        } else {
            self.local.push(*write);
        }
    }

    fn on_node(&self, read: &Read) -> u64 {
        let life = read.at.life.map(|life| (read.at.node, life));
        let of_life = life.and_then(|life| self.on_node.get(&life));
        of_life.map_or(0, |versions| versions.before(read.start))
    }

    fn global_on_node(&self, read: &Read) -> u64 {
        let of_node = self.global_on_node.get(&read.at.node);
        of_node.map_or(0, |versions| versions.before(read.start))
    }
}

fn is_excused(node: usize, span: (Moment, Moment), disturbances: &[Disturbance]) -> bool {
    disturbances
        .iter()
        .any(|one| one.node == node && one.from <= span.1 && span.0 <= one.to)
}

fn nanoseconds(duration: Duration) -> Moment {
    u64::try_from(duration.as_nanos()).unwrap()
}

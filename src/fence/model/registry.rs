//! The registry in Redis: what each of its keys holds, and what the scripts do with them.
//!
//! A function here is one command or one script, and nothing happens in between.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::rules::{Rule, Rules};
use crate::{clock::Timestamp, fence::Mode, policy::TargetId};

/// The key `seq`: which registry this is, and how far it has counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) epoch: u64,
    /// The server process by which the epoch was minted.
    pub(super) run: u64,
    pub(super) number: u64,
}

/// One element of the key `log`.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub(super) epoch: u64,
    pub(super) number: u64,
    pub(super) targets: Vec<TargetId>,
    pub(super) mode: Mode,
}

/// A key that says to which epoch it belongs.
#[derive(Clone, Debug)]
struct Kept<T> {
    epoch: u64,
    held: T,
}

/// Soft stamps of one target: the last one, and all before it merged to the strict side.
#[derive(Clone, Copy, Debug)]
struct Soft {
    last: (u64, Timestamp),
    before: (u64, Timestamp),
}

/// The keys of the registry. One that is `None` was evicted, unlinked or never created.
#[derive(Clone, Debug, Default)]
pub(super) struct Registry {
    seq: Option<Head>,
    names: Option<Kept<BTreeMap<TargetId, u64>>>,
    soft: Option<Kept<BTreeMap<TargetId, Soft>>>,
    buckets: Option<Kept<Vec<u64>>>,
    log: Option<Kept<VecDeque<Line>>>,
    /// Buckets that a fold in two commands has yet to raise.
    unraised: Vec<(TargetId, u64)>,
}

/// How much is kept.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) names: usize,
    pub(super) buckets: usize,
    pub(super) lines: usize,
}

/// What one target was stamped with, by name: hard, and softly.
pub(super) type Stamps = Vec<(TargetId, u64, Mode)>;

impl Registry {
    /// Reads `seq`.
    pub(super) fn head(&self) -> Option<Head> {
        self.seq
    }

    /// Says whether all keys are there, of one epoch, and minted under the server process `run`.
    pub(super) fn is_sound(&self, run: u64, rules: Rules) -> bool {
        let Some(seq) = self.seq else { return false };
        let whole = [
            self.names.as_ref().map(|key| key.epoch),
            self.soft.as_ref().map(|key| key.epoch),
            self.buckets.as_ref().map(|key| key.epoch),
            self.log.as_ref().map(|key| key.epoch),
        ];
        let whole = whole.iter().all(|epoch| *epoch == Some(seq.epoch));
        (whole || !rules.hold(Rule::RegistryIsWholeOrLost))
            && (seq.run == run || !rules.hold(Rule::EpochOfOneServerProcess))
    }

    /// Creates the registry anew, with nothing in it.
    pub(super) fn mint(&mut self, head: Head, limits: Limits) {
        let epoch = head.epoch;
        *self = Self {
            seq: Some(head),
            names: Some(Kept {
                epoch,
                held: BTreeMap::new(),
            }),
            soft: Some(Kept {
                epoch,
                held: BTreeMap::new(),
            }),
            buckets: Some(Kept {
                epoch,
                held: vec![0; limits.buckets],
            }),
            log: Some(Kept {
                epoch,
                held: VecDeque::new(),
            }),
            unraised: Vec::new(),
        };
    }

    /// Creates what is missing, as if that alone were lost. For the mutant that mints no epoch.
    pub(super) fn patch(&mut self, head: Head, limits: Limits) {
        let epoch = self.seq.map_or(head.epoch, |seq| seq.epoch);
        self.seq.get_or_insert(head);
        self.names.get_or_insert(Kept {
            epoch,
            held: BTreeMap::new(),
        });
        self.soft.get_or_insert(Kept {
            epoch,
            held: BTreeMap::new(),
        });
        self.buckets.get_or_insert(Kept {
            epoch,
            held: vec![0; limits.buckets],
        });
        self.log.get_or_insert(Kept {
            epoch,
            held: VecDeque::new(),
        });
    }

    /// Counts, stamps, folds and logs. The registry is sound.
    pub(super) fn stamp(
        &mut self,
        targets: &[TargetId],
        mode: Mode,
        limits: Limits,
        rules: Rules,
    ) -> Option<Head> {
        let seq = self.seq.as_mut()?;
        seq.number += 1;
        let head = *seq;
        for target in targets {
            self.stamp_one(*target, head.number, mode, rules);
        }
        self.fold(limits, rules);
        if let Some(log) = &mut self.log {
            log.held.push_back(Line {
                epoch: head.epoch,
                number: head.number,
                targets: targets.to_vec(),
                mode,
            });
            while log.held.len() > limits.lines {
                log.held.pop_front();
            }
        }
        Some(head)
    }

    fn stamp_one(&mut self, target: TargetId, number: u64, mode: Mode, rules: Rules) {
        let (Some(names), Some(soft)) = (&mut self.names, &mut self.soft) else {
            return;
        };
        match mode {
            Mode::Hard => {
                names.held.insert(target, number);
                soft.held.remove(&target);
            }
            Mode::Soft(at) => {
                let first = Soft {
                    last: (number, at),
                    before: (0, Timestamp::NEVER),
                };
                let known = soft.held.get(&target).copied();
                let merged = known.filter(|_| rules.hold(Rule::SoftWindowsCountFromTheFirstPurge));
                let merged = merged.map_or(first, |known| Soft {
                    last: (number, at),
                    before: (known.last.0, known.before.1.min(known.last.1)),
                });
                soft.held.insert(target, merged);
            }
        }
    }

    /// Moves the names stamped longest ago into the buckets.
    fn fold(&mut self, limits: Limits, rules: Rules) {
        self.finish_folding();
        let (Some(names), Some(soft)) = (&mut self.names, &mut self.soft) else {
            return;
        };
        loop {
            let known: BTreeSet<TargetId> =
                names.held.keys().chain(soft.held.keys()).copied().collect();
            if known.len() <= limits.names {
                break;
            }
            let newest = |target: &TargetId| {
                let hard = names.held.get(target).copied().unwrap_or_default();
                hard.max(soft.held.get(target).map_or(0, |soft| soft.last.0))
            };
            let Some((number, target)) = known.iter().map(|id| (newest(id), *id)).min() else {
                break;
            };
            names.held.remove(&target);
            soft.held.remove(&target);
            self.unraised.push((target, number));
        }
        if rules.hold(Rule::FoldingIsOneStep) {
            self.finish_folding();
        }
    }

    /// Raises the buckets of the names that were folded.
    pub(super) fn finish_folding(&mut self) {
        let folded = std::mem::take(&mut self.unraised);
        let Some(buckets) = &mut self.buckets else {
            return;
        };
        for (target, number) in folded {
            let bucket = bucket_of(target, buckets.held.len());
            buckets.held[bucket] = buckets.held[bucket].max(number);
        }
    }

    /// Reads what was logged after `number`.
    pub(super) fn log_after(&self, number: u64) -> Vec<Line> {
        let lines = self.log.iter().flat_map(|log| &log.held);
        lines.filter(|line| line.number > number).cloned().collect()
    }

    /// Reads a page of names, in the order of their numbers, and of their ids where the numbers are
    /// the same, as those of one invalidation are. Ends with an empty page.
    pub(super) fn names_after(&self, cursor: (u64, TargetId), most: usize) -> Vec<(u64, TargetId)> {
        let mut page = self.names_at(0, usize::MAX);
        page.retain(|place| *place > cursor);
        page.truncate(most);
        page
    }

    /// Reads a page of names, by rank.
    pub(super) fn names_at(&self, rank: usize, most: usize) -> Vec<(u64, TargetId)> {
        let names = self.names.iter().flat_map(|names| &names.held);
        let soft = self.soft.iter().flat_map(|soft| &soft.held);
        let hard = names.map(|(target, number)| (*number, *target));
        let mut page: Vec<_> = hard
            .chain(soft.map(|(target, soft)| (soft.last.0, *target)))
            .collect();
        page.sort_unstable();
        page.dedup();
        page.into_iter().skip(rank).take(most).collect()
    }

    /// Reads the stamps of `targets`.
    pub(super) fn stamps_of(&self, targets: &[TargetId]) -> Stamps {
        let mut found = Vec::new();
        for target in targets {
            if let Some(number) = self.names.as_ref().and_then(|names| names.held.get(target)) {
                found.push((*target, *number, Mode::Hard));
            }
            let soft = self.soft.as_ref().and_then(|soft| soft.held.get(target));
            for (number, at) in soft.iter().flat_map(|soft| [soft.before, soft.last]) {
                if number > 0 {
                    found.push((*target, number, Mode::Soft(at)));
                }
            }
        }
        found
    }

    /// Reads the buckets.
    pub(super) fn buckets(&self) -> Vec<(usize, u64)> {
        let buckets = self.buckets.iter().flat_map(|buckets| &buckets.held);
        buckets
            .copied()
            .enumerate()
            .filter(|(_, number)| *number > 0)
            .collect()
    }

    /// Reads the buckets that `targets` fall into.
    pub(super) fn highest_bucket(&self, targets: &[TargetId]) -> u64 {
        let Some(buckets) = &self.buckets else {
            return 0;
        };
        let number = |target: &TargetId| buckets.held[bucket_of(*target, buckets.held.len())];
        targets.iter().map(number).max().unwrap_or_default()
    }

    /// Loses one key of five, by its place.
    pub(super) fn evict(&mut self, key: usize) {
        match key {
            0 => self.seq = None,
            1 => self.names = None,
            2 => self.soft = None,
            3 => self.buckets = None,
            _ => self.log = None,
        }
    }
}

/// Has to be what the fence does, so that its buckets can be loaded from these.
fn bucket_of(target: TargetId, count: usize) -> usize {
    usize::try_from(target.0 % u64::try_from(count).unwrap()).unwrap()
}

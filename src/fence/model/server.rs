//! The Redis server: a registry, entries, a process that can be another one, and what it saved.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    origin::Content,
    registry::{Head, Limits, Registry},
    rules::{Rule, Rules},
};
use crate::{fence::Mode, policy::TargetId};

/// The command was refused for want of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct OutOfMemory;

/// An entry of the second tier.
#[derive(Clone, Debug)]
pub(super) struct Stored {
    pub(super) epoch: u64,
    pub(super) sequence: u64,
    pub(super) targets: Vec<TargetId>,
    pub(super) tags: Vec<TargetId>,
    pub(super) content: Content,
}

/// What is lost with the memory and kept in a snapshot.
#[derive(Clone, Debug, Default)]
struct Data {
    registry: Registry,
    entries: BTreeMap<usize, Stored>,
    claims: BTreeSet<u64>,
}

pub(super) struct Server {
    rules: Rules,
    limits: Limits,
    pub(super) run: u64,
    pub(super) out_of_memory: bool,
    /// How far its clock is from the others', in milliseconds.
    skew: i64,
    data: Data,
    saved: Data,
    epochs: u64,
    /// How often it has lost what it held.
    losses: u64,
}

/// The first epoch that a server mints, above all that a process has for itself.
pub(super) const FIRST_MINTED: u64 = 1_000_000;

impl Server {
    pub(super) fn new(limits: Limits, rules: Rules) -> Self {
        Self {
            rules,
            limits,
            run: 1,
            out_of_memory: false,
            skew: 0,
            data: Data::default(),
            saved: Data::default(),
            epochs: FIRST_MINTED,
            losses: 0,
        }
    }

    pub(super) fn registry(&self) -> &Registry {
        &self.data.registry
    }

    /// Reads `seq`, which is one key of five: the others may be missing.
    pub(super) fn head(&self) -> Option<Head> {
        self.data.registry.head()
    }

    /// The script that every connection begins with: a registry that is lost is created anew, under
    /// another epoch. `known` is the epoch that the caller was in, of use to a mutant alone.
    pub(super) fn mint(&mut self, now: u64, known: u64) -> Result<Head, OutOfMemory> {
        let sound = self.data.registry.is_sound(self.run, self.rules);
        if let Some(head) = self.head().filter(|_| sound) {
            return Ok(head);
        }
        if self.out_of_memory {
            return Err(OutOfMemory);
        }
        self.epochs += 1;
        let mut head = Head {
            epoch: self.epochs,
            run: self.run,
            // Coarse, so that a clock that is behind comes out at numbers that were used before.
            number: now.saturating_add_signed(self.skew) / 500,
        };
        if self.rules.hold(Rule::EpochOfOneRegistry) {
            self.data.registry.mint(head, self.limits);
        } else {
            head.epoch = known.max(FIRST_MINTED);
            self.data.registry.patch(head, self.limits);
        }
        self.data.registry.head().ok_or(OutOfMemory)
    }

    /// The script of an invalidation.
    pub(super) fn invalidate(
        &mut self,
        now: u64,
        known: u64,
        targets: &[TargetId],
        mode: Mode,
    ) -> Result<Head, OutOfMemory> {
        if self.out_of_memory {
            return Err(OutOfMemory);
        }
        self.mint(now, known)?;
        let (limits, rules) = (self.limits, self.rules);
        let stamped = self.data.registry.stamp(targets, mode, limits, rules);
        stamped.ok_or(OutOfMemory)
    }

    /// Deletes the registry, which is possible without memory.
    pub(super) fn unlink_registry(&mut self) {
        self.data.registry = Registry::default();
    }

    pub(super) fn entry(&self, thing: usize) -> Option<Stored> {
        self.data.entries.get(&thing).cloned()
    }

    pub(super) fn store(&mut self, thing: usize, entry: Stored) {
        if !self.out_of_memory {
            self.data.entries.insert(thing, entry);
        }
    }

    /// Claims a message, once. Returns which memory of the server it was claimed in, if it was not
    /// claimed already.
    pub(super) fn claim(&mut self, message: u64) -> Result<Option<u64>, OutOfMemory> {
        if self.out_of_memory {
            return Err(OutOfMemory);
        }
        Ok(self.data.claims.insert(message).then_some(self.losses))
    }

    /// Writes a snapshot, or brings the replica up to date.
    pub(super) fn save(&mut self) {
        self.saved = self.data.clone();
    }

    /// Starts another process: with all the data, or with what was saved, and by another clock.
    pub(super) fn restart(&mut self, from_saved: bool, skew: i64) {
        self.run += 1;
        self.skew = skew;
        if from_saved {
            self.losses += 1;
            self.data = self.saved.clone();
        }
    }

    pub(super) fn flush(&mut self) {
        self.losses += 1;
        self.data = Data::default();
    }

    pub(super) fn evict(&mut self, key: usize) {
        self.data.registry.evict(key);
    }
}

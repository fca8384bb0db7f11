//! A process with a cache: its fence, its first tier, its flights, its outbox.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    rc::Rc,
};

use super::{catalogue::catalogue, origin::Content, outbox::Outbox, world::World};
use crate::{
    entry::{Position, Seal},
    fence::Fence,
    policy::TargetId,
};

/// How long after the sending of a mirror's round its word is taken, in milliseconds.
pub(super) const SYNCED_FOR: u64 = 1_000;

/// How long an entry is good that nobody can vouch for, in milliseconds.
pub(super) const UNVERIFIED_FOR: u64 = 1_000;

/// An entry of the first tier.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) thing: usize,
    pub(super) content: Content,
    pub(super) seal: Seal,
    /// Those of its targets that a response said.
    pub(super) tags: Vec<TargetId>,
}

impl Entry {
    pub(super) fn new(
        thing: usize,
        content: Content,
        position: Position,
        tags: Vec<TargetId>,
    ) -> Rc<Self> {
        let mut targets = catalogue().things[thing].targets.clone();
        targets.extend(&tags);
        Rc::new(Self {
            thing,
            content,
            seal: Seal::new(position, targets),
            tags,
        })
    }
}

/// A handler run that others may wait for.
#[derive(Debug)]
pub(super) struct Flight {
    pub(super) landed: RefCell<Option<Landed>>,
}

/// How it ended.
#[derive(Clone, Debug)]
pub(super) enum Landed {
    With(Rc<Entry>),
    Failed,
}

#[derive(Debug)]
pub(super) struct Node {
    pub(super) world: Rc<World>,
    pub(super) place: usize,
    /// Which process it is that has this place.
    pub(super) life: u64,
    pub(super) fence: Fence,
    pub(super) first_tier: RefCell<BTreeMap<usize, Rc<Entry>>>,
    pub(super) flights: RefCell<BTreeMap<usize, Rc<Flight>>>,
    pub(super) outbox: RefCell<Outbox>,
    /// When the last complete round of the mirror was sent.
    pub(super) synced: Cell<Option<u64>>,
    /// The last epoch that this process had for itself, without a registry.
    pub(super) private: Cell<u64>,
}

impl Node {
    pub(super) fn new(world: &Rc<World>, place: usize, life: u64) -> Rc<Self> {
        Rc::new(Self {
            world: Rc::clone(world),
            place,
            life,
            fence: Fence::with_sizes(world.config.node),
            first_tier: RefCell::default(),
            flights: RefCell::default(),
            outbox: RefCell::default(),
            synced: Cell::new(None),
            private: Cell::new(life * 1_000),
        })
    }

    /// Says whether the mirror's word is to be taken.
    pub(super) fn is_synced(&self) -> bool {
        let age = self.synced.get().map(|sent| self.world.now() - sent);
        age.is_some_and(|age| age <= SYNCED_FOR)
    }

    /// Waits for the mirror to have applied `number` of `epoch`, for a while.
    pub(super) async fn reaches(&self, epoch: u64, number: u64) -> bool {
        let end = self.world.now() + 100;
        let there = || {
            let position = self.fence.position();
            position.epoch == epoch && position.sequence >= number
        };
        let tasks = &self.world.tasks;
        tasks.until(|| there() || self.world.now() >= end).await;
        there()
    }

    pub(super) fn note(&self, line: impl FnOnce() -> String) {
        self.world
            .note(|| format!("node {}: {}", self.place, line()));
    }
}

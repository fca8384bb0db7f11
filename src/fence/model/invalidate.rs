//! An invalidation: what it does until it is acknowledged, and how.

use std::{collections::BTreeSet, rc::Rc};

use super::{
    catalogue::{Goal, catalogue},
    line::Connection,
    node::Node,
    origin::Tick,
    rules::Rule,
    server::OutOfMemory,
};
use crate::{clock::Timestamp, fence::Mode, policy::TargetId};

/// How a request that changes something ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// With an answer, which is held until the invalidation is acknowledged.
    Answered,
    /// Without one, and what it was to write may still be written. It is invalidated twice.
    Uncertain,
}

/// How long after an uncertain ending it is invalidated again, in milliseconds.
const AGAIN_AFTER: u64 = 2_000;

/// What is invalidated, and how hard.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wish {
    /// Two targets, or one twice.
    pub(super) goals: [usize; 2],
    pub(super) soft: bool,
    pub(super) halves: [bool; 2],
    /// How often the message of it was taken for a new one.
    pub(super) echoes: usize,
}

impl Wish {
    fn goals(self) -> impl Iterator<Item = &'static Goal> {
        let [first, second] = self.goals.map(|goal| &catalogue().goals[goal]);
        [first]
            .into_iter()
            .chain((first.id != second.id).then_some(second))
    }

    fn targets(self) -> Vec<TargetId> {
        self.goals().map(|goal| goal.id).collect()
    }

    /// Returns the things whose own data it covers.
    pub(super) fn covers(self) -> Vec<usize> {
        let all: BTreeSet<usize> = self.goals().flat_map(|goal| goal.covers).copied().collect();
        all.into_iter().collect()
    }
}

impl Node {
    /// A request that writes, and invalidates what it has written.
    pub(super) async fn change(self: Rc<Self>, wish: Wish, ending: Ending) {
        let world = Rc::clone(&self.world);
        let write = || {
            let halves = if wish.soft { [false; 2] } else { wish.halves };
            world.origin.borrow_mut().write(&wish.covers(), halves);
        };
        match ending {
            Ending::Answered => {
                write();
                world.tasks.step().await;
                let record = self.begins(wish);
                self.invalidate(wish, record).await;
            }
            Ending::Uncertain => {
                let record = self.begins(wish);
                self.invalidate(wish, record).await;
                let late = world.random.borrow_mut().next() % AGAIN_AFTER;
                world.sleep(late).await;
                write();
                world.sleep(AGAIN_AFTER - late).await;
                let record = self.begins(wish);
                if world.rules.hold(Rule::UncertainEndingsInvalidateTwice) {
                    self.invalidate(wish, record).await;
                } else {
                    world
                        .oracle
                        .borrow_mut()
                        .acknowledged_on(self.place, record);
                }
            }
        }
    }

    pub(super) fn begins(&self, wish: Wish) -> usize {
        let mut origin = self.world.origin.borrow_mut();
        let tick: Tick = origin.tick();
        let soft = wish.soft.then(|| (self.world.now(), tick));
        let mut oracle = self.world.oracle.borrow_mut();
        oracle.begins(wish.covers(), origin.all(), soft)
    }

    /// Invalidates, and returns when it is acknowledged.
    pub(super) async fn invalidate(self: &Rc<Self>, wish: Wish, record: usize) {
        let world = &self.world;
        let targets = wish.targets();
        let mode = if wish.soft {
            Mode::Soft(Timestamp::from_millis(world.now()))
        } else {
            Mode::Hard
        };
        let known = self.fence.position().epoch;
        let reply = self
            .call(Connection::Lane, |server| {
                let stamped = server.invalidate(world.now(), known, &targets, mode);
                if let Ok(head) = stamped {
                    world.oracle.borrow_mut().numbered(head, &[record]);
                    world.publish(wish, head.number);
                }
                stamped
            })
            .await;
        self.note(|| format!("invalidates {targets:?} {mode:?}: {reply:?}"));
        match reply {
            Ok(Ok(head)) => {
                let shown = !world.rules.hold(Rule::AcknowledgedWhenTheMirrorShowsIt)
                    || self.reaches(head.epoch, head.number).await;
                if shown {
                    world.saw("acknowledged to all");
                    let mut oracle = world.oracle.borrow_mut();
                    oracle.acknowledged_on(self.place, record);
                    oracle.acknowledged_to_all(record, world.now());
                    return;
                }
            }
            Ok(Err(OutOfMemory)) => {
                let unlinks = world.rules.hold(Rule::WithoutMemoryTheRegistryIsUnlinked);
                let unlinked = self
                    .call(Connection::Lane, |server| {
                        if unlinks {
                            server.unlink_registry();
                        }
                    })
                    .await;
                if unlinked.is_ok() {
                    world.saw("unlinked the registry");
                    let mut oracle = world.oracle.borrow_mut();
                    oracle.acknowledged_to_all(record, world.now());
                    if !world.rules.hold(Rule::WithoutMemoryItIsInvalidatedHereToo) {
                        oracle.acknowledged_on(self.place, record);
                        return;
                    }
                }
            }
            Err(_) => {}
        }
        self.invalidate_here(&targets, mode, record);
    }

    /// The local path: invalidated in this process, and queued for the others.
    fn invalidate_here(&self, targets: &[TargetId], mode: Mode, record: usize) {
        let world = &self.world;
        let rules = world.rules;
        let mut outbox = self.outbox.borrow_mut();
        for target in targets {
            outbox.add(*target, mode, record, world.config.outbox, rules);
        }
        if rules.hold(Rule::LocalNumbersStayApart) {
            self.fence.stamp_local(targets, mode);
        } else {
            let position = self.fence.position();
            self.fence
                .apply(position.epoch, position.sequence + 1, targets, mode);
        }
        world.saw("invalidated here alone");
        self.note(|| format!("invalidated {targets:?} here"));
        world
            .oracle
            .borrow_mut()
            .acknowledged_on(self.place, record);
    }
}

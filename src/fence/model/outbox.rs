//! Invalidations that Redis has not taken yet, and how they are sent when it is back.

use std::{collections::BTreeMap, rc::Rc};

use super::{
    catalogue::catalogue,
    line::Connection,
    node::Node,
    rules::{Rule, Rules},
};
use crate::{fence::Mode, policy::TargetId};

/// Targets that are invalidated here and nowhere else yet.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    pending: BTreeMap<TargetId, Pending>,
    /// Counts what was added.
    added: u64,
}

#[derive(Clone, Debug)]
struct Pending {
    mode: Mode,
    added: u64,
    /// The invalidations that it stands for, as the oracle knows them.
    records: Vec<usize>,
}

impl Outbox {
    pub(super) fn add(
        &mut self,
        target: TargetId,
        mode: Mode,
        record: usize,
        limit: usize,
        rules: Rules,
    ) {
        self.added += 1;
        let added = self.added;
        let mut new = Pending {
            mode,
            added,
            records: vec![record],
        };
        if let Some(known) = self.pending.remove(&target) {
            new.records.extend(known.records);
            if rules.hold(Rule::OutboxKeepsTheStronger) {
                new.mode = stronger(known.mode, mode);
            }
        }
        self.pending.insert(target, new);
        if self.pending.len() <= limit {
            return;
        }
        if rules.hold(Rule::OutboxOverflowsToEverything) {
            let all = std::mem::take(&mut self.pending);
            let records = all
                .into_values()
                .flat_map(|pending| pending.records)
                .collect();
            let everything = Pending {
                mode: Mode::Hard,
                added,
                records,
            };
            self.pending.insert(catalogue().everything, everything);
        } else {
            // A full queue that drops what has waited longest, and takes it for done.
            let oldest = self.pending.iter().min_by_key(|(_, pending)| pending.added);
            let Some((oldest, records)) = oldest.map(|(id, old)| (*id, old.records.clone())) else {
                return;
            };
            self.pending.remove(&oldest);
            if let Some(last) = self.pending.values_mut().last() {
                last.records.extend(records);
            }
        }
    }

    /// Says whether one of `targets` is pending.
    pub(super) fn covers(&self, targets: &[TargetId]) -> bool {
        targets
            .iter()
            .any(|target| self.pending.contains_key(target))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }
}

fn stronger(one: Mode, other: Mode) -> Mode {
    match (one, other) {
        (Mode::Soft(one), Mode::Soft(other)) => Mode::Soft(one.min(other)),
        _ => Mode::Hard,
    }
}

/// Sends what is pending, one target after another, until it is taken.
pub(super) async fn run(node: Rc<Node>) {
    loop {
        node.world.tasks.step().await;
        node.world
            .tasks
            .until(|| !node.outbox.borrow().is_empty())
            .await;
        if !node.drain().await {
            node.world.sleep(50).await;
        }
    }
}

impl Node {
    async fn drain(&self) -> bool {
        let world = &self.world;
        let first = self
            .outbox
            .borrow()
            .pending
            .first_key_value()
            .map(|(id, sent)| (*id, sent.clone()));
        let Some((target, sent)) = first else {
            return true;
        };
        let known = self.fence.position().epoch;
        let records = sent.records.clone();
        let reply = self
            .call(Connection::Lane, |server| {
                let stamped = server.invalidate(world.now(), known, &[target], sent.mode);
                if let Ok(head) = stamped {
                    world.oracle.borrow_mut().numbered(head, &records);
                }
                stamped
            })
            .await;
        let Ok(Ok(head)) = reply else { return false };
        self.note(|| format!("drained {target:?} as {}", head.number));
        if world.rules.hold(Rule::DrainedWhenTheMirrorShowsIt)
            && !self.reaches(head.epoch, head.number).await
        {
            return false;
        }
        world.saw("drained");
        let mut done = records;
        let mut outbox = self.outbox.borrow_mut();
        let again = outbox
            .pending
            .get(&target)
            .is_some_and(|now| now.added != sent.added);
        if (!again || !world.rules.hold(Rule::DrainedUnlessAddedAgain))
            && let Some(removed) = outbox.pending.remove(&target)
        {
            done.extend(removed.records);
        }
        for record in done {
            world
                .oracle
                .borrow_mut()
                .acknowledged_to_all(record, world.now());
        }
        true
    }
}

//! A handler run: one for all who ask, and what is made of its answer.

use std::rc::Rc;

use super::{
    catalogue::catalogue,
    line::Connection,
    node::{Entry, Flight, Landed, Node},
    oracle::Arrival,
    origin::{Content, Life, Part, Standing},
    read::Word,
    rules::{Rule, Rules},
    server::{FIRST_MINTED, Stored},
};
use crate::{
    clock::Timestamp,
    entry::{Position, Seal},
    fence::Verdict,
    policy::TargetId,
};

/// An entry that has expired, and when it was soft-purged.
pub(super) type Stale = (Rc<Entry>, Timestamp);

/// How often one request waits for the runs of others.
const FOLLOWED: usize = 2;

/// What a handler brings.
enum Brought {
    Answer {
        content: Content,
        tags: Vec<TargetId>,
    },
    /// What was asked about is still good.
    Confirmed {
        part: Part,
        oldest: u64,
        tags: Vec<TargetId>,
    },
    Failure,
}

impl Node {
    /// Answers with what a handler brings, one's own or another's.
    pub(super) async fn fetch(
        self: &Rc<Self>,
        thing: usize,
        stale: Option<Stale>,
        arrival: &Arrival,
    ) -> Option<Rc<Entry>> {
        for _ in 0..FOLLOWED {
            let flight = self.flights.borrow().get(&thing).cloned();
            let Some(flight) = flight else { break };
            match self.follow(&flight).await {
                Some(Landed::With(entry)) => return Some(entry),
                Some(Landed::Failed) => break,
                None => self.take_off_table(thing, &flight),
            }
        }
        let flight = self.launch(thing, stale.as_ref().map(|(entry, _)| Rc::clone(entry)));
        self.world
            .tasks
            .until(|| flight.landed.borrow().is_some())
            .await;
        let landed = flight.landed.borrow().clone();
        match landed {
            Some(Landed::With(entry)) => Some(entry),
            _ => self.stand_in(stale?, arrival).await,
        }
    }

    /// Waits for another's run. Its answer is good if it passes the test that a stored one has to.
    async fn follow(&self, flight: &Flight) -> Option<Landed> {
        let rules = self.world.rules;
        let word = if rules.hold(Rule::FollowersAskWhereTheRegistryStands) {
            self.word().await
        } else {
            Word::Mirror
        };
        let arrived = self.fence.position();
        self.world
            .tasks
            .until(|| flight.landed.borrow().is_some())
            .await;
        let landed = flight.landed.borrow().clone();
        let Some(Landed::With(entry)) = landed else {
            return landed;
        };
        if !rules.hold(Rule::FollowersJudgeByTheWholeTest) {
            return (!self.was_stamped(&entry.seal, arrived)).then_some(Landed::With(entry));
        }
        let verdict = if rules.hold(Rule::FollowersJudgeTheAnswer) {
            self.verdict(&entry, word).await
        } else {
            Verdict::Valid
        };
        self.world.saw(if verdict == Verdict::Valid {
            "followed"
        } else {
            "turned away from a flight"
        });
        (verdict == Verdict::Valid).then_some(Landed::With(entry))
    }

    /// Says whether a target was stamped between a position and a later one, as far as that is
    /// known: of each target only the newest stamp is. For the mutant that thinks that it will do.
    fn was_stamped(&self, seal: &Seal, until: Position) -> bool {
        let (shared, local) = (&self.fence.shared.stamps, &self.fence.local.stamps);
        let position = seal.position;
        position.epoch != until.epoch
            || seal.targets.iter().any(|target| {
                let shared = shared.by_name(*target, 0).0.max(shared.by_bucket(*target));
                let local = local.by_name(*target, 0).0.max(local.by_bucket(*target));
                (position.sequence < shared && shared <= until.sequence)
                    || (position.local < local && local <= until.local)
            })
    }

    /// Starts a run that nobody waits for, unless there is one.
    pub(super) fn refresh(self: &Rc<Self>, thing: usize, stale: Rc<Entry>) {
        if !self.flights.borrow().contains_key(&thing) {
            self.launch(thing, Some(stale));
        }
    }

    fn launch(self: &Rc<Self>, thing: usize, stale: Option<Rc<Entry>>) -> Rc<Flight> {
        let flight = Rc::new(Flight {
            landed: Default::default(),
        });
        self.flights.borrow_mut().insert(thing, Rc::clone(&flight));
        let (node, own) = (Rc::clone(self), Rc::clone(&flight));
        self.world.tasks.spawn(Some(self.life), async move {
            let filled = node.fill(thing, stale).await;
            node.take_off_table(thing, &own);
            *own.landed.borrow_mut() = Some(filled.map_or(Landed::Failed, Landed::With));
        });
        flight
    }

    fn take_off_table(&self, thing: usize, flight: &Rc<Flight>) {
        let mut flights = self.flights.borrow_mut();
        if flights
            .get(&thing)
            .is_some_and(|other| Rc::ptr_eq(other, flight))
        {
            flights.remove(&thing);
        }
    }

    /// What may be served when the handler failed.
    async fn stand_in(&self, (entry, _): Stale, arrival: &Arrival) -> Option<Rc<Entry>> {
        let word = self.word().await;
        // Judged again: it was alive when the request came, and that may be long ago.
        let judged = if self.world.rules.hold(Rule::WhatStandsInIsJudgedAgain) {
            self.verdict(&entry, word).await
        } else {
            Verdict::Valid
        };
        let soft_at = match judged {
            Verdict::Valid => Timestamp::NEVER,
            Verdict::Soft(at) => at,
            Verdict::Dead(_) => return None,
        };
        let standing = entry.content.life.standing(self.world.now(), soft_at);
        if standing == Standing::Old {
            return None;
        }
        self.check_standing(arrival, &entry, standing);
        self.world.saw("stood in");
        Some(entry)
    }

    /// Runs the handler, and stores what it brings.
    async fn fill(self: &Rc<Self>, thing: usize, stale: Option<Rc<Entry>>) -> Option<Rc<Entry>> {
        let world = Rc::clone(&self.world);
        let rules = world.rules;
        let mut position = self.position_of_a_fill();
        // After the position: what is purged from here on has a greater number.
        let asked = stale.filter(|stale| {
            !rules.hold(Rule::HardPurgedIsNeverConfirmed)
                || !matches!(self.fence.judge(&stale.seal), Verdict::Dead(_))
        });
        world.tasks.step().await;
        let brought = self.handle(thing, asked.as_deref()).await;
        if !rules.hold(Rule::PositionIsTakenBeforeTheRun) {
            position = self.fence.position();
        }
        let (content, tags) = match (brought, asked) {
            (Brought::Answer { content, tags }, _) => (content, tags),
            (Brought::Confirmed { part, oldest, tags }, Some(asked)) => {
                world.saw("confirmed");
                if !rules.hold(Rule::ConfirmationIsOfItsOwnRun) {
                    position = self.fence.position();
                }
                renewed(&asked, part, oldest, tags, rules)
            }
            (Brought::Confirmed { .. } | Brought::Failure, _) => return None,
        };
        let content = Content {
            life: self.life_of(),
            ..content
        };
        let entry = Entry::new(thing, content, position, tags);
        self.first_tier
            .borrow_mut()
            .insert(thing, Rc::clone(&entry));
        self.send_to_second_tier(&entry);
        Some(entry)
    }

    fn position_of_a_fill(&self) -> Position {
        let mut position = self.fence.position();
        if !self.world.rules.hold(Rule::PositionIsNotAheadOfTheMirror) {
            let head = self.world.server.borrow().head();
            let ahead = head.filter(|head| head.epoch == position.epoch);
            position.sequence = ahead.map_or(position.sequence, |head| head.number);
        }
        position
    }

    /// The handler. It reads the data half by half, and values through the cache.
    async fn handle(self: &Rc<Self>, thing: usize, asked: Option<&Entry>) -> Brought {
        let world = Rc::clone(&self.world);
        let rules = world.rules;
        let began = world.origin.borrow_mut().tick();
        let mut oldest = world.now();
        let mut tags = Vec::new();
        let mut parts = Vec::new();
        let first = world.origin.borrow().read(thing)[0];
        self.pause().await;
        for value in catalogue().things[thing].over {
            let Some(read) = Rc::clone(self).get(*value).await else {
                return Brought::Failure;
            };
            parts.extend(read.content.parts.iter().copied());
            if rules.hold(Rule::PagesHaveTheTagsOfTheirValues) {
                tags.extend(&read.tags);
            }
            if rules.hold(Rule::PartitionCountsFromTheOldestNestedFill) {
                oldest = oldest.min(read.content.oldest);
            }
            self.pause().await;
        }
        let second = world.origin.borrow().read(thing)[1];
        self.pause().await;
        if !rules.hold(Rule::PartitionCountsFromTheBeginning) {
            oldest = world.now();
        }
        if world.percent(8) {
            return Brought::Failure;
        }
        let part = Part {
            thing,
            versions: [first, second],
            began,
        };
        if asked.is_some_and(|asked| matches(&asked.content, &part, &parts)) {
            return Brought::Confirmed { part, oldest, tags };
        }
        parts.insert(0, part);
        tags.extend(&catalogue().things[thing].learned);
        let content = Content {
            parts,
            oldest,
            life: self.life_of(),
        };
        Brought::Answer { content, tags }
    }

    async fn pause(&self) {
        let slowest = self.world.config.slowest;
        let millis = self.world.random.borrow_mut().next() % (slowest + 1);
        if self.world.percent(30) {
            self.world.sleep(millis).await;
        } else {
            self.world.tasks.step().await;
        }
    }

    fn life_of(&self) -> Life {
        let mut random = self.world.random.borrow_mut();
        Life {
            fresh_until: self.world.now() + random.one_of(&[50, 400, 3_000, 60_000]),
            renewed_within: random.one_of(&[0, 300, 2_000]),
            fails_within: random.one_of(&[0, 5_000, 60_000]),
        }
    }

    /// Writes an entry to Redis, some time later, and whatever has become of the node by then.
    fn send_to_second_tier(self: &Rc<Self>, entry: &Rc<Entry>) {
        let position = entry.seal.position;
        let is_private = position.epoch < FIRST_MINTED;
        if is_private && self.world.rules.hold(Rule::PrivateEntriesDoNotLeave) {
            return;
        }
        let stored = Stored {
            epoch: position.epoch,
            sequence: position.sequence,
            targets: entry.seal.targets.to_vec(),
            tags: entry.tags.clone(),
            content: entry.content.clone(),
        };
        let (node, thing) = (Rc::clone(self), entry.thing);
        self.world.tasks.spawn(None, async move {
            node.pause().await;
            if node.outbox.borrow().covers(&stored.targets)
                && node.world.rules.hold(Rule::PendingTargetsDoNotLeave)
            {
                return;
            }
            let sent = node
                .call(Connection::Lane, |server| server.store(thing, stored))
                .await;
            node.note(|| format!("stored {}: {sent:?}", catalogue().things[thing].name));
        });
    }
}

/// Says whether a handler that would show `own` and `nested` takes the old answer for the same: its
/// validator tells neither the second half of its own data nor that of the values apart.
fn matches(old: &Content, own: &Part, nested: &[Part]) -> bool {
    let mut new = std::iter::once(own).chain(nested);
    old.parts.iter().all(|old| {
        new.next()
            .is_some_and(|new| new.versions[0] == old.versions[0])
    })
}

/// Returns the old answer as the handler has confirmed it.
fn renewed(
    old: &Entry,
    own: Part,
    oldest: u64,
    mut tags: Vec<TargetId>,
    rules: Rules,
) -> (Content, Vec<TargetId>) {
    let mut content = old.content.clone();
    if let Some(part) = content.parts.first_mut() {
        part.began = own.began;
    }
    content.oldest = if rules.hold(Rule::ConfirmationKeepsTheOldestFill) {
        oldest.min(old.content.oldest)
    } else {
        oldest
    };
    if rules.hold(Rule::ConfirmationKeepsTheTags) {
        tags.extend(&old.tags);
        tags.sort_unstable();
        tags.dedup();
    }
    (content, tags)
}

//! A request: looked up in both tiers, judged, and served, or handed to a handler.

use std::{future::Future, pin::Pin, rc::Rc};

use super::{
    catalogue::{UNTAGGED, catalogue},
    line::{Connection, NoReply},
    node::{Entry, Node, UNVERIFIED_FOR},
    oracle::Arrival,
    origin::Standing,
    registry::Head,
    rules::{Rule, Rules},
    server::Stored,
    world::Behind,
};
use crate::{
    clock::Timestamp,
    entry::{Position, Seal},
    fence::{Mode, Reason, Verdict},
};

/// What became of asking where the registry stands.
#[derive(Clone, Copy, Debug)]
pub(super) enum Word {
    /// The mirror's word is good: nobody was asked.
    Mirror,
    At(Head),
    /// There is no registry.
    Lost,
    /// Redis can not be reached.
    Silence,
}

const DEAD: Verdict = Verdict::Dead(Reason::Stamp);

impl Node {
    /// Answers a request, and has the answer checked. `None` if the handler failed.
    pub(super) fn get(
        self: Rc<Self>,
        thing: usize,
    ) -> Pin<Box<dyn Future<Output = Option<Rc<Entry>>>>> {
        Box::pin(async move {
            let world = &self.world;
            let strict = world.config.strict;
            let arrival = world
                .oracle
                .borrow()
                .arrives(self.place, world.now(), strict);
            let answer = self.answer(thing, &arrival).await?;
            let verified = self.is_synced() || strict;
            let checked = world
                .oracle
                .borrow()
                .check(&arrival, &answer.content, verified);
            self.note(|| {
                format!(
                    "answers {} with {:?}",
                    catalogue().things[thing].name,
                    answer.content.parts
                )
            });
            if let Err(what) = checked {
                let name = catalogue().things[thing].name;
                world.fail(&format!("node {} for {name}: {what}", self.place));
            }
            Some(answer)
        })
    }

    async fn answer(self: &Rc<Self>, thing: usize, arrival: &Arrival) -> Option<Rc<Entry>> {
        let found = self.look_up(thing).await;
        let Some((entry, soft_at)) = found else {
            return self.fetch(thing, None, arrival).await;
        };
        let now = self.world.now();
        match entry.content.life.standing(now, soft_at) {
            standing @ Standing::Fresh => {
                self.check_standing(arrival, &entry, standing);
                Some(entry)
            }
            standing @ Standing::Renewed => {
                self.check_standing(arrival, &entry, standing);
                self.refresh(thing, Rc::clone(&entry));
                Some(entry)
            }
            Standing::Spare | Standing::Old => {
                self.fetch(thing, Some((entry, soft_at)), arrival).await
            }
        }
    }

    pub(super) fn check_standing(&self, arrival: &Arrival, entry: &Entry, standing: Standing) {
        let world = &self.world;
        let now = world.now();
        let checked = arrival.check_standing(&entry.content, standing, now);
        if let Err(what) = checked {
            world.fail(&format!("node {}: {what}", self.place));
        }
    }

    /// Finds what is stored and alive.
    async fn look_up(&self, thing: usize) -> Option<(Rc<Entry>, Timestamp)> {
        let first = self.first_tier.borrow().get(&thing).cloned();
        if let Some(entry) = first {
            let word = self.word().await;
            match self.verdict(&entry, word).await {
                Verdict::Valid => {
                    self.world.saw("found in the first tier");
                    return Some((entry, Timestamp::NEVER));
                }
                Verdict::Soft(at) => {
                    self.world.saw("found soft-purged");
                    return Some((entry, at));
                }
                Verdict::Dead(_) => self.world.saw("found dead"),
            }
        }
        self.look_up_second(thing).await
    }

    async fn look_up_second(&self, thing: usize) -> Option<(Rc<Entry>, Timestamp)> {
        let rules = self.world.rules;
        let position = self.fence.position();
        let asks = self.world.config.strict || !self.is_synced();
        // Sent together: the entry, and where the registry stands.
        let reply = self
            .call(Connection::Lane, |server| {
                (server.entry(thing), server.head())
            })
            .await;
        let (Some(stored), head) = reply.ok()? else {
            return None;
        };
        let entry = promoted(thing, stored, position, rules);
        if self.outbox.borrow().covers(&entry.seal.targets)
            && rules.hold(Rule::PendingTargetsAreMisses)
        {
            return None;
        }
        let word = match head {
            _ if !asks => Word::Mirror,
            Some(head) => Word::At(head),
            None => Word::Lost,
        };
        let soft_at = match self.verdict(&entry, word).await {
            Verdict::Valid => Timestamp::NEVER,
            Verdict::Soft(at) => at,
            Verdict::Dead(_) => return None,
        };
        self.world.saw("found in the second tier");
        self.first_tier
            .borrow_mut()
            .insert(thing, Rc::clone(&entry));
        Some((entry, soft_at))
    }

    /// Asks where the registry stands, if the mirror's word will not do.
    pub(super) async fn word(&self) -> Word {
        if !self.world.config.strict && self.is_synced() {
            return Word::Mirror;
        }
        match self.call(Connection::Lane, |server| server.head()).await {
            Ok(Some(head)) => Word::At(head),
            Ok(None) => Word::Lost,
            Err(NoReply) => Word::Silence,
        }
    }

    /// Returns whether an entry may be served.
    pub(super) async fn verdict(&self, entry: &Entry, word: Word) -> Verdict {
        match word {
            Word::Mirror => self.fence.judge(&entry.seal),
            Word::At(head) if self.agrees(head) => self.fence.judge(&entry.seal),
            Word::At(head) => match self.world.config.behind {
                Behind::Wait if self.reaches(head.epoch, head.number).await => {
                    self.fence.judge(&entry.seal)
                }
                Behind::Ask => self.ask(&entry.seal).await.unwrap_or(DEAD),
                Behind::Wait | Behind::Miss => DEAD,
            },
            Word::Lost | Word::Silence => self.unverified(entry),
        }
    }

    /// Says whether the mirror is where the registry is.
    fn agrees(&self, head: Head) -> bool {
        let position = self.fence.position();
        if self.world.rules.hold(Rule::StrictComparesBothForEquality) {
            (position.epoch, position.sequence) == (head.epoch, head.number)
        } else {
            position.sequence >= head.number
        }
    }

    /// Returns whether an entry may be served without anybody's word.
    fn unverified(&self, entry: &Entry) -> Verdict {
        let world = &self.world;
        let lives_on = world.now() <= entry.content.oldest + UNVERIFIED_FOR;
        if world.config.strict || (entry.thing != UNTAGGED && !lives_on) {
            return DEAD;
        }
        world.saw("judged without a registry");
        self.fence.judge(&entry.seal)
    }

    /// Returns what an entry has to fear of the invalidations that this process alone has made.
    fn judge_locally(&self, seal: &Seal) -> Verdict {
        let position = Position {
            sequence: u64::MAX,
            ..seal.position
        };
        self.fence
            .judge(&Seal::new(position, seal.targets.to_vec()))
    }

    /// Asks the registry about the targets of one entry: names, then buckets, then whether it is
    /// the registry of the entry. What this process alone has invalidated, its fence knows.
    async fn ask(&self, seal: &Seal) -> Result<Verdict, NoReply> {
        let position = self.fence.position();
        if position.epoch != seal.position.epoch {
            return Ok(DEAD);
        }
        let targets = &seal.targets;
        let lane = Connection::Lane;
        let rules = self.world.rules;
        let names_first = rules.hold(Rule::AskingReadsNamesBeforeBuckets);
        let mut bucket = 0;
        if !names_first {
            bucket = self
                .call(lane, |server| server.registry().highest_bucket(targets))
                .await?;
        }
        let names = self
            .call(lane, |server| server.registry().stamps_of(targets))
            .await?;
        if names_first {
            bucket = self
                .call(lane, |server| server.registry().highest_bucket(targets))
                .await?;
        }
        let all_keys = rules.hold(Rule::AskingLooksAtAllKeys);
        let (world, known) = (&self.world, position.epoch);
        let head = self
            .call(lane, |server| {
                if all_keys {
                    server.mint(world.now(), known).ok()
                } else {
                    server.head()
                }
            })
            .await?;
        let is_its_registry = head.is_some_and(|head| head.epoch == seal.position.epoch)
            || !rules.hold(Rule::AskingLooksAtTheEpoch);
        let sequence = seal.position.sequence;
        let dead = |(_, number, mode): &(_, u64, Mode)| *mode == Mode::Hard && *number > sequence;
        if !is_its_registry || bucket > sequence || names.iter().any(dead) {
            return Ok(DEAD);
        }
        let soft = names.iter().filter_map(|(_, number, mode)| match mode {
            Mode::Soft(at) if *number > sequence => Some(*at),
            Mode::Soft(_) | Mode::Hard => None,
        });
        let soft = soft.min().unwrap_or(Timestamp::NEVER);
        self.world.saw("asked about its targets");
        Ok(match self.judge_locally(seal) {
            Verdict::Dead(reason) => Verdict::Dead(reason),
            Verdict::Soft(at) => Verdict::Soft(at.min(soft)),
            Verdict::Valid if soft == Timestamp::NEVER => Verdict::Valid,
            Verdict::Valid => Verdict::Soft(soft),
        })
    }
}

/// Returns an entry of the second tier as one of the first. It keeps the number that it was filled
/// at; the local one is from before it was asked for.
fn promoted(thing: usize, stored: Stored, now: Position, rules: Rules) -> Rc<Entry> {
    let position = Position {
        epoch: if rules.hold(Rule::EntriesCarryTheirEpoch) {
            stored.epoch
        } else {
            now.epoch
        },
        sequence: if rules.hold(Rule::PromotionKeepsThePosition) {
            stored.sequence
        } else {
            now.sequence
        },
        local: now.local,
    };
    Entry::new(thing, stored.content, position, stored.tags)
}

//! The mirror: how a node learns of what others have invalidated.

use std::rc::Rc;

use super::{
    line::{Connection, NoReply},
    node::Node,
    registry::{Head, Line, Stamps},
    rules::Rule,
    server::Server,
};
use crate::{
    fence::{Applied, Snapshot},
    policy::TargetId,
};

/// How long a round waits for something to happen, in milliseconds.
const BLOCKED_FOR: u64 = 400;

/// How many names are read at a time.
const PAGE: usize = 2;

/// What a round came to.
enum Round {
    Done,
    /// Another epoch, or none: everything has to be loaded.
    Lost,
}

pub(super) async fn run(node: Rc<Node>) {
    let world = Rc::clone(&node.world);
    node.lose();
    loop {
        if node.load().await.is_err() {
            world.sleep(40).await;
            continue;
        }
        loop {
            match node.round().await {
                Ok(Round::Done) => {}
                Ok(Round::Lost) => break,
                Err(NoReply) => world.sleep(40).await,
            }
        }
        node.lose();
    }
}

impl Node {
    /// Everything is dead from here on. Without a registry, what is filled may serve those who come
    /// within a moment, under an epoch that no other process knows.
    fn lose(&self) {
        self.note(|| "lost the registry".to_owned());
        self.world.saw("lost the registry");
        self.fence.lose();
        self.synced.set(None);
        if self.world.config.free.private_epoch {
            let own = if self.world.rules.hold(Rule::PrivateEpochsAreUsedOnce) {
                self.private.get() + 1
            } else {
                self.life * 1_000
            };
            self.private.set(own);
            self.fence.restart(Snapshot {
                epoch: own,
                ..Snapshot::default()
            });
        }
    }

    async fn mirror<T>(&self, command: impl FnOnce(&mut Server) -> T) -> Result<T, NoReply> {
        self.call(Connection::Mirror, command).await
    }

    /// Takes over the registry.
    async fn load(&self) -> Result<(), NoReply> {
        let world = &self.world;
        let known = self.fence.position().epoch;
        loop {
            let sent = world.now();
            let minted = self
                .mirror(|server| server.mint(world.now(), known))
                .await?;
            let first = minted.map_err(|_| NoReply)?;
            let (stamps, buckets) = self.load_stamps().await?;
            let all_keys = world.rules.hold(Rule::AllKeysAreCheckedAfterLoading);
            let last = self
                .mirror(|server| {
                    if all_keys {
                        server.mint(world.now(), known).ok()
                    } else {
                        server.head()
                    }
                })
                .await?;
            let Some(last) = last.filter(|last| {
                last.epoch == first.epoch || !world.rules.hold(Rule::EpochIsCheckedAfterLoading)
            }) else {
                continue;
            };
            let number = if world.rules.hold(Rule::NumberIsReadBeforeTheStamps) {
                first.number
            } else {
                last.number
            };
            let skips = !world
                .rules
                .hold(Rule::NothingIsServedBeforeTheStampsAreLoaded);
            let floor = if world.config.free.loads_stamps || skips {
                0
            } else {
                number
            };
            self.note(|| format!("loaded epoch {} at {number}", first.epoch));
            self.fence.restart(Snapshot {
                epoch: first.epoch,
                number,
                floor,
                stamps: &stamps,
                buckets: &buckets,
            });
            self.knows_up_to(first.epoch, number);
            self.synced.set(Some(sent));
            return Ok(());
        }
    }

    /// Reads all stamps, unless the floor is raised instead.
    async fn load_stamps(&self) -> Result<(Stamps, Vec<(usize, u64)>), NoReply> {
        let rules = self.world.rules;
        let loads = rules.hold(Rule::NothingIsServedBeforeTheStampsAreLoaded);
        if !self.world.config.free.loads_stamps || !loads {
            return Ok((Vec::new(), Vec::new()));
        }
        let buckets = || self.mirror(|server| server.registry().buckets());
        if rules.hold(Rule::NamesAreLoadedBeforeBuckets) {
            let names = self.load_names().await?;
            Ok((names, buckets().await?))
        } else {
            let buckets = buckets().await?;
            Ok((self.load_names().await?, buckets))
        }
    }

    /// Reads all names, page by page. They are found again by number, since ranks move.
    async fn load_names(&self) -> Result<Stamps, NoReply> {
        let rules = self.world.rules;
        let mut stamps = Vec::new();
        let mut cursor = (0, TargetId(0));
        let mut rank = 0;
        loop {
            let page = self
                .mirror(|server| {
                    let names = if rules.hold(Rule::NamesAreFoundAgainByNumber) {
                        server.registry().names_after(cursor, PAGE)
                    } else {
                        server.registry().names_at(rank, PAGE)
                    };
                    let ids: Vec<_> = names.iter().map(|(_, target)| *target).collect();
                    (names, server.registry().stamps_of(&ids))
                })
                .await?;
            stamps.extend(page.1);
            let Some(last) = page.0.last() else {
                return Ok(stamps);
            };
            rank += page.0.len();
            cursor = *last;
            if !rules.hold(Rule::NamesOfOneNumberAreAllLoaded) {
                cursor.1 = TargetId(u64::MAX);
            }
        }
    }

    /// Reads what was logged since, and where the registry stands.
    async fn round(&self) -> Result<Round, NoReply> {
        let world = &self.world;
        let sent = world.now();
        let position = self.fence.position();
        let head_first = world.config.free.head_first;
        let mut head = None;
        if head_first {
            head = self.mirror(|server| server.head()).await?;
        }
        self.something_new(position.sequence).await;
        let lines = self
            .mirror(|server| server.registry().log_after(position.sequence))
            .await?;
        if !head_first {
            head = self.mirror(|server| server.head()).await?;
        }
        let Some(head) = head.filter(|head| head.epoch == position.epoch) else {
            return Ok(Round::Lost);
        };
        if let Round::Lost = self.apply(&lines, head) {
            return Ok(Round::Lost);
        }
        let complete = !head_first || self.fence.position().sequence >= head.number;
        if complete {
            let counted_from = if world.rules.hold(Rule::SyncAgeCountsFromTheSending) {
                sent
            } else {
                world.now()
            };
            self.synced.set(Some(counted_from));
        }
        Ok(Round::Done)
    }

    /// The blocking part of a round.
    async fn something_new(&self, after: u64) {
        let world = &self.world;
        let end = world.now() + BLOCKED_FOR;
        let run = world.server.borrow().run;
        world.tasks.step().await;
        let news = || {
            let server = world.server.borrow();
            server.run != run || !server.registry().log_after(after).is_empty()
        };
        let line = || world.line(self.place, Connection::Mirror);
        world
            .tasks
            .until(|| news() || line().is_cut || world.now() >= end)
            .await;
    }

    fn apply(&self, lines: &[Line], head: Head) -> Round {
        for line in lines {
            match self
                .fence
                .apply(line.epoch, line.number, &line.targets, line.mode)
            {
                Applied::Visible => self.knows(line.epoch, line.number),
                Applied::OtherEpoch => return Round::Lost,
                // The log was trimmed.
                Applied::Gap { .. } => {
                    self.world.saw("jumped a gap");
                    self.note(|| format!("missed what came before {}", line.number));
                    self.skip_to(head);
                    break;
                }
            }
        }
        Round::Done
    }

    fn skip_to(&self, head: Head) {
        if self.world.rules.hold(Rule::FloorIsRaisedOverAGap) {
            self.fence.raise_floor(head.epoch, head.number);
        } else {
            self.fence.restart(Snapshot {
                epoch: head.epoch,
                number: head.number,
                ..Snapshot::default()
            });
        }
        self.knows_up_to(head.epoch, head.number);
    }

    fn knows(&self, epoch: u64, number: u64) {
        self.note(|| format!("knows of {number}"));
        self.world
            .oracle
            .borrow_mut()
            .knows(self.place, epoch, number);
    }

    fn knows_up_to(&self, epoch: u64, number: u64) {
        self.note(|| format!("is at {number}"));
        self.world
            .oracle
            .borrow_mut()
            .knows_up_to(self.place, epoch, number);
    }
}

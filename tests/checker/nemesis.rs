//! What breaks things: one fault after another, by the seed, with quiet times between.

use std::{
    sync::{Arc, atomic::Ordering},
    thread,
    time::{Duration, Instant},
};

use crate::{
    chance::Chance,
    client::Shared,
    cluster::{NAMESPACE, Node, disturbing},
    failover::Standby,
    journal::{Failure, Quiet},
    release::Newer,
    support::{
        proxy::{Lane, Proxy},
        redis::Snapshot,
    },
};

/// How long after the last fault everything has to be well again: what recovery is given (2 s), and
/// the bound for other nodes (2 s).
pub(crate) const SETTLING: Duration = Duration::from_secs(4);

/// How long a quiet time is watched.
const QUIET: Duration = Duration::from_secs(3);

/// Faults between two quiet times.
const SPELL: usize = 8;

/// Everything that can be done to the network between a node and Redis, to Redis, and to a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    Cut,
    HoldRequests,
    HoldReplies,
    HoldLog,
    Delay,
    Drip,
    Reset,
    ResetInTheMiddle,
    FlipBits,
    FreezeRedis,
    RestartRedis,
    EmptyRedis,
    OldRedis,
    BlockRedis,
    PauseWrites,
    FillRedis,
    Flush,
    ForgetScripts,
    KillClients,
    LoseRegistry,
    FailOver,
    NewerRelease,
    FreezeNode,
    KillNode,
    EndNode,
    JumpClock,
}

const OF_THE_NETWORK: [Fault; 9] = [
    Fault::Cut,
    Fault::HoldRequests,
    Fault::HoldReplies,
    Fault::HoldLog,
    Fault::Delay,
    Fault::Drip,
    Fault::Reset,
    Fault::ResetInTheMiddle,
    Fault::FlipBits,
];

const OF_REDIS: [Fault; 13] = [
    Fault::FreezeRedis,
    Fault::RestartRedis,
    Fault::EmptyRedis,
    Fault::OldRedis,
    Fault::BlockRedis,
    Fault::PauseWrites,
    Fault::FillRedis,
    Fault::Flush,
    Fault::ForgetScripts,
    Fault::KillClients,
    Fault::LoseRegistry,
    Fault::FailOver,
    Fault::NewerRelease,
];

const OF_NODES: [Fault; 4] = [
    Fault::FreezeNode,
    Fault::KillNode,
    Fault::EndNode,
    Fault::JumpClock,
];

/// What is brought about alone: a failover sets the ways of all nodes right, and what a newer release
/// has written may be deleted for what another fault made of it.
const ALONE: [Fault; 2] = [Fault::FailOver, Fault::NewerRelease];

/// How long what was asked for before may still be on its way.
const ON_THE_WAY: Duration = Duration::from_millis(500);

/// How far wall clocks jump, in seconds: as when they are set by hand, or by a server of time.
const JUMPS: [&str; 6] = ["-172800", "-3600", "-5", "+5", "+3600", "+172800"];

/// Keys of the registry; any of them may be lost alone.
const REGISTRY: [&str; 5] = ["seq", "tags", "buckets", "soft", "log"];

struct Nemesis {
    shared: Arc<Shared>,
    chance: Chance,
    /// The page of the journal.
    page: usize,
    old: Option<Snapshot>,
    standby: Option<Standby>,
    newer: Option<Newer>,
}

/// Breaks and mends until the run stops; ends with everything mended and a quiet time.
pub(crate) fn run(shared: Arc<Shared>) {
    let mut nemesis = Nemesis {
        chance: Chance::new(shared.plan.seed, 0),
        page: shared.plan.clients,
        old: None,
        standby: None,
        newer: None,
        shared,
    };
    let calm = |nemesis: &Nemesis| nemesis.shared.calm.load(Ordering::Relaxed);
    while !calm(&nemesis) {
        for _ in 0..SPELL {
            if nemesis.shared.plan.faults && !calm(&nemesis) {
                nemesis.strike();
            }
        }
        nemesis.rest();
    }
}

impl Nemesis {
    /// Brings a fault about, sometimes two, waits, and ends them.
    fn strike(&mut self) {
        let node = self.chance.below(self.shared.plan.nodes);
        let first = self.fault();
        let second = (self.chance.percent(30)).then(|| self.fault());
        // Two of a kind would undo each other.
        let kind = |fault: Fault| (OF_THE_NETWORK.contains(&fault), OF_NODES.contains(&fault));
        let second = second.filter(|second| kind(*second) != kind(first));
        let is_alone = [Some(first), second]
            .iter()
            .flatten()
            .any(|own| ALONE.contains(own));
        let second = second.filter(|_| !is_alone);
        let share = self.chance.pick(&[7, 20, 40, 67, 100]);
        let duration = self.shared.plan.hold * share / 100;
        let duration = self.chance.milliseconds(duration / 2, duration);
        for fault in [Some(first), second].into_iter().flatten() {
            self.note(&format!("{fault:?} of node {node} for {duration:?}"));
            self.begin(fault, node);
        }
        self.pause(duration);
        for fault in [second, Some(first)].into_iter().flatten() {
            self.end(fault, node);
            self.note(&format!("{fault:?} over"));
        }
        let gap = self.chance.milliseconds(0, 400);
        self.pause(gap);
    }

    fn fault(&mut self) -> Fault {
        let only = &self.shared.plan.only;
        if !only.is_empty() {
            let name = &only[self.chance.below(only.len())];
            let all = [&OF_THE_NETWORK[..], &OF_REDIS, &OF_NODES].concat();
            let named = all.iter().find(|fault| format!("{fault:?}") == *name);
            return *named.unwrap_or_else(|| panic!("there is no fault {name}"));
        }
        if !self.shared.plan.redis {
            return self.chance.pick(&OF_NODES);
        }
        match self.chance.below(10) {
            0..4 => self.chance.pick(&OF_THE_NETWORK),
            4..8 => self.chance.pick(&OF_REDIS),
            _ => self.chance.pick(&OF_NODES),
        }
    }

    fn begin(&mut self, fault: Fault, node: usize) {
        if OF_THE_NETWORK.contains(&fault) {
            let proxy = self.shared.cluster.nodes[node].proxy.as_ref().unwrap();
            return spoil(proxy, fault, &mut self.chance);
        }
        let shared = Arc::clone(&self.shared);
        let (node_of, journal) = (&shared.cluster.nodes[node], &shared.journal);
        match fault {
            Fault::FreezeNode => {
                // One that is frozen amid a commit keeps the others from writing.
                (0..shared.plan.nodes).for_each(|node| journal.disturb(node));
                node_of.freeze();
            }
            Fault::KillNode => {
                journal.disturb(node);
                node_of.kill();
            }
            Fault::EndNode => {
                journal.disturb(node);
                assert!(node_of.terminate(), "node {node} did not end well");
            }
            Fault::JumpClock => {
                let jump = self.chance.pick(&JUMPS);
                self.note(&format!("by {jump} s"));
                shared.cluster.set_clock(node, jump);
            }
            Fault::FailOver => self.standby = Some(Standby::of(&shared.cluster.redis())),
            Fault::NewerRelease => {
                self.pause(ON_THE_WAY);
                self.newer = Newer::among(&shared.cluster.redis()).ok();
            }
            _ => self.spoil_redis(fault),
        }
    }

    fn spoil_redis(&mut self, fault: Fault) {
        let registry = self.chance.pick(&REGISTRY);
        let millis = self.chance.pick(&["300", "1500"]);
        let seconds = self.chance.pick(&["0.3", "1.5"]);
        let mut redis = self.shared.cluster.redis();
        let ask = |words: &[&str]| drop(redis.client().and_then(|mut client| client.ask(words)));
        match fault {
            Fault::FreezeRedis => redis.freeze(),
            Fault::RestartRedis | Fault::EmptyRedis | Fault::OldRedis => redis.kill(),
            Fault::BlockRedis => ask(&["DEBUG", "SLEEP", seconds]),
            Fault::PauseWrites => ask(&["CLIENT", "PAUSE", millis, "WRITE"]),
            Fault::FillRedis => ask(&["CONFIG", "SET", "maxmemory", "1"]),
            Fault::Flush => ask(&["FLUSHALL"]),
            Fault::ForgetScripts => ask(&["SCRIPT", "FLUSH"]),
            Fault::KillClients => {
                ask(&["CLIENT", "KILL", "TYPE", "pubsub"]);
                ask(&["CLIENT", "KILL", "TYPE", "normal"]);
            }
            Fault::LoseRegistry => ask(&["DEL", &format!("larder:{{{NAMESPACE}}}:{registry}")]),
            _ => unreachable!("not a fault of Redis"),
        }
    }

    fn end(&mut self, fault: Fault, node: usize) {
        if OF_THE_NETWORK.contains(&fault) {
            return self.shared.cluster.nodes[node]
                .proxy
                .as_ref()
                .unwrap()
                .mend();
        }
        let shared = Arc::clone(&self.shared);
        let (cluster, journal) = (&shared.cluster, &shared.journal);
        match fault {
            Fault::FreezeNode => {
                cluster.nodes[node].thaw();
                (0..shared.plan.nodes).for_each(|node| journal.settle(node));
            }
            Fault::KillNode | Fault::EndNode => {
                cluster.begin(node);
                journal.settle(node);
            }
            Fault::FailOver => {
                if let Some(standby) = self.standby.take() {
                    cluster.fail_over(standby);
                }
            }
            Fault::NewerRelease => self.end_newer(),
            Fault::FreezeRedis => cluster.redis().thaw(),
            Fault::RestartRedis => cluster.redis().begin(),
            Fault::EmptyRedis => cluster.redis().restart_empty(),
            Fault::OldRedis => match &self.old {
                Some(old) => cluster.redis().restart_from(old),
                None => cluster.redis().restart_empty(),
            },
            Fault::FillRedis => drop(cluster.redis().ask(&["CONFIG", "SET", "maxmemory", "0"])),
            _ => {}
        }
    }

    /// Says what was deleted of what a newer release had written.
    fn end_newer(&mut self) {
        let Some(newer) = self.newer.take() else {
            return;
        };
        let deleted = newer.deleted(&self.shared.cluster.redis());
        for name in deleted.unwrap_or_default() {
            self.shared.journal.note(self.page, |batch, end| {
                batch.failures.push(Failure {
                    start: end,
                    end,
                    node: 0,
                    wrong: true,
                    what: format!("deleted {name}, which a newer release had written"),
                });
            });
        }
    }

    /// Leaves everything alone, and counts the handler runs of that time.
    fn rest(&mut self) {
        let shared = Arc::clone(&self.shared);
        let (cluster, journal) = (&shared.cluster, &shared.journal);
        // A clock that was set stays so until somebody sets it right.
        (0..shared.plan.nodes).for_each(|node| cluster.set_clock(node, "+0"));
        self.pause(SETTLING);
        let from = journal.now();
        let before = cluster.runs();
        self.pause(QUIET);
        let after = cluster.runs();
        let runs = before.iter().zip(&after).map(|(one, two)| two - one);
        let runs = runs.collect();
        let lives = cluster.nodes.iter().map(Node::life).collect();
        let resident = cluster.nodes.iter().map(Node::resident_bytes).max();
        journal.note(self.page, |batch, to| {
            batch.quiets.push(Quiet {
                from,
                to,
                runs,
                lives,
                resident: resident.unwrap_or(0),
            });
        });
        if shared.plan.redis && self.chance.percent(50) {
            // For a restart with data that is old by then. The server stands still meanwhile.
            let snapshot = || cluster.redis().snapshot();
            self.old = Some(disturbing(journal, 0, snapshot));
        }
    }

    /// Waits, unless the run is over.
    fn pause(&self, duration: Duration) {
        let began = Instant::now();
        while began.elapsed() < duration && !self.shared.stop.load(Ordering::Relaxed) {
            thread::sleep(Duration::from_millis(10).min(duration));
        }
    }

    fn note(&self, what: &str) {
        self.shared.journal.note(self.page, |batch, now| {
            batch.events.push((now, what.to_owned()))
        });
    }
}

/// Breaks the way between one node and Redis.
fn spoil(proxy: &Proxy, fault: Fault, chance: &mut Chance) {
    let delay = chance.milliseconds(2, 120);
    let middle = 1 + chance.below(6_000);
    let all_or_log = chance.pick(&[None, None, Some(Lane::Log), Some(Lane::Commands)]);
    proxy.set(|faults| {
        faults.only = all_or_log;
        match fault {
            Fault::Cut => faults.refuse = true,
            Fault::HoldRequests => faults.requests.hold = true,
            Fault::HoldReplies => faults.replies.hold = true,
            Fault::HoldLog => {
                faults.only = Some(Lane::Log);
                faults.replies.hold = true;
            }
            Fault::Delay => {
                faults.requests.delay = delay / 2;
                faults.replies.delay = delay / 2;
            }
            Fault::Drip => faults.replies.drip = Some((16, Duration::from_millis(5))),
            Fault::ResetInTheMiddle => faults.reset_after = Some(middle),
            Fault::FlipBits => faults.flip = Some(3),
            _ => {}
        }
    });
    if matches!(fault, Fault::Cut | Fault::Reset) {
        proxy.reset();
    }
}

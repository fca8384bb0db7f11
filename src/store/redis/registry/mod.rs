//! The order of invalidations that all nodes of a namespace share.
//!
//! | key | type | what |
//! | --- | --- | --- |
//! | `seq` | hash | `epoch`, the `run` of the server it was begun on, `number` of the last stamp |
//! | `tags` | sorted set | the newest number of each name, the latest 100,000 |
//! | `buckets` | hash | the highest number of the names that were folded into each of 65,536 |
//! | `soft` | hash | what of a name's stamps was soft, `hard:before:moment:last:moment` |
//! | `log` | stream | every stamp under its number, about the last 10,000 |
//!
//! Each of them holds the epoch. If one is missing, or is of another epoch, or if the server is not
//! the process that it was when they were begun (it was restarted, perhaps from an old snapshot, or
//! it is another one), then stamps may have been lost: the registry is begun anew with a new epoch,
//! under which everything that was filled before is dead. Every script looks for that first, and
//! every new connection runs one before it is used for anything.
//!
//! Names are those of [`Target::name`](crate::policy::Target), behind the four hexadecimal digits of
//! their [`bucket`], so that the server can fold them without knowing how buckets are chosen.

mod read;
mod reply;

use std::{
    hash::{BuildHasher, RandomState},
    time::Duration,
};

use redis::{Cmd, Pipeline, RedisResult, Value, aio::ConnectionLike};
use tokio::time::timeout;

#[cfg(test)]
pub(crate) use self::read::Logged;
pub(crate) use self::read::{Reader, Round};
use super::{
    connections::{Connections, Unavailable},
    dedicated::Mailbox,
    layout::Layout,
    link::Link,
    script::Script,
};
use crate::{
    clock::Timestamp,
    key::Key,
    policy::{Target, bucket},
};

/// How many names are kept each for itself.
const MOST_NAMES: &str = "100000";

/// How many stamps a node may miss before it has to begin anew.
const MOST_LOGGED: &str = "10000";

/// How many targets one stamp has at the most: Lua hands no more than some thousands to a command.
pub(crate) const MOST_TARGETS: usize = 500;

const STAMP: &str = concat!(include_str!("whole.lua"), include_str!("stamp.lua"));
const GREET: &str = concat!(include_str!("whole.lua"), include_str!("greet.lua"));

/// How long an outside message is remembered as claimed, in milliseconds: nodes hear of it within
/// moments of each other or not at all.
const CLAIMED_FOR: u64 = 60_000;

/// A point in the order of invalidations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) epoch: u64,
    pub(crate) number: u64,
}

/// One stamp to be made.
#[derive(Clone, Debug)]
pub(crate) struct Order<'a> {
    pub(crate) targets: &'a [Target],
    /// The moment of a soft one.
    pub(crate) soft: Option<Timestamp>,
    /// What others are told: the inside of a JSON object, beginning with a comma.
    pub(crate) message: String,
}

/// What a writer had seen before he made his change, to be compared when it is stamped.
#[derive(Clone, Debug)]
pub(crate) struct Seen<'a> {
    /// What this node had applied.
    pub(crate) place: Place,
    /// What his value would be void by.
    pub(crate) targets: &'a [Target],
    pub(crate) row: Option<RowVersion>,
}

/// The version of a row that a writer has written.
#[derive(Clone, Debug)]
pub(crate) struct RowVersion {
    /// The full key of its value.
    pub(crate) key: Key,
    pub(crate) version: u64,
    /// How long it is remembered.
    pub(crate) kept_for: Duration,
}

/// What a stamp brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamped {
    pub(crate) place: Place,
    /// Whether nothing of what the writer had seen was stamped before, and his version is the newest.
    pub(crate) is_latest: bool,
}

/// Why a stamp was not made, as far as one can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unstamped {
    /// It may have been made all the same.
    Unknown,
    /// The server has no memory for it.
    Full,
}

/// The names of the registry's keys, in the order in which scripts take them.
#[derive(Clone, Debug)]
struct Keys([String; 5]);

impl Keys {
    fn new(layout: &Layout) -> Self {
        Self(["seq", "tags", "buckets", "soft", "log"].map(|name| layout.shared(name)))
    }

    fn each(&self) -> [&str; 5] {
        self.0.each_ref().map(String::as_str)
    }
}

/// The registry by way of the shared connections.
#[derive(Clone, Debug)]
pub(crate) struct Registry {
    connections: Connections,
    keys: Keys,
    stamp: Script,
}

impl Registry {
    pub(crate) fn new(connections: Connections) -> Self {
        Self {
            keys: Keys::new(connections.layout()),
            connections,
            stamp: Script::new(STAMP),
        }
    }

    pub(crate) fn connections(&self) -> &Connections {
        &self.connections
    }

    /// Makes stamps, all of them or none, and returns the place of the last one.
    pub(crate) async fn stamp(
        &self,
        orders: &[Order<'_>],
        budget: Duration,
    ) -> Result<Place, Unstamped> {
        let stamped = self.stamp_after(orders, None, budget).await;
        stamped.map(|stamped| stamped.place)
    }

    /// Makes stamps as [`stamp`](Self::stamp) does, and says in the same step whether what a writer
    /// had seen still was the last word before them.
    pub(crate) async fn stamp_after(
        &self,
        orders: &[Order<'_>],
        seen: Option<&Seen<'_>>,
        budget: Duration,
    ) -> Result<Stamped, Unstamped> {
        let arguments = arguments(orders, seen, &self.channel());
        let arguments: Vec<&[u8]> = arguments.iter().map(Vec::as_slice).collect();
        let row = seen.and_then(|seen| seen.row.as_ref());
        let row = row.map(|row| self.connections.layout().row(&row.key));
        let keys: Vec<&str> = self.keys.each().into_iter().chain(row.as_deref()).collect();
        let stamped = self
            .connections
            .script(&self.stamp, &keys, &arguments, budget)
            .await;
        match stamped {
            Ok(Value::ServerError(error)) if error.code() == "OOM" => Err(Unstamped::Full),
            Ok(answer) => reply::stamped(&answer).ok_or(Unstamped::Unknown),
            Err(_) => Err(Unstamped::Unknown),
        }
    }

    /// Destroys the registry, which takes no memory: what every node has is dead from then on.
    /// Returns whether that was done.
    pub(crate) async fn destroy(&self, budget: Duration) -> bool {
        let mut pipeline = Pipeline::with_capacity(1);
        pipeline.cmd("UNLINK").arg(&self.keys.0);
        let answers = self.connections.run(&pipeline, budget).await;
        answers.is_ok_and(|answers| matches!(*answers, [Value::Int(_)]))
    }

    /// Appends the question where the order of invalidations stands; [`place`](Self::place) reads
    /// the answer.
    pub(crate) fn ask_place(&self, pipeline: &mut Pipeline) {
        let [seq, ..] = self.keys.each();
        pipeline.cmd("HMGET").arg(seq).arg(&["epoch", "number"]);
    }

    /// Returns where the order of invalidations stands; none if there is no registry.
    pub(crate) fn place(answer: &Value) -> Option<Place> {
        reply::place(answer)
    }

    /// Asks where the order of invalidations stands.
    pub(crate) async fn read_place(&self, budget: Duration) -> Result<Option<Place>, Unavailable> {
        let mut pipeline = Pipeline::with_capacity(1);
        self.ask_place(&mut pipeline);
        let answers = self.connections.run(&pipeline, budget).await?;
        Ok(answers.first().and_then(Self::place))
    }

    /// Returns of each of the outside messages of those digests whether this node is the first to
    /// deal with it. If that can not be found out, it is: a message is better dealt with twice than
    /// never.
    pub(crate) async fn claim(&self, digests: &[String], budget: Duration) -> Vec<bool> {
        let mut pipeline = Pipeline::with_capacity(digests.len());
        for digest in digests {
            let key = (self.connections.layout()).shared(&format!("claimed:{digest}"));
            let set = pipeline.cmd("SET").arg(key).arg(1);
            set.arg("NX").arg("PX").arg(CLAIMED_FOR);
        }
        let answers = self.connections.run(&pipeline, budget).await;
        let answers = answers.unwrap_or_default();
        let is_first = |at| !matches!(answers.get(at), Some(Value::Nil));
        (0..digests.len()).map(is_first).collect()
    }

    /// Makes stamps, and returns the place of the last one once `replicas` have it, or once `within`
    /// is over; then also how many have it.
    pub(crate) async fn stamp_replicated(
        &self,
        orders: &[Order<'_>],
        replicas: usize,
        within: Duration,
    ) -> Result<(Place, u64), Unstamped> {
        let unknown = |_| Unstamped::Unknown;
        // What waits would hold up everybody else on a shared connection.
        let dedicated = self.connections.dedicated().await.map_err(unknown)?;
        let (mut link, _) = dedicated.into_parts();
        let arguments = arguments(orders, None, &self.channel());
        let arguments: Vec<&[u8]> = arguments.iter().map(Vec::as_slice).collect();
        let mut pipeline = Pipeline::with_capacity(2);
        pipeline.add_command(self.stamp.in_full(&self.keys.each(), &arguments));
        let millis = u64::try_from(within.as_millis()).unwrap_or(u64::MAX);
        pipeline.cmd("WAIT").arg(replicas).arg(millis.max(1));
        let sent = link.req_packed_commands(&pipeline, 0, 2);
        let limit = within.saturating_add(self.connections.settings().background_budget);
        let answers = timeout(limit, sent).await;
        let answers = answers.ok().and_then(Result::ok).unwrap_or_default();
        match &*answers {
            [Value::ServerError(error), _] if error.code() == "OOM" => Err(Unstamped::Full),
            [stamped, have] => reply::place(stamped)
                .map(|place| (place, reply::number(have).unwrap_or_default()))
                .ok_or(Unstamped::Unknown),
            _ => Err(Unstamped::Unknown),
        }
    }

    /// Makes a connection to read the registry on, and returns where it stands, and where the
    /// messages of that connection arrive.
    pub(crate) async fn reader(&self) -> Result<(Reader, Place, Mailbox), Unavailable> {
        let (link, mailbox) = self.connections.dedicated().await?.into_parts();
        let begun = Reader::begin(link, self.keys.clone());
        let limit = self.connections.settings().background_budget;
        match timeout(limit, begun).await {
            Ok(Ok((reader, place))) => Ok((reader, place, mailbox)),
            Ok(Err(_)) => Err(Unavailable::Failed),
            Err(_) => Err(Unavailable::TimedOut),
        }
    }

    /// Returns the channels that a node listens to.
    pub(crate) fn channels(&self) -> Vec<String> {
        let mut channels = vec![self.channel()];
        if self.connections.settings().flight_lock {
            channels.push(self.connections.waiters().channel().to_owned());
        }
        channels
    }

    /// Returns the channel of messages from and to other programs.
    fn channel(&self) -> String {
        self.connections.layout().shared("invalidate")
    }
}

/// Makes a new connection fit for use: to be called before anything else is sent on it.
///
/// A replica may be read from, and no registry can be begun on it; whoever takes it for the primary
/// is told so when he writes.
pub(super) async fn greet(layout: &Layout, link: &mut Link) -> RedisResult<()> {
    match greeted(&Keys::new(layout), link).await {
        Err(error) if error.code() == Some("READONLY") => Ok(()),
        answer => answer.map(drop),
    }
}

async fn greeted(keys: &Keys, link: &mut Link) -> RedisResult<Value> {
    let script = Script::new(GREET);
    let epoch = new_epoch().to_string();
    let arguments: [&[u8]; 1] = [epoch.as_bytes()];
    let known = script.by_hash(&keys.each(), &arguments);
    match asked(link, &known).await {
        Err(error) if error.code() == Some("NOSCRIPT") => {
            asked(link, &script.in_full(&keys.each(), &arguments)).await
        }
        answer => answer,
    }
}

/// Sends one command; what the server refuses is an error.
async fn asked(link: &mut Link, command: &Cmd) -> RedisResult<Value> {
    link.req_packed_command(command).await?.extract_error()
}

/// Returns the arguments of the stamping script.
fn arguments(orders: &[Order<'_>], seen: Option<&Seen<'_>>, channel: &str) -> Vec<Vec<u8>> {
    let asked = seen.map_or(0, |seen| seen.targets.len());
    let mut arguments: Vec<Vec<u8>> = vec![
        new_epoch().to_string().into(),
        MOST_NAMES.into(),
        MOST_LOGGED.into(),
        channel.into(),
        asked.to_string().into(),
    ];
    if let Some(seen) = seen.filter(|_| asked > 0) {
        arguments.push(seen.place.epoch.to_string().into());
        arguments.push(seen.place.number.to_string().into());
        arguments.extend(seen.targets.iter().map(|target| member(target).into()));
    }
    if let Some(row) = seen.and_then(|seen| seen.row.as_ref()) {
        // Lua knows no whole number as large as this, so the digits are compared.
        arguments.push(format!("{:020}", row.version).into());
        arguments.push(row.kept_for.as_millis().max(1).to_string().into());
    }
    for order in orders {
        let moment = order.soft.map(|at| at.as_millis().to_string());
        arguments.push(moment.unwrap_or_default().into());
        arguments.push(order.message.as_bytes().to_vec());
        arguments.push(order.targets.len().to_string().into());
        arguments.extend(order.targets.iter().map(|target| member(target).into()));
    }
    arguments
}

/// Returns by what the registry knows a target.
fn member(target: &Target) -> String {
    let name = target.name();
    format!("{:04x}{name}", bucket(&name))
}

/// Returns an epoch that nobody has had: 64 bits by chance, without the two of processes that have
/// met no registry.
fn new_epoch() -> u64 {
    RandomState::new().hash_one(0_u8).max(2)
}

//! Reads the registry on a connection of one's own.

use std::{collections::HashMap, time::Duration};

use redis::{ErrorKind, Pipeline, RedisError, RedisResult, Value, aio::ConnectionLike};

use super::{Keys, Place, greeted, reply};
use crate::{clock::Timestamp, fence::Mode, policy::TargetId, store::redis::link::Link};

/// How many stamps are read in one go.
const MOST_AT_ONCE: usize = 1000;

/// How many steps of a scan are taken at a time.
const SCAN_STEP: usize = 2000;

/// Returns the run of the server that answers.
const RUN: &str = "return string.match(redis.call('INFO', 'server'), 'run_id:(%x+)')";

/// Reads the registry, on a connection that nobody else uses.
#[derive(Debug)]
pub(crate) struct Reader {
    link: Link,
    keys: Keys,
    /// The run of the server at the other end.
    run: String,
}

/// One stamp, as the log has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Logged {
    pub(crate) place: Place,
    pub(crate) targets: Vec<TargetId>,
    pub(crate) mode: Mode,
}

/// What one look at the registry has shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Round {
    /// What was stamped since, in order.
    pub(crate) logged: Vec<Logged>,
    /// Everything that was in the log when it was read is in `logged`, and there was something.
    pub(crate) is_whole: bool,
    /// Where the order stood afterwards; none if there is no registry any more.
    pub(crate) place: Option<Place>,
    /// The server is the primary, and the process that the registry was begun on.
    pub(crate) is_sound: bool,
}

/// The stamps of a registry.
#[derive(Clone, Debug, Default)]
pub(crate) struct Loaded {
    pub(crate) stamps: Vec<(TargetId, u64, Mode)>,
    pub(crate) buckets: Vec<(usize, u64)>,
}

impl Reader {
    /// Makes sure that there is a registry, and returns where it stands.
    pub(super) async fn begin(mut link: Link, keys: Keys) -> RedisResult<(Self, Place)> {
        let answer = greeted(&keys, &mut link).await?;
        let run = reply::list(&answer).and_then(|parts| parts.get(2));
        let run = run.and_then(reply::text).ok_or_else(unreadable)?;
        let place = reply::place(&answer).ok_or_else(unreadable)?;
        Ok((Self { link, keys, run }, place))
    }

    /// Makes sure that there is a registry, and returns where it stands.
    pub(crate) async fn ensure(&mut self) -> RedisResult<Place> {
        let answer = greeted(&self.keys, &mut self.link).await?;
        reply::place(&answer).ok_or_else(unreadable)
    }

    /// Waits at most `patience` for stamps after the number `after`, and returns what there is.
    pub(crate) async fn round(&mut self, after: u64, patience: Duration) -> RedisResult<Round> {
        let [seq, _, _, _, log] = self.keys.each();
        let mut pipeline = Pipeline::with_capacity(3);
        let read = pipeline.cmd("XREAD").arg("COUNT").arg(MOST_AT_ONCE);
        let millis = u64::try_from(patience.as_millis()).unwrap_or(1).max(1);
        read.arg("BLOCK").arg(millis);
        read.arg("STREAMS").arg(log).arg(format!("{after}-0"));
        pipeline
            .cmd("HMGET")
            .arg(seq)
            .arg(&["epoch", "number", "run"]);
        pipeline.cmd("ROLE");
        if self.link.may_change_servers() {
            pipeline.cmd("EVAL").arg(RUN).arg(1).arg(seq);
        }
        let answers = self.run(&pipeline).await?;
        let [log, place, role, answering @ ..] = &*answers else {
            return Err(unreadable());
        };
        let logged = logged(log)?;
        Ok(Round {
            is_whole: (1..MOST_AT_ONCE).contains(&logged.len()),
            logged,
            place: reply::place(good(place)?),
            is_sound: self.is_own_run(place)
                && is_primary(role)
                && answering.iter().all(|run| self.is_own(run)),
        })
    }

    /// Reads all stamps, and returns them with where the registry stood afterwards.
    ///
    /// Names before buckets: folding moves stamps that way. A scan shows every member that was
    /// there all the while; one that came meanwhile is in the log. Afterwards every part is looked
    /// at, not the sequence alone: another part may have been lost while it was read, and what was
    /// read of it is then too little.
    pub(crate) async fn load(&mut self) -> RedisResult<(Loaded, Place)> {
        let [_, tags, buckets, soft, _] = self.keys.0.clone();
        let mut names = HashMap::new();
        self.scan("ZSCAN", &tags, |member, score| {
            if let (Some(target), Some(number)) = (reply::target(member), reply::score(score)) {
                names.insert(target, number);
            }
        })
        .await?;
        let mut soft_names = HashMap::new();
        self.scan("HSCAN", &soft, |member, held| {
            if let Some(target) = reply::target(member)
                && let Some(parts) = reply::text(held).as_deref().and_then(soft_parts)
            {
                soft_names.insert(target, parts);
            }
        })
        .await?;
        let mut loaded = Loaded::default();
        self.scan("HSCAN", &buckets, |bucket, number| {
            let bucket =
                reply::text(bucket).and_then(|digits| usize::from_str_radix(&digits, 16).ok());
            loaded.buckets.extend(bucket.zip(reply::number(number)));
        })
        .await?;
        for (target, number) in names {
            match soft_names.get(&target) {
                Some(parts) => loaded.stamps.extend(parts.stamps(target, number)),
                None => loaded.stamps.push((target, number, Mode::Hard)),
            }
        }
        let afterwards = self.ensure().await?;
        Ok((loaded, afterwards))
    }

    /// Listens to `channels`.
    pub(crate) async fn subscribe(&mut self, channels: &[String]) -> RedisResult<()> {
        let mut pipeline = Pipeline::with_capacity(1);
        pipeline.cmd("SUBSCRIBE").arg(channels);
        self.run(&pipeline).await.map(drop)
    }

    async fn scan(
        &mut self,
        command: &str,
        key: &str,
        mut each: impl FnMut(&Value, &Value) + Send,
    ) -> RedisResult<()> {
        let mut cursor = "0".to_owned();
        loop {
            let mut pipeline = Pipeline::with_capacity(1);
            let scan = pipeline.cmd(command).arg(key).arg(&cursor);
            scan.arg("COUNT").arg(SCAN_STEP);
            let answers = self.run(&pipeline).await?;
            let answer = good(answers.first().ok_or_else(unreadable)?)?;
            let Some([next, found]) = reply::list(answer) else {
                return Err(unreadable());
            };
            for (member, value) in reply::pairs(found) {
                each(member, value);
            }
            cursor = reply::text(next).ok_or_else(unreadable)?;
            if cursor == "0" {
                return Ok(());
            }
        }
    }

    async fn run(&mut self, pipeline: &Pipeline) -> RedisResult<Vec<Value>> {
        (self.link)
            .req_packed_commands(pipeline, 0, pipeline.len())
            .await
    }

    fn is_own_run(&self, answer: &Value) -> bool {
        let run = reply::list(answer).and_then(|parts| parts.get(2));
        run.is_some_and(|run| self.is_own(run))
    }

    fn is_own(&self, run: &Value) -> bool {
        reply::text(run).is_some_and(|run| run == self.run)
    }
}

/// The soft stamps of one name, and the hard one before them.
#[derive(Clone, Copy, Debug)]
struct SoftParts {
    hard: u64,
    before: u64,
    /// None while there was but one.
    before_at: Option<u64>,
    last: u64,
    last_at: u64,
}

impl SoftParts {
    /// Returns the stamps in the order in which they were made.
    ///
    /// If the two keys were read at different times, the name may have been hit harder since: then
    /// that is in the log too, and what is returned here is not less than what was.
    fn stamps(self, target: TargetId, newest: u64) -> Vec<(TargetId, u64, Mode)> {
        if newest != self.last {
            return vec![(target, newest.max(self.last), Mode::Hard)];
        }
        let soft = |at| Mode::Soft(Timestamp::from_millis(at));
        let mut stamps = vec![(target, self.hard, Mode::Hard)];
        stamps.extend(self.before_at.map(|at| (target, self.before, soft(at))));
        stamps.push((target, self.last, soft(self.last_at)));
        stamps
    }
}

fn soft_parts(held: &str) -> Option<SoftParts> {
    let mut parts = held.split(':');
    let parts = SoftParts {
        hard: parts.next()?.parse().ok()?,
        before: parts.next()?.parse().ok()?,
        before_at: parts.next()?.parse().ok(),
        last: parts.next()?.parse().ok()?,
        last_at: parts.next()?.parse().ok()?,
    };
    Some(parts)
}

/// Returns the stamps of an answer to `XREAD`, which is nothing if there were none.
fn logged(answer: &Value) -> RedisResult<Vec<Logged>> {
    let streams = reply::pairs(good(answer)?);
    // Before the third version of the protocol the pair is a list of its own.
    let entries = match &*streams {
        [] => match reply::list(answer) {
            Some([stream]) => reply::list(stream).and_then(|pair| pair.get(1)),
            _ => None,
        },
        [(_, entries), ..] => Some(*entries),
    };
    let entries = entries.and_then(reply::list).unwrap_or_default();
    let read: Option<Vec<Logged>> = entries.iter().map(entry).collect();
    read.ok_or_else(unreadable)
}

fn entry(value: &Value) -> Option<Logged> {
    let [id, fields] = reply::list(value)? else {
        return None;
    };
    let id = reply::text(id)?;
    let number = id.strip_suffix("-0")?.parse().ok()?;
    let mut logged = Logged {
        place: Place { epoch: 0, number },
        targets: Vec::new(),
        mode: Mode::Hard,
    };
    for (field, value) in reply::pairs(fields) {
        match reply::text(field)?.as_str() {
            "epoch" => logged.place.epoch = reply::number(value)?,
            "soft" => {
                if let Some(at) = reply::number(value) {
                    logged.mode = Mode::Soft(Timestamp::from_millis(at));
                }
            }
            "name" => logged.targets.push(reply::target(value)?),
            _ => {}
        }
    }
    Some(logged)
}

/// Returns whether a server is what writes go to. One that does not tell is taken for it: so is one
/// of a service where the question is not allowed.
fn is_primary(role: &Value) -> bool {
    let first = reply::list(role).and_then(<[Value]>::first);
    first
        .and_then(reply::text)
        .is_none_or(|role| role == "master")
}

/// Returns the answer unless the server refused to give one.
fn good(answer: &Value) -> RedisResult<&Value> {
    match answer {
        Value::ServerError(error) => Err(error.clone().into()),
        answer => Ok(answer),
    }
}

fn unreadable() -> RedisError {
    RedisError::from((
        ErrorKind::UnexpectedReturnType,
        "not what a registry looks like",
    ))
}

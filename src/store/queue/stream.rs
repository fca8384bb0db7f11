//! A queue of writes in Redis: a stream for each lane, with a consumer group.
//!
//! | key | what |
//! | --- | --- |
//! | `larder:{ns}:w:NAME:LANE` | the stream of a lane; what is settled is removed from it |
//! | `larder:{ns}:w:NAME:LANE:held` | who works at the lane, with an end |
//! | `larder:{ns}:w:NAME:newest` | a hash: the id of the newest write of each key that waits |
//! | `larder:{ns}:w:NAME:waiting` | a hash: how many wait in each lane, and which lanes somebody has worked at |
//! | `larder:{ns}:w:NAME:aside` | a stream: what could not be delivered |
//!
//! The group has one consumer, whoever plays it: what one holder has read and not settled is the
//! first thing that the next one reads, with no time to wait for. Nothing is ever trimmed: a stream is
//! as long as what waits, and adding is refused when that is too much.
//!
//! Whoever takes compares the length of a stream with the number that is noted of it: rows that were
//! removed by another hand than larder's, one by one or with their stream, are noticed so, and
//! counted once, whichever node finds it out. Rows are noted after they are added and struck off when
//! they are settled, so that an error in between is never taken for a loss. Where the note is gone as
//! well, since all of Redis was emptied, what counts is how many this process knew to wait.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use redis::{FromRedisValue, Pipeline, Value, cmd};
use tokio::sync::OnceCell;

use super::{
    Buried, Sizes, Taken, Waiting,
    arriving::{Arrivals, Arriving},
    scripts::Scripts,
    unavailable,
};
use crate::{
    error::{Error, ErrorKind},
    store::redis::{Connections, Script},
};

/// A queue in Redis.
#[derive(Debug)]
pub(crate) struct StreamQueue {
    connections: Connections,
    name: Box<str>,
    sizes: Sizes,
    scripts: Scripts,
    /// Whether the server was found to keep what it is given.
    keeps: OnceCell<()>,
    /// How many writes are known to wait in each lane, at least.
    known: Box<[AtomicU64]>,
    /// The writes of each lane on their way into it.
    pub(super) arrivals: Box<[Mutex<Arrivals>]>,
}

impl StreamQueue {
    pub(super) fn new(connections: &Connections, name: &str, sizes: Sizes) -> Self {
        Self {
            connections: connections.clone(),
            name: name.into(),
            sizes,
            scripts: Scripts::new(),
            keeps: OnceCell::new(),
            known: (0..sizes.lanes).map(|_| AtomicU64::new(0)).collect(),
            arrivals: (0..sizes.lanes).map(|_| Mutex::default()).collect(),
        }
    }

    /// Refuses a server that may evict what it is given to keep.
    ///
    /// # Errors
    ///
    /// Fails if it may, and if it gave no answer.
    pub(super) async fn check(&self) -> Result<(), Error> {
        let checked = self.keeps.get_or_try_init(|| async {
            let answer = self.single(cmd("INFO").arg("memory").take()).await?;
            let text = String::from_redis_value(answer).map_err(unavailable)?;
            let policy = text
                .lines()
                .find_map(|line| line.strip_prefix("maxmemory_policy:"))
                .unwrap_or_default();
            if policy.trim().starts_with("allkeys") {
                let message = format!(
                    "maxmemory-policy `{}` lets Redis evict writes that wait; set it to `noeviction` \
                     or `volatile-lru`",
                    policy.trim()
                );
                return Err(Error::new(ErrorKind::Configuration, message));
            }
            Ok(())
        });
        checked.await.map(|_| ())
    }

    pub(super) async fn add(self: &Arc<Self>, key: &str, value: Bytes) -> Result<(), Error> {
        self.check().await?;
        self.arrive(self.sizes.lane(key), key, value).await
    }

    /// Adds writes to their lane. Returns how many of them, of which the first ones, found room.
    pub(super) async fn append(&self, lane: u16, writes: &[Arriving]) -> Result<usize, Error> {
        let lanes = u64::from(self.sizes.lanes.max(1));
        let most = self.sizes.most.div_ceil(lanes);
        let mut arguments = vec![number(lane), number(most)];
        for write in writes {
            arguments.extend([(*write.key).into(), write.value.to_vec()]);
        }
        let keys = self.lane(lane);
        let added = self.script(&self.scripts.add, &keys, &arguments).await?;
        usize::from_redis_value(added).map_err(unavailable)
    }

    /// Returns how many may wait in all.
    pub(super) fn most(&self) -> u64 {
        self.sizes.most
    }

    pub(super) async fn pending(&self, key: &str) -> Result<Option<Bytes>, Error> {
        let keys = [self.stream(self.sizes.lane(key)), self.key("newest")];
        let found = (self.script(&self.scripts.pending, &keys, &[key.into()])).await?;
        let found = Option::<Vec<u8>>::from_redis_value(found);
        Ok(found.map_err(unavailable)?.map(Bytes::from))
    }

    pub(super) async fn hold(
        &self,
        lane: u16,
        holder: &str,
        time: Duration,
    ) -> Result<bool, Error> {
        let keys = [self.held(lane)];
        let arguments = [holder.into(), number(time.as_millis())];
        Ok(self.script(&self.scripts.hold, &keys, &arguments).await? == Value::Int(1))
    }

    pub(super) async fn release(&self, lane: u16, holder: &str) -> Result<(), Error> {
        let (keys, arguments) = ([self.held(lane)], [holder.into()]);
        let released = self.script(&self.scripts.release, &keys, &arguments);
        released.await.map(|_| ())
    }

    pub(super) async fn take(
        &self,
        lane: u16,
        holder: &str,
        time: Duration,
        count: usize,
    ) -> Result<Option<Taken>, Error> {
        let keys = [self.held(lane), self.stream(lane), self.key("waiting")];
        let arguments = [
            number(lane),
            holder.into(),
            number(time.as_millis()),
            number(self.known(lane)),
        ];
        let begun = self.script(&self.scripts.begin, &keys, &arguments).await?;
        let begun = Vec::<u64>::from_redis_value(begun).map_err(unavailable)?;
        let &[1, length, read, lost] = begun.as_slice() else {
            // Whoever comes after the one who has it should know what there was.
            self.know(lane, begun.get(1).copied().unwrap_or_default());
            return Ok(None);
        };
        self.know(lane, length);
        match self.read(lane, count, read, length).await {
            Ok(writes) => Ok(Some(Taken { writes, lost })),
            // It is told only once.
            Err(_) if lost > 0 => Ok(Some(Taken {
                writes: Vec::new(),
                lost,
            })),
            Err(error) => Err(error),
        }
    }

    /// Reads the oldest writes of a lane that are not settled. Those come first of which `read` were
    /// read before: what is new must not overtake them.
    async fn read(
        &self,
        lane: u16,
        count: usize,
        read: u64,
        length: u64,
    ) -> Result<Vec<Waiting>, Error> {
        let again = usize::try_from(read).map_or(count, |read| read.min(count));
        let mut reading = Pipeline::with_capacity(2);
        let stream = self.stream(lane);
        for (from, count) in [("0", again), (">", count - again)] {
            if count > 0 && (length > 0 || from == "0") {
                let command = reading.cmd("XREADGROUP");
                command.arg(&["GROUP", "larder", "holder", "COUNT"]);
                command.arg(count).arg("STREAMS").arg(&stream).arg(from);
            }
        }
        if reading.is_empty() {
            return Ok(Vec::new());
        }
        let (mut taken, mut gone) = (Vec::new(), Vec::new());
        for answer in self.run(&reading).await? {
            refused(&answer)?;
            let streams = Vec::<(String, Value)>::from_redis_value(answer).map_err(unavailable)?;
            for (_, answer) in streams {
                for (id, fields) in rows(answer)? {
                    match waiting(&id, fields) {
                        Some(write) => taken.push(write),
                        None => gone.push(id),
                    }
                }
            }
        }
        if !gone.is_empty() {
            // Somebody else has removed them from the stream; nobody has what was in them.
            let gone = cmd("XACK").arg(&stream).arg("larder").arg(gone).take();
            self.single(gone).await?;
        }
        Ok(taken)
    }

    pub(super) async fn settle(&self, lane: u16, written: &[Waiting]) -> Result<(), Error> {
        let mut arguments = vec![number(lane)];
        for write in written {
            arguments.extend([(*write.id).into(), (*write.key).into()]);
        }
        let keys = self.lane(lane);
        self.script(&self.scripts.settle, &keys, &arguments).await?;
        self.gone(lane, written.len());
        Ok(())
    }

    pub(super) async fn bury(&self, lane: u16, write: &Waiting, why: &str) -> Result<(), Error> {
        let [stream, newest, waiting] = self.lane(lane);
        let keys = [stream, newest, waiting, self.key("aside")];
        let arguments = [
            number(lane),
            (*write.id).into(),
            (*write.key).into(),
            write.value.to_vec(),
            why.into(),
        ];
        self.script(&self.scripts.bury, &keys, &arguments).await?;
        self.gone(lane, 1);
        Ok(())
    }

    pub(super) async fn buried(&self, count: usize) -> Result<Vec<Buried>, Error> {
        let range = cmd("XRANGE")
            .arg(self.key("aside"))
            .arg(&["-", "+", "COUNT"])
            .arg(count)
            .take();
        let answer = self.single(range).await?;
        let rows = rows(answer)?;
        Ok(rows
            .into_iter()
            .filter_map(|(id, fields)| {
                let write = waiting(&id, fields.clone())?;
                let reason = field(&fields?, "r")?;
                Some(Buried {
                    id: write.id,
                    key: write.key,
                    value: write.value,
                    reason: String::from_utf8_lossy(&reason).into(),
                })
            })
            .collect())
    }

    pub(super) async fn dig_up(&self, id: &str, again: bool) -> Result<bool, Error> {
        let aside = self.key("aside");
        let range = cmd("XRANGE").arg(&aside).arg(id).arg(id).take();
        let found = rows(self.single(range).await?)?;
        let Some(write) = found
            .into_iter()
            .find_map(|(id, fields)| waiting(&id, fields))
        else {
            return Ok(false);
        };
        if !again {
            let removed = self.single(cmd("XDEL").arg(aside).arg(id).take()).await?;
            return Ok(removed == Value::Int(1));
        }
        let lane = self.sizes.lane(&write.key);
        let [stream, newest, waiting] = self.lane(lane);
        let keys = [stream, newest, waiting, aside];
        let arguments = [
            number(lane),
            id.into(),
            (*write.key).into(),
            write.value.to_vec(),
        ];
        let dug = self.script(&self.scripts.dig_up, &keys, &arguments).await?;
        Ok(dug == Value::Int(1))
    }

    pub(super) async fn len(&self) -> Result<u64, Error> {
        let mut all = Pipeline::new();
        for lane in 0..self.sizes.lanes {
            all.cmd("XLEN").arg(self.stream(lane));
        }
        let mut sum = 0_u64;
        for answer in self.run(&all).await? {
            refused(&answer)?;
            sum += u64::from_redis_value(answer).map_err(unavailable)?;
        }
        Ok(sum)
    }

    fn key(&self, part: &str) -> String {
        let shared = format!("w:{}:{part}", self.name);
        self.connections.layout().shared(&shared)
    }

    /// Returns the keys by which a lane is written: its stream, newest, waiting.
    fn lane(&self, lane: u16) -> [String; 3] {
        [self.stream(lane), self.key("newest"), self.key("waiting")]
    }

    /// Returns how many writes are known to wait in a lane.
    fn known(&self, lane: u16) -> u64 {
        let known = self.known.get(usize::from(lane));
        known.map_or(0, |known| known.load(Ordering::Relaxed))
    }

    fn know(&self, lane: u16, waiting: u64) {
        if let Some(known) = self.known.get(usize::from(lane)) {
            known.store(waiting, Ordering::Relaxed);
        }
    }

    /// Notes that writes of a lane do not wait any more. The one who holds it does so alone.
    fn gone(&self, lane: u16, writes: usize) {
        let writes = u64::try_from(writes).unwrap_or(u64::MAX);
        self.know(lane, self.known(lane).saturating_sub(writes));
    }

    fn stream(&self, lane: u16) -> String {
        self.key(&lane.to_string())
    }

    fn held(&self, lane: u16) -> String {
        self.key(&format!("{lane}:held"))
    }

    async fn script(
        &self,
        script: &Script,
        keys: &[String],
        arguments: &[Vec<u8>],
    ) -> Result<Value, Error> {
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        let arguments: Vec<&[u8]> = arguments.iter().map(Vec::as_slice).collect();
        let budget = self.connections.settings().background_budget;
        let answer = self
            .connections
            .script(script, &keys, &arguments, budget)
            .await
            .map_err(|_| self.no_answer())?;
        refused(&answer)?;
        Ok(answer)
    }

    async fn single(&self, command: redis::Cmd) -> Result<Value, Error> {
        let mut pipeline = Pipeline::with_capacity(1);
        pipeline.add_command(command);
        let answer = self.run(&pipeline).await?.pop();
        answer.ok_or_else(|| unavailable("nothing came back"))
    }

    async fn run(&self, pipeline: &Pipeline) -> Result<Vec<Value>, Error> {
        let budget = self.connections.settings().background_budget;
        let answers = self.connections.run(pipeline, budget).await;
        answers.map_err(|_| self.no_answer())
    }

    fn no_answer(&self) -> Error {
        let cause = self.connections.health().last_error;
        unavailable(cause.as_deref().unwrap_or("nothing in time"))
    }
}

/// Writes a number as scripts read it.
fn number(number: impl std::fmt::Display) -> Vec<u8> {
    number.to_string().into_bytes()
}

type Fields = Vec<(String, Vec<u8>)>;

/// Returns the rows of a range of a stream; a row that was removed meanwhile has no fields.
fn rows(answer: Value) -> Result<Vec<(String, Option<Fields>)>, Error> {
    refused(&answer)?;
    Vec::from_redis_value(answer).map_err(unavailable)
}

fn field(fields: &Fields, name: &str) -> Option<Vec<u8>> {
    let found = fields.iter().find(|(field, _)| field == name)?;
    Some(found.1.clone())
}

fn waiting(id: &str, fields: Option<Fields>) -> Option<Waiting> {
    let fields = fields?;
    let key = String::from_utf8(field(&fields, "k")?).ok()?;
    Some(Waiting {
        id: id.into(),
        key: key.into(),
        value: field(&fields, "v")?.into(),
    })
}

fn refused(answer: &Value) -> Result<(), Error> {
    match answer {
        Value::ServerError(error) => Err(unavailable(format!(
            "{} {}",
            error.code(),
            error.details().unwrap_or_default()
        ))),
        _ => Ok(()),
    }
}

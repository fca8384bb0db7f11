//! A queue of writes in Redis: a stream for each lane, with a consumer group.
//!
//! | key | what |
//! | --- | --- |
//! | `larder:{ns}:w:NAME:LANE` | the stream of a lane; what is settled is removed from it |
//! | `larder:{ns}:w:NAME:LANE:held` | who works at the lane, with an end |
//! | `larder:{ns}:w:NAME:newest` | a hash: the id of the newest write of each key that waits |
//! | `larder:{ns}:w:NAME:aside` | a stream: what could not be delivered |
//!
//! The group has one consumer, whoever plays it: what one holder has read and not settled is the
//! first thing that the next one reads, with no time to wait for. Nothing is ever trimmed: a stream is
//! as long as what waits, and adding is refused when that is too much.

use std::time::Duration;

use bytes::Bytes;
use redis::{FromRedisValue, Pipeline, Value, cmd};
use tokio::sync::OnceCell;

use super::{Buried, Sizes, Waiting, full, unavailable};
use crate::{
    error::{Error, ErrorKind},
    store::redis::{Connections, Script},
};

/// Adds a write unless its lane is full. Keys: stream, newest. Arguments: most, key, value.
const ADD: &str = "
if redis.call('XLEN', KEYS[1]) >= tonumber(ARGV[1]) then return false end
local id = redis.call('XADD', KEYS[1], '*', 'k', ARGV[2], 'v', ARGV[3])
redis.call('HSET', KEYS[2], ARGV[2], id)
return id";

/// Returns the newest value of a key that waits. Keys: stream, newest. Arguments: key.
const PENDING: &str = "
local id = redis.call('HGET', KEYS[2], ARGV[1])
local row = id and redis.call('XRANGE', KEYS[1], id, id)[1]
return row and row[2][4]";

/// Reads the oldest writes of a lane that are not settled, those first that were read before: what is
/// new must not overtake them. Makes the group if it is not there. Keys: stream. Arguments: count.
const TAKE: &str = "
local function read(from, count)
  local command = { 'XREADGROUP', 'GROUP', 'larder', 'holder', 'COUNT', count, 'STREAMS', KEYS[1], from }
  local answer = redis.pcall(unpack(command))
  if answer and answer.err and string.sub(answer.err, 1, 7) == 'NOGROUP' then
    redis.call('XGROUP', 'CREATE', KEYS[1], 'larder', '0', 'MKSTREAM')
    answer = redis.call(unpack(command))
  end
  if answer and answer.err then return answer end
  return answer and answer[1][2] or {}
end
local count = tonumber(ARGV[1])
local taken = read('0', count)
if taken.err then return taken end
if #taken < count then
  local new = read('>', count - #taken)
  if new.err then return new end
  for _, row in ipairs(new) do taken[#taken + 1] = row end
end
return taken";

/// Removes writes. Keys: stream, newest. Arguments: id and key of each.
const SETTLE: &str = "
local ids = {}
for at = 1, #ARGV, 2 do
  ids[#ids + 1] = ARGV[at]
  if redis.call('HGET', KEYS[2], ARGV[at + 1]) == ARGV[at] then
    redis.call('HDEL', KEYS[2], ARGV[at + 1])
  end
  -- No more are handed to one command than Lua can.
  if #ids == 1000 or at + 1 == #ARGV then
    redis.call('XACK', KEYS[1], 'larder', unpack(ids))
    redis.call('XDEL', KEYS[1], unpack(ids))
    ids = {}
  end
end
return #ARGV / 2";

/// Sets a write aside. Keys: stream, newest, aside. Arguments: id, key, value, reason.
const BURY: &str = "
redis.call('XADD', KEYS[3], '*', 'k', ARGV[2], 'v', ARGV[3], 'r', ARGV[4])
redis.call('XACK', KEYS[1], 'larder', ARGV[1])
redis.call('XDEL', KEYS[1], ARGV[1])
if redis.call('HGET', KEYS[2], ARGV[2]) == ARGV[1] then
  redis.call('HDEL', KEYS[2], ARGV[2])
end
return 1";

/// Puts a write back. Keys: stream, newest, aside. Arguments: id aside, key, value.
const DIG_UP: &str = "
if redis.call('XDEL', KEYS[3], ARGV[1]) == 0 then return 0 end
local id = redis.call('XADD', KEYS[1], '*', 'k', ARGV[2], 'v', ARGV[3])
redis.call('HSET', KEYS[2], ARGV[2], id)
return 1";

/// Takes a lane that nobody holds, or holds it further. Keys: held. Arguments: holder, milliseconds.
const HOLD: &str = "
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1";

/// Lets a lane go, if it is one's own. Keys: held. Arguments: holder.
const RELEASE: &str = "
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0";

/// A queue in Redis.
#[derive(Debug)]
pub(crate) struct StreamQueue {
    connections: Connections,
    name: Box<str>,
    sizes: Sizes,
    scripts: Scripts,
    /// Whether the server was found to keep what it is given.
    keeps: OnceCell<()>,
}

#[derive(Debug)]
struct Scripts {
    add: Script,
    pending: Script,
    take: Script,
    settle: Script,
    bury: Script,
    dig_up: Script,
    hold: Script,
    release: Script,
}

impl StreamQueue {
    pub(super) fn new(connections: &Connections, name: &str, sizes: Sizes) -> Self {
        Self {
            connections: connections.clone(),
            name: name.into(),
            sizes,
            scripts: Scripts {
                add: Script::new(ADD),
                pending: Script::new(PENDING),
                take: Script::new(TAKE),
                settle: Script::new(SETTLE),
                bury: Script::new(BURY),
                dig_up: Script::new(DIG_UP),
                hold: Script::new(HOLD),
                release: Script::new(RELEASE),
            },
            keeps: OnceCell::new(),
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

    pub(super) async fn add(&self, key: &str, value: Bytes) -> Result<Box<str>, Error> {
        self.check().await?;
        let lanes = u64::from(self.sizes.lanes.max(1));
        let most = self.sizes.most.div_ceil(lanes);
        let keys = [self.stream(self.sizes.lane(key)), self.key("newest")];
        let arguments = [most.to_string().into_bytes(), key.into(), value.to_vec()];
        match self.script(&self.scripts.add, &keys, &arguments).await? {
            Value::Nil => Err(full(self.sizes.most)),
            id => text(id),
        }
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
        let arguments = [holder.into(), time.as_millis().to_string().into_bytes()];
        Ok(self.script(&self.scripts.hold, &keys, &arguments).await? == Value::Int(1))
    }

    pub(super) async fn release(&self, lane: u16, holder: &str) -> Result<(), Error> {
        let (keys, arguments) = ([self.held(lane)], [holder.into()]);
        let released = self.script(&self.scripts.release, &keys, &arguments);
        released.await.map(|_| ())
    }

    pub(super) async fn take(&self, lane: u16, count: usize) -> Result<Vec<Waiting>, Error> {
        let stream = self.stream(lane);
        let (keys, count) = ([stream.clone()], count.to_string().into_bytes());
        let answer = self.script(&self.scripts.take, &keys, &[count]).await?;
        let mut taken = Vec::new();
        let mut gone = Vec::new();
        for (id, fields) in rows(answer)? {
            match waiting(&id, fields) {
                Some(write) => taken.push(write),
                None => gone.push(id),
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
        let keys = [self.stream(lane), self.key("newest")];
        let arguments: Vec<Vec<u8>> = written
            .iter()
            .flat_map(|write| [(*write.id).into(), (*write.key).into()])
            .collect();
        let settled = self.script(&self.scripts.settle, &keys, &arguments).await?;
        refused(&settled)
    }

    pub(super) async fn bury(&self, lane: u16, write: &Waiting, why: &str) -> Result<(), Error> {
        let keys = [self.stream(lane), self.key("newest"), self.key("aside")];
        let arguments = [
            (*write.id).into(),
            (*write.key).into(),
            write.value.to_vec(),
            why.into(),
        ];
        let buried = self.script(&self.scripts.bury, &keys, &arguments).await?;
        refused(&buried)
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
        let keys = [self.stream(lane), self.key("newest"), aside];
        let arguments = [id.into(), (*write.key).into(), write.value.to_vec()];
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

fn text(value: Value) -> Result<Box<str>, Error> {
    refused(&value)?;
    let text = String::from_redis_value(value).map_err(unavailable)?;
    Ok(text.into())
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

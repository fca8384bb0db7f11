//! What is written to Redis, behind the responses.
//!
//! Nobody waits for a write. What is to be written stands in a queue that is bounded by number and
//! by bytes; what finds no room is dropped and counted, since a response that is not in the second
//! tier costs a handler run and nothing else. One task empties the queue in pipelines. While the
//! breaker is open it drops what comes.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use redis::{Cmd, Pipeline, RedisWrite, ToRedisArgs, Value};
use tokio::sync::{mpsc, oneshot};

use super::{
    layout::Layout,
    lock::{RELEASE, RENEW, lease},
    release::Released,
    server_time::ServerTime,
    tier::Inner,
};
use crate::{
    entry::{
        Entry, Origin, Variation,
        codec::{Encoded, encode, encode_names},
    },
    key::Key,
    policy::Target,
    store::{second::Whence, variants::variant_key},
};

/// How many writes may wait.
const MOST_WAITING: usize = 1024;

/// How many bytes of bodies may wait. Most of them are in the first tier as well.
const MOST_BYTES: u64 = 32 << 20;

/// How many writes go out at once,
const PER_PIPELINE: usize = 64;

/// and above how many bytes no further one joins them.
const BYTES_PER_PIPELINE: usize = 1 << 20;

/// The longest time that a key stays, in milliseconds: a year, for entries that never end.
const LONGEST: u64 = 365 * 24 * 60 * 60 * 1000;

impl Whence {
    fn origin(&self) -> Origin<'_> {
        Origin {
            authority: &self.authority,
            path: self.uri.path(),
            query: self.uri.query(),
            route: self.route.as_deref(),
        }
    }

    /// Returns whether a reader would make the same targets of what is written as the entry has.
    /// One that lacked a target would outlive the invalidation of it.
    fn tells_all_targets_of(&self, entry: &Entry) -> bool {
        let mut told = self.origin().targets();
        told.extend(
            entry
                .tags
                .iter()
                .map(|tag| Target::Tag(Arc::clone(tag)).id()),
        );
        entry
            .seal
            .targets
            .iter()
            .all(|target| told.contains(target))
    }
}

/// Something to be done behind the responses.
#[derive(Debug)]
pub(super) enum Job {
    Put {
        primary: Key,
        entry: Arc<Entry>,
        whence: Whence,
    },
    /// The key of this name holds something that nobody can read.
    Remove(String),
    /// The lock of this name is given back if it is still held by this value.
    Unlock {
        name: String,
        value: String,
        word: Released,
    },
    /// The lock of this name stands on if it is still held by this value.
    Renew { name: String, value: String },
    /// Tell when everything before it is done.
    Flush(oneshot::Sender<()>),
}

impl Job {
    fn bytes(&self) -> u64 {
        match self {
            Self::Put { entry, .. } => u64::try_from(entry.body.bytes.len()).unwrap_or(u64::MAX),
            Self::Remove(_) | Self::Unlock { .. } | Self::Renew { .. } | Self::Flush(_) => 0,
        }
    }
}

/// The way into the queue.
#[derive(Debug)]
pub(super) struct Queue {
    sender: mpsc::Sender<Job>,
    bytes: Arc<AtomicU64>,
}

/// The way out of it.
#[derive(Debug)]
pub(super) struct Waiting {
    receiver: mpsc::Receiver<Job>,
    bytes: Arc<AtomicU64>,
}

pub(super) fn queue() -> (Queue, Waiting) {
    let (sender, receiver) = mpsc::channel(MOST_WAITING);
    let bytes = Arc::new(AtomicU64::new(0));
    let queue = Queue {
        sender,
        bytes: Arc::clone(&bytes),
    };
    (queue, Waiting { receiver, bytes })
}

impl Queue {
    /// Adds a job unless there is no room for it.
    pub(super) fn push(&self, job: Job) -> bool {
        let bytes = job.bytes();
        let before = self.bytes.fetch_add(bytes, Ordering::Relaxed);
        let taken = before.saturating_add(bytes) <= MOST_BYTES && self.sender.try_send(job).is_ok();
        if !taken {
            self.bytes.fetch_sub(bytes, Ordering::Relaxed);
        }
        taken
    }

    /// Waits until all that was added before is done.
    pub(super) async fn flush(&self) {
        let (done, flushed) = oneshot::channel();
        if self.sender.send(Job::Flush(done)).await.is_ok() {
            // An error means that the writer has ended, and with it the waiting.
            let _ = flushed.await;
        }
    }
}

impl Waiting {
    /// Takes what is waiting, or waits for it. None once nobody can add any more.
    pub(super) async fn next(&mut self, jobs: &mut Vec<Job>) -> Option<()> {
        jobs.clear();
        let taken = self.receiver.recv_many(jobs, PER_PIPELINE).await;
        let bytes = jobs.iter().map(Job::bytes).sum();
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
        (taken > 0).then_some(())
    }
}

/// The writes of one pipeline.
#[derive(Debug, Default)]
struct Batch {
    pipeline: Pipeline,
    /// For each command how many entries it stands for, which is none or one.
    entries: Vec<usize>,
    bytes: usize,
}

impl Batch {
    fn add(&mut self, command: Cmd, entries: usize, bytes: usize) {
        self.pipeline.add_command(command);
        self.entries.push(entries);
        self.bytes += bytes;
    }
}

impl Inner {
    /// Does `jobs`. Of the entries only those leave that `may_leave` accepts.
    pub(super) async fn write(&self, jobs: &mut Vec<Job>, may_leave: impl Fn(&Entry) -> bool) {
        let mut batch = Batch::default();
        for job in jobs.drain(..) {
            match job {
                Job::Put {
                    primary,
                    entry,
                    whence,
                } => {
                    if may_leave(&entry) {
                        self.add(&mut batch, &primary, &entry, &whence);
                    } else {
                        self.tally.dropped.add(1);
                    }
                }
                Job::Remove(name) => {
                    let mut command = redis::cmd("UNLINK");
                    command.arg(name);
                    batch.add(command, 0, 0);
                }
                Job::Unlock { name, value, word } => {
                    let message = format!("{}{name}", word.sign());
                    let mut command = redis::cmd("EVAL");
                    command.arg(RELEASE).arg(1).arg(name).arg(value);
                    command
                        .arg(self.connections.waiters().channel())
                        .arg(message);
                    batch.add(command, 0, 0);
                }
                Job::Renew { name, value } => {
                    let mut command = redis::cmd("EVAL");
                    command.arg(RENEW).arg(1).arg(name).arg(value).arg(lease());
                    batch.add(command, 0, 0);
                }
                Job::Flush(done) => {
                    self.send(&mut batch).await;
                    // Whoever asked may have stopped waiting.
                    let _ = done.send(());
                }
            }
            if batch.bytes >= BYTES_PER_PIPELINE {
                self.send(&mut batch).await;
            }
        }
        self.send(&mut batch).await;
    }

    fn add(&self, batch: &mut Batch, primary: &Key, entry: &Entry, whence: &Whence) {
        let time = self.connections.time();
        let left = entry.life.gone_at.since(time.now());
        let left = u64::try_from(left.as_millis())
            .unwrap_or(LONGEST)
            .min(LONGEST);
        if left == 0 || !whence.tells_all_targets_of(entry) {
            whence.stays_here();
            self.tally.dropped.add(1);
            return;
        }
        let life = entry.life.shifted(time.ahead());
        let encoded = encode(entry, &life, &whence.origin());
        let bytes = encoded.head.len() + encoded.body.len();
        if u64::try_from(bytes).unwrap_or(u64::MAX) > self.connections.settings().largest_entry {
            whence.stays_here();
            self.tally.dropped.add(1);
            return;
        }
        let layout = self.connections.layout();
        let name = match &entry.variation {
            None => layout.entry(primary),
            Some(variation) => {
                let names = encode_names(primary, &variation.names);
                batch.add(set(&layout.entry(primary), names, left), 0, 0);
                variant_name(layout, primary, variation)
            }
        };
        batch.add(set(&name, Whole(encoded), left), 1, bytes);
    }

    async fn send(&self, batch: &mut Batch) {
        let batch = std::mem::take(batch);
        if batch.entries.is_empty() {
            return;
        }
        let mut pipeline = batch.pipeline;
        let entries: usize = batch.entries.iter().sum();
        let time = self.connections.time();
        pipeline.add_command(ServerTime::question());
        let sent = time.now();
        let Ok(answers) = self.connections.run_behind(&pipeline).await else {
            self.tally.dropped.add(entries);
            return;
        };
        if let Some(answer) = answers.last() {
            time.note(sent, answer);
        }
        let refused = answers.iter().zip(&batch.entries);
        let refused = refused.filter(|(answer, _)| matches!(answer, Value::ServerError(_)));
        let refused = refused.map(|(_, entries)| entries).sum();
        self.tally.errors.add(refused);
        self.tally.dropped.add(refused);
        self.tally.written.add(entries.saturating_sub(refused));
    }
}

/// Returns the name of one variant of the URL with the key `primary`.
pub(super) fn variant_name(layout: &Layout, primary: &[u8], variation: &Variation) -> String {
    let mut key = variant_key(primary, &variation.names);
    key.extend_from_slice(&variation.selecting);
    layout.entry(&key)
}

fn set(name: &str, value: impl ToRedisArgs, left: u64) -> Cmd {
    let mut command = redis::cmd("SET");
    command.arg(name).arg(value).arg("PX").arg(left);
    command
}

/// An entry as one argument, without its pieces being put together before.
struct Whole(Encoded);

impl ToRedisArgs for Whole {
    fn write_redis_args<W: ?Sized + RedisWrite>(&self, out: &mut W) {
        use std::io::Write;

        let Encoded { head, body } = &self.0;
        let mut writer = out.writer_for_next_arg();
        // Writing to memory does not fail; a value cut short would fail its checksum.
        let _ = writer.write_all(head).and_then(|()| writer.write_all(body));
    }
}

//! Delivers the writes of one lane.
//!
//! It holds the lane while it works at it, and goes on in rounds: take the oldest, deliver them,
//! invalidate, settle. A round whose batch fails is played again write by write. Then a write that
//! fails shows whether it is to blame: if another one of the round succeeds, or one did since its
//! first failure, the sink is up, and the failure counts; if none does, the sink is down, nothing
//! counts, and the next round is later.
//!
//! Whoever ends in the middle, settles nothing: the next holder of the lane takes the same writes.

use std::{
    collections::{HashMap, HashSet},
    fmt,
    sync::Arc,
    time::Duration,
};

use serde::de::DeserializeOwned;
use tokio::{
    sync::Notify,
    time::{sleep, timeout},
};

use super::{Sink, SinkError, Write};
use crate::{
    data::encoding::decode,
    error::Error,
    handle::Core,
    invalidate::Purge,
    observe::Event,
    policy::Target,
    store::queue::{Queue, Taken, Waiting},
};

/// How often an idle lane is looked at: what other nodes add is found so. What this node adds wakes
/// it.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// How long it is waited for more after a batch that was not full: whoever adds without a pause would
/// else have each write delivered for itself, at three questions to the queue each.
const GATHER: Duration = Duration::from_millis(5);

/// How long the first wait after a failure is; it doubles.
const FIRST_WAIT: Duration = Duration::from_millis(50);

/// The longest wait after a failure.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// What a write makes void.
pub(super) type Invalidates<T> = Arc<dyn Fn(&Write<T>) -> Vec<Target> + Send + Sync>;

#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) batch: usize,
    pub(super) attempts: u32,
    /// How long a lane is held without a word: a holder that ended keeps it no longer.
    pub(super) held_for: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            batch: 100,
            attempts: 5,
            held_for: Duration::from_secs(10),
        }
    }
}

/// The one who works at a lane, when he holds it.
pub(super) struct Worker<T, S> {
    pub(super) core: Arc<Core>,
    pub(super) queue: Queue,
    pub(super) lane: u16,
    pub(super) limits: Limits,
    /// Told when something is added, one for each lane.
    pub(super) wake: Arc<[Notify]>,
    pub(super) sink: Arc<S>,
    pub(super) invalidates: Option<Invalidates<T>>,
}

/// How a round went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Round {
    Empty,
    /// A full batch; there may be more.
    Delivered,
    /// All that there was.
    CaughtUp,
    /// Something has to be tried again.
    Failed,
    /// The lane is another's.
    NotHeld,
}

/// The failures of writes that are still to be delivered.
#[derive(Debug, Default)]
struct Failures {
    by_id: HashMap<Box<str>, u32>,
}

impl<T, S> Worker<T, S>
where
    T: DeserializeOwned + Send + Sync + 'static,
    S: Sink<T>,
{
    pub(super) async fn run(self) {
        let holder = holder();
        let mut failures = Failures::default();
        let mut wait = FIRST_WAIT;
        // A shutdown begins by closing the tasks: the round under way is the last one.
        while !self.core.tasks.is_closed() {
            match self.round(&holder, &mut failures).await {
                Round::Delivered => wait = FIRST_WAIT,
                Round::CaughtUp => {
                    wait = FIRST_WAIT;
                    self.pause(GATHER).await;
                }
                Round::Empty | Round::NotHeld => {
                    wait = FIRST_WAIT;
                    // Whether it was woken or the time was over makes no difference.
                    let _ = timeout(LOOK_EVERY, self.woken()).await;
                }
                Round::Failed => {
                    self.pause(wait).await;
                    wait = (wait * 2).min(LONGEST_WAIT);
                }
            }
        }
        // Whoever comes next need not wait for the end of the time; if it fails, he does.
        let _ = self.queue.release(self.lane, &holder).await;
    }

    async fn hold(&self, holder: &str) -> Result<bool, Error> {
        self.queue
            .hold(self.lane, holder, self.limits.held_for)
            .await
    }

    async fn woken(&self) {
        match self.wake.get(usize::from(self.lane)) {
            Some(wake) => wake.notified().await,
            None => std::future::pending().await,
        }
    }

    /// Waits, but not into a shutdown.
    async fn pause(&self, wait: Duration) {
        let mut left = wait;
        while !left.is_zero() && !self.core.tasks.is_closed() {
            let step = left.min(LOOK_EVERY);
            sleep(step).await;
            left -= step;
        }
    }

    async fn round(&self, holder: &str, failures: &mut Failures) -> Round {
        let Limits {
            batch, held_for, ..
        } = self.limits;
        let taken = self.queue.take(self.lane, holder, held_for, batch).await;
        let Taken { writes, lost } = match taken {
            Ok(Some(taken)) => taken,
            Ok(None) => return Round::NotHeld,
            Err(_) => return Round::Failed,
        };
        if lost > 0 {
            self.core.counters.note_many(Event::WriteLost, lost);
            report_lost(self.lane, lost);
        }
        if writes.is_empty() {
            return Round::Empty;
        }
        let is_full = writes.len() >= batch;
        let Ok((waiting, writes)) = self.read(writes).await else {
            return Round::Failed;
        };
        let whole = failures.by_id.is_empty();
        if whole && self.deliver(holder, &waiting, &writes).await.is_ok() {
            return if is_full {
                Round::Delivered
            } else {
                Round::CaughtUp
            };
        }
        self.one_by_one(holder, &waiting, &writes, failures).await
    }

    /// Returns the writes that can be read; the others are set aside.
    async fn read(&self, taken: Vec<Waiting>) -> Result<(Vec<Waiting>, Vec<Write<T>>), Error> {
        let (mut readable, mut writes) = (Vec::new(), Vec::new());
        for waiting in taken {
            match decode(&waiting.value) {
                Ok(value) => {
                    writes.push(Write {
                        id: self.queue.told_id(self.lane, &waiting.id),
                        key: waiting.key.to_string(),
                        value,
                    });
                    readable.push(waiting);
                }
                Err(error) => self.bury(&waiting, &error.to_string()).await?,
            }
        }
        Ok((readable, writes))
    }

    /// Delivers writes together, makes void what they make void, and settles them.
    async fn deliver(
        &self,
        holder: &str,
        waiting: &[Waiting],
        writes: &[Write<T>],
    ) -> Result<(), SinkError> {
        if writes.is_empty() {
            return Ok(());
        }
        self.write_holding(holder, writes).await?;
        if let Some(invalidates) = &self.invalidates {
            let targets = writes.iter().flat_map(|write| invalidates(write));
            self.core.invalidate(&Purge::hard(targets)).await;
        }
        self.queue.settle(self.lane, waiting).await?;
        Ok(())
    }

    /// Gives the sink its batch, and holds the lane while it is at work.
    async fn write_holding(&self, holder: &str, batch: &[Write<T>]) -> Result<(), SinkError> {
        let mut writing = std::pin::pin!(self.sink.write(batch));
        loop {
            match timeout(self.limits.held_for / 3, writing.as_mut()).await {
                Ok(written) => return written,
                // A lane that can not be held may go to another: the sink sees the same ids then.
                Err(_) => drop(self.hold(holder).await),
            }
        }
    }

    async fn one_by_one(
        &self,
        holder: &str,
        waiting: &[Waiting],
        writes: &[Write<T>],
        failures: &mut Failures,
    ) -> Round {
        let mut held_up: HashSet<&str> = HashSet::new();
        let mut failed: Vec<(&Waiting, SinkError)> = Vec::new();
        let mut delivered = false;
        for (waiting, write) in waiting.iter().zip(writes) {
            // What comes after a failure of its key has to wait for it.
            if held_up.contains(&*waiting.key) {
                continue;
            }
            let (one, its) = (std::slice::from_ref(waiting), std::slice::from_ref(write));
            match self.deliver(holder, one, its).await {
                Ok(()) => {
                    delivered = true;
                    failures.by_id.remove(&waiting.id);
                }
                Err(error) => {
                    self.core.counters.note(Event::Failed);
                    held_up.insert(&waiting.key);
                    failed.push((waiting, error));
                }
            }
        }
        let is_over = failed.is_empty();
        for (waiting, error) in failed {
            let count = failures.by_id.entry(waiting.id.clone()).or_default();
            *count += u32::from(delivered);
            if (error.is_final() || *count >= self.limits.attempts)
                && self.bury(waiting, &error.to_string()).await.is_ok()
            {
                failures.by_id.remove(&waiting.id);
            }
        }
        if is_over {
            Round::Delivered
        } else {
            Round::Failed
        }
    }

    async fn bury(&self, write: &Waiting, why: &str) -> Result<(), Error> {
        self.queue.bury(self.lane, write, why).await?;
        self.core.counters.note(Event::WriteBuried);
        Ok(())
    }
}

impl<T, S> fmt::Debug for Worker<T, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker")
            .field("lane", &self.lane)
            .finish_non_exhaustive()
    }
}

#[cfg(feature = "tracing")]
fn report_lost(lane: u16, writes: u64) {
    tracing::warn!(
        lane,
        writes,
        "writes that waited were removed by somebody else and will never be delivered"
    );
}

#[cfg(not(feature = "tracing"))]
fn report_lost(_: u16, _: u64) {}

/// Returns a name that no other holder has.
fn holder() -> String {
    use std::hash::{BuildHasher, RandomState};
    let (one, other) = (RandomState::new(), RandomState::new());
    format!("{:016x}{:016x}", one.hash_one(0_u8), other.hash_one(0_u8))
}

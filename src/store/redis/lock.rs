//! One handler run per key in the whole cluster, as far as it can be had.
//!
//! The lock is for load alone. Whoever has waited long enough runs without it, and what two runs
//! bring at a time is judged by the fence like everything else: nothing is wrong if everybody has the
//! lock. Only who holds it takes it away: its value is a random number, which is compared before the
//! key is deleted.
//!
//! It stands for a short time and is renewed for as long as its holder lives. So if one ends without
//! a word, or hangs as a whole, one of those who wait takes it over well before they would all run;
//! and a run that goes on for ever does not keep it for ever.
//!
//! Beside the number stands the place in the order of invalidations that the holder's run began at.
//! What is going to be void for one who waits is not waited for: he takes the lock over.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use redis::{Pipeline, Value};
use tokio::time::Instant;

use super::{
    queue::Job,
    release::{Released, Waiter},
    script::Script,
    tier::{Inner, SecondTier},
};
#[cfg(larder_sabotage)]
use crate::sabotage::{Fault, is_planted};
use crate::{entry::Position, key::Key};

/// How long a lock stands if nobody renews it: less than half of what a request waits for another's
/// run, and more than a busy machine keeps a live holder from renewing it.
const STANDS_FOR: Duration = Duration::from_secs(2);

/// How often the locks that are held are renewed.
pub(super) const RENEWED_EVERY: Duration = Duration::from_millis(500);

/// How long a lock is renewed. Whoever comes later than that runs for himself at once, as all do who
/// have waited long enough: the run may hang.
const HELD_FOR: Duration = Duration::from_secs(10);

/// Deletes the key if it still has the value that it was locked with, and tells those who wait.
pub(super) const RELEASE: &str = "if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end \
     redis.call('UNLINK', KEYS[1]) redis.call('PUBLISH', ARGV[2], ARGV[3]) return 1";

/// Lets the key stand for longer if it still has the value that it was locked with.
pub(super) const RENEW: &str = "if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end \
     return redis.call('PEXPIRE', KEYS[1], ARGV[2])";

/// Replaces the value if it is still the one that was read.
const TAKE_OVER: &str = "if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end \
     redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3]) return 1";

/// A lock that is held; dropping it gives it back, behind what was put before.
#[derive(Debug)]
pub(crate) struct Lock {
    tier: Weak<Inner>,
    name: String,
    value: String,
    is_unshared: AtomicBool,
}

/// What trying came to.
#[derive(Debug)]
pub(crate) enum Locked {
    /// It is ours.
    Held(Arc<Lock>),
    /// Another node runs.
    Busy(Rival),
    /// Redis has not said: run without it.
    Unknown,
}

/// A lock that another node holds.
#[derive(Debug)]
pub(crate) struct Rival {
    value: String,
    begun: Position,
    waiter: Waiter,
}

/// The locks that are held here, by their values: their names, and since when.
#[derive(Debug, Default)]
pub(super) struct Held(Mutex<HashMap<String, (String, Instant)>>);

impl SecondTier {
    /// Says whether one node at a time is to run the handler of a key.
    pub(crate) fn has_lock(&self) -> bool {
        self.inner.has_lock()
    }

    /// Tries to lock the runs of `key` for one that begins at `position` or later. Whoever has waited
    /// for another's run gives Redis as long as work in the background has.
    pub(crate) async fn lock(&self, key: &Key, position: Position, has_waited: bool) -> Locked {
        let connections = &self.inner.connections;
        let name = connections.layout().lock(key);
        // Before anybody is asked: whoever gives it back in this moment is heard.
        let waiter = connections.waiters().add(&name);
        let value = value(position);
        let mut pipeline = Pipeline::with_capacity(2);
        let set = pipeline.cmd("SET").arg(&name).arg(&value);
        set.arg("NX").arg("PX").arg(lease());
        pipeline.cmd("GET").arg(&name);
        let settings = connections.settings();
        let budget = if has_waited {
            settings.background_budget
        } else {
            settings.request_budget
        };
        let answers = connections.run(&pipeline, budget).await;
        match answers.as_deref() {
            Ok([Value::Okay, _]) => Locked::Held(self.held(name, value)),
            #[cfg(larder_sabotage)]
            Ok(_) if is_planted(Fault::LockForAll) => Locked::Held(self.held(name, value)),
            Ok([Value::Nil, Value::BulkString(other)]) => match Rival::read(other, waiter) {
                Some(rival) => Locked::Busy(rival),
                None => Locked::Unknown,
            },
            _ => Locked::Unknown,
        }
    }

    /// Takes the lock from one whose run is going to be void, for a run that begins at `position` or
    /// later. None if somebody else was faster.
    pub(crate) async fn take_over(
        &self,
        key: &Key,
        position: Position,
        rival: &Rival,
    ) -> Option<Arc<Lock>> {
        let connections = &self.inner.connections;
        let name = connections.layout().lock(key);
        let value = value(position);
        let lease = lease();
        let arguments = [rival.value.as_bytes(), value.as_bytes(), lease.as_bytes()];
        let (keys, budget) = ([name.as_str()], connections.settings().request_budget);
        let script = Script::new(TAKE_OVER);
        let taken = connections.script(&script, &keys, &arguments, budget);
        matches!(taken.await, Ok(Value::Int(1))).then(|| self.held(name, value))
    }

    fn held(&self, name: String, value: String) -> Arc<Lock> {
        let since = (name.clone(), Instant::now());
        self.inner.held.locked().insert(value.clone(), since);
        Arc::new(Lock {
            tier: Arc::downgrade(&self.inner),
            name,
            value,
            is_unshared: AtomicBool::new(false),
        })
    }
}

impl Rival {
    fn read(value: &[u8], waiter: Waiter) -> Option<Self> {
        let value = str::from_utf8(value).ok()?;
        let begun = place(value)?;
        Some(Self {
            value: value.to_owned(),
            begun,
            waiter,
        })
    }

    /// Returns the place in the order of invalidations at which the other run began.
    pub(crate) fn begun(&self) -> Position {
        self.begun
    }

    /// Waits until the lock is given back, for as long as nobody takes it over.
    pub(crate) async fn released(&mut self) -> Released {
        self.waiter.released().await
    }
}

impl Lock {
    /// Says that the run has brought nothing that other nodes may use, nor will the next one: whoever
    /// waits for it is to run at once.
    pub(crate) fn unshared(&self) {
        self.is_unshared.store(true, Ordering::Relaxed);
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        if let Some(tier) = self.tier.upgrade() {
            tier.held.locked().remove(&self.value);
            let word = if *self.is_unshared.get_mut() {
                Released::Unshared
            } else {
                Released::Open
            };
            // Without room for it the lock ends by itself.
            tier.queue.push(Job::Unlock {
                name: std::mem::take(&mut self.name),
                value: std::mem::take(&mut self.value),
                word,
            });
        }
    }
}

impl Held {
    /// Returns what has to be done so that the locks stand on.
    pub(super) fn renewals(&self) -> Vec<Job> {
        let held = self.locked();
        let young = held
            .iter()
            .filter(|(_, (_, since))| since.elapsed() < HELD_FOR);
        let renew = young.map(|(value, (name, _))| Job::Renew {
            name: name.clone(),
            value: value.clone(),
        });
        renew.collect()
    }

    fn locked(&self) -> MutexGuard<'_, HashMap<String, (String, Instant)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns for how long a lock stands, as Redis takes it.
pub(super) fn lease() -> String {
    STANDS_FOR.as_millis().to_string()
}

/// Returns the value of a lock: a random number, and where the run began.
fn value(position: Position) -> String {
    let random = RandomState::new();
    let (one, other) = (random.hash_one(0_u8), random.hash_one(1_u8));
    let Position {
        epoch, sequence, ..
    } = position;
    format!("{one:016x}{other:016x}:{epoch}:{sequence}")
}

/// Returns where the run of the one who holds the lock with this value began.
fn place(value: &str) -> Option<Position> {
    let mut parts = value.split(':').skip(1);
    Some(Position {
        epoch: parts.next()?.parse().ok()?,
        sequence: parts.next()?.parse().ok()?,
        local: 0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_locks_have_one_value() {
        let position = Position {
            epoch: 3,
            sequence: 9,
            local: 4,
        };
        let (one, other) = (value(position), value(position));
        assert_ne!(one, other);
        let read = place(&one).unwrap();
        assert_eq!((read.epoch, read.sequence, read.local), (3, 9, 0));
        assert!(place("whatever").is_none());
    }
}

//! One handler run per key in the whole cluster, as far as it can be had.
//!
//! The lock is for load alone. Whoever has waited long enough runs without it, and what two runs
//! bring at a time is judged by the fence like everything else: nothing is wrong if everybody has the
//! lock. It ends by itself, should its holder end without a word, and only who holds it takes it
//! away: its value is a random number, which is compared before the key is deleted.
//!
//! Beside the number stands the place in the order of invalidations that the holder's run began at.
//! What is going to be void for one who waits is not waited for: he takes the lock over.

use std::{
    hash::{BuildHasher, RandomState},
    sync::{Arc, Weak},
    time::Duration,
};

use redis::{Pipeline, Value};

use super::{
    queue::Job,
    script::Script,
    tier::{Inner, SecondTier},
};
use crate::{entry::Position, key::Key};

/// How long a lock stands if nobody takes it away: about as long as one request waits for another's
/// run, after which waiting for it is of no use.
const STANDS_FOR: Duration = Duration::from_secs(6);

/// Deletes the key if it still has the value that it was locked with.
pub(super) const RELEASE: &str = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('UNLINK', KEYS[1]) end return 0";

/// Replaces the value if it is still the one that was read.
const TAKE_OVER: &str = "if redis.call('GET', KEYS[1]) == ARGV[1] then \
     redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3]) return 1 end return 0";

/// A lock that is held; dropping it gives it back, behind what was put before.
#[derive(Debug)]
pub(crate) struct Lock {
    tier: Weak<Inner>,
    name: String,
    value: String,
}

/// What trying came to.
#[derive(Debug)]
pub(crate) enum Locked {
    /// It is ours.
    Held(Arc<Lock>),
    /// Another node's run, which began at this place.
    Busy(Position, Rival),
    /// Redis has not said: run without it.
    Unknown,
}

/// The value of a lock that another node holds.
#[derive(Clone, Debug)]
pub(crate) struct Rival(String);

impl SecondTier {
    /// Says whether one node at a time is to run the handler of a key.
    pub(crate) fn has_lock(&self) -> bool {
        self.inner.connections.settings().flight_lock
    }

    /// Tries to lock the runs of `key` for one that begins at `position`.
    pub(crate) async fn lock(&self, key: &Key, position: Position) -> Locked {
        let name = self.inner.connections.layout().lock(key);
        let value = value(position);
        let mut pipeline = Pipeline::with_capacity(2);
        let millis = STANDS_FOR.as_millis().to_string();
        pipeline
            .cmd("SET")
            .arg(&name)
            .arg(&value)
            .arg("NX")
            .arg("PX")
            .arg(millis);
        pipeline.cmd("GET").arg(&name);
        let budget = self.inner.connections.settings().request_budget;
        let answers = self.inner.connections.run(&pipeline, budget).await;
        match answers.as_deref() {
            Ok([Value::Okay, _]) => Locked::Held(self.held(name, value)),
            Ok([Value::Nil, Value::BulkString(other)]) => match place(other) {
                Some((position, rival)) => Locked::Busy(position, rival),
                None => Locked::Unknown,
            },
            _ => Locked::Unknown,
        }
    }

    /// Takes the lock from one whose run is going to be void.
    pub(crate) async fn take_over(&self, key: &Key, position: Position, rival: &Rival) -> Locked {
        let name = self.inner.connections.layout().lock(key);
        let value = value(position);
        let settings = self.inner.connections.settings();
        let script = Script::new(TAKE_OVER);
        let millis = STANDS_FOR.as_millis().to_string();
        let arguments = [rival.0.as_bytes(), value.as_bytes(), millis.as_bytes()];
        let connections = &self.inner.connections;
        let (keys, budget) = ([name.as_str()], settings.request_budget);
        let taken = connections.script(&script, &keys, &arguments, budget);
        match taken.await {
            Ok(Value::Int(1)) => Locked::Held(self.held(name, value)),
            _ => Locked::Unknown,
        }
    }

    fn held(&self, name: String, value: String) -> Arc<Lock> {
        Arc::new(Lock {
            tier: Arc::downgrade(&self.inner),
            name,
            value,
        })
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        if let Some(tier) = self.tier.upgrade() {
            // Without room for it the lock ends by itself.
            tier.queue.push(Job::Unlock {
                name: std::mem::take(&mut self.name),
                value: std::mem::take(&mut self.value),
            });
        }
    }
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

fn place(value: &[u8]) -> Option<(Position, Rival)> {
    let value = str::from_utf8(value).ok()?;
    let mut parts = value.split(':').skip(1);
    let position = Position {
        epoch: parts.next()?.parse().ok()?,
        sequence: parts.next()?.parse().ok()?,
        local: 0,
    };
    Some((position, Rival(value.to_owned())))
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
        let (read, rival) = place(one.as_bytes()).unwrap();
        assert_eq!((read.epoch, read.sequence, read.local), (3, 9, 0));
        assert_eq!(rival.0, one);
        assert!(place(b"whatever").is_none() && place(&[0xff]).is_none());
    }
}

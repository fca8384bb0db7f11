//! Tells those of this process who wait for a run of another node that it has ended.
//!
//! What gives a lock back says so on a channel, to which every node that wants one run per key
//! listens on the connection of its mirror. That is not the log: its numbers are stamps without a
//! gap between them, and it is kept, while this is of no use to anybody a moment later. What is lost
//! on the way costs those who wait a little time, since they look now and then by themselves.

use std::{
    collections::{HashMap, hash_map::Entry},
    future::pending,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use redis::{PushInfo, PushKind, Value};
use tokio::sync::watch;

/// How another node's run has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Released {
    /// What it brought is there, or somebody else may run.
    Open,
    /// It brought nothing that anybody else may use, and so would the next one.
    Unshared,
}

impl Released {
    /// Returns what stands before the name of the lock in a message.
    pub(super) fn sign(self) -> &'static str {
        match self {
            Self::Open => "+",
            Self::Unshared => "-",
        }
    }

    fn read(sign: &str) -> Option<Self> {
        let mut all = [Self::Open, Self::Unshared].into_iter();
        all.find(|word| word.sign() == sign)
    }
}

/// Those who wait, by the names of locks. Clones are one.
#[derive(Clone, Debug)]
pub(super) struct Waiters {
    channel: Arc<str>,
    by_name: Arc<Mutex<ByName>>,
}

type ByName = HashMap<String, watch::Sender<Option<Released>>>;

/// One who waits for a lock to be given back, until it is dropped.
#[derive(Debug)]
pub(crate) struct Waiter {
    all: Waiters,
    name: String,
    /// None only while it is dropped.
    word: Option<watch::Receiver<Option<Released>>>,
}

impl Waiters {
    /// Returns nobody, to be told on `channel`.
    pub(super) fn on(channel: &str) -> Self {
        Self {
            channel: channel.into(),
            by_name: Arc::default(),
        }
    }

    pub(super) fn channel(&self) -> &str {
        &self.channel
    }

    /// Returns one who waits for the lock of this name, and hears of all that comes from now on.
    pub(super) fn add(&self, name: &str) -> Waiter {
        let mut by_name = self.locked();
        let word = by_name.entry(name.to_owned()).or_default().subscribe();
        drop(by_name);
        Waiter {
            all: self.clone(),
            name: name.to_owned(),
            word: Some(word),
        }
    }

    /// Takes what the server has sent, if it is for those who wait.
    pub(super) fn take(&self, push: &PushInfo) -> bool {
        let (PushKind::Message, [Value::BulkString(channel), Value::BulkString(message)]) =
            (&push.kind, &*push.data)
        else {
            return false;
        };
        if **channel != *self.channel.as_bytes() {
            return false;
        }
        let message = str::from_utf8(message).unwrap_or_default();
        if let Some((sign, name)) = message.split_at_checked(1)
            && let Some(word) = Released::read(sign)
            && let Some(waiters) = self.locked().remove(name)
        {
            waiters.send_replace(Some(word));
        }
        true
    }

    fn locked(&self) -> MutexGuard<'_, ByName> {
        self.by_name.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiter {
    /// Waits until the lock is given back.
    pub(crate) async fn released(&mut self) -> Released {
        if let Some(word) = &mut self.word
            && let Ok(said) = word.wait_for(Option::is_some).await
            && let Some(released) = *said
        {
            return released;
        }
        // Nobody is left who could say so.
        pending().await
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        let mut by_name = self.all.locked();
        self.word = None;
        if let Entry::Occupied(waiters) = by_name.entry(std::mem::take(&mut self.name))
            && waiters.get().is_closed()
        {
            waiters.remove();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(channel: &str, text: &str) -> PushInfo {
        let bulk = |text: &str| Value::BulkString(text.as_bytes().to_vec());
        PushInfo {
            kind: PushKind::Message,
            data: vec![bulk(channel), bulk(text)],
        }
    }

    #[tokio::test]
    async fn all_who_wait_for_a_lock_are_told_and_nobody_else() {
        let waiters = Waiters::on("ch");
        let (mut one, mut other) = (waiters.add("a"), waiters.add("a"));
        let (mut third, _) = (waiters.add("b"), waiters.add("c"));
        assert!(waiters.take(&message("ch", "+a")));
        assert!(waiters.take(&message("ch", "-b")));
        assert_eq!(one.released().await, Released::Open);
        assert_eq!(other.released().await, Released::Open);
        assert_eq!(third.released().await, Released::Unshared);
        drop((one, other, third));
        assert!(waiters.locked().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn one_who_comes_after_the_word_waits_for_the_next() {
        let waiters = Waiters::on("ch");
        let early = waiters.add("a");
        assert!(waiters.take(&message("ch", "+a")));
        let mut late = waiters.add("a");
        // That the early one goes takes nothing from the late one.
        drop(early);
        let soon = std::time::Duration::from_secs(1);
        let waited = tokio::time::timeout(soon, late.released()).await;
        assert!(waited.is_err());
        assert!(waiters.take(&message("ch", "-a")));
        assert_eq!(late.released().await, Released::Unshared);
    }

    #[test]
    fn messages_of_other_channels_are_left_and_garbage_does_nothing() {
        let waiters = Waiters::on("ch");
        let _one = waiters.add("a");
        assert!(!waiters.take(&message("other", "+a")));
        for garbage in ["", "a", "*a", "+", "+b", "é"] {
            assert!(waiters.take(&message("ch", garbage)), "{garbage}");
        }
        assert_eq!(waiters.locked().len(), 1);
    }
}

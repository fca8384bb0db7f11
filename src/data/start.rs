//! Is a value to be loaded here, or has another node done so, or is it about to?

use std::sync::Arc;

use serde::{Serialize, de::DeserializeOwned};
use tokio::time::Instant;

use super::{Typed, look::Stored};
use crate::{
    clock::Timestamp,
    entry::{Entry, Position, Seal},
    flight::Leader,
    handle::{Load, Turn, Waiting},
    store::Lock,
};

/// What became of the wish to load a value.
#[derive(Debug)]
pub(super) enum Start {
    /// Another node has loaded it.
    Found(Arc<Entry>),
    Load(Begun),
    /// Another node loads it, and nobody waits here.
    Leave,
}

/// A load that begins.
#[derive(Debug)]
pub(super) struct Begun {
    pub(super) position: Position,
    pub(super) at: Timestamp,
    /// What keeps other nodes from loading it too, if that is wanted.
    pub(super) lock: Option<Arc<Lock>>,
}

impl Begun {
    /// Says that other nodes need not wait for what this load brings.
    pub(super) fn brings_nothing_to_share(&self) {
        if let Some(lock) = &self.lock {
            lock.unshared();
        }
    }
}

impl<T> Typed<T>
where
    T: Serialize + DeserializeOwned + Send + Sync + 'static,
{
    /// Asks the second tier for a value that would be loaded here, and where one node at a time is to
    /// load, waits for the turn, at most until `deadline`. Then the load of `leader` begins.
    pub(super) async fn start(
        &self,
        id: &str,
        leader: &Leader<(), Load>,
        is_awaited: bool,
        deadline: Instant,
    ) -> Start {
        let key = self.key(id);
        let (mut lock, mut has_waited) = (None, false);
        loop {
            let begun = self.begun();
            if let Some(entry) = self.fresh_elsewhere(id, begun.position.local).await {
                return Start::Found(entry);
            }
            // With the lock in hand it has looked once more: the other load may just have ended.
            let tier = self.core.second.as_ref();
            let Some(tier) = tier.filter(|tier| lock.is_none() && tier.has_lock()) else {
                return Start::Load(self.begins(id, leader, lock));
            };
            let waiting = Waiting {
                tier,
                key: &key,
                seal: &self.seal(id, &begun),
                is_awaited,
                has_waited,
                deadline,
            };
            match self.core.take_turn(waiting).await {
                Turn::Run(None) => return Start::Load(self.begins(id, leader, None)),
                Turn::Run(held) => lock = held,
                Turn::Look => has_waited = true,
                Turn::Leave => return Start::Leave,
            }
        }
    }

    /// Lets the load of `leader` begin at the place in the order of invalidations that is reached by now:
    /// this node may have come to know the registry while Redis was asked, or another one.
    fn begins(&self, id: &str, leader: &Leader<(), Load>, lock: Option<Arc<Lock>>) -> Begun {
        let begun = Begun {
            lock,
            ..self.begun()
        };
        leader.begin(self.seal(id, &begun));
        begun
    }

    fn seal(&self, id: &str, begun: &Begun) -> Seal {
        Seal::new(begun.position, self.own_targets(id)).begun(begun.at)
    }

    /// Returns a load that begins now.
    pub(super) fn begun(&self) -> Begun {
        Begun {
            position: self.core.position(),
            at: self.core.clock.now(),
            lock: None,
        }
    }

    /// Returns the value as the second tier has it, if it can be read, is fresh and not to be loaded
    /// ahead.
    async fn fresh_elsewhere(&self, id: &str, local: u64) -> Option<Arc<Entry>> {
        match self.recalled(id, local, self.core.asked().await).await {
            Stored::Fresh {
                entry,
                refresh: false,
            } => self.answer(&entry).is_ok().then_some(entry),
            _ => None,
        }
    }
}

#[cfg(test)]
#[cfg(all(feature = "memory", feature = "redis"))]
mod tests {
    use std::{
        convert::Infallible,
        future::poll_fn,
        pin::pin,
        sync::atomic::{AtomicUsize, Ordering},
        task::Poll,
        time::Duration,
    };

    use tokio::sync::Semaphore;

    use super::*;
    use crate::{
        Larder, Redis, mins, secs,
        store::{Locked, redis::tests::server::Server},
    };

    async fn node(server: &Server) -> Larder {
        let redis = Redis::new(server.url()).budget(Duration::from_secs(5));
        let built = Larder::builder().redis(redis).flight_lock(true).build();
        let node = built.await.unwrap();
        eventually(|| node.statistics().shared.sync_age.is_some()).await;
        node
    }

    async fn eventually(mut holds: impl FnMut() -> bool) {
        let began = Instant::now();
        while !holds() {
            assert!(began.elapsed() < Duration::from_secs(10), "it never came");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    #[tokio::test]
    async fn who_waits_for_refreshes_that_are_left_to_another_node_is_no_failure() {
        let server = Server::start();
        let [one, other] = [node(&server).await, node(&server).await];
        let names = |node: &Larder| {
            let names = node.typed::<String>("name");
            names.ttl(secs(1)).stale_while_revalidate(mins(10))
        };
        names(&one).insert("7", "old".into()).await;
        let tier = one.core().second.clone().unwrap();
        tier.flush().await;
        names(&other).get("7").await;
        tokio::time::sleep(Duration::from_millis(1100)).await;
        let (loads, gate) = (Arc::new(AtomicUsize::new(0)), Arc::new(Semaphore::new(0)));
        let load = || {
            let (loads, gate) = (Arc::clone(&loads), Arc::clone(&gate));
            async move {
                loads.fetch_add(1, Ordering::SeqCst);
                gate.acquire().await.unwrap().forget();
                Ok::<_, Infallible>(Some("new".to_owned()))
            }
        };
        let read = async |node: &Larder| {
            let loading = load();
            let read = names(node).get_or_load("7", |_| loading).await;
            assert_eq!(*read.unwrap().unwrap(), "old");
        };
        read(&one).await;
        eventually(|| loads.load(Ordering::SeqCst) == 1).await;

        // Who reads it as what it is not finds nothing, and waits for a load.
        let numbers = other.typed::<u64>("name").wait_limit(mins(1));
        let number = numbers.get_or_load("7", |_| async { Ok::<_, Infallible>(Some(7)) });
        let (mut number, flights) = (pin!(number), &other.core().values.loads);
        for _ in 0..2 {
            // Each begins a refresh, for which the other node has the lock.
            read(&other).await;
            poll_fn(|context| {
                assert!(number.as_mut().poll(context).is_pending(), "it waits");
                Poll::Ready(())
            })
            .await;
            assert_eq!(flights.waiters(), 1);
            eventually(|| flights.len() == 0).await;
        }
        gate.add_permits(1);
        assert_eq!(number.await.unwrap().as_deref(), Some(&7));
        assert_eq!(loads.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn who_has_waited_for_a_load_here_waits_that_much_less_for_one_elsewhere() {
        let server = Server::start();
        let [one, other] = [node(&server).await, node(&server).await];
        let numbers = other.typed::<u64>("number").wait_limit(secs(3));
        let (key, flights) = (numbers.key("7"), &other.core().values.loads);
        let elsewhere = one.core().second.clone().unwrap();
        let lock = elsewhere.lock(&key, one.core().position(), false).await;
        assert!(matches!(lock, Locked::Held(_)), "nobody else has it");
        let leader = flights.lead(&key, |_| true, || None).unwrap();
        let began = Instant::now();
        let number = tokio::spawn(async move {
            let load = |_| async { Ok::<_, Infallible>(Some(7)) };
            numbers.get_or_load("7", load).await
        });
        eventually(|| flights.waiters() == 1).await;
        tokio::time::sleep(Duration::from_millis(2500)).await;
        drop(leader);
        assert_eq!(number.await.unwrap().unwrap().as_deref(), Some(&7));
        let waited = began.elapsed();
        assert!(waited < Duration::from_secs(5), "it waited {waited:?}");
    }
}

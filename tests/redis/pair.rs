//! Two nodes on one Redis that changes under them, and what must hold all the while.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use larder::{Ack, Consistency, Redis};

use crate::node::{Node, Truth};

/// Nodes follow an acknowledged write within this time at the worst.
const BOUND: Duration = Duration::from_secs(2);

/// How long servers may take to agree on something, on a machine that does other things too: alone
/// sentinels take fifteen seconds to tell a primary that it was replaced.
pub(crate) const AGREEMENT: Duration = Duration::from_secs(90);

/// One node that writes, and one that follows.
pub(crate) struct Pair {
    pub(crate) one: Node,
    pub(crate) other: Node,
    pub(crate) truth: Arc<Truth>,
}

impl Pair {
    pub(crate) async fn start(redis: impl Into<Redis>) -> Self {
        let (redis, truth) = (redis.into(), Truth::new());
        let one = Node::start(redis.clone(), &truth, Consistency::Bounded).await;
        let other = Node::start(redis, &truth, Consistency::Bounded).await;
        Self { one, other, truth }
    }

    /// Writes until that is acknowledged for all. Whoever writes never reads anything older, however
    /// it was acknowledged, and the other follows within the bound.
    pub(crate) async fn writes_until_global(&self, path: &str) -> u64 {
        let Self { one, other, .. } = self;
        let begun = Instant::now();
        loop {
            let (version, ack) = one.put(path).await;
            assert_eq!(one.get(path).await, version, "old after {ack:?}");
            other.get(path).await;
            if ack == Ack::Global {
                let acknowledged = Instant::now();
                while other.get(path).await < version {
                    assert!(acknowledged.elapsed() < BOUND, "{version} is not seen");
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
                return version;
            }
            assert!(begun.elapsed() < AGREEMENT, "{ack:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until the other finds what the one has stored.
    pub(crate) async fn shares_again(&self) {
        let begun = Instant::now();
        for number in 0.. {
            let path = format!("/plain/shared-{number}");
            self.one.get(&path).await;
            tokio::time::sleep(Duration::from_millis(30)).await;
            let runs = self.truth.runs();
            self.other.get(&path).await;
            if self.truth.runs() == runs {
                return;
            }
            assert!(begun.elapsed() < AGREEMENT, "nothing is shared");
        }
    }

    /// Waits until the one has told what it could not tell before.
    pub(crate) async fn drained(&self) {
        self.one.until("drained", |node| node.pending() == 0).await;
    }
}

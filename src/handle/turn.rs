//! May a run begin here, or is there one on another node?
//!
//! Only where the application wants one run per key in the whole cluster, of a handler or of a load.
//! It is a matter of load: whoever has waited as long as he may runs, and what he brings is as good
//! as the other's.
//!
//! One who waits is woken by the end of the other's run, or by an invalidation that makes that run
//! void for him, which he sees in the order of invalidations that this node follows anyhow. Now and
//! then he looks by himself: the other node may have ended without a word, or its word was lost.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    sync::Arc,
    task::Poll,
    time::Duration,
};

use tokio::time::{Instant, timeout_at};

use super::Core;
use crate::{
    entry::{Position, Seal},
    key::Key,
    store::{Lock, Locked, Released, Rival, SecondTier},
};

/// How often one who waits for another node looks by himself.
const LOOKED_FOR_EVERY: Duration = Duration::from_millis(250);

/// What is to be done.
#[derive(Debug)]
pub(crate) enum Turn {
    /// Run, with the lock where it could be had.
    Run(Option<Arc<Lock>>),
    /// Look into the second tier once more.
    Look,
    /// Leave it to the other node: nobody waits here.
    Leave,
}

/// A run that waits for its turn.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Waiting<'a> {
    pub(crate) tier: &'a SecondTier,
    pub(crate) key: &'a Key,
    /// What the run would be sealed with if it began now.
    pub(crate) seal: &'a Seal,
    /// Whether somebody waits for what it brings.
    pub(crate) is_awaited: bool,
    /// Whether it has waited for another node's run already.
    pub(crate) has_waited: bool,
    /// Until when another node's run is waited for.
    pub(crate) deadline: Instant,
}

impl Core {
    /// Says what is to be done about a run, after a wait if there is one on another node.
    pub(crate) async fn take_turn(&self, waiting: Waiting<'_>) -> Turn {
        let Waiting { tier, key, .. } = waiting;
        if Instant::now() >= waiting.deadline {
            return Turn::Run(None);
        }
        match tier.lock(key, self.position(), waiting.has_waited).await {
            Locked::Held(lock) => Turn::Run(Some(lock)),
            Locked::Unknown => Turn::Run(None),
            Locked::Busy(rival) => self.wait(waiting, rival).await,
        }
    }

    async fn wait(&self, waiting: Waiting<'_>, mut rival: Rival) -> Turn {
        let position = Position {
            local: waiting.seal.position.local,
            ..rival.begun()
        };
        let theirs = Seal::new(position, waiting.seal.targets.to_vec());
        let until = (Instant::now() + LOOKED_FOR_EVERY).min(waiting.deadline);
        loop {
            // Before it is looked at: what is stamped in this moment is seen.
            let moved = self.moved();
            if !self.is_current(&theirs) {
                let Waiting { tier, key, .. } = waiting;
                return match tier.take_over(key, self.position(), &rival).await {
                    Some(lock) => Turn::Run(Some(lock)),
                    None => Turn::Look,
                };
            }
            if !waiting.is_awaited {
                return Turn::Leave;
            }
            match timeout_at(until, either(rival.released(), moved)).await {
                Ok(Some(Released::Unshared)) => return Turn::Run(None),
                Ok(Some(Released::Open)) | Err(_) => return Turn::Look,
                Ok(None) => {}
            }
        }
    }

    /// Returns what is ready when the order of invalidations has gone on since this was called.
    #[cfg(feature = "redis")]
    fn moved(&self) -> impl Future<Output = ()> {
        let moved = self.relay.as_ref().map(|relay| relay.moved());
        async move {
            match moved {
                Some(moved) => moved.await,
                None => std::future::pending().await,
            }
        }
    }

    #[cfg(not(feature = "redis"))]
    #[expect(clippy::unused_self, reason = "nobody else invalidates")]
    fn moved(&self) -> impl Future<Output = ()> {
        std::future::pending()
    }
}

/// Waits for one of two; none if it is the other one.
async fn either<T>(one: impl Future<Output = T>, other: impl Future<Output = ()>) -> Option<T> {
    let (mut one, mut other) = (pin!(one), pin!(other));
    poll_fn(|context| match one.as_mut().poll(context) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => other.as_mut().poll(context).map(|()| None),
    })
    .await
}

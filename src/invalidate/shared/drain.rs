//! Sends what was invalidated while Redis was away.

use std::{
    sync::{Arc, Weak, atomic::Ordering},
    time::Duration,
};

use tokio::{
    sync::Notify,
    time::{Instant, timeout_at},
};

use super::{Relay, message::Teller, orders, outbox::Batch, pause::Pause};
#[cfg(larder_sabotage)]
use crate::sabotage::{Fault, is_planted};
use crate::store::redis::registry::{MOST_TARGETS, Unstamped};

/// How long one batch is waited for until it is sent again.
const ROUND: Duration = Duration::from_secs(1);

/// Sends what is in the outbox, until the relay is gone.
pub(super) async fn drain(relay: Weak<Relay>, nudge: Arc<Notify>) {
    let mut pause = Pause::new();
    loop {
        let Some(present) = relay.upgrade() else {
            return;
        };
        let batch = present.outbox.batch(MOST_TARGETS);
        if batch.is_empty() {
            // Nothing is held while there is nothing to do.
            drop(present);
            nudge.notified().await;
            continue;
        }
        #[cfg(larder_sabotage)]
        if is_planted(Fault::NoDrain) {
            present.outbox.remove(&batch);
            continue;
        }
        if present.send(&batch).await {
            present.outbox.remove(&batch);
            pause.reset();
        } else {
            drop(present);
            pause.wait().await;
        }
    }
}

impl Relay {
    /// Sends a batch, and returns whether it has been seen to come round.
    async fn send(&self, batch: &Batch) -> bool {
        let budget = self.registry.connections().settings().background_budget;
        let deadline = Instant::now() + ROUND;
        let soft = by_moment(batch);
        let soft: Vec<_> = soft.iter().map(|(at, targets)| (*at, targets)).collect();
        // Many sources may be in one batch, and none is kept.
        let teller = Teller {
            node: &self.node,
            source: None,
        };
        let orders = orders(&batch.hard, &soft, teller);
        match self.registry.stamp(&orders, budget).await {
            Ok(place) => self.reaches(place, deadline).await,
            Err(Unstamped::Full) if self.registry.destroy(budget).await => {
                // Whatever the mirror begins with from here on, it is a registry begun after that.
                let ticket = self
                    .tickets
                    .fetch_add(1, Ordering::AcqRel)
                    .saturating_add(1);
                let mut progress = self.progress.subscribe();
                let begun = progress.wait_for(|progress| progress.started >= ticket);
                timeout_at(deadline, begun)
                    .await
                    .is_ok_and(|begun| begun.is_ok())
            }
            Err(_) => false,
        }
    }
}

/// Returns the soft targets of a batch by their moments, since a stamp has one moment.
fn by_moment(batch: &Batch) -> Vec<(crate::clock::Timestamp, Vec<crate::policy::Target>)> {
    let mut sorted: Vec<_> = batch.soft.iter().collect();
    sorted.sort_by_key(|(at, _)| *at);
    sorted
        .chunk_by(|(one, _), (other, _)| one == other)
        .filter_map(|group| {
            let (at, _) = group.first()?;
            Some((
                *at,
                group.iter().map(|(_, target)| target.clone()).collect(),
            ))
        })
        .collect()
}

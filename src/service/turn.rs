//! May the handler run here, or does it run on another node?
//!
//! Only where the application wants one run per key in the whole cluster. It is a matter of load:
//! whoever has waited as long as he may runs, and what he brings is as good as the other's.

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, sleep};

use super::{follow::WAIT_LIMIT, launch::Purpose, look::Fetch};
use crate::{
    entry::Position,
    store::{Lock, Locked, SecondTier},
};

/// How often one who waits for another node looks whether the answer has come.
const LOOKED_FOR_EVERY: Duration = Duration::from_millis(25);

/// What is to be done.
pub(crate) enum Turn {
    /// Run, with the lock where it could be had.
    Run(Option<Arc<Lock>>),
    /// Look into the second tier once more.
    Look,
    /// Leave it to the other node: nobody waits here.
    Leave,
}

/// Returns until when another node's run is waited for.
pub(crate) fn deadline(fetch: &Fetch) -> Instant {
    let limit = fetch.kept.matched.policy.wait_limit.unwrap_or(WAIT_LIMIT);
    Instant::now() + limit
}

/// Waits for a turn, but not longer than until `deadline`.
pub(crate) async fn turn(
    tier: &SecondTier,
    fetch: &Fetch,
    purpose: Purpose,
    deadline: Instant,
) -> Turn {
    let kept = &fetch.kept;
    if Instant::now() >= deadline {
        return Turn::Run(None);
    }
    match tier.lock(&fetch.flight, kept.position).await {
        Locked::Held(lock) => Turn::Run(Some(lock)),
        Locked::Unknown => Turn::Run(None),
        Locked::Busy(begun, rival) if is_void(fetch, begun) => {
            match tier.take_over(&fetch.flight, kept.position, &rival).await {
                Locked::Held(lock) => Turn::Run(Some(lock)),
                Locked::Busy(..) | Locked::Unknown => Turn::Look,
            }
        }
        Locked::Busy(..) if purpose == Purpose::Refresh => Turn::Leave,
        Locked::Busy(..) => {
            sleep(LOOKED_FOR_EVERY).await;
            Turn::Look
        }
    }
}

/// Returns whether what a run brings that began at `begun` is void for this request.
fn is_void(fetch: &Fetch, begun: Position) -> bool {
    let kept = &fetch.kept;
    let mut seal = kept.seal();
    seal.position = Position {
        local: kept.position.local,
        ..begun
    };
    !kept.shared.core.is_current(&seal)
}

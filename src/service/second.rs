//! What does the second tier have for a request that the first one could not answer?
//!
//! Only who leads a flight asks, so that all who wait for one answer share one round trip; and only
//! where a handler would run otherwise, so that what the first tier answers never comes here. What
//! is found goes into the first tier, with what is left of its lifetime and the seal that it was
//! filled with.
//!
//! | found | |
//! | --- | --- |
//! | good for the request | it is the answer, and nobody runs |
//! | good, and to be made new | it is the answer, and the handler runs for the next ones |
//! | stale | the handler runs, is asked to confirm it, and may fail |
//! | void, damaged, nothing, no word in time | the handler runs |

use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::Arc,
    task::Poll,
};

use http::Response;

use super::{
    cache::CacheBody,
    fallback::serve,
    kept::Kept,
    look::Fetch,
    plan::{Question, Standing, Step, Stored, plan},
    status,
};
use crate::{
    clock::Timestamp,
    entry::{Entry, Head},
    fence::Verdict,
    handle::Core,
    invalidate::Trust,
    key::Key,
    observe::Outcome,
    store::{Found, MOST_VARIANTS, SecondTier, Wanted, Whence},
};

/// What was found.
pub(crate) enum Second {
    Nothing,
    /// To be confirmed, or to stand in; with the moment of a soft purge.
    Stale(Arc<Entry>, Option<Timestamp>),
    /// The answer.
    Serve(Arc<Entry>, Standing),
    /// The answer, for now.
    ServeAndRefresh(Arc<Entry>, Standing),
}

/// Asks the second tier for what would answer `fetch`.
pub(crate) async fn ask(tier: &SecondTier, fetch: &Fetch) -> Second {
    let kept = &fetch.kept;
    let core = &kept.shared.core;
    let known = match core.store.find(&kept.key, &kept.headers) {
        Found::OtherVariants(names) => Some(names),
        Found::Hit(entry) => entry.variation.as_ref().map(|own| Arc::clone(&own.names)),
        Found::Miss => None,
    };
    let wanted = Wanted {
        primary: &kept.key,
        request: &kept.headers,
        names: known.as_deref(),
        place: Some(kept.place()),
        // Taken when the flight began, which is before Redis is asked.
        local: kept.position.local,
        now: core.clock.now(),
    };
    let found = pin!(tier.find(wanted));
    let (found, trust) = match fetch.known_trust() {
        Some(trust) => (found.await, trust),
        // Asked beside each other: one round trip, whoever has to be how sure.
        None => both(found, pin!(fetch.ask())).await,
    };
    match found {
        Some(entry) => judge(fetch, entry, trust),
        None => Second::Nothing,
    }
}

/// Waits for both at the same time. They stay where they are: what is moved into a future that waits
/// for it takes its room twice.
async fn both<A: Future, B: Future>(
    mut one: Pin<&mut A>,
    mut other: Pin<&mut B>,
) -> (A::Output, B::Output) {
    let (mut first, mut second) = (None, None);
    poll_fn(|context| {
        if first.is_none()
            && let Poll::Ready(output) = one.as_mut().poll(context)
        {
            first = Some(output);
        }
        if second.is_none()
            && let Poll::Ready(output) = other.as_mut().poll(context)
        {
            second = Some(output);
        }
        match (first.take(), second.take()) {
            (Some(first), Some(second)) => Poll::Ready((first, second)),
            (one, other) => {
                (first, second) = (one, other);
                Poll::Pending
            }
        }
    })
    .await
}

fn judge(fetch: &Fetch, entry: Entry, trust: Trust) -> Second {
    let kept = &fetch.kept;
    let core = &kept.shared.core;
    let (now, known) = (core.clock.now(), fetch.stale.as_deref());
    let Some((entry, verdict)) = core.promote(&kept.key, entry, trust, now, known) else {
        return Second::Nothing;
    };
    let soft_at = match verdict {
        Verdict::Soft(at) => Some(at),
        Verdict::Valid | Verdict::Dead(_) => None,
    };
    let stored = Stored {
        life: &entry.life,
        flags: entry.reuse,
        soft_at,
        may_retry: entry.may_retry(now),
    };
    let question = Question {
        stored: Some(stored),
        ..fetch.question(now)
    };
    match plan(&question) {
        Step::Serve(standing) => Second::Serve(entry, standing),
        Step::ServeAndRefresh(standing) => Second::ServeAndRefresh(entry, standing),
        Step::Revalidate(_) | Step::Fetch => Second::Stale(entry, soft_at),
        Step::Bypass(_) | Step::OnlyIfCachedMiss => Second::Nothing,
    }
}

/// Makes the answer of what was found. None if the stored bytes turned out to be damaged.
pub(crate) fn found<B>(
    fetch: &Fetch,
    entry: &Arc<Entry>,
    standing: Standing,
) -> Option<Response<CacheBody<B>>> {
    let core = &fetch.kept.shared.core;
    let member = status::second_hit(core, entry.life.ttl(core.clock.now()));
    let response = serve(fetch, entry, member)?;
    fetch
        .kept
        .matched
        .state(core)
        .count_second_tier(entry.body.length);
    fetch.kept.answered(match standing {
        Standing::Fresh => Outcome::Hit,
        Standing::Stale => Outcome::Stale,
    });
    Some(response)
}

/// Answers a request that neither leads nor refreshes, such as a HEAD, if the second tier has the
/// answer. What is there to be confirmed is remembered in `fetch`.
pub(crate) async fn answer_alone<B>(fetch: &mut Fetch) -> Option<Response<CacheBody<B>>> {
    fetch.kept.restart();
    let core = Arc::clone(&fetch.kept.shared.core);
    match ask(core.second.as_ref()?, fetch).await {
        Second::Serve(entry, standing) | Second::ServeAndRefresh(entry, standing) => {
            found(fetch, &entry, standing)
        }
        Second::Stale(entry, soft_at) => {
            (fetch.stale, fetch.soft_at) = (Some(entry), soft_at);
            None
        }
        Second::Nothing => None,
    }
}

/// Returns where the request went, for an entry that may be sent to a second tier; none if there is
/// no such tier.
pub(crate) fn whence(kept: &Kept) -> Option<Whence> {
    kept.shared.core.second.as_ref()?;
    let route = kept.matched.pattern();
    Some(Whence {
        authority: kept.authority.clone(),
        uri: kept.uri.clone(),
        route: route.map(|pattern| Arc::clone(pattern.text())),
        lock: kept.lock.clone(),
    })
}

/// Returns whether a response may join those of its URL in the second tier. Where a field tells users
/// apart, the newest variants would fill it.
pub(crate) fn has_room(core: &Core, primary: &Key, head: &Head) -> bool {
    if head.variation.is_none() {
        return true;
    }
    let others = core.store.candidates(primary);
    others.len() < MOST_VARIANTS || others.iter().any(|other| other.variation == head.variation)
}

/// Removes what is stored for a request: the handler has said something else, which is not stored.
pub(crate) fn remove(kept: &Kept) {
    let core = &kept.shared.core;
    core.forget(&kept.key, &kept.headers);
}

#[cfg(test)]
#[cfg(all(feature = "memory", feature = "redis"))]
mod tests;

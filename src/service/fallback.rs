//! What is answered when no handler run brought anything: what is stored, if it may stand in, or a
//! refusal.

use std::{sync::Arc, time::Duration};

use http::{HeaderValue, Response};

use super::{
    answer::{Asked, Told, answer, refused},
    cache::CacheBody,
    look::Fetch,
    plan::stands_in,
    status,
};
use crate::{
    entry::Entry,
    observe::Outcome,
    semantics::{reuse::Attempt, storable::Preset},
};

/// Returns how long a run is waited for where what is stored may stand in for it.
pub(crate) fn soft_timeout(fetch: &Fetch) -> Option<Duration> {
    let limit = fetch.kept.matched.policy.soft_timeout?;
    let question = fetch.question(fetch.kept.shared.core.clock.now());
    stands_in(&question, Attempt::Failed).then_some(limit)
}

/// Returns what is stored, in place of a run that failed, if it may be served so.
pub(crate) fn stand_in<B>(fetch: &Fetch) -> Option<Response<CacheBody<B>>> {
    stand_in_for(fetch, Attempt::Failed)
}

/// Returns what is stored, in place of an answer of a service that returned an error. To a gateway
/// that means that the origin can not be reached (RFC 9111 §4.2.4).
pub(crate) fn stand_in_for_error<B>(fetch: &Fetch) -> Option<Response<CacheBody<B>>> {
    stand_in_for(
        fetch,
        match fetch.kept.shared.preset {
            Preset::Application => Attempt::Failed,
            Preset::Gateway => Attempt::Disconnected,
        },
    )
}

fn stand_in_for<B>(fetch: &Fetch, attempt: Attempt) -> Option<Response<CacheBody<B>>> {
    let core = &fetch.kept.shared.core;
    let entry = fetch.stale.as_ref()?;
    let now = core.clock.now();
    if core.is_dead(&entry.seal) || !stands_in(&fetch.question(now), attempt) {
        return None;
    }
    fetch.kept.answered(Outcome::Stale);
    let member = status::forwarded(
        core,
        fetch.reason,
        None,
        false,
        Some(entry.life.ttl(now)),
        None,
    );
    serve(fetch, entry, member)
}

pub(crate) fn serve<B>(
    fetch: &Fetch,
    entry: &Arc<Entry>,
    member: Option<HeaderValue>,
) -> Option<Response<CacheBody<B>>> {
    let kept = &fetch.kept;
    let asked = Asked {
        method: &kept.method,
        headers: &kept.headers,
        facts: kept.facts,
    };
    let now = kept.shared.core.clock.now();
    answer(&kept.shared.core, entry, &asked, now, Told::As(member))
}

pub(crate) fn refuse<B>(fetch: &Fetch) -> Response<CacheBody<B>> {
    fetch.kept.answered(Outcome::Refused);
    refused()
}

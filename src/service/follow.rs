//! Waits for another request's handler run, and uses what it brought if that is allowed.

use std::{sync::Arc, time::Duration};

use http::{HeaderName, Response};
use tokio::time::timeout;

use super::{
    cache::CacheBody,
    fallback::{serve, soft_timeout, stand_in},
    kept::Kept,
    look::Fetch,
    status,
};
use crate::{
    entry::{Entry, Form, Head},
    flight::{BodyReader, Follower, Landing},
    handle::Draft,
    observe::{Event, Outcome},
    semantics::{reuse::is_failure, vary::selecting},
};

/// How long one request waits for another's handler run if no policy says otherwise.
const WAIT_LIMIT: Duration = Duration::from_secs(5);

/// What waiting came to.
pub(crate) enum Followed<B> {
    Answer(Response<CacheBody<B>>),
    /// The answer is one's own affair: run the handler, at once.
    Alone,
    /// It took too long.
    Late,
    Lost,
    Failed,
    /// An invalidation has overtaken the run.
    Void,
    /// The answer is for other values of these fields.
    OtherVariant(Arc<[HeaderName]>),
}

pub(crate) async fn follow<B>(
    fetch: &Fetch,
    follower: &mut Follower<Draft, Arc<Entry>>,
) -> Followed<B> {
    let kept = &fetch.kept;
    let core = &kept.shared.core;
    let limit = kept.matched.policy.wait_limit.unwrap_or(WAIT_LIMIT);
    let limit = soft_timeout(fetch).map_or(limit, |soft| soft.min(limit));
    let complete = kept.facts.has_condition() || kept.facts.wants_range();
    let Ok(landing) = timeout(limit, follower.wait(complete)).await else {
        return stand_in(fetch).map_or(Followed::Late, Followed::Answer);
    };
    let head: &Head = match &landing {
        Landing::Streaming(draft) => &draft.head,
        Landing::Landed(entry) => &entry.head,
        Landing::Declined => return Followed::Alone,
        Landing::Failed => return Followed::Failed,
        Landing::Lost | Landing::Flying => return Followed::Lost,
    };
    if core.is_dead(&head.seal) {
        core.counters.note(Event::Fenced);
        return Followed::Void;
    }
    if let Some(names) = other_variant(kept, head) {
        return Followed::OtherVariant(names);
    }
    if is_failure(head.status)
        && let Some(stale) = stand_in(fetch)
    {
        return Followed::Answer(stale);
    }
    let now = core.clock.now();
    let ttl = (head.life.gone_at > now).then(|| head.life.ttl(now));
    let member = status::collapsed(core, ttl);
    core.counters.count(Outcome::Collapsed);
    match landing {
        Landing::Streaming(draft) => {
            let reader = BodyReader::new(Arc::clone(&draft.body));
            let mut response = Response::new(CacheBody::shared(reader, draft.length, None));
            *response.status_mut() = draft.head.status;
            *response.headers_mut() = draft.head.fields(Form::Plain, now, member);
            Followed::Answer(response)
        }
        Landing::Landed(entry) => {
            serve(fetch, &entry, member).map_or(Followed::Alone, Followed::Answer)
        }
        _ => Followed::Alone,
    }
}

/// Returns the fields on which the response varies if it is for other values of them.
fn other_variant(kept: &Kept, head: &Head) -> Option<Arc<[HeaderName]>> {
    let variation = head.variation.as_ref()?;
    let mut own = Vec::new();
    selecting(&variation.names, &kept.headers, &mut own);
    (*own != *variation.selecting).then(|| Arc::clone(&variation.names))
}

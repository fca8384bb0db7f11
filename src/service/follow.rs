//! Waits for another request's handler run, and uses what it brought if that is allowed.

use std::{sync::Arc, time::Duration};

use http::{HeaderMap, HeaderName, Response};
use tokio::time::{Instant, timeout_at};

use super::{
    cache::CacheBody,
    fallback::{serve, soft_timeout, stand_in},
    kept::Kept,
    look::Fetch,
    plan::{Question, Step, Stored, plan},
    pump::Mark,
    status,
};
use crate::{
    entry::{Entry, Head},
    flight::{BodyReader, Follower, Landing},
    handle::{Core, Draft},
    observe::Outcome,
    semantics::{reuse::is_failure, vary::selecting},
};

/// How long one request waits for another's handler run if no policy says otherwise.
pub(crate) const WAIT_LIMIT: Duration = Duration::from_secs(5);

/// What waiting came to.
pub(crate) enum Followed<B> {
    Answer(Response<CacheBody<B>>),
    /// The answer is one's own affair: run the handler, at once.
    Alone,
    /// It took too long.
    Late,
    Lost,
    Failed,
    /// There is no run to wait for: an invalidation has overtaken it, or it was left to another node.
    Void,
    /// The answer is for other values of these fields.
    OtherVariant(Arc<[HeaderName]>),
}

pub(crate) async fn follow<B>(
    fetch: &Fetch,
    follower: &mut Follower<Draft, Arc<Entry>>,
    deadline: Instant,
) -> Followed<B> {
    let kept = &fetch.kept;
    let core = &kept.shared.core;
    // What was invalidated before the request came has to be known before the answer is looked at.
    let trust = fetch.ask().await;
    let complete = kept.facts.has_condition() || kept.facts.wants_range();
    if let Some(soft) = soft_timeout(fetch).map(|soft| Instant::now() + soft)
        && soft < deadline
        && timeout_at(soft, follower.wait(complete)).await.is_err()
    {
        if let Some(stale) = stand_in(fetch) {
            return Followed::Answer(stale);
        }
        // An invalidation has come in the meantime: what is stored is no help any more, and neither
        // is what this run brings.
        if !follower.flight().passes(|seal| core.is_current(seal)) {
            return Followed::Void;
        }
    }
    let Ok(landing) = timeout_at(deadline, follower.wait(complete)).await else {
        return stand_in(fetch).map_or_else(|| late(follower), Followed::Answer);
    };
    let head: &Head = match &landing {
        Landing::Streaming(draft) => &draft.head,
        Landing::Landed(entry) => &entry.head,
        Landing::Declined => return Followed::Alone,
        Landing::Failed => return Followed::Failed,
        Landing::Left => return Followed::Void,
        Landing::Lost | Landing::Flying => return Followed::Lost,
    };
    if !core.may_follow(&head.seal, trust, fetch.arrived) {
        core.note_unusable(&head.seal, trust, fetch.arrived);
        return Followed::Void;
    }
    if !is_for_all(fetch, head) {
        return Followed::Alone;
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
    kept.answered(Outcome::Collapsed);
    match landing {
        Landing::Streaming(draft) => {
            let headers = draft.head.fields(now, member.as_ref());
            Followed::Answer(streaming(core, &draft, headers))
        }
        Landing::Landed(entry) => {
            serve(fetch, &entry, member).map_or(Followed::Alone, Followed::Answer)
        }
        _ => Followed::Alone,
    }
}

/// Returns the response that is on its way, with these fields.
fn streaming<B>(core: &Arc<Core>, draft: &Draft, headers: HeaderMap) -> Response<CacheBody<B>> {
    let reader = BodyReader::new(Arc::clone(&draft.body));
    let mut response = Response::new(CacheBody::shared(reader, draft.length, None));
    Mark::add(core, response.extensions_mut());
    *response.status_mut() = draft.head.status;
    *response.headers_mut() = headers;
    response
}

/// Returns what is left to one who has waited in vain. A handler that has answered, whose body alone is
/// slow, may be asked by all at once.
fn late<B>(follower: &Follower<Draft, Arc<Entry>>) -> Followed<B> {
    if follower.has_head() {
        Followed::Alone
    } else {
        Followed::Late
    }
}

/// Returns whether the response may be used for a request that did not bring it, as if it had been
/// stored before that request came (RFC 9111 §4). A failure is shared without being stored.
fn is_for_all(fetch: &Fetch, head: &Head) -> bool {
    let stored = Stored {
        life: &head.life,
        flags: head.reuse,
        soft_at: None,
        may_retry: true,
    };
    let received = Question {
        stored: Some(stored),
        ..fetch.question(head.life.received)
    };
    let is_served = matches!(plan(&received), Step::Serve(_) | Step::ServeAndRefresh(_));
    is_served || is_failure(head.status) && !head.reuse.no_cache
}

/// Returns the fields on which the response varies if it is for other values of them.
fn other_variant(kept: &Kept, head: &Head) -> Option<Arc<[HeaderName]>> {
    let variation = head.variation.as_ref()?;
    let mut own = Vec::new();
    selecting(&variation.names, &kept.headers, &mut own);
    (*own != *variation.selecting).then(|| Arc::clone(&variation.names))
}

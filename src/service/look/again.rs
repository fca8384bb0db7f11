//! Looks that are not the first of a request.

use std::sync::Arc;

use http::{Method, Request};

use super::{Fetch, Looking};
use crate::{
    clock::Timestamp,
    entry::Entry,
    fence::Verdict,
    key::KeyBuffer,
    semantics::{storable::Preset, vary::too_wide},
    service::{
        facts::{Facts, is_long},
        kept::{Kept, original_uri},
        plan::{Question, Standing, Step, Stored, plan},
        settings::Shared,
    },
    store::Found,
};

/// Looks again for a request that has waited for others in vain: one of them may have had success.
pub(crate) fn look_again(fetch: &Fetch) -> Option<(Arc<Entry>, Standing)> {
    let kept = &fetch.kept;
    let core = &kept.shared.core;
    let Found::Hit(entry) = core.store.find(&kept.key, &kept.headers) else {
        return None;
    };
    let now = core.clock.now();
    // Nobody is asked for this: without good knowledge the handler runs.
    let trust = fetch.trust.or_else(|| core.trust(now))?;
    let soft_at = match core.judge(&entry.seal, trust, fetch.arrived) {
        Verdict::Valid => None,
        Verdict::Soft(at) => Some(at),
        Verdict::Dead(_) => return None,
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
        Step::Serve(standing) | Step::ServeAndRefresh(standing) => Some((entry, standing)),
        _ => None,
    }
}

/// Keeps the head of a POST to a gateway, whose answer may be what a later GET asks for (RFC 9110
/// §9.3.3). Not where a policy makes the handler see less of a GET than it sees of this request, or
/// asks whose request it is.
pub(crate) fn keep_post<B: 'static>(
    shared: &Arc<Shared>,
    request: &Request<B>,
    now: Timestamp,
) -> Option<Box<Kept>> {
    if *request.method() != Method::POST
        || shared.preset != Preset::Gateway
        || !shared.core.has_background()
    {
        return None;
    }
    let (uri, headers) = (original_uri(request), request.headers());
    let matching = shared.matching(request.extensions(), uri.path());
    let policy = &matching.policy;
    let is_kept = matching.looked_up
        && policy.no_store != Some(true)
        && policy.query.is_none()
        && policy.identity.is_none()
        && !matching.state(&shared.core).is_paused()
        && !is_long(uri.path(), uri.query())
        && !too_wide(&policy.vary, headers);
    let (facts, host) = Facts::read(headers);
    let looking = Looking {
        shared,
        matching: &matching,
        method: request.method(),
        headers,
        original: uri,
        uri,
        path: uri.path(),
        query: uri.query(),
        host,
        facts,
        identity: None,
        tail: None,
        now,
        trust: None,
    };
    let mut key = KeyBuffer::default();
    let path = looking.write_key(&mut key).ok().filter(|_| is_kept)?;
    Some(Box::new(looking.kept(&key, path)))
}

//! Looks a GET or HEAD request up, and says what is to be done with it.

use std::{
    cell::Cell,
    sync::{Arc, OnceLock},
};

use http::{HeaderMap, HeaderName, Method, Uri};

mod again;
mod key;

pub(crate) use self::{
    again::{keep_post, look_again},
    key::with_query,
};
pub(crate) use super::looked::{Fetch, Looked, Otherwise};
use super::{
    facts::{Facts, has_unkeyed_credentials, is_long},
    front::Incoming,
    kept::Kept,
    known::Known,
    looked::KeyTail,
    plan::{Question, Reason, Step, Stored, plan},
    settings::{Matching, Shared},
};
use crate::{
    clock::{Stopwatch, Timestamp},
    entry::Entry,
    fence::Verdict,
    invalidate::Trust,
    key::{Host, Key, KeyBuffer, authority_with, keep_listed},
    observe::Bypass,
    semantics::{
        cache_status::Forward,
        directives::RequestDirectives,
        storable::Preset,
        vary::{selecting, too_wide},
    },
    store::Found,
};

thread_local! {
    /// What a look-up writes the key to: kept, so that it allocates nothing.
    static SCRATCH: Cell<Option<Box<KeyBuffer>>> = const { Cell::new(None) };
}

/// A request that is being looked up.
struct Looking<'a> {
    shared: &'a Arc<Shared>,
    matching: &'a Matching<'a>,
    method: &'a Method,
    headers: &'a HeaderMap,
    /// As the client sent it.
    original: &'a Uri,
    /// The same; with a declared query, as the handler sees it.
    uri: &'a Uri,
    /// The path and the query of that.
    path: &'a str,
    query: Option<&'a str>,
    host: Host<'a>,
    facts: Facts,
    identity: Option<&'a str>,
    tail: Option<&'a KeyTail>,
    now: Timestamp,
    trust: Option<Trust>,
}

/// How a request came in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrival<'a> {
    /// Its URI, and the path of that.
    pub(crate) original: &'a Uri,
    pub(crate) path: &'a str,
    /// To whom it belongs, where the policy asks.
    pub(crate) identity: Option<&'a str>,
    pub(crate) now: Timestamp,
    /// What was found out by asking, if somebody was asked.
    pub(crate) trust: Option<Trust>,
}

/// Looks a request up.
#[inline]
pub(crate) fn look(
    shared: &Arc<Shared>,
    matching: &Matching<'_>,
    incoming: &Incoming<'_>,
    arrival: Arrival<'_>,
) -> Looked {
    let Arrival {
        original,
        path,
        identity,
        now,
        trust,
    } = arrival;
    let query = original.query();
    let headers = incoming.headers;
    let (facts, host) = Facts::read(headers);
    if let Some(refused) = refusal(shared, matching, incoming, facts, identity.is_some()) {
        return matching.step_aside(refused);
    }
    if is_long(path, query) {
        return matching.step_aside(Bypass::LongUri);
    }
    let cut;
    let (uri, query) = match &matching.policy.query {
        None => (original, query),
        Some(names) => match keep_listed(original, names) {
            Some(uri) => {
                cut = uri;
                (&cut, cut.query())
            }
            None => return Looked::Bypass(Bypass::Policy),
        },
    };
    let looking = Looking {
        shared,
        matching,
        method: incoming.method,
        headers,
        original,
        uri,
        path,
        query,
        host,
        facts,
        identity,
        tail: if shared.calls {
            incoming.extensions.get()
        } else {
            None
        },
        now,
        trust,
    };
    // Taken out rather than borrowed: nothing else that this thread does meanwhile looks anything up,
    // and if it did, it would begin with an empty one.
    let scratch = SCRATCH.try_with(Cell::take).ok().flatten();
    let mut scratch = scratch.unwrap_or_default();
    let looked = looking.look(&mut scratch);
    // At the end of a thread there is no place left to put it.
    let _ = SCRATCH.try_with(|place| place.set(Some(scratch)));
    looked
}

impl Matching<'_> {
    /// Returns what is done with a request that does not take part: on a cacheable route it is told.
    fn step_aside(&self, reason: Bypass) -> Looked {
        if self.looked_up {
            Looked::Bypass(reason)
        } else {
            Looked::Pass
        }
    }
}

/// Returns why the request does not take part, whatever is stored.
#[inline]
fn refusal(
    shared: &Shared,
    matching: &Matching<'_>,
    incoming: &Incoming<'_>,
    facts: Facts,
    identified: bool,
) -> Option<Bypass> {
    let (policy, headers) = (&matching.policy, incoming.headers);
    if matching.state(&shared.core).is_paused() {
        return Some(Bypass::Paused);
    }
    if let Some(reason) = facts.bypass(headers, policy, shared.preset, identified) {
        return Some(reason);
    }
    if facts.has_condition()
        && (headers.contains_key(http::header::IF_MATCH)
            || headers.contains_key(http::header::IF_UNMODIFIED_SINCE))
    {
        // Conditions on what the handler has, not on what a cache has (RFC 9110 §13.1.1).
        return Some(Bypass::Policy);
    }
    if policy.no_store == Some(true) {
        return Some(Bypass::Policy);
    }
    if !policy.vary.is_empty() && too_wide(&policy.vary, headers) {
        return Some(Bypass::WideField);
    }
    incoming.carries_body.then_some(Bypass::Body)
}

/// What was found for a request.
struct Match {
    /// What may be served, or be asked about.
    stored: Option<Arc<Entry>>,
    /// What may only stand in for a handler that fails.
    spare: Option<Arc<Entry>>,
    /// When either was soft-purged.
    soft_at: Option<Timestamp>,
    /// Why the request goes forward if it does.
    forward: Forward,
    /// On which fields the responses of the URL vary, where nothing stored tells.
    names: Option<Arc<[HeaderName]>>,
}

impl Match {
    /// Returns that there is nothing, so that the request goes forward for this reason.
    const fn of(forward: Forward) -> Self {
        Self {
            stored: None,
            spare: None,
            soft_at: None,
            forward,
            names: None,
        }
    }
}

fn varied(entry: &Entry) -> Option<Arc<[HeaderName]>> {
    let variation = entry.variation.as_ref();
    variation.map(|variation| Arc::clone(&variation.names))
}

impl Looking<'_> {
    #[inline]
    fn look(&self, key: &mut KeyBuffer) -> Looked {
        if !self.matching.looked_up
            && !self.shared.known.has_left()
            && let Some(known) = self.taught()
            && known.is_quiet()
        {
            // Most requests that pass end here, before there is need for a key.
            return Looked::Watch(Arc::clone(known));
        }
        let Ok(path) = self.write_key(key) else {
            return self.matching.step_aside(Bypass::Host);
        };
        if self.shared.known.is_left(key.as_bytes(), self.now) {
            return Looked::Pass;
        }
        if !self.matching.looked_up {
            return self.unknown(key, path);
        }
        let asked = self.honoured();
        let core = &self.shared.core;
        let found = match core.store.find(key.as_bytes(), self.headers) {
            Found::Hit(entry) => {
                let (trust, verdict) = match core.fence.judge_alone(&entry.seal) {
                    Some(verdict) => (Trust::Known, verdict),
                    None => {
                        let Some(trust) = self.trust() else {
                            return Looked::Ask;
                        };
                        (trust, core.judge(&entry.seal, trust, self.now))
                    }
                };
                // Most look-ups end here: what follows is left out of their way.
                if verdict == Verdict::Valid
                    && let Step::Serve(standing) = self.plan(&entry, None, asked.as_ref())
                {
                    return Looked::Serve(entry, standing, self.facts);
                }
                self.judged(entry, trust, verdict)
            }
            Found::OtherVariants(names) => Match {
                forward: Forward::VaryMiss,
                names: Some(names),
                ..Match::of(Forward::UriMiss)
            },
            Found::Miss => Match::of(Forward::UriMiss),
        };
        self.decide(found, asked, key, path)
    }

    /// Decides what is done with a request that is not served what is stored at once.
    #[inline(never)]
    fn decide(
        &self,
        found: Match,
        asked: Option<RequestDirectives>,
        key: &KeyBuffer,
        path: Option<Key>,
    ) -> Looked {
        let step = match &found.stored {
            Some(entry) => self.plan(entry, found.soft_at, asked.as_ref()),
            None => {
                let store = &self.shared.core.store;
                let marked = store.is_uncacheable(key.as_bytes(), self.now);
                plan(&self.question(None, marked, asked.as_ref()))
            }
        };
        match (step, found.stored) {
            (Step::Serve(standing), Some(entry)) => Looked::Serve(entry, standing, self.facts),
            (_, stored) => {
                let found = Match { stored, ..found };
                self.forward(step, found, asked, || self.kept(key, path))
            }
        }
    }

    /// Says what is done with a request of a route that has not shown to be cacheable.
    fn unknown(&self, key: &KeyBuffer, path: Option<Key>) -> Looked {
        match self.taught() {
            Some(known) if known.is_quiet() => Looked::Watch(Arc::clone(known)),
            Some(_) => Looked::Learn(Box::new(self.kept(key, path))),
            None => Looked::Pass,
        }
    }

    /// Returns what would learn from the answer to this request, on a route that is not looked up.
    #[inline]
    fn taught(&self) -> Option<&Arc<Known>> {
        let is_head = *self.method == Method::HEAD;
        let known = self.matching.known.as_ref();
        known.filter(|known| !known.is_inner() && !is_head && !self.facts.wants_range())
    }

    /// Says what is done with a request that is not answered by what is stored alone.
    #[cold]
    fn forward(
        &self,
        step: Step,
        found: Match,
        asked: Option<RequestDirectives>,
        kept: impl FnOnce() -> Kept,
    ) -> Looked {
        let is_head = *self.method == Method::HEAD;
        let reason = match step {
            Step::Bypass(Bypass::Marker) if !is_head && !self.facts.has_condition() => {
                return Looked::Learn(Box::new(kept()));
            }
            // Another node may have stored what this one has not.
            Step::Bypass(Bypass::Range) | Step::OnlyIfCachedMiss if self.may_ask_elsewhere() => {
                found.forward
            }
            Step::Bypass(reason) => return Looked::Bypass(reason),
            Step::OnlyIfCachedMiss => return Looked::OnlyIfCachedMiss,
            Step::Revalidate(Reason::Request) => Forward::Request,
            _ => found.forward,
        };
        let served = found.stored.clone();
        let names = served.as_deref().map_or(found.names, varied);
        let kept = kept();
        let fetch = Box::new(Fetch {
            flight: flight_key(&kept, names.as_deref()),
            kept,
            stale: found.stored.or(found.spare),
            soft_at: found.soft_at,
            asked,
            reason,
            arrived: self.now,
            trust: self.trust(),
        });
        match (step, served) {
            (Step::ServeAndRefresh(standing), Some(entry)) => {
                Looked::ServeAndRefresh(entry, standing, fetch)
            }
            (Step::Bypass(reason), _) => Looked::Elsewhere(fetch, Otherwise::Bypass(reason)),
            (Step::OnlyIfCachedMiss, _) => Looked::Elsewhere(fetch, Otherwise::Refuse),
            _ => Looked::Fetch(fetch),
        }
    }

    fn may_ask_elsewhere(&self) -> bool {
        let core = &self.shared.core;
        core.second.is_some() && core.has_background()
    }

    /// Returns how far what is known of invalidations can be relied on; none if it has to be asked.
    fn trust(&self) -> Option<Trust> {
        self.trust.or_else(|| self.shared.core.trust(self.now))
    }

    /// Puts what is stored, and was found to be so, into the place that it may take.
    #[inline(never)]
    fn judged(&self, entry: Arc<Entry>, trust: Trust, verdict: Verdict) -> Match {
        let core = &self.shared.core;
        let mut found = Match::of(Forward::Stale);
        match verdict {
            Verdict::Valid => found.stored = Some(entry),
            Verdict::Soft(at) => {
                found.stored = Some(entry);
                found.soft_at = Some(at);
            }
            Verdict::Dead(reason) => {
                core.note_fenced(reason);
                found.forward = Forward::Miss;
                found.names = varied(&entry);
                if trust == Trust::Alone && !core.is_dead(&entry.seal) {
                    // Where it was declared that something old is better than a failure.
                    found.spare = Some(entry);
                }
            }
        }
        found
    }

    /// Decides on a response that is stored.
    #[inline(always)]
    fn plan(
        &self,
        entry: &Entry,
        soft_at: Option<Timestamp>,
        request: Option<&RequestDirectives>,
    ) -> Step {
        let stored = Stored {
            life: &entry.life,
            flags: entry.reuse,
            soft_at,
            may_retry: entry.may_retry(self.now),
        };
        plan(&self.question(Some(stored), false, request))
    }

    #[inline]
    fn question<'q>(
        &self,
        stored: Option<Stored<'q>>,
        marked: bool,
        request: Option<&'q RequestDirectives>,
    ) -> Question<'q> {
        Question {
            stored,
            marked,
            is_head: *self.method == Method::HEAD,
            wants_range: self.facts.wants_range(),
            request,
            now: self.now,
        }
    }

    /// What clients ask of caches is honoured by a gateway. An application's cache is part of the
    /// origin, which they can not order about.
    fn honoured(&self) -> Option<RequestDirectives> {
        match self.shared.preset {
            Preset::Gateway => self.facts.directives(self.headers),
            Preset::Application => None,
        }
    }

    fn kept(&self, key: &KeyBuffer, path: Option<Key>) -> Kept {
        // It was good when the key was begun.
        let authority = authority_with(self.original, self.host).unwrap_or_default();
        let arrived = Stopwatch::start();
        Kept {
            shared: Arc::clone(self.shared),
            matched: self.matching.kept(),
            facts: self.facts,
            key: key.to_key(),
            path,
            method: self.method.clone(),
            uri: self.uri.clone(),
            authority: (*authority).into(),
            headers: self.headers.clone(),
            place: OnceLock::new(),
            position: self.shared.core.position(),
            requested: self.now,
            arrived,
            began: arrived,
            lock: None,
            identified: self.identity.is_some()
                || self.facts.is_authorized()
                    && !has_unkeyed_credentials(self.headers, &self.matching.policy),
            reads: super::gathered::Reads::begin(),
        }
    }
}

/// Returns the key of the flights of a request: those of one variant, where it is known on which
/// fields the responses vary.
pub(crate) fn flight_key(kept: &Kept, names: Option<&[HeaderName]>) -> Key {
    let Some(names) = names else {
        return kept.key.clone();
    };
    let mut bytes = kept.key.to_vec();
    selecting(names, &kept.headers, &mut bytes);
    Key::from(bytes.as_slice())
}

//! Looks a GET or HEAD request up, and says what is to be done with it.

use std::{cell::Cell, sync::Arc};

use http::{HeaderMap, HeaderName, Method, Request, Uri};

mod again;

pub(crate) use self::again::{keep_post, look_again};
pub(crate) use super::looked::{Fetch, Looked};
use super::{
    facts::{Facts, carries_body, has_unkeyed_credentials, is_long},
    kept::Kept,
    looked::KeyTail,
    plan::{Question, Reason, Step, Stored, plan},
    settings::{Matching, Shared},
};
use crate::{
    clock::{Stopwatch, Timestamp},
    entry::Entry,
    fence::Verdict,
    invalidate::Trust,
    key::{Host, Key, KeyBuffer, KeyedRequest, Refused, authority_with, keep_listed},
    observe::Bypass,
    semantics::{
        cache_status::Forward,
        directives::RequestDirectives,
        no_vary_search::NoVarySearch,
        storable::Preset,
        vary::{selecting, too_wide},
    },
    store::Found,
};

#[derive(Default)]
struct Scratch {
    key: KeyBuffer,
    bytes: Vec<u8>,
}

thread_local! {
    /// What a look-up writes to: kept, so that it allocates nothing.
    static SCRATCH: Cell<Scratch> = Cell::default();
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
    host: Host<'a>,
    facts: Facts,
    identity: Option<&'a str>,
    tail: Option<&'a KeyTail>,
    now: Timestamp,
    trust: Option<Trust>,
}

/// Looks a request up, whose URI came in as `original`. `trust` is what was found out by asking, if
/// somebody was asked.
#[inline]
pub(crate) fn look<B: 'static>(
    shared: &Arc<Shared>,
    matching: &Matching<'_>,
    request: &Request<B>,
    original: &Uri,
    identity: Option<&str>,
    now: Timestamp,
    trust: Option<Trust>,
) -> Looked {
    let headers = request.headers();
    let (facts, host) = Facts::read(headers);
    if let Some(refused) = refusal(shared, matching, request, facts, identity.is_some()) {
        return matching.step_aside(refused);
    }
    let cut;
    let uri = match &matching.policy.query {
        None => original,
        Some(names) => match keep_listed(original, names) {
            Some(uri) => {
                cut = uri;
                &cut
            }
            None => return Looked::Bypass(Bypass::Policy),
        },
    };
    let looking = Looking {
        shared,
        matching,
        method: request.method(),
        headers,
        original,
        uri,
        host,
        facts,
        identity,
        tail: if shared.calls {
            request.extensions().get()
        } else {
            None
        },
        now,
        trust: trust.or_else(|| shared.core.trust(now)),
    };
    // Taken out rather than borrowed: nothing else that this thread does meanwhile looks anything up,
    // and if it did, it would begin with an empty one.
    let mut scratch = SCRATCH.try_with(Cell::take).unwrap_or_default();
    let looked = looking.look(&mut scratch);
    // At the end of a thread there is no place left to put it.
    let _ = SCRATCH.try_with(|place| place.set(scratch));
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
fn refusal<B: 'static>(
    shared: &Shared,
    matching: &Matching<'_>,
    request: &Request<B>,
    facts: Facts,
    identified: bool,
) -> Option<Bypass> {
    let (policy, headers) = (&matching.policy, request.headers());
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
    if is_long(request.uri()) {
        return Some(Bypass::LongUri);
    }
    if !policy.vary.is_empty() && too_wide(&policy.vary, headers) {
        return Some(Bypass::WideField);
    }
    carries_body(request).then_some(Bypass::Body)
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

fn varied(entry: &Entry) -> Option<Arc<[HeaderName]>> {
    let variation = entry.variation.as_ref();
    variation.map(|variation| Arc::clone(&variation.names))
}

impl Looking<'_> {
    #[inline]
    fn look(&self, scratch: &mut Scratch) -> Looked {
        let Scratch { key, bytes } = scratch;
        let Ok(path) = self.write_key(key) else {
            return self.matching.step_aside(Bypass::Host);
        };
        if self.shared.known.is_left(key.as_bytes(), self.now) {
            return Looked::Pass;
        }
        if !self.matching.looked_up {
            return self.unknown(key, path);
        }
        let Some(found) = self.found(key, bytes) else {
            return Looked::Ask;
        };
        let asked = self.honoured();
        let step = plan(&self.question(&found, key, asked.as_ref()));
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
        let is_head = *self.method == Method::HEAD;
        match &self.matching.known {
            Some(known) if !known.is_inner() && !is_head && !self.facts.wants_range() => {
                if known.is_quiet() {
                    Looked::Watch(Arc::clone(known))
                } else {
                    Looked::Learn(Box::new(self.kept(key, path)))
                }
            }
            _ => Looked::Pass,
        }
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
            trust: self.trust,
        });
        match (step, served) {
            (Step::ServeAndRefresh(standing), Some(entry)) => {
                Looked::ServeAndRefresh(entry, standing, fetch)
            }
            _ => Looked::Fetch(fetch),
        }
    }

    /// Finds what is stored for the request and not void; none if somebody has to be asked first.
    #[inline]
    fn found(&self, key: &KeyBuffer, bytes: &mut Vec<u8>) -> Option<Match> {
        let core = &self.shared.core;
        let mut found = Match {
            stored: None,
            spare: None,
            soft_at: None,
            forward: Forward::UriMiss,
            names: None,
        };
        match core.store.find(key.as_bytes(), self.headers, bytes) {
            Found::Miss => {}
            Found::OtherVariants(names) => {
                found.forward = Forward::VaryMiss;
                found.names = Some(names);
            }
            Found::Hit(entry) => {
                found.forward = Forward::Stale;
                self.judge(entry, self.trust?, &mut found);
            }
        }
        Some(found)
    }

    /// Puts what is stored into the place that it may take.
    #[inline]
    fn judge(&self, entry: Arc<Entry>, trust: Trust, found: &mut Match) {
        let core = &self.shared.core;
        match core.judge(&entry.seal, trust, self.now) {
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
    }

    #[inline]
    fn question<'q>(
        &self,
        found: &'q Match,
        key: &KeyBuffer,
        request: Option<&'q RequestDirectives>,
    ) -> Question<'q> {
        let stored = found.stored.as_ref().map(|entry| Stored {
            life: &entry.life,
            flags: entry.reuse,
            soft_at: found.soft_at,
            may_retry: entry.may_retry(self.now),
        });
        let store = &self.shared.core.store;
        Question {
            stored,
            marked: stored.is_none() && store.is_uncacheable(key.as_bytes(), self.now),
            is_head: *self.method == Method::HEAD,
            wants_range: self.facts.wants_range(),
            request,
            now: self.now,
        }
    }

    /// Writes the key. Where the responses of the path may say how they vary on the query, returns
    /// the key of the path, under which that is remembered.
    #[inline]
    fn write_key(&self, key: &mut KeyBuffer) -> Result<Option<Key>, Refused> {
        let policy = &self.matching.policy;
        self.begin_key(key)?;
        if policy.no_vary_search != Some(true) || policy.query.is_some() {
            self.finish_key(self.uri.query(), key);
            return Ok(None);
        }
        self.finish_key(None, key);
        let path = key.to_key();
        match self.shared.known.variance(&path) {
            Some(variance) => *key = with_query(&path, &variance, self.uri.query()),
            None => {
                self.begin_key(key)?;
                self.finish_key(self.uri.query(), key);
            }
        }
        Ok(Some(path))
    }

    #[inline]
    fn begin_key(&self, key: &mut KeyBuffer) -> Result<(), Refused> {
        if let (None, Host::One(host)) = (self.original.authority(), self.host)
            && self.shared.recipe.begin_again(host.as_bytes(), key)
        {
            return Ok(());
        }
        let authority = authority_with(self.original, self.host)?;
        self.shared.recipe.begin(&authority, key);
        Ok(())
    }

    #[inline]
    fn finish_key(&self, query: Option<&str>, key: &mut KeyBuffer) {
        let request = KeyedRequest {
            path: self.uri.path(),
            query,
            headers: self.headers,
            pattern: self.matching.pattern(),
            identity: self.identity,
        };
        (self.shared.recipe).finish(&self.matching.policy, &request, key);
        if let Some(KeyTail(tail)) = self.tail {
            key.part(tail);
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
            position: self.shared.core.position(),
            requested: self.now,
            arrived,
            began: arrived,
            lock: None,
            identified: self.identity.is_some()
                || self.facts.is_authorized()
                    && !has_unkeyed_credentials(self.headers, &self.matching.policy),
            reads: super::gathered::Reads::begin(&self.shared.core),
        }
    }
}

/// Returns the key of a request whose responses vary on the query as `variance` says: the key of
/// its path, then the query in the form that all equivalent queries share.
pub(crate) fn with_query(path: &Key, variance: &NoVarySearch, query: Option<&str>) -> KeyBuffer {
    let mut canonical = Vec::new();
    variance.canonical(query, &mut canonical);
    let mut key = KeyBuffer::default();
    key.raw(path);
    key.part(&canonical);
    key
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

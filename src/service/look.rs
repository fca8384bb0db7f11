//! Looks a GET or HEAD request up, and says what is to be done with it.

use std::{borrow::Cow, cell::RefCell, sync::Arc};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, Method, Request, Uri};

use super::{
    facts::{Facts, carries_body, has_unkeyed_credentials, is_long},
    kept::{Kept, original_uri},
    plan::{Question, Reason, Standing, Step, Stored, plan},
    settings::{Matched, Shared},
};
use crate::{
    clock::{Stopwatch, Timestamp},
    entry::Entry,
    fence::Verdict,
    invalidate::Trust,
    key::{Key, KeyBuffer, KeyedRequest, authority, keep_listed},
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

/// What belongs to the key of a request besides its head: for a call, the message.
#[derive(Clone, Debug)]
pub(crate) struct KeyTail(pub(crate) Bytes);

mod again;

pub(crate) use self::again::{keep_post, look_again};

/// What is to be done.
#[derive(Debug)]
pub(crate) enum Looked {
    Serve(Arc<Entry>, Standing),
    /// Serve, and let the request itself be the refresh.
    ServeAndRefresh(Arc<Entry>, Standing, Box<Fetch>),
    /// To the handler, with others who ask for the same.
    Fetch(Box<Fetch>),
    /// Straight to the handler; its answer may be stored and its route learned.
    Learn(Box<Kept>),
    /// Straight to the handler, untouched.
    Pass,
    /// Straight to the handler, and say why.
    Bypass(Bypass),
    OnlyIfCachedMiss,
    /// Nothing can be said before the shared registry has been asked.
    Ask,
}

impl Looked {
    /// Returns the word that stands for it in traces.
    pub(crate) const fn as_str(&self) -> &'static str {
        match self {
            Self::Serve(..) => "serve",
            Self::ServeAndRefresh(..) => "serve-and-refresh",
            Self::Fetch(_) => "fetch",
            Self::Learn(_) => "learn",
            Self::Pass => "pass",
            Self::Bypass(_) => "bypass",
            Self::OnlyIfCachedMiss => "only-if-cached-miss",
            Self::Ask => "ask",
        }
    }
}

/// A request that needs its handler.
#[derive(Clone, Debug)]
pub(crate) struct Fetch {
    pub(crate) kept: Kept,
    /// Under which flights of it are joined: the key, with the variant where that is known.
    pub(crate) flight: Key,
    /// What is stored and not void, to be confirmed or to stand in.
    pub(crate) stale: Option<Arc<Entry>>,
    pub(crate) soft_at: Option<Timestamp>,
    /// What the client asks for, if that is honoured.
    pub(crate) asked: Option<RequestDirectives>,
    pub(crate) reason: Forward,
    /// When the request came.
    pub(crate) arrived: Timestamp,
    /// How far what was known then could be relied on; none if nobody was asked.
    pub(crate) trust: Option<Trust>,
}

impl Fetch {
    /// Returns how far what is known of invalidations can be relied on for this request, and asks for
    /// that if need be.
    pub(crate) async fn ask(&self) -> Trust {
        let core = &self.kept.shared.core;
        match self.trust.or_else(|| core.trust(self.arrived)) {
            Some(trust) => trust,
            None => core.ask().await,
        }
    }

    /// Returns the question that was decided on, as it stands now.
    pub(crate) fn question(&self, now: Timestamp) -> Question<'_> {
        Question {
            stored: self.stale.as_ref().map(|entry| Stored {
                life: entry.life,
                flags: entry.reuse,
                soft_at: self.soft_at,
                may_retry: false,
            }),
            marked: false,
            is_head: false,
            wants_range: false,
            request: self.asked.as_ref(),
            now,
        }
    }
}

#[derive(Default)]
struct Scratch {
    key: KeyBuffer,
    bytes: Vec<u8>,
}

thread_local! {
    /// What a look-up writes to: kept, so that it allocates nothing.
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// A request that is being looked up.
struct Looking<'a> {
    shared: &'a Arc<Shared>,
    matched: &'a Matched,
    method: &'a Method,
    headers: &'a HeaderMap,
    /// As the client sent it; with a declared query, as the handler sees it.
    uri: Cow<'a, Uri>,
    facts: Facts,
    identity: Option<&'a str>,
    tail: Option<&'a KeyTail>,
    now: Timestamp,
    trust: Option<Trust>,
}

/// Looks a request up. `trust` is what was found out by asking, if somebody was asked.
pub(crate) fn look<B: 'static>(
    shared: &Arc<Shared>,
    matched: &Matched,
    request: &Request<B>,
    identity: Option<&str>,
    now: Timestamp,
    trust: Option<Trust>,
) -> Looked {
    let facts = Facts::of(request.headers());
    if let Some(refused) = refusal(shared, matched, request, facts, identity.is_some()) {
        return if matched.looked_up {
            Looked::Bypass(refused)
        } else {
            Looked::Pass
        };
    }
    let original = original_uri(request);
    let uri = match &matched.policy.query {
        None => Cow::Borrowed(original),
        Some(names) => match keep_listed(original, names) {
            Some(uri) => Cow::Owned(uri),
            None => return Looked::Bypass(Bypass::Policy),
        },
    };
    let headers = request.headers();
    let looking = Looking {
        shared,
        matched,
        method: request.method(),
        headers,
        uri,
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
    let Ok(authority) = authority(original, headers) else {
        return if matched.looked_up {
            Looked::Bypass(Bypass::Host)
        } else {
            Looked::Pass
        };
    };
    SCRATCH
        .try_with(|scratch| match scratch.try_borrow_mut() {
            Ok(mut scratch) => looking.look(&authority, &mut scratch),
            Err(_) => looking.look(&authority, &mut Scratch::default()),
        })
        .unwrap_or_else(|_| looking.look(&authority, &mut Scratch::default()))
}

/// Returns why the request does not take part, whatever is stored.
fn refusal<B: 'static>(
    shared: &Shared,
    matched: &Matched,
    request: &Request<B>,
    facts: Facts,
    identified: bool,
) -> Option<Bypass> {
    let (policy, headers) = (&matched.policy, request.headers());
    if matched.state(&shared.core).is_paused() {
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
    /// On which fields the responses of the URL vary, where that is known.
    names: Option<Arc<[HeaderName]>>,
}

impl Looking<'_> {
    fn look(&self, authority: &str, scratch: &mut Scratch) -> Looked {
        let Scratch { key, bytes } = scratch;
        let path = self.write_key(authority, key);
        if self.shared.known.is_left(key.as_bytes(), self.now) {
            return Looked::Pass;
        }
        let kept = || self.kept(authority, key, path.clone());
        let is_head = *self.method == Method::HEAD;
        if !self.matched.looked_up {
            let known = self.matched.known.as_ref();
            let can_learn = known.is_some_and(|known| !known.is_inner());
            return if can_learn && !is_head && !self.facts.wants_range() {
                Looked::Learn(Box::new(kept()))
            } else {
                Looked::Pass
            };
        }
        let Some(found) = self.found(key, bytes) else {
            return Looked::Ask;
        };
        let asked = self.honoured();
        let step = plan(&self.question(&found, key, asked.as_ref()));
        let fetch = |found: Match, reason| {
            let kept = kept();
            let flight = flight_key(&kept, found.names.as_deref());
            let Match {
                stored,
                spare,
                soft_at,
                ..
            } = found;
            Box::new(Fetch {
                kept,
                flight,
                stale: stored.or(spare),
                soft_at,
                asked,
                reason,
                arrived: self.now,
                trust: self.trust,
            })
        };
        let forward = found.forward;
        match (step, &found.stored) {
            (Step::Serve(standing), Some(entry)) => Looked::Serve(Arc::clone(entry), standing),
            (Step::ServeAndRefresh(standing), Some(entry)) => {
                let entry = Arc::clone(entry);
                Looked::ServeAndRefresh(entry, standing, fetch(found, forward))
            }
            (Step::Bypass(Bypass::Marker), _) if !is_head && !self.facts.has_condition() => {
                Looked::Learn(Box::new(kept()))
            }
            (Step::Bypass(reason), _) => Looked::Bypass(reason),
            (Step::OnlyIfCachedMiss, _) => Looked::OnlyIfCachedMiss,
            (Step::Revalidate(Reason::Request), _) => Looked::Fetch(fetch(found, Forward::Request)),
            (Step::Revalidate(Reason::Stale) | Step::Fetch, _)
            | (Step::Serve(_) | Step::ServeAndRefresh(_), None) => {
                Looked::Fetch(fetch(found, forward))
            }
        }
    }

    /// Finds what is stored for the request and not void; none if somebody has to be asked first.
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
                found.names = entry
                    .variation
                    .as_ref()
                    .map(|variation| Arc::clone(&variation.names));
                self.judge(entry, self.trust?, &mut found);
            }
        }
        Some(found)
    }

    /// Puts what is stored into the place that it may take.
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
                if trust == Trust::Alone && !core.is_dead(&entry.seal) {
                    // Where it was declared that something old is better than a failure.
                    found.spare = Some(entry);
                }
            }
        }
    }

    fn question<'q>(
        &self,
        found: &Match,
        key: &KeyBuffer,
        request: Option<&'q RequestDirectives>,
    ) -> Question<'q> {
        let stored = found.stored.as_ref().map(|entry| Stored {
            life: entry.life,
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
    fn write_key(&self, authority: &str, key: &mut KeyBuffer) -> Option<Key> {
        let policy = &self.matched.policy;
        if policy.no_vary_search != Some(true) || policy.query.is_some() {
            self.write_with(authority, self.uri.query(), key);
            return None;
        }
        self.write_with(authority, None, key);
        let path = key.to_key();
        match self.shared.known.variance(&path) {
            Some(variance) => *key = with_query(&path, &variance, self.uri.query()),
            None => self.write_with(authority, self.uri.query(), key),
        }
        Some(path)
    }

    fn write_with(&self, authority: &str, query: Option<&str>, key: &mut KeyBuffer) {
        let request = KeyedRequest {
            authority,
            path: self.uri.path(),
            query,
            headers: self.headers,
            pattern: self.matched.pattern(),
            identity: self.identity,
        };
        self.shared
            .recipe
            .write(&self.matched.policy, &request, key);
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

    fn kept(&self, authority: &str, key: &KeyBuffer, path: Option<Key>) -> Kept {
        let arrived = Stopwatch::start();
        Kept {
            shared: Arc::clone(self.shared),
            matched: self.matched.clone(),
            facts: self.facts,
            key: key.to_key(),
            path,
            method: self.method.clone(),
            uri: Uri::clone(&self.uri),
            authority: authority.into(),
            headers: self.headers.clone(),
            position: self.shared.core.position(),
            requested: self.now,
            arrived,
            began: arrived,
            lock: None,
            identified: self.identity.is_some()
                || self.facts.is_authorized()
                    && !has_unkeyed_credentials(self.headers, &self.matched.policy),
            #[cfg(feature = "data")]
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

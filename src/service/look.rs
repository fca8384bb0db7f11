//! Looks a GET or HEAD request up, and says what is to be done with it.

use std::{borrow::Cow, cell::RefCell, sync::Arc};

use http::{HeaderMap, Method, Request, Uri};

use super::{
    facts::{Facts, carries_body, is_long},
    kept::{Kept, original_uri},
    plan::{Question, Reason, Standing, Step, Stored, plan},
    settings::{Matched, Shared},
};
use crate::{
    clock::Timestamp,
    entry::Entry,
    fence::Verdict,
    key::{Key, KeyBuffer, KeyedRequest, authority, keep_listed},
    observe::{Bypass, Event},
    semantics::{
        cache_status::Forward,
        directives::RequestDirectives,
        storable::Preset,
        vary::{selecting, too_wide},
    },
    store::Found,
};

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
}

/// A request that needs its handler.
#[derive(Debug)]
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
}

impl Fetch {
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
    now: Timestamp,
}

/// Looks a request up.
pub(crate) fn look<B: 'static>(
    shared: &Arc<Shared>,
    matched: &Matched,
    request: &Request<B>,
    identity: Option<&str>,
    now: Timestamp,
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
        now,
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

impl Looking<'_> {
    fn look(&self, authority: &str, scratch: &mut Scratch) -> Looked {
        let Scratch { key, bytes } = scratch;
        self.write_key(authority, key);
        let is_head = *self.method == Method::HEAD;
        if !self.matched.looked_up {
            let can_learn = !is_head
                && !self.facts.wants_range()
                && self
                    .matched
                    .known
                    .as_ref()
                    .is_some_and(|known| !known.is_inner());
            return if can_learn {
                Looked::Learn(self.kept(authority, key))
            } else {
                Looked::Pass
            };
        }
        let core = &self.shared.core;
        let found = core.store.find(key.as_bytes(), self.headers, bytes);
        let (stored, soft_at, forward, names) = match found {
            Found::Hit(entry) => match core.fence.judge(&entry.seal) {
                Verdict::Valid => (Some(entry), None, Forward::Stale, None),
                Verdict::Soft(at) => (Some(entry), Some(at), Forward::Stale, None),
                Verdict::Dead(_) => {
                    core.counters.note(Event::Fenced);
                    (
                        None,
                        None,
                        Forward::Stale,
                        entry.variation.clone().map(|v| v.names),
                    )
                }
            },
            Found::OtherVariants(names) => (None, None, Forward::VaryMiss, Some(names)),
            Found::Miss => (None, None, Forward::UriMiss, None),
        };
        let asked = self.honoured();
        let question = Question {
            stored: stored.as_ref().map(|entry| Stored {
                life: entry.life,
                flags: entry.reuse,
                soft_at,
                may_retry: entry.may_retry(self.now),
            }),
            marked: stored.is_none() && core.store.is_uncacheable(key.as_bytes(), self.now),
            is_head,
            wants_range: self.facts.wants_range(),
            request: asked.as_ref(),
            now: self.now,
        };
        let step = plan(&question);
        let fetch = |stale: Option<Arc<Entry>>, reason| {
            let names = stale
                .as_ref()
                .and_then(|e| e.variation.clone().map(|v| v.names))
                .or(names);
            let kept = *self.kept(authority, key);
            let flight = flight_key(&kept, names.as_deref());
            Box::new(Fetch {
                kept,
                flight,
                stale,
                soft_at,
                asked: asked.clone(),
                reason,
            })
        };
        match (step, stored) {
            (Step::Serve(standing), Some(entry)) => Looked::Serve(entry, standing),
            (Step::ServeAndRefresh(standing), Some(entry)) => {
                let refresh = fetch(Some(Arc::clone(&entry)), forward);
                Looked::ServeAndRefresh(entry, standing, refresh)
            }
            (Step::Bypass(Bypass::Marker), _) if !is_head && !self.facts.has_condition() => {
                Looked::Learn(self.kept(authority, key))
            }
            (Step::Bypass(reason), _) => Looked::Bypass(reason),
            (Step::OnlyIfCachedMiss, _) => Looked::OnlyIfCachedMiss,
            (Step::Revalidate(Reason::Request), stored) => {
                Looked::Fetch(fetch(stored, Forward::Request))
            }
            (_, stored) => Looked::Fetch(fetch(stored, forward)),
        }
    }

    fn write_key(&self, authority: &str, key: &mut KeyBuffer) {
        let request = KeyedRequest {
            authority,
            path: self.uri.path(),
            query: self.uri.query(),
            headers: self.headers,
            pattern: self.matched.pattern(),
            identity: self.identity,
        };
        self.shared
            .recipe
            .write(&self.matched.policy, &request, key);
    }

    /// What clients ask of caches is honoured by a gateway. An application's cache is part of the
    /// origin, which they can not order about.
    fn honoured(&self) -> Option<RequestDirectives> {
        match self.shared.preset {
            Preset::Gateway => self.facts.directives(self.headers),
            Preset::Application => None,
        }
    }

    fn kept(&self, authority: &str, key: &KeyBuffer) -> Box<Kept> {
        Box::new(Kept {
            shared: Arc::clone(self.shared),
            matched: self.matched.clone(),
            facts: self.facts,
            key: key.to_key(),
            method: self.method.clone(),
            uri: Uri::clone(&self.uri),
            authority: authority.into(),
            headers: self.headers.clone(),
            position: self.shared.core.position(),
            requested: self.now,
            identified: self.identity.is_some(),
        })
    }
}

/// Returns the key of the flights of a request: those of one variant, where it is known on which
/// fields the responses vary.
pub(crate) fn flight_key(kept: &Kept, names: Option<&[http::HeaderName]>) -> Key {
    let Some(names) = names else {
        return kept.key.clone();
    };
    let mut bytes = kept.key.to_vec();
    selecting(names, &kept.headers, &mut bytes);
    Key::from(bytes.as_slice())
}

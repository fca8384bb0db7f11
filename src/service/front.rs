//! The first look at a request, before anything of it is moved: most end here, with a hit.
//!
//! Nothing in it depends on the types of bodies. So it is compiled with the rest of larder, where all
//! that it calls is at hand, and not once more for each service that a layer is put around.

use std::sync::Arc;

use bytes::Bytes;
use http::{Extensions, HeaderMap, Method, Request, Response, Uri};

use super::{
    answer::{Asked, ready, verbatim},
    facts::carries_body,
    kept::original,
    look::{Arrival, Looked, look},
    plan::Standing,
    pump::Mark,
    settings::{Matching, Shared},
};
use crate::{
    clock::{Stopwatch, Timestamp},
    handle::Answered,
    observe::{Outcome, Span, is_measured},
    policy::Policy,
};

/// A request as it stands, without its body.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Incoming<'a> {
    pub(crate) method: &'a Method,
    pub(crate) uri: &'a Uri,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) extensions: &'a Extensions,
    /// Whether the body is known to have something in it although no field says so.
    pub(crate) carries_body: bool,
}

impl<'a> Incoming<'a> {
    #[inline]
    pub(crate) fn of<B: 'static>(request: &'a Request<B>) -> Self {
        Self {
            method: request.method(),
            uri: request.uri(),
            headers: request.headers(),
            extensions: request.extensions(),
            carries_body: carries_body(request),
        }
    }

    /// Returns how it came in, at `now`.
    #[inline]
    pub(crate) fn arrival(&self, now: Timestamp) -> Arrival<'a> {
        let original = original(self.uri, self.extensions);
        Arrival {
            original,
            path: original.path(),
            identity: None,
            now,
            trust: None,
        }
    }
}

/// What came of the first look.
#[derive(Debug)]
pub(crate) enum Front<'a> {
    /// A hit, which is counted already.
    Ready(Response<Bytes>),
    /// Something else.
    Looked(Seen<'a>, Looked),
    /// Nothing yet: the policy asks whose request it is.
    Whose(Seen<'a>),
}

/// What was seen of a request.
#[derive(Debug)]
pub(crate) struct Seen<'a> {
    pub(crate) matching: Matching<'a>,
    pub(crate) now: Timestamp,
    /// Runs since the request came, if it is measured.
    pub(crate) measured: Option<Stopwatch>,
}

/// Looks at a GET or HEAD request that has just come.
pub(crate) fn front<'a>(shared: &'a Arc<Shared>, incoming: &Incoming<'_>) -> Front<'a> {
    let measured = is_measured().then(Stopwatch::start);
    let now = shared.core.clock.now();
    let arrival = incoming.arrival(now);
    let seen = Seen {
        matching: shared.matching(incoming.extensions, arrival.path),
        now,
        measured,
    };
    if seen.matching.policy.identity.is_some() {
        return Front::Whose(seen);
    }
    front_of(shared, seen, incoming, arrival)
}

/// The same, where it is known whose request it is.
#[inline]
pub(crate) fn front_of<'a>(
    shared: &'a Arc<Shared>,
    seen: Seen<'a>,
    incoming: &Incoming<'_>,
    arrival: Arrival<'_>,
) -> Front<'a> {
    let looked = looked(shared, &seen.matching, incoming, arrival);
    if let Looked::Serve(entry, Standing::Fresh, facts) = &looked {
        let asked = Asked {
            method: incoming.method,
            headers: incoming.headers,
            facts: *facts,
        };
        let core = &shared.core;
        if let Some(form) = verbatim(entry, &asked) {
            let answered = Answered {
                state: seen.matching.state(core),
                outcome: Outcome::Hit,
                method: incoming.method,
                uri: arrival.original,
            };
            core.hit(&answered, entry, seen.now, seen.measured);
            let is_in_router = shared.is_in_router(incoming.extensions);
            let mut response = ready(core, entry, form, seen.now, is_in_router);
            Mark::add(core, response.extensions_mut());
            return Front::Ready(response);
        }
    }
    Front::Looked(seen, looked)
}

/// Looks a request up, as a span of its trace.
#[inline]
pub(crate) fn looked(
    shared: &Arc<Shared>,
    matching: &Matching<'_>,
    incoming: &Incoming<'_>,
    arrival: Arrival<'_>,
) -> Looked {
    let span = Span::lookup(matching.state(&shared.core).label());
    let looked = span.in_scope(|| look(shared, matching, incoming, arrival));
    span.decided(looked.as_str());
    looked
}

/// Returns the owner of a request, where the policy asks for it.
pub(crate) fn owned<R>(policy: &Policy, request: Request<R>) -> (Option<String>, Request<R>) {
    let (parts, body) = request.into_parts();
    let identity = policy.identity.as_ref();
    let owner = identity.and_then(|identity| identity.of(&parts));
    (owner, Request::from_parts(parts, body))
}

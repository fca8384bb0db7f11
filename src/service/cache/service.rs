//! The service that answers from the store or calls the one it wraps.

use std::{
    sync::Arc,
    task::{Context, Poll, Waker},
};

use http::{Method, Request, Response};
use tower_service::Service;

use super::{
    Answer, CacheBody, ResponseFuture,
    elsewhere::{elsewhere, head, warn},
    future::After,
};
use crate::{
    clock::{Stopwatch, Timestamp},
    entry::Entry,
    handle::{Answered, Core},
    observe::Outcome,
    policy::Policy,
    semantics::methods::is_safe,
    service::{
        answer::{Asked, Told, answer, only_if_cached_miss, takes_long},
        asking::Call,
        facts::{Facts, is_read},
        fill::{fetch, refresh},
        front::{Front, Incoming, front, front_of, looked, owned},
        kept::{cut_query, original_uri},
        launch::Handler,
        look::{Arrival, Fetch, Looked},
        mutation::mutate,
        nested::is_in_flight,
        plan::Standing,
        pump::Fillable,
        settings::{Matched, Matching, Shared},
        status,
    },
};

/// A service behind a cache. See the [module](crate::CacheLayer) for an example.
///
/// It is always ready: what the inner service has to wait for is waited for inside the future, so
/// that hits are answered while the handlers are saturated. On a miss the inner service is made
/// ready and called as a clone.
#[derive(Clone, Debug)]
pub struct Cache<S> {
    inner: S,
    shared: Arc<Shared>,
}

impl<S> Cache<S> {
    pub(crate) fn new(inner: S, shared: Arc<Shared>) -> Self {
        Self { inner, shared }
    }
}

type FutureOf<S, R, B> =
    ResponseFuture<<S as Service<Request<R>>>::Future, B, <S as Service<Request<R>>>::Error>;

impl<S, R, B> Service<Request<R>> for Cache<S>
where
    S: Service<Request<R>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
    R: Send + 'static,
    B: Fillable,
{
    type Response = Response<CacheBody<B>>;
    type Error = S::Error;
    type Future = FutureOf<S, R, B>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    #[inline]
    fn call(&mut self, request: Request<R>) -> Self::Future {
        let Self { inner, shared } = self;
        if !is_read(request.method()) {
            let is_call = is_in_flight(&shared.core, request.extensions());
            return if is_call || is_safe(request.method()) {
                pass(inner, request, After::Leave)
            } else {
                ResponseFuture::slow(mutate(Arc::clone(shared), inner.clone(), request))
            };
        }
        match front(shared, &Incoming::of(&request)) {
            Front::Ready(response) => ResponseFuture::ready(response.map(CacheBody::full)),
            front => beyond(inner, shared, front, request),
        }
    }
}

/// Does with a request what is to be done, unless the first look was enough.
#[inline(never)]
fn beyond<'a, S, R, B>(
    inner: &mut S,
    shared: &'a Arc<Shared>,
    mut front: Front<'a>,
    mut request: Request<R>,
) -> FutureOf<S, R, B>
where
    S: Handler<R, B> + Clone,
    R: Send + 'static,
    B: Fillable,
{
    let mut owner = None;
    if let Front::Whose(seen) = front {
        (owner, request) = owned(&seen.matching.policy, request);
        let incoming = Incoming::of(&request);
        let arrival = Arrival {
            identity: owner.as_deref(),
            ..incoming.arrival(seen.now)
        };
        front = front_of(shared, seen, &incoming, arrival);
    }
    match front {
        Front::Ready(response) => ResponseFuture::ready(response.map(CacheBody::full)),
        Front::Looked(seen, Looked::Ask) | Front::Whose(seen) => {
            let asking = Asking {
                shared: Arc::clone(shared),
                matched: seen.matching.kept(),
                owner,
                measured: seen.measured,
            };
            ResponseFuture::slow(asking.answer(inner.clone(), request))
        }
        Front::Looked(seen, looked) => {
            let arrived = Arrived {
                shared,
                matching: &seen.matching,
                now: seen.now,
                measured: seen.measured,
            };
            forward(inner, arrived, looked, request)
        }
    }
}

/// A request of which nothing can be said before the shared registry has been asked.
struct Asking {
    shared: Arc<Shared>,
    matched: Matched,
    owner: Option<String>,
    measured: Option<Stopwatch>,
}

impl Asking {
    /// Asks, looks the request up again, and does what that comes to.
    async fn answer<S, R, B>(self, mut service: S, request: Request<R>) -> Answer<B, S::Error>
    where
        S: Handler<R, B> + Clone,
        R: Send + 'static,
        B: Fillable,
    {
        let shared = &self.shared;
        let trust = shared.core.ask().await;
        let answered = {
            let (matching, now) = (self.matched.borrowed(), shared.core.clock.now());
            let incoming = Incoming::of(&request);
            let arrival = Arrival {
                identity: self.owner.as_deref(),
                trust: Some(trust),
                ..incoming.arrival(now)
            };
            let looked = looked(shared, &matching, &incoming, arrival);
            let arrived = Arrived {
                shared,
                matching: &matching,
                now,
                measured: self.measured,
            };
            forward(&mut service, arrived, looked, request)
        };
        answered.await
    }
}

/// What is known of a request that was looked up.
#[derive(Clone, Copy)]
struct Arrived<'a> {
    shared: &'a Arc<Shared>,
    matching: &'a Matching<'a>,
    now: Timestamp,
    /// Runs since the request came, if it is measured.
    measured: Option<Stopwatch>,
}

impl Arrived<'_> {
    fn answered<'a, R>(&'a self, outcome: Outcome, request: &'a Request<R>) -> Answered<'a> {
        Answered {
            state: self.matching.state(&self.shared.core),
            outcome,
            method: request.method(),
            uri: original_uri(request),
        }
    }

    /// Counts an answer that is not out of the store.
    fn count<R>(&self, outcome: Outcome, request: &Request<R>) {
        let answered = self.answered(outcome, request);
        self.shared.core.answered_at(&answered, self.now, None);
    }

    /// Counts an answer out of the store.
    fn count_hit<R>(&self, outcome: Outcome, entry: &Entry, request: &Request<R>) {
        let answered = self.answered(outcome, request);
        let core = &self.shared.core;
        core.hit(&answered, entry, self.now, self.measured);
    }
}

/// Does with a request what its look-up came to.
fn forward<S, R, B>(
    inner: &mut S,
    arrived: Arrived<'_>,
    looked: Looked,
    mut request: Request<R>,
) -> FutureOf<S, R, B>
where
    S: Handler<R, B> + Clone,
    R: Send + 'static,
    B: Fillable,
{
    let policy = &arrived.matching.policy;
    match looked {
        Looked::Serve(entry, standing, facts) => {
            serve(inner, arrived, &entry, (standing, facts), request)
        }
        Looked::ServeAndRefresh(entry, standing, fetch) => {
            serve_and_refresh(inner, arrived, &entry, (standing, fetch), request)
        }
        Looked::Fetch(wanted) => run(inner, arrived, wanted, request),
        Looked::Elsewhere(wanted, otherwise) => {
            let inner = inner.clone();
            ResponseFuture::slow(elsewhere(wanted, otherwise, inner, request))
        }
        Looked::OnlyIfCachedMiss => {
            arrived.count(Outcome::Refused, &request);
            ResponseFuture::ready(only_if_cached_miss())
        }
        // Whoever has asked is not told to ask again.
        Looked::Pass | Looked::Ask => {
            arrived.count(Outcome::Pass, &request);
            pass(inner, request, After::Leave)
        }
        Looked::Learn(kept) => {
            arrived.count(Outcome::Pass, &request);
            let after = if cut(&mut request, policy) {
                After::Learn(kept)
            } else {
                After::Leave
            };
            pass(inner, request, after)
        }
        Looked::Watch(known) => {
            arrived.count(Outcome::Pass, &request);
            let after = if cut(&mut request, policy) {
                After::Watch(Arc::clone(arrived.shared), known)
            } else {
                After::Leave
            };
            pass(inner, request, after)
        }
        Looked::Bypass(reason) => {
            arrived.count(Outcome::Bypass, &request);
            if let Some(known) = &arrived.matching.known
                && known.warn_once()
            {
                warn(reason.as_str());
            }
            let shared = Arc::clone(arrived.shared);
            pass(inner, request, After::Tell(shared, reason))
        }
    }
}

/// Calls the inner service for this request alone.
///
/// A service that is ready is called as it is. One that is not has begun to wait; it goes into
/// the future as it is, to go on waiting, and a clone takes its place.
fn pass<S, R, B>(inner: &mut S, request: Request<R>, after: After) -> FutureOf<S, R, B>
where
    S: Handler<R, B> + Clone,
    R: Send + 'static,
    B: Fillable,
{
    let mut context = Context::from_waker(Waker::noop());
    match inner.poll_ready(&mut context) {
        Poll::Ready(Ok(())) => ResponseFuture::pass(inner.call(request), after),
        Poll::Ready(Err(error)) => ResponseFuture::failed(error),
        Poll::Pending => {
            let clone = inner.clone();
            let mut waiting = std::mem::replace(inner, clone);
            ResponseFuture::slow(async move {
                std::future::poll_fn(|context| waiting.poll_ready(context)).await?;
                ResponseFuture::pass(waiting.call(request), after).await
            })
        }
    }
}

/// Answers from the store what is not answered verbatim.
fn serve<S, R, B>(
    inner: &mut S,
    arrived: Arrived<'_>,
    entry: &Arc<Entry>,
    (standing, facts): (Standing, Facts),
    request: Request<R>,
) -> FutureOf<S, R, B>
where
    S: Handler<R, B> + Clone,
    R: Send + 'static,
    B: Fillable,
{
    let Arrived { shared, now, .. } = arrived;
    let core = &shared.core;
    let (outcome, told) = told(core, entry, standing, now);
    let asked = Asked {
        method: request.method(),
        headers: request.headers(),
        facts,
    };
    if takes_long(entry, &asked) && core.has_background() {
        arrived.count_hit(outcome, entry, &request);
        let unpacking = Unpacking {
            core: Arc::clone(core),
            entry: Arc::clone(entry),
            facts,
            now,
            told,
        };
        return ResponseFuture::slow(unpacking.answer(inner.clone(), request));
    }
    match answer(core, entry, &asked, now, told) {
        Some(response) => {
            arrived.count_hit(outcome, entry, &request);
            ResponseFuture::ready(response)
        }
        None => pass(inner, request, After::Leave),
    }
}

/// An answer that takes too long to make for an async thread.
struct Unpacking {
    core: Arc<Core>,
    entry: Arc<Entry>,
    facts: Facts,
    now: Timestamp,
    told: Told,
}

impl Unpacking {
    async fn answer<S, R, B>(self, mut service: S, request: Request<R>) -> Answer<B, S::Error>
    where
        S: Service<Request<R>, Response = Response<B>>,
        B: Fillable,
    {
        let (method, headers) = (request.method().clone(), request.headers().clone());
        let unpacked = tokio::task::spawn_blocking(move || {
            let asked = Asked {
                method: &method,
                headers: &headers,
                facts: self.facts,
            };
            answer(&self.core, &self.entry, &asked, self.now, self.told)
        });
        if let Ok(Some(response)) = unpacked.await {
            return Ok(response);
        }
        std::future::poll_fn(|context| service.poll_ready(context)).await?;
        Ok(service.call(request).await?.map(CacheBody::inner))
    }
}

#[inline]
fn told(core: &Core, entry: &Entry, standing: Standing, now: Timestamp) -> (Outcome, Told) {
    match standing {
        Standing::Fresh => (Outcome::Hit, Told::Hit),
        Standing::Stale => {
            let ttl = entry.life.ttl(now);
            (Outcome::Stale, Told::As(status::hit(core, ttl)))
        }
    }
}

/// Answers from the store, and lets the request itself go on as the refresh.
fn serve_and_refresh<S, R, B>(
    inner: &mut S,
    arrived: Arrived<'_>,
    entry: &Arc<Entry>,
    (standing, fetch): (Standing, Box<Fetch>),
    mut request: Request<R>,
) -> FutureOf<S, R, B>
where
    S: Handler<R, B> + Clone,
    R: Send + 'static,
    B: Fillable,
{
    let Arrived { shared, now, .. } = arrived;
    let core = &shared.core;
    let (outcome, told) = told(core, entry, standing, now);
    let asked = Asked {
        method: request.method(),
        headers: request.headers(),
        facts: fetch.kept.facts,
    };
    let Some(response) = answer(core, entry, &asked, now, told) else {
        return pass(inner, request, After::Leave);
    };
    arrived.count_hit(outcome, entry, &request);
    if core.has_background() && cut(&mut request, &fetch.kept.matched.policy) {
        let service = inner.clone();
        refresh(fetch, Box::new(Call { service, request }));
    }
    ResponseFuture::ready(response)
}

/// Lets the handler answer, for all who ask for the same.
fn run<S, R, B>(
    inner: &mut S,
    arrived: Arrived<'_>,
    wanted: Box<Fetch>,
    mut request: Request<R>,
) -> FutureOf<S, R, B>
where
    S: Handler<R, B> + Clone,
    R: Send + 'static,
    B: Fillable,
{
    if !cut(&mut request, &arrived.matching.policy) {
        return pass(inner, request, After::Leave);
    }
    if *request.method() == Method::HEAD {
        // What a HEAD brings has no body: it never leads, and nobody follows it.
        let core = &arrived.shared.core;
        if core.second.is_some() && core.has_background() {
            return ResponseFuture::slow(head(wanted, inner.clone(), request));
        }
        arrived.count(Outcome::Miss, &request);
        return pass(inner, request, After::Compare(wanted));
    }
    let service = inner.clone();
    ResponseFuture::slow(fetch(wanted, Box::new(Call { service, request })))
}

/// Shows the handler only what is keyed of the query, where a list is declared. Returns whether that
/// could be done; if not, the answer may not be shared.
fn cut<R>(request: &mut Request<R>, policy: &Policy) -> bool {
    let listed = policy.query.as_ref();
    listed.is_none_or(|names| cut_query(request, names).is_some())
}

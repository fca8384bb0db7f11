//! The service that answers from the store or calls the one it wraps.

use std::{
    sync::Arc,
    task::{Context, Poll, Waker},
};

use http::{Method, Request, Response};
use tower_service::Service;

use super::{CacheBody, ResponseFuture, future::After};
use crate::{
    clock::{Stopwatch, Timestamp},
    entry::Entry,
    handle::{Answered, Core},
    invalidate::Trust,
    observe::{Outcome, Span, is_measured},
    semantics::methods::is_safe,
    service::{
        answer::{Asked, Told, answer, only_if_cached_miss, takes_long},
        facts::{Facts, is_read},
        fill::{fetch, refresh},
        kept::{cut_query, original_uri},
        look::{Fetch, Looked, look},
        mutation::mutate,
        nested::is_in_flight,
        plan::Standing,
        pump::Fillable,
        second,
        settings::{Matched, Shared},
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

    fn call(&mut self, request: Request<R>) -> Self::Future {
        if !is_read(request.method()) {
            let is_call = is_in_flight(&self.shared.core, request.extensions());
            return if is_call || is_safe(request.method()) {
                self.pass(request, After::Leave)
            } else {
                ResponseFuture::slow(mutate(
                    Arc::clone(&self.shared),
                    self.inner.clone(),
                    request,
                ))
            };
        }
        let measured = is_measured().then(Stopwatch::start);
        let matched = self.shared.matched(&request, original_uri(&request).path());
        let (request, identity) = identified(request, &matched);
        let now = self.shared.core.clock.now();
        let identified = identity.as_deref();
        let looked = looked(&self.shared, &matched, &request, identified, now, None);
        if matches!(looked, Looked::Ask) {
            return self.ask(request, matched, identity, measured);
        }
        self.take(looked, request, &matched, now, measured)
    }
}

/// What is known of a request that is answered from the store.
#[derive(Clone, Copy)]
struct Found<'a> {
    matched: &'a Matched,
    standing: Standing,
    now: Timestamp,
    /// Runs since the request came, if it is measured.
    measured: Option<Stopwatch>,
}

impl<S> Cache<S> {
    /// Looks the request up again once the shared registry has been asked.
    fn ask<R, B>(
        &self,
        request: Request<R>,
        matched: Matched,
        identity: Option<String>,
        measured: Option<Stopwatch>,
    ) -> FutureOf<S, R, B>
    where
        S: Service<Request<R>, Response = Response<B>> + Clone + Send + 'static,
        S::Future: Send + 'static,
        S::Error: Send + 'static,
        R: Send + 'static,
        B: Fillable,
    {
        let mut cache = self.clone();
        ResponseFuture::slow(async move {
            let shared = Arc::clone(&cache.shared);
            let trust = shared.core.ask().await;
            let now = shared.core.clock.now();
            let identity = identity.as_deref();
            let looked = looked(&shared, &matched, &request, identity, now, Some(trust));
            cache.take(looked, request, &matched, now, measured).await
        })
    }

    /// Does what a look-up has come to.
    fn take<R, B>(
        &mut self,
        looked: Looked,
        mut request: Request<R>,
        matched: &Matched,
        now: Timestamp,
        measured: Option<Stopwatch>,
    ) -> FutureOf<S, R, B>
    where
        S: Service<Request<R>, Response = Response<B>> + Clone + Send + 'static,
        S::Future: Send + 'static,
        S::Error: Send + 'static,
        R: Send + 'static,
        B: Fillable,
    {
        let core = &self.shared.core;
        let count = |outcome| {
            core.answered(&answered(core, matched, outcome, &request), None);
        };
        let found = |standing| Found {
            matched,
            standing,
            now,
            measured,
        };
        match looked {
            Looked::Serve(entry, standing) => self.serve(&entry, found(standing), request),
            Looked::ServeAndRefresh(entry, standing, fetch) => {
                self.serve_and_refresh(&entry, found(standing), fetch, request)
            }
            Looked::Fetch(fetch) => self.fetch(fetch, request, matched),
            Looked::OnlyIfCachedMiss => {
                count(Outcome::Refused);
                ResponseFuture::ready(only_if_cached_miss())
            }
            // Whoever has asked is not told to ask again.
            Looked::Pass | Looked::Ask => {
                count(Outcome::Pass);
                self.pass(request, After::Leave)
            }
            Looked::Learn(kept) => {
                count(Outcome::Pass);
                let after = if cut(&mut request, matched) {
                    After::Learn(kept)
                } else {
                    After::Leave
                };
                self.pass(request, after)
            }
            Looked::Bypass(reason) => {
                count(Outcome::Bypass);
                if let Some(known) = &matched.known
                    && known.warn_once()
                {
                    warn(reason.as_str());
                }
                self.pass(request, After::Tell(Arc::clone(&self.shared), reason))
            }
        }
    }

    /// Calls the inner service for this request alone.
    ///
    /// A service that is ready is called as it is. One that is not has begun to wait; it goes into
    /// the future as it is, to go on waiting, and a clone takes its place.
    fn pass<R, B>(&mut self, request: Request<R>, after: After) -> FutureOf<S, R, B>
    where
        S: Service<Request<R>, Response = Response<B>> + Clone + Send + 'static,
        S::Future: Send + 'static,
        S::Error: Send + 'static,
        R: Send + 'static,
        B: Fillable,
    {
        let mut context = Context::from_waker(Waker::noop());
        match self.inner.poll_ready(&mut context) {
            Poll::Ready(Ok(())) => ResponseFuture::pass(self.inner.call(request), after),
            Poll::Ready(Err(error)) => ResponseFuture::failed(error),
            Poll::Pending => {
                let clone = self.inner.clone();
                let mut waiting = std::mem::replace(&mut self.inner, clone);
                ResponseFuture::slow(async move {
                    std::future::poll_fn(|context| waiting.poll_ready(context)).await?;
                    ResponseFuture::pass(waiting.call(request), after).await
                })
            }
        }
    }

    fn serve<R, B>(
        &mut self,
        entry: &Arc<Entry>,
        found: Found<'_>,
        request: Request<R>,
    ) -> FutureOf<S, R, B>
    where
        S: Service<Request<R>, Response = Response<B>> + Clone + Send + 'static,
        S::Future: Send + 'static,
        S::Error: Send + 'static,
        R: Send + 'static,
        B: Fillable,
    {
        let (outcome, told) = self.told(entry, found);
        let Found { now, measured, .. } = found;
        let facts = Facts::of(request.headers());
        let asked = Asked {
            method: request.method(),
            headers: request.headers(),
            facts,
        };
        let core = &self.shared.core;
        if takes_long(entry, &asked) && core.has_background() {
            let (core, entry) = (Arc::clone(core), Arc::clone(entry));
            let (method, headers) = (request.method().clone(), request.headers().clone());
            let asked_by = method.clone();
            let mut waiting = self.inner.clone();
            let state = Arc::clone(found.matched.state(&core));
            let uri = original_uri(&request).clone();
            return ResponseFuture::slow(async move {
                let answered = Answered {
                    state: &state,
                    outcome,
                    method: &asked_by,
                    uri: &uri,
                };
                core.hit(&answered, &entry, now, measured);
                let unpacked = tokio::task::spawn_blocking(move || {
                    let asked = Asked {
                        method: &method,
                        headers: &headers,
                        facts,
                    };
                    answer(&core, &entry, &asked, now, told)
                });
                if let Ok(Some(response)) = unpacked.await {
                    return Ok(response);
                }
                std::future::poll_fn(|context| waiting.poll_ready(context)).await?;
                Ok(waiting.call(request).await?.map(CacheBody::inner))
            });
        }
        match answer(core, entry, &asked, now, told) {
            Some(response) => {
                let answered = answered(core, found.matched, outcome, &request);
                core.hit(&answered, entry, now, measured);
                ResponseFuture::ready(response)
            }
            None => self.pass(request, After::Leave),
        }
    }

    fn told(&self, entry: &Entry, found: Found<'_>) -> (Outcome, Told) {
        match found.standing {
            Standing::Fresh => (Outcome::Hit, Told::Hit),
            Standing::Stale => {
                let ttl = entry.life.ttl(found.now);
                (
                    Outcome::Stale,
                    Told::As(status::hit(&self.shared.core, ttl)),
                )
            }
        }
    }

    /// Answers from the store, and lets the request itself go on as the refresh.
    fn serve_and_refresh<R, B>(
        &mut self,
        entry: &Arc<Entry>,
        found: Found<'_>,
        fetch: Box<Fetch>,
        mut request: Request<R>,
    ) -> FutureOf<S, R, B>
    where
        S: Service<Request<R>, Response = Response<B>> + Clone + Send + 'static,
        S::Future: Send + 'static,
        S::Error: Send + 'static,
        R: Send + 'static,
        B: Fillable,
    {
        let (outcome, told) = self.told(entry, found);
        let Found { now, measured, .. } = found;
        let core = Arc::clone(&self.shared.core);
        let asked = Asked {
            method: request.method(),
            headers: request.headers(),
            facts: fetch.kept.facts,
        };
        let Some(response) = answer(&core, entry, &asked, now, told) else {
            return self.pass(request, After::Leave);
        };
        let answered = answered(&core, found.matched, outcome, &request);
        core.hit(&answered, entry, now, measured);
        if core.has_background() && cut(&mut request, &fetch.kept.matched) {
            refresh(fetch, self.inner.clone(), request);
        }
        ResponseFuture::ready(response)
    }

    fn fetch<R, B>(
        &mut self,
        wanted: Box<Fetch>,
        mut request: Request<R>,
        matched: &Matched,
    ) -> FutureOf<S, R, B>
    where
        S: Service<Request<R>, Response = Response<B>> + Clone + Send + 'static,
        S::Future: Send + 'static,
        S::Error: Send + 'static,
        R: Send + 'static,
        B: Fillable,
    {
        if !cut(&mut request, matched) {
            return self.pass(request, After::Leave);
        }
        if *request.method() == Method::HEAD {
            // What a HEAD brings has no body: it never leads, and nobody follows it.
            if self.shared.core.second.is_some() && self.shared.core.has_background() {
                return ResponseFuture::slow(head(wanted, self.inner.clone(), request));
            }
            let core = &self.shared.core;
            core.answered(&answered(core, matched, Outcome::Miss, &request), None);
            return self.pass(request, After::Compare(wanted));
        }
        ResponseFuture::slow(fetch(wanted, self.inner.clone(), request))
    }
}

/// Looks a request up, as a span of its trace.
fn looked<R: 'static>(
    shared: &Arc<Shared>,
    matched: &Matched,
    request: &Request<R>,
    identity: Option<&str>,
    now: Timestamp,
    trust: Option<Trust>,
) -> Looked {
    let span = Span::lookup(matched.state(&shared.core).label());
    let looked = span.in_scope(|| look(shared, matched, request, identity, now, trust));
    span.decided(looked.as_str());
    looked
}

fn answered<'a, R>(
    core: &'a Core,
    matched: &'a Matched,
    outcome: Outcome,
    request: &'a Request<R>,
) -> Answered<'a> {
    Answered {
        state: matched.state(core),
        outcome,
        method: request.method(),
        uri: original_uri(request),
    }
}

/// Answers a HEAD out of the second tier, else by the handler.
async fn head<S, R, B>(
    mut wanted: Box<Fetch>,
    mut service: S,
    request: Request<R>,
) -> Result<Response<CacheBody<B>>, S::Error>
where
    S: Service<Request<R>, Response = Response<B>>,
    B: Fillable,
{
    if let Some(response) = second::answer_head(&mut wanted).await {
        return Ok(response);
    }
    wanted.kept.answered(Outcome::Miss);
    std::future::poll_fn(|context| service.poll_ready(context)).await?;
    let response = service.call(request).await?;
    Ok(super::future::finish(response, After::Compare(wanted)))
}

/// Asks the policy to whom the request belongs.
fn identified<R>(request: Request<R>, matched: &Matched) -> (Request<R>, Option<String>) {
    let Some(identify) = &matched.policy.identity else {
        return (request, None);
    };
    let (parts, body) = request.into_parts();
    let identity = identify.of(&parts);
    (Request::from_parts(parts, body), identity)
}

/// Shows the handler only what is keyed of the query, where a list is declared. Returns whether that
/// could be done; if not, the answer may not be shared.
fn cut<R>(request: &mut Request<R>, matched: &Matched) -> bool {
    let listed = matched.policy.query.as_ref();
    listed.is_none_or(|names| cut_query(request, names).is_some())
}

#[cfg(feature = "tracing")]
fn warn(reason: &str) {
    tracing::warn!(
        reason,
        "a request on a cacheable route was not cached; this is said once"
    );
}

#[cfg(not(feature = "tracing"))]
fn warn(_: &str) {}

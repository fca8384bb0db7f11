//! Runs the handler once for all who ask for the same, and answers each of them.
//!
//! Whoever leads starts a task that runs the handler and reads its body; the leader's own client is
//! only the first reader. So a client that leaves, at whatever moment, ends nothing. Those who
//! follow wait at most the wait limit; then each runs the handler for itself, a few at a time.

use std::{any::Any, future::poll_fn, panic::resume_unwind, sync::Arc, time::Duration};

use http::{Method, Request, Response, StatusCode, header};
use tokio::{sync::oneshot, time::timeout};
use tower_service::Service;

pub(crate) use super::pump::Fillable;
use super::{
    answer::{Asked, Told, answer, refused},
    cache::CacheBody,
    judge::{Judged, judge},
    kept::Kept,
    look::{Fetch, flight_key},
    plan::stands_in,
    pump::{FILL_LIMIT, FlightLeader, begin, is_marked, learn},
    status,
};
use crate::{
    entry::{Entry, Head},
    flight::{CatchPanic, Flight, Follower, Join, Landing},
    handle::Draft,
    observe::{Event, Outcome},
    semantics::{
        dates,
        directives::ResponseDirectives,
        fields::freshen,
        reuse::{Attempt, is_failure},
        storable::{Preset, Refusal},
        validators::{
            Condition, Validators, answered_by, ask, condition, head_agrees, not_modified_fields,
        },
        vary::selecting,
    },
};

/// How long one request waits for another's handler run if no policy says otherwise.
const WAIT_LIMIT: Duration = Duration::from_secs(5);

/// How a handler run ended, for the one who led it.
pub(crate) enum Run<B, E> {
    Response(Response<CacheBody<B>>),
    /// It confirmed what is stored.
    Confirmed(Arc<Entry>),
    Error(E),
    Panicked(Box<dyn Any + Send>),
}

type Answer<B, E> = Result<Response<CacheBody<B>>, E>;

/// Answers a request that needs its handler.
pub(crate) async fn fetch<S, R, B>(
    mut fetch: Box<Fetch>,
    service: S,
    request: Request<R>,
) -> Answer<B, S::Error>
where
    S: Service<Request<R>, Response = Response<B>> + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
    R: Send + 'static,
    B: Fillable,
{
    let core = Arc::clone(&fetch.kept.shared.core);
    if !core.has_background() {
        return alone(fetch.kept, service, request).await;
    }
    let mut doomed: Option<Arc<Flight<Draft, Arc<Entry>>>> = None;
    let mut lost = false;
    loop {
        // The position is taken before anybody can join: it is the beginning of a run.
        fetch.kept.restart();
        let usable = |flight: &Flight<Draft, Arc<Entry>>| {
            doomed
                .as_ref()
                .is_none_or(|doomed| !std::ptr::eq(&**doomed, flight))
                && !core.is_dead(&flight.seal)
        };
        let mut follower = match core
            .flights
            .join(&fetch.flight, usable, || fetch.kept.seal())
        {
            Join::Lead(leader) => return lead(fetch, leader, service, request).await,
            Join::Full => return alone(fetch.kept, service, request).await,
            Join::Follow(follower) => follower,
        };
        let next = match follow(&fetch, &mut follower).await {
            Followed::Answer(response) => return Ok(response),
            Followed::Alone => return alone(fetch.kept, service, request).await,
            Followed::Late => return straggle(fetch, &follower, service, request).await,
            Followed::Lost if lost => return Ok(stand_in(&fetch).unwrap_or_else(|| refuse(&fetch))),
            Followed::Lost => {
                lost = true;
                None
            }
            Followed::Failed => {
                return Ok(stand_in_for_error(&fetch).unwrap_or_else(|| refuse(&fetch)));
            }
            Followed::Void => None,
            Followed::OtherVariant(names) => Some(names),
        };
        if let Some(names) = next {
            fetch.flight = flight_key(&fetch.kept, Some(&names));
        }
        doomed = Some(Arc::clone(follower.flight()));
    }
}

/// Starts a refresh of which nobody waits for the outcome, unless one is under way.
pub(crate) fn refresh<S, R, B>(fetch: Box<Fetch>, service: S, request: Request<R>)
where
    S: Service<Request<R>, Response = Response<B>> + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
    R: Send + 'static,
    B: Fillable,
{
    let core = Arc::clone(&fetch.kept.shared.core);
    let usable = |flight: &Flight<Draft, Arc<Entry>>| !core.is_dead(&flight.seal);
    let mut fetch = fetch;
    fetch.kept.restart();
    if let Some(leader) = core
        .flights
        .lead(&fetch.flight, usable, || fetch.kept.seal())
    {
        core.counters.note(Event::Refreshed);
        drop(launch(&fetch, leader, service, request));
    }
}

async fn lead<S, R, B>(
    fetch: Box<Fetch>,
    leader: FlightLeader,
    service: S,
    request: Request<R>,
) -> Answer<B, S::Error>
where
    S: Service<Request<R>, Response = Response<B>> + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
    R: Send + 'static,
    B: Fillable,
{
    let core = Arc::clone(&fetch.kept.shared.core);
    let mut run = launch(&fetch, leader, service, request);
    let soft = fetch.kept.matched.policy.soft_timeout;
    if let Some(limit) =
        soft.filter(|_| stands_in(&fetch.question(core.clock.now()), Attempt::Failed))
    {
        match timeout(limit, &mut run).await {
            Ok(Ok(run)) => return finish(&fetch, run),
            Ok(Err(_)) => return Ok(stand_in(&fetch).unwrap_or_else(|| refuse(&fetch))),
            Err(_) => {
                if let Some(response) = stand_in(&fetch) {
                    return Ok(response);
                }
            }
        }
    }
    match run.await {
        Ok(run) => finish(&fetch, run),
        // The task was ended by a shutdown.
        Err(_) => Ok(stand_in(&fetch).unwrap_or_else(|| refuse(&fetch))),
    }
}

/// Makes the answer of the one who led.
fn finish<B: Fillable, E>(fetch: &Fetch, run: Run<B, E>) -> Answer<B, E> {
    let core = &fetch.kept.shared.core;
    let outcome = if fetch.stale.is_some() {
        Outcome::Revalidated
    } else {
        Outcome::Miss
    };
    match run {
        Run::Response(response) => {
            if is_failure(response.status())
                && let Some(stale) = stand_in(fetch)
            {
                return Ok(stale);
            }
            core.counters.count(outcome);
            Ok(conditionally(fetch, response))
        }
        Run::Confirmed(entry) => {
            core.counters.count(outcome);
            let ttl = entry.life.ttl(core.clock.now());
            let status = Some(StatusCode::NOT_MODIFIED.as_u16());
            let member = status::forwarded(core, fetch.reason, status, true, Some(ttl), None);
            Ok(serve(fetch, &entry, member).unwrap_or_else(|| refuse(fetch)))
        }
        Run::Error(error) => stand_in_for_error(fetch).ok_or(error),
        Run::Panicked(payload) => match stand_in(fetch) {
            Some(stale) => Ok(stale),
            None => resume_unwind(payload),
        },
    }
}

/// Evaluates the client's own conditions, which the handler was not shown, on a full answer.
fn conditionally<B>(fetch: &Fetch, response: Response<CacheBody<B>>) -> Response<CacheBody<B>> {
    let kept = &fetch.kept;
    if !kept.facts.has_condition() {
        return response;
    }
    let validators = Validators::of(response.headers());
    if condition(&kept.headers, &validators, response.status()) != Condition::NotModified {
        return response;
    }
    let (mut parts, _body) = response.into_parts();
    parts.headers = not_modified_fields(&parts.headers);
    parts.status = StatusCode::NOT_MODIFIED;
    Response::from_parts(parts, CacheBody::default())
}

/// Runs the handler in a task of its own.
fn launch<S, R, B>(
    fetch: &Fetch,
    leader: FlightLeader,
    mut service: S,
    mut request: Request<R>,
) -> oneshot::Receiver<Run<B, S::Error>>
where
    S: Service<Request<R>, Response = Response<B>> + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
    R: Send + 'static,
    B: Fillable,
{
    let kept = fetch.kept.clone();
    let core = Arc::clone(&kept.shared.core);
    let candidates = candidates(fetch);
    let asks = question(&mut request, &candidates);
    let reason = fetch.reason;
    let (sender, receiver) = oneshot::channel();
    core.spawn(async move {
        let run = CatchPanic::new(async move {
            poll_fn(|context| service.poll_ready(context)).await?;
            service.call(request).await
        });
        let mut run = std::pin::pin!(run);
        let ended = match timeout(FILL_LIMIT, run.as_mut()).await {
            Ok(ended) => ended,
            Err(_) => {
                leader.leave_table();
                run.await
            }
        };
        let landing = Arrival {
            kept: &kept,
            candidates: &candidates,
            asks,
            reason,
            leader,
        };
        // Nobody may be waiting: a client that left, or a refresh.
        drop(sender.send(landing.arrive(ended)));
    });
    receiver
}

/// Returns what the handler may be asked to confirm: what is stored under the key and not void.
fn candidates(fetch: &Fetch) -> Vec<Arc<Entry>> {
    let Some(stale) = &fetch.stale else {
        return Vec::new();
    };
    let core = &fetch.kept.shared.core;
    let mut all = core.store.candidates(&fetch.kept.key);
    all.retain(|entry| !Arc::ptr_eq(&entry.head, &stale.head) && !core.is_dead(&entry.seal));
    all.insert(0, Arc::clone(stale));
    all
}

/// Makes the request ask about the candidates instead of what the client asked.
fn question<R>(request: &mut Request<R>, candidates: &[Arc<Entry>]) -> bool {
    let heads: Vec<_> = candidates.iter().map(|entry| entry.headers()).collect();
    let validators: Vec<_> = heads.iter().map(Validators::of).collect();
    *request.method_mut() = Method::GET;
    ask(request.headers_mut(), &validators)
}

/// A handler run that has ended, and all who are to be told.
struct Arrival<'a> {
    kept: &'a Kept,
    candidates: &'a [Arc<Entry>],
    asks: bool,
    reason: crate::semantics::cache_status::Forward,
    leader: FlightLeader,
}

impl Arrival<'_> {
    fn arrive<B: Fillable, E>(
        self,
        ended: Result<Result<Response<B>, E>, Box<dyn Any + Send>>,
    ) -> Run<B, E> {
        match ended {
            // Dropping the leader tells the followers that the run is lost.
            Err(payload) => {
                self.failed();
                Run::Panicked(payload)
            }
            Ok(Err(error)) => {
                self.failed();
                self.leader.land(Landing::Failed);
                Run::Error(error)
            }
            Ok(Ok(response)) => self.response(response),
        }
    }

    fn failed(&self) {
        let core = &self.kept.shared.core;
        core.counters.note(Event::Failed);
        if let Some(stale) = self.candidates.first() {
            stale.put_off(core.clock.now());
        }
    }

    fn response<B: Fillable, E>(self, response: Response<B>) -> Run<B, E> {
        let core = &self.kept.shared.core;
        if is_marked(&response, core) {
            if let Some(known) = &self.kept.matched.known {
                known.leave_to_inner();
            }
            self.leader.land(Landing::Declined);
            return Run::Response(response.map(CacheBody::inner));
        }
        if self.asks && response.status() == StatusCode::NOT_MODIFIED {
            return self.not_modified(response);
        }
        if is_failure(response.status()) {
            self.failed();
        }
        let reason = self.reason;
        let (mut parts, body) = response.into_parts();
        match judge(self.kept, &mut parts, body.size_hint().exact()) {
            Judged::Store(head) | Judged::Share(head) => {
                let response = Response::from_parts(parts, body);
                Run::Response(begin(self.kept, head, response, Some(self.leader), reason))
            }
            Judged::Decline(refusal) => {
                self.declined(parts.status);
                let mut response = Response::from_parts(parts, CacheBody::inner(body));
                if let Some(member) = status::forwarded(
                    core,
                    reason,
                    None,
                    false,
                    None,
                    refusal.map(Refusal::as_str),
                ) {
                    response
                        .headers_mut()
                        .append(crate::entry::CACHE_STATUS, member);
                }
                Run::Response(response)
            }
        }
    }

    /// An answer that may not be kept takes the place of what was kept, unless it is a failure.
    fn declined(self, status: StatusCode) {
        let core = &self.kept.shared.core;
        core.counters.note(Event::Declined);
        if !is_failure(status) {
            if !self.candidates.is_empty() {
                core.store.remove(&self.kept.key);
            }
            let until = core.clock.now().after(super::pump::MARKED_FOR);
            core.store.mark_uncacheable(&self.kept.key, until);
        }
        self.leader.land(Landing::Declined);
    }

    /// The handler confirmed one of the candidates, or several.
    fn not_modified<B: Fillable, E>(self, response: Response<B>) -> Run<B, E> {
        let core = &self.kept.shared.core;
        let (parts, body) = response.into_parts();
        let heads: Vec<_> = self
            .candidates
            .iter()
            .map(|entry| entry.headers())
            .collect();
        let validators: Vec<_> = heads.iter().map(Validators::of).collect();
        let mut confirmed = None;
        for at in answered_by(&parts.headers, &validators) {
            let (Some(entry), Some(headers)) = (self.candidates.get(at), heads.get(at)) else {
                continue;
            };
            let renewed = renewed(self.kept, entry, headers.clone(), &parts);
            if let Some(renewed) = renewed {
                confirmed.get_or_insert(renewed);
            }
        }
        let Some(entry) = confirmed else {
            core.store.remove(&self.kept.key);
            self.leader.land(Landing::Lost);
            return Run::Response(Response::from_parts(parts, CacheBody::inner(body)));
        };
        self.leader.land(Landing::Landed(Arc::clone(&entry)));
        Run::Confirmed(entry)
    }
}

/// Returns a confirmed entry with its fields and its lifetime made new (RFC 9111 §4.3.4), and
/// stores it. It is sealed with the position of the run that confirmed it.
fn renewed(
    kept: &Kept,
    entry: &Arc<Entry>,
    mut headers: http::HeaderMap,
    confirmation: &http::response::Parts,
) -> Option<Arc<Entry>> {
    let core = &kept.shared.core;
    let mut newer = confirmation.headers.clone();
    let directives = ResponseDirectives::of(&newer, &kept.shared.targeted);
    for name in directives.withheld_fields() {
        newer.remove(name);
    }
    freshen(&mut headers, &newer);
    if !newer.contains_key(header::DATE) {
        headers.insert(header::DATE, dates::format(core.clock.wall()));
    }
    let mut response = Response::new(());
    *response.status_mut() = entry.status;
    *response.headers_mut() = headers;
    *response.extensions_mut() = confirmation.extensions.clone();
    let (mut parts, ()) = response.into_parts();
    let Judged::Store(head) = judge(kept, &mut parts, Some(entry.body.length)) else {
        return None;
    };
    let renewed = Arc::new(Entry {
        head: Arc::new(Arc::into_inner(head)?.renewing(entry)),
        body: entry.body.clone(),
        trailers: entry.trailers.clone(),
    });
    if !core.is_dead(&renewed.seal) && core.store.insert(&renewed.key, Arc::clone(&renewed)) {
        core.counters.note(Event::Stored);
    }
    Some(renewed)
}

/// Lets the answer to a HEAD make a stored GET new, or void (RFC 9111 §4.3.5).
pub(crate) fn compare<B>(response: &Response<B>, fetch: &Fetch) {
    let Some(entry) = &fetch.stale else { return };
    if response.status() != StatusCode::OK {
        return;
    }
    let stored = entry.headers();
    if head_agrees(response.headers(), &stored, entry.body.length) {
        let mut confirmation = Response::new(());
        confirmation.headers_mut().clone_from(response.headers());
        let (parts, ()) = confirmation.into_parts();
        renewed(&fetch.kept, entry, stored, &parts);
    } else {
        fetch.kept.shared.core.store.remove(&fetch.kept.key);
    }
}

/// What waiting came to.
enum Followed<B> {
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
    OtherVariant(Arc<[http::HeaderName]>),
}

async fn follow<B>(fetch: &Fetch, follower: &mut Follower<Draft, Arc<Entry>>) -> Followed<B> {
    let kept = &fetch.kept;
    let core = &kept.shared.core;
    let limit = kept.matched.policy.wait_limit.unwrap_or(WAIT_LIMIT);
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
            let reader = crate::flight::BodyReader::new(Arc::clone(&draft.body));
            let mut response = Response::new(CacheBody::shared(reader, draft.length, None));
            *response.status_mut() = draft.head.status;
            *response.headers_mut() = draft.head.fields(crate::entry::Form::Plain, now, member);
            Followed::Answer(response)
        }
        Landing::Landed(entry) => {
            serve(fetch, &entry, member).map_or(Followed::Alone, Followed::Answer)
        }
        _ => Followed::Alone,
    }
}

/// Returns the fields on which the response varies if it is for other values of them.
fn other_variant(kept: &Kept, head: &Head) -> Option<Arc<[http::HeaderName]>> {
    let variation = head.variation.as_ref()?;
    let mut own = Vec::new();
    selecting(&variation.names, &kept.headers, &mut own);
    (*own != *variation.selecting).then(|| Arc::clone(&variation.names))
}

/// Runs the handler for one request alone; the answer may still be stored.
async fn alone<S, R, B>(kept: Kept, mut service: S, request: Request<R>) -> Answer<B, S::Error>
where
    S: Service<Request<R>, Response = Response<B>>,
    B: Fillable,
{
    let mut kept = kept;
    poll_fn(|context| service.poll_ready(context)).await?;
    kept.restart();
    kept.shared.core.counters.count(Outcome::Miss);
    Ok(learn(service.call(request).await?, &kept))
}

/// Runs the handler for a request that has waited in vain, a few of a key at a time.
async fn straggle<S, R, B>(
    fetch: Box<Fetch>,
    follower: &Follower<Draft, Arc<Entry>>,
    service: S,
    request: Request<R>,
) -> Answer<B, S::Error>
where
    S: Service<Request<R>, Response = Response<B>>,
    B: Fillable,
{
    let _place = follower.straggle().await;
    alone(fetch.kept, service, request).await
}

/// Returns what is stored, in place of a run that failed, if it may be served so.
fn stand_in<B>(fetch: &Fetch) -> Option<Response<CacheBody<B>>> {
    stand_in_for(fetch, Attempt::Failed)
}

/// Returns what is stored, in place of an answer of a service that returned an error. To a gateway
/// that means that the origin can not be reached (RFC 9111 §4.2.4).
fn stand_in_for_error<B>(fetch: &Fetch) -> Option<Response<CacheBody<B>>> {
    stand_in_for(
        fetch,
        match fetch.kept.shared.preset {
            Preset::Application => Attempt::Failed,
            Preset::Gateway => Attempt::Disconnected,
        },
    )
}

fn stand_in_for<B>(fetch: &Fetch, attempt: Attempt) -> Option<Response<CacheBody<B>>> {
    let core = &fetch.kept.shared.core;
    let entry = fetch.stale.as_ref()?;
    let now = core.clock.now();
    if core.is_dead(&entry.seal) || !stands_in(&fetch.question(now), attempt) {
        return None;
    }
    core.counters.count(Outcome::Stale);
    let member = status::forwarded(
        core,
        fetch.reason,
        None,
        false,
        Some(entry.life.ttl(now)),
        None,
    );
    serve(fetch, entry, member)
}

fn serve<B>(
    fetch: &Fetch,
    entry: &Arc<Entry>,
    member: Option<http::HeaderValue>,
) -> Option<Response<CacheBody<B>>> {
    let kept = &fetch.kept;
    let asked = Asked {
        method: &kept.method,
        headers: &kept.headers,
        facts: kept.facts,
    };
    let now = kept.shared.core.clock.now();
    answer(&kept.shared.core, entry, &asked, now, Told::As(member))
}

fn refuse<B>(fetch: &Fetch) -> Response<CacheBody<B>> {
    fetch.kept.shared.core.counters.count(Outcome::Refused);
    refused()
}

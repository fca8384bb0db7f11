//! Runs the handler once for all who ask for the same, and answers each of them.
//!
//! Whoever leads starts a task that runs the handler and reads its body; the leader's own client is
//! only the first reader. So a client that leaves, at whatever moment, ends nothing. Those who
//! follow wait at most the wait limit; then each runs the handler for itself, a few at a time.

use std::{future::poll_fn, panic::resume_unwind, sync::Arc};

use http::{Request, Response, StatusCode};
use tokio::{
    sync::oneshot,
    time::{Instant, timeout},
};
use tower_service::Service;

use super::{
    answer::refused,
    asking::{Call, Rest, asking},
    cache::{Answer, CacheBody},
    fallback::{refuse, serve, soft_timeout, stand_in, stand_in_for_error},
    follow::{Followed, WAIT_LIMIT, follow},
    launch::{Ended, Handler, Purpose, Run, launch},
    look::{Fetch, flight_key, look_again},
    nested::is_in_flight,
    plan::Standing,
    pump::{Fillable, Waiting, learn},
    second::{self, Second},
    status,
};
use crate::{
    entry::Entry,
    flight::{Flight, Follower, Join, Landing, Straggled},
    handle::Draft,
    observe::{Event, Outcome},
    semantics::{
        reuse::is_failure,
        validators::{Condition, Validators, condition, not_modified_fields},
    },
};

/// Answers a request that needs its handler.
pub(crate) async fn fetch<S, R, B>(
    mut fetch: Box<Fetch>,
    call: Box<Call<S, R>>,
) -> Answer<B, S::Error>
where
    S: Handler<R, B>,
    R: Send + 'static,
    B: Fillable,
{
    let core = Arc::clone(&fetch.kept.shared.core);
    if !core.has_background() || is_in_flight(&core, call.request.extensions()) {
        return Box::pin(alone(fetch, call, Waiting::Nobody)).await;
    }
    let mut doomed: Option<Arc<Flight<Draft, Arc<Entry>>>> = None;
    let mut lost = false;
    let mut deadline = None;
    loop {
        // The position is taken before anybody can join. It is the beginning of a run, unless the second
        // tier is asked first.
        fetch.kept.restart();
        let usable = |flight: &Flight<Draft, Arc<Entry>>| {
            doomed
                .as_ref()
                .is_none_or(|doomed| !std::ptr::eq(&**doomed, flight))
                && flight.passes(|seal| {
                    fetch.trust.map_or_else(
                        || core.is_current(seal),
                        |trust| core.may_wait_for(seal, trust, fetch.arrived),
                    )
                })
        };
        let seal = || fetch.kept.seal_if_at_once();
        let mut follower = match core.flights.join(&fetch.flight, usable, seal) {
            Join::Lead(leader) => {
                return lead(fetch, Rest::new(leader, call, deadline)).await;
            }
            Join::Full => {
                return Box::pin(alone(fetch, call, Waiting::Nobody)).await;
            }
            Join::Follow(follower) => follower,
        };
        // However often it has to begin anew, it waits for others no longer than this in all.
        let limit = fetch.kept.matched.policy.wait_limit.unwrap_or(WAIT_LIMIT);
        let deadline = *deadline.get_or_insert_with(|| Instant::now() + limit);
        let next = match follow(&fetch, &mut follower, deadline).await {
            Followed::Answer(response) => return Ok(response),
            Followed::Alone => {
                return Box::pin(alone(fetch, call, Waiting::Nobody)).await;
            }
            Followed::Late => {
                return Box::pin(straggle(fetch, &mut follower, call)).await;
            }
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
pub(crate) fn refresh<S, R, B>(fetch: Box<Fetch>, call: Box<Call<S, R>>)
where
    S: Handler<R, B>,
    R: Send + 'static,
    B: Fillable,
{
    let core = Arc::clone(&fetch.kept.shared.core);
    let usable = |flight: &Flight<Draft, Arc<Entry>>| flight.passes(|seal| core.is_current(seal));
    let mut fetch = fetch;
    fetch.kept.restart();
    let seal = || fetch.kept.seal_if_at_once();
    if let Some(leader) = core.flights.lead(&fetch.flight, usable, seal) {
        core.counters.note(Event::Refreshed);
        let rest = Rest::new(leader, call, None);
        drop(launch(&fetch, rest, Purpose::Refresh, None));
    }
}

/// Answers the one who leads: with what the second tier has, else by a run in a task that outlives
/// him.
async fn lead<S, R, B>(fetch: Box<Fetch>, rest: Rest<S, R>) -> Answer<B, S::Error>
where
    S: Handler<R, B>,
    R: Send + 'static,
    B: Fillable,
{
    let second = fetch.kept.shared.core.second.as_ref();
    // Where what is stored may stand in for an answer that is late, the question is a part of the run.
    let tier = second.filter(|_| soft_timeout(&fetch).is_none());
    let Some(tier) = tier.cloned() else {
        let run = launch(&fetch, rest, Purpose::Answer, None);
        return ended(fetch, run).await;
    };
    let Some(((found, fetch), rest)) = asking(tier, fetch, rest).said().await else {
        return Ok(refused());
    };
    if let Second::Serve(entry, standing) = found {
        rest.leader.land(Landing::Landed(Arc::clone(&entry)));
        return Ok(second::found(&fetch, &entry, standing).unwrap_or_else(|| refuse(&fetch)));
    }
    if !fetch.kept.shared.core.has_background() {
        // A shutdown has begun meanwhile. Dropping the leader tells the others, who come to the same.
        drop(rest.leader);
        return Box::pin(alone(fetch, rest.call, Waiting::Nobody)).await;
    }
    let run = launch(&fetch, rest, Purpose::Answer, Some(found));
    ended(fetch, run).await
}

/// Waits for the end of a run that was led, no longer than is worth it.
async fn ended<B: Fillable, E>(
    mut fetch: Box<Fetch>,
    mut run: oneshot::Receiver<Ended<B, E>>,
) -> Answer<B, E> {
    if let Some(limit) = soft_timeout(&fetch) {
        match timeout(limit, &mut run).await {
            Ok(Ok(ended)) => return finish(&mut fetch, ended),
            Ok(Err(_)) => return Ok(stand_in(&fetch).unwrap_or_else(|| refuse(&fetch))),
            Err(_) => {
                if let Some(response) = stand_in(&fetch) {
                    return Ok(response);
                }
            }
        }
    }
    match run.await {
        Ok(ended) => finish(&mut fetch, ended),
        // The task was ended by a shutdown.
        Err(_) => Ok(stand_in(&fetch).unwrap_or_else(|| refuse(&fetch))),
    }
}

/// Makes the answer of the one who led.
fn finish<B: Fillable, E>(fetch: &mut Fetch, ended: Ended<B, E>) -> Answer<B, E> {
    if let Some((stale, soft_at)) = ended.stale {
        (fetch.stale, fetch.soft_at) = (Some(stale), soft_at);
    }
    let fetch = &*fetch;
    let core = &fetch.kept.shared.core;
    let outcome = if fetch.stale.is_some() {
        Outcome::Revalidated
    } else {
        Outcome::Miss
    };
    match ended.run {
        Run::Found(entry, standing) => {
            Ok(second::found(fetch, &entry, standing).unwrap_or_else(|| refuse(fetch)))
        }
        Run::Response(response) => {
            if is_failure(response.status())
                && let Some(stale) = stand_in(fetch)
            {
                return Ok(stale);
            }
            fetch.kept.answered(outcome);
            Ok(conditionally(fetch, response))
        }
        Run::Confirmed(entry) => {
            fetch.kept.answered(outcome);
            core.durations.fills.record(fetch.kept.began.elapsed());
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

/// Runs the handler for one request alone; the answer may still be stored.
async fn alone<S, R, B>(
    mut fetch: Box<Fetch>,
    call: Box<Call<S, R>>,
    waiting: Waiting,
) -> Answer<B, S::Error>
where
    S: Service<Request<R>, Response = Response<B>>,
    B: Fillable,
{
    let Call {
        mut service,
        request,
    } = *call;
    let kept = &mut fetch.kept;
    poll_fn(|context| service.poll_ready(context)).await?;
    kept.restart();
    let response = kept.reading(service.call(request)).await?;
    kept.answered(Outcome::Miss);
    Ok(learn(response, kept, waiting))
}

/// Runs the handler for a request that has waited in vain, a few of a key at a time; one of them
/// that has success serves all that come after it.
async fn straggle<S, R, B>(
    fetch: Box<Fetch>,
    follower: &mut Follower<Draft, Arc<Entry>>,
    call: Box<Call<S, R>>,
) -> Answer<B, S::Error>
where
    S: Service<Request<R>, Response = Response<B>>,
    B: Fillable,
{
    let straggled = follower.straggle().await;
    let core = &fetch.kept.shared.core;
    if let Some((entry, standing)) = look_again(&fetch) {
        let member = status::hit(core, entry.life.ttl(core.clock.now()));
        if let Some(response) = serve(&fetch, &entry, member) {
            fetch.kept.answered(match standing {
                Standing::Fresh => Outcome::Hit,
                Standing::Stale => Outcome::Stale,
            });
            return Ok(response);
        }
    }
    let waiting = match straggled {
        Straggled::Turn(place) => Waiting::Stragglers(place),
        Straggled::Free => Waiting::Nobody,
    };
    alone(fetch, call, waiting).await
}

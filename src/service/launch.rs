//! Runs the handler in a task of its own, if the second tier does not have the answer.

use std::{any::Any, future::poll_fn, sync::Arc};

use http::{Request, Response};
use tokio::{
    sync::oneshot,
    time::{Instant, timeout},
};
use tower_service::Service;

use super::{
    arrive::{Arrival, candidates, question},
    asking::{Call, Rest},
    cache::CacheBody,
    follow::WAIT_LIMIT,
    kept::Kept,
    look::Fetch,
    nested::take_off,
    plan::Standing,
    pump::{FILL_LIMIT, Fillable, FlightLeader},
    second::{self, Second},
};
use crate::{
    clock::Timestamp,
    entry::Entry,
    flight::{CatchPanic, Flight, Landing},
    handle::{Draft, Turn, Waiting},
    observe::{Event, Span},
    semantics::cache_status::Forward,
    store::SecondTier,
};

/// How a handler run ended, for the one who led it.
pub(crate) enum Run<B, E> {
    Response(Response<CacheBody<B>>),
    /// None was needed: the second tier had the answer.
    Found(Arc<Entry>, Standing),
    /// It confirmed what is stored.
    Confirmed(Arc<Entry>),
    Error(E),
    Panicked(Box<dyn Any + Send>),
}

/// What the one who led is told.
pub(crate) struct Ended<B, E> {
    pub(crate) run: Run<B, E>,
    /// What the second tier had to stand in for the run, and when it was soft-purged.
    pub(crate) stale: Option<(Arc<Entry>, Option<Timestamp>)>,
}

/// A service that may go on when who called it is gone.
pub(crate) trait Handler<R, B>:
    Service<Request<R>, Response = Response<B>, Future: Send + 'static, Error: Send + 'static>
    + Send
    + 'static
{
}

impl<S, R, B> Handler<R, B> for S where
    S: Service<Request<R>, Response = Response<B>, Future: Send + 'static, Error: Send + 'static>
        + Send
        + 'static
{
}

/// What a run is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Somebody waits for the answer.
    Answer,
    /// The answer has been given out of the first tier.
    Refresh,
}

/// Runs the handler in a task of its own. `asked` is what the second tier has said, if it was asked
/// already; else it is asked there.
pub(crate) fn launch<S, R, B>(
    fetch: &Fetch,
    rest: Rest<S, R>,
    purpose: Purpose,
    asked: Option<Second>,
) -> oneshot::Receiver<Ended<B, S::Error>>
where
    S: Handler<R, B>,
    R: Send + 'static,
    B: Fillable,
{
    let core = Arc::clone(&fetch.kept.shared.core);
    let Rest {
        leader,
        call,
        deadline,
    } = rest;
    let Call {
        mut service,
        mut request,
    } = *call;
    take_off(&core, request.extensions_mut());
    let (sender, receiver) = oneshot::channel();
    let flying = Flying {
        kept: fetch.kept.clone(),
        candidates: candidates(fetch),
        reason: fetch.reason,
        leader,
        stale: None,
        sender: Some(sender),
        deadline,
    };
    let second = core.second.as_ref();
    let second = second.map(|tier| (tier.clone(), Box::new(fetch.clone())));
    core.spawn(span(fetch).around(async move {
        let mut flying = flying;
        if let Some((tier, fetch)) = second {
            let Some(still) = flying.ask(&tier, fetch, purpose, asked).await else {
                return;
            };
            flying = still;
        }
        let asks = question(&mut request, &flying.candidates);
        let run = CatchPanic::new(flying.kept.reading(async move {
            poll_fn(|context| service.poll_ready(context)).await?;
            service.call(request).await
        }));
        let mut run = std::pin::pin!(run);
        let ended = match timeout(FILL_LIMIT, run.as_mut()).await {
            Ok(ended) => ended,
            Err(_) => {
                flying.leader.leave_table();
                run.await
            }
        };
        flying.arrive(asks, ended);
    }));
    receiver
}

fn span(fetch: &Fetch) -> Span {
    let state = fetch.kept.matched.state(&fetch.kept.shared.core);
    Span::fill(state.label(), fetch.reason.as_str())
}

/// A run, and all who are to be told of it.
struct Flying<B, E> {
    kept: Kept,
    /// What the handler may be asked to confirm.
    candidates: Vec<Arc<Entry>>,
    reason: Forward,
    leader: FlightLeader,
    stale: Option<(Arc<Entry>, Option<Timestamp>)>,
    /// Who led; none once he has his answer.
    sender: Option<oneshot::Sender<Ended<B, E>>>,
    /// Until when the runs of other nodes are waited for; none if that begins to count now.
    deadline: Option<Instant>,
}

impl<B: Fillable, E> Flying<B, E> {
    /// Asks the second tier, unless it was `asked`, and where it has nothing, for the right to run.
    /// Then the run begins. None if no handler has to run here.
    async fn ask(
        mut self,
        tier: &SecondTier,
        mut fetch: Box<Fetch>,
        mut purpose: Purpose,
        mut asked: Option<Second>,
    ) -> Option<Self> {
        let core = Arc::clone(&fetch.kept.shared.core);
        let limit = fetch.kept.matched.policy.wait_limit.unwrap_or(WAIT_LIMIT);
        let deadline = self.deadline.unwrap_or_else(|| Instant::now() + limit);
        let mut has_waited = false;
        loop {
            let found = match asked.take() {
                Some(found) => found,
                None => second::ask(tier, &fetch).await,
            };
            match found {
                Second::Nothing => {}
                Second::Stale(entry, soft_at) => {
                    self.candidate(&entry);
                    self.stale = Some((entry, soft_at));
                }
                Second::ServeAndRefresh(entry, _) if purpose == Purpose::Refresh => {
                    self.candidate(&entry);
                }
                Second::Serve(entry, standing) => {
                    self.leader.land(Landing::Landed(Arc::clone(&entry)));
                    tell(&mut self.sender, Run::Found(entry, standing), None);
                    return None;
                }
                Second::ServeAndRefresh(entry, standing) => {
                    self = self.answered(&mut fetch, &entry, standing)?;
                    purpose = Purpose::Refresh;
                }
            }
            // With the lock in hand it has looked once more: the other run may just have ended.
            if self.kept.lock.is_some() || !tier.has_lock() {
                return Some(self.begun());
            }
            let waiting = Waiting {
                tier,
                key: &fetch.flight,
                seal: &fetch.kept.seal(),
                is_awaited: purpose == Purpose::Answer,
                has_waited,
                deadline,
            };
            match core.take_turn(waiting).await {
                Turn::Run(None) => return Some(self.begun()),
                Turn::Run(lock) => {
                    self.kept.lock = lock;
                    fetch.kept.restart();
                }
                Turn::Look => has_waited = true,
                Turn::Leave => {
                    self.leader.land(Landing::Left);
                    return None;
                }
            }
        }
    }

    /// Has the handler be asked about `entry` too.
    fn candidate(&mut self, entry: &Arc<Entry>) {
        (self.candidates).retain(|other| other.life.received != entry.life.received);
        self.candidates.insert(0, Arc::clone(entry));
    }

    /// Answers with what was found, and goes on as the refresh of it: another flight, for which
    /// nobody has to wait. None if there is one already.
    fn answered(
        mut self,
        fetch: &mut Fetch,
        entry: &Arc<Entry>,
        standing: Standing,
    ) -> Option<Self> {
        self.leader.land(Landing::Landed(Arc::clone(entry)));
        let run = Run::Found(Arc::clone(entry), standing);
        tell(&mut self.sender, run, None);
        self.candidates.clear();
        self.candidates.push(Arc::clone(entry));
        fetch.kept.restart();
        let core = &fetch.kept.shared.core;
        let usable =
            |flight: &Flight<Draft, Arc<Entry>>| flight.passes(|seal| core.is_current(seal));
        self.leader = core.flights.lead(&fetch.flight, usable, || None)?;
        core.counters.note(Event::Refreshed);
        Some(self)
    }

    /// Lets the run begin at the place in the order of invalidations that is reached by now, and not at
    /// that of before Redis was asked: this node may have come to know the registry meanwhile, or
    /// another one. What was purged on the way is not asked about: what is confirmed counts as new.
    fn begun(mut self) -> Self {
        self.kept.restart();
        let core = &self.kept.shared.core;
        (self.candidates).retain(|entry| !core.is_dead(&entry.seal));
        self.leader.begin(self.kept.seal());
        self
    }

    fn arrive(mut self, asks: bool, ended: Result<Result<Response<B>, E>, Box<dyn Any + Send>>) {
        let landing = Arrival {
            kept: &self.kept,
            candidates: &self.candidates,
            asks,
            reason: self.reason,
            leader: self.leader,
        };
        let run = landing.arrive(ended);
        tell(&mut self.sender, run, self.stale);
    }
}

/// Tells the one who led. He may not be waiting: a client that left, or a refresh.
fn tell<B, E>(
    sender: &mut Option<oneshot::Sender<Ended<B, E>>>,
    run: Run<B, E>,
    stale: Option<(Arc<Entry>, Option<Timestamp>)>,
) {
    if let Some(sender) = sender.take() {
        drop(sender.send(Ended { run, stale }));
    }
}

//! The one way to Redis.

use std::{
    fmt,
    future::Future,
    hash::{BuildHasher, RandomState},
    pin::{Pin, pin},
    sync::{Arc, Weak},
    time::Duration,
};

use redis::{Cmd, Pipeline, RedisResult, Value, aio::ConnectionLike};
use tokio::{
    runtime::Handle,
    time::{Instant, sleep, timeout, timeout_at},
};

use super::{
    breaker::{Breaker, State},
    dedicated::Dedicated,
    fault::{LastFault, demotion, refusal},
    lane::{Lane, LaneManager, LaneState, Lanes},
    layout::Layout,
    release::Waiters,
    script::Script,
    server_time::ServerTime,
    settings::Settings,
    source::Address,
};
use crate::{
    clock::Clock,
    error::{Error, ErrorKind},
};

/// How often the probe asks while the breaker is open, less up to a quarter.
const PROBE_EVERY: Duration = Duration::from_millis(500);

/// Redis gave no answer. Nothing can be said of what it has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unavailable {
    /// Nobody asked: the breaker is open.
    Open,
    /// The budget was spent.
    TimedOut,
    /// The connection failed, or the server can not serve anybody at present.
    Failed,
}

/// How it stands with Redis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Health {
    pub(crate) state: State,
    /// The last failure in its own words, however long ago.
    pub(crate) last_error: Option<Arc<str>>,
}

/// The connections to one Redis. Cheap to clone; all clones are one.
#[derive(Clone)]
pub(crate) struct Connections {
    inner: Arc<Inner>,
}

struct Inner {
    /// For what requests wait for.
    front: Lanes,
    /// For what nobody waits for, so that no small answer stands behind a large write.
    behind: Lanes,
    lanes: LaneManager,
    layout: Layout,
    settings: Settings,
    breaker: Breaker,
    last_fault: LastFault,
    time: ServerTime,
}

impl Connections {
    /// Returns connections to the server at `address`, none of which has been made yet.
    ///
    /// # Errors
    ///
    /// Fails if the address can not be read, and outside of a tokio runtime, in which connections
    /// live.
    pub(crate) fn new(
        address: impl Into<Address>,
        layout: Layout,
        settings: Settings,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, Error> {
        let last_fault = LastFault::default();
        let time = ServerTime::new(clock);
        let lanes = LaneManager::new(
            &address.into(),
            layout.clone(),
            &settings,
            last_fault.clone(),
            time.clone(),
        )?;
        if Handle::try_current().is_err() {
            let message = "a second tier in Redis needs a tokio runtime; build the handle in one";
            return Err(Error::new(ErrorKind::Configuration, message));
        }
        let inner = Arc::new(Inner {
            front: Lanes::new(&lanes, settings.lanes),
            behind: Lanes::new(&lanes, 1),
            lanes,
            layout,
            settings,
            breaker: Breaker::default(),
            last_fault,
            time,
        });
        // If there is no server, this finds out before a request has to.
        tokio::spawn(first_look(Arc::downgrade(&inner)));
        Ok(Self { inner })
    }

    /// Returns whether all lanes for requests are there.
    #[cfg(test)]
    pub(super) fn are_made(&self) -> bool {
        self.inner.front.least_busy().is_some()
    }

    pub(crate) fn layout(&self) -> &Layout {
        &self.inner.layout
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.inner.settings
    }

    /// Sends `pipeline` and returns an answer for each command. What the server refuses is a
    /// [`Value::ServerError`] in its place. Of a transaction there is one answer, its result.
    ///
    /// Waits no longer than `budget`.
    pub(crate) async fn run(
        &self,
        pipeline: &Pipeline,
        budget: Duration,
    ) -> Result<Vec<Value>, Unavailable> {
        self.run_until(pipeline, Instant::now() + budget).await
    }

    /// As [`run`](Self::run), with the moment at which the budget is spent.
    pub(crate) async fn run_until(
        &self,
        pipeline: &Pipeline,
        deadline: Instant,
    ) -> Result<Vec<Value>, Unavailable> {
        if self.inner.breaker.state() == State::Open {
            return Err(Unavailable::Open);
        }
        self.inner.run(&self.inner.front, pipeline, deadline).await
    }

    /// Sends one command and returns the answer, which has to be there at `deadline`. What the server
    /// refuses is a [`Value::ServerError`].
    pub(crate) async fn ask(&self, command: &Cmd, deadline: Instant) -> Result<Value, Unavailable> {
        let inner = &self.inner;
        if inner.breaker.state() == State::Open {
            return Err(Unavailable::Open);
        }
        let Some(Lane { mut link, state }) = inner.front.lane(deadline).await else {
            return Err(inner.failed(Unavailable::TimedOut));
        };
        let answer = inner
            .in_time(&state, pin!(link.ask(command)), deadline)
            .await?;
        inner.answered(&state, std::slice::from_ref(&answer))?;
        Ok(answer)
    }

    /// As [`run`](Self::run), for what nobody waits for: on a connection of its own, within the
    /// budget for work in the background.
    pub(crate) async fn run_behind(&self, pipeline: &Pipeline) -> Result<Vec<Value>, Unavailable> {
        if self.inner.breaker.state() == State::Open {
            return Err(Unavailable::Open);
        }
        let deadline = Instant::now() + self.inner.settings.background_budget;
        self.inner.run(&self.inner.behind, pipeline, deadline).await
    }

    /// Returns who waits to hear of the ends of other nodes' runs.
    pub(super) fn waiters(&self) -> &Waiters {
        self.inner.lanes.waiters()
    }

    /// Returns what the server's clock shows.
    pub(super) fn time(&self) -> &ServerTime {
        &self.inner.time
    }

    /// Runs `script`, which is sent in full only if the server does not know it.
    ///
    /// Waits no longer than `budget`. What the server refuses is a [`Value::ServerError`].
    pub(crate) async fn script(
        &self,
        script: &Script,
        keys: &[&str],
        arguments: &[&[u8]],
        budget: Duration,
    ) -> Result<Value, Unavailable> {
        let running = async {
            let answer = self.single(script.by_hash(keys, arguments), budget).await?;
            match &answer {
                Value::ServerError(error) if error.code() == "NOSCRIPT" => {
                    self.single(script.in_full(keys, arguments), budget).await
                }
                _ => Ok(answer),
            }
        };
        timeout(budget, running)
            .await
            .unwrap_or(Err(Unavailable::TimedOut))
    }

    async fn single(&self, command: Cmd, budget: Duration) -> Result<Value, Unavailable> {
        let mut pipeline = Pipeline::with_capacity(1);
        pipeline.add_command(command);
        let mut answers = self.run(&pipeline, budget).await?;
        answers.pop().ok_or(Unavailable::Failed)
    }

    /// Makes a connection outside of the pool, for what blocks or subscribes.
    pub(crate) async fn dedicated(&self) -> Result<Dedicated, Unavailable> {
        self.inner.lanes.dedicated().await.map_err(|error| {
            self.inner.last_fault.note(&error);
            Unavailable::Failed
        })
    }

    pub(crate) fn state(&self) -> State {
        self.inner.breaker.state()
    }

    pub(crate) fn health(&self) -> Health {
        Health {
            state: self.inner.breaker.state(),
            last_error: self.inner.last_fault.get(),
        }
    }
}

impl fmt::Debug for Connections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the address: it may hold a password.
        f.debug_struct("Connections")
            .field("health", &self.health())
            .finish_non_exhaustive()
    }
}

impl Inner {
    /// Sends `pipeline` and returns the answers, which have to be there at `deadline`.
    async fn run(
        self: &Arc<Self>,
        lanes: &Lanes,
        pipeline: &Pipeline,
        deadline: Instant,
    ) -> Result<Vec<Value>, Unavailable> {
        let Some(lane) = lanes.lane(deadline).await else {
            return Err(self.failed(Unavailable::TimedOut));
        };
        self.run_on(lane, pipeline, deadline).await
    }

    async fn run_on(
        self: &Arc<Self>,
        lane: Lane,
        pipeline: &Pipeline,
        deadline: Instant,
    ) -> Result<Vec<Value>, Unavailable> {
        let (offset, count) = if pipeline.is_transaction() {
            (pipeline.len() + 1, 1)
        } else {
            (0, pipeline.len())
        };
        let Lane { mut link, state } = lane;
        let mut sent = link.req_packed_commands(pipeline, offset, count);
        let answers = self.in_time(&state, sent.as_mut(), deadline).await?;
        self.answered(&state, &answers)?;
        Ok(answers)
    }

    /// Waits for what was sent on a lane.
    async fn in_time<T>(
        self: &Arc<Self>,
        lane: &LaneState,
        sent: Pin<&mut (impl Future<Output = RedisResult<T>> + ?Sized)>,
        deadline: Instant,
    ) -> Result<T, Unavailable> {
        let _waits = lane.waits();
        match timeout_at(deadline, sent).await {
            Ok(Ok(answer)) => {
                lane.answered();
                Ok(answer)
            }
            Ok(Err(error)) => {
                lane.give_up();
                self.last_fault.note(&error);
                Err(self.failed(Unavailable::Failed))
            }
            Err(_) => {
                lane.was_silent();
                self.last_fault.set("no answer within the budget");
                Err(self.failed(Unavailable::TimedOut))
            }
        }
    }

    /// Notes that there are answers, and what they say of the server.
    fn answered(self: &Arc<Self>, lane: &LaneState, answers: &[Value]) -> Result<(), Unavailable> {
        if let Some(refusal) = answers.iter().find_map(refusal) {
            self.last_fault.set(&refusal);
            return Err(self.failed(Unavailable::Failed));
        }
        if let Some(demotion) = answers.iter().find_map(demotion) {
            self.last_fault.set(&demotion);
            lane.look_for_another();
        }
        self.breaker.succeeded();
        Ok(())
    }

    fn failed(self: &Arc<Self>, why: Unavailable) -> Unavailable {
        if self.breaker.failed() {
            self.stop_asking();
        }
        why
    }

    /// Follows the opening of the breaker.
    fn stop_asking(self: &Arc<Self>) {
        // Some of the lanes may lead nowhere although no end of them has come.
        self.lanes.give_all_up();
        report_open(self.last_fault.get().as_deref());
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(probe(Arc::downgrade(self)));
        }
    }

    /// Asks once, on a lane as any request would get it.
    async fn answers_well(self: &Arc<Self>) -> bool {
        let mut question = Pipeline::with_capacity(1);
        // A read of a key: a server that is loading, or has lost its primary, refuses it.
        question.cmd("EXISTS").arg(self.layout.shared("seq"));
        let Settings {
            connect_limit,
            request_budget,
            ..
        } = self.settings;
        let Some(lane) = self.front.lane(Instant::now() + connect_limit).await else {
            return false;
        };
        // Nobody waits for the connection itself; what requests will wait for has to be fast.
        let deadline = Instant::now() + request_budget;
        self.run_on(lane, &question, deadline).await.is_ok()
    }
}

/// Finds out at the start whether there is a server, before a request has to.
async fn first_look(connections: Weak<Inner>) {
    if let Some(inner) = connections.upgrade()
        && !inner.answers_well().await
        && inner.breaker.open()
    {
        inner.stop_asking();
    }
}

/// Asks now and then until there is a good answer, or nobody left who could want one.
async fn probe(connections: Weak<Inner>) {
    loop {
        sleep(PROBE_EVERY - jitter(PROBE_EVERY / 4)).await;
        let Some(inner) = connections.upgrade() else {
            return;
        };
        if inner.answers_well().await {
            inner.breaker.close();
            report_closed();
            return;
        }
    }
}

/// Returns a part of `most`, so that the nodes that lost one server do not all come back at once.
fn jitter(most: Duration) -> Duration {
    let share = RandomState::new().hash_one(0_u8) % 1000;
    most.mul_f64(f64::from(u32::try_from(share).unwrap_or_default()) / 1000.0)
}

#[cfg(feature = "tracing")]
fn report_open(last_fault: Option<&str>) {
    tracing::warn!(
        cause = last_fault.unwrap_or("unknown"),
        "redis does not answer; requests go on without it and a probe asks every half second"
    );
}

#[cfg(not(feature = "tracing"))]
fn report_open(_: Option<&str>) {}

#[cfg(feature = "tracing")]
fn report_closed() {
    tracing::info!("redis answers again");
}

#[cfg(not(feature = "tracing"))]
fn report_closed() {}

//! The question to the second tier of one who leads a flight, before anybody runs.
//!
//! It is asked in the future of the request itself: most answers come that way, and need no task. But
//! others may wait for what the one who leads was told. So a client that leaves meanwhile leaves the
//! question behind, not the others: what has been asked goes into a task, as it is, and so does all
//! that a run would need. Nothing is asked twice.

use std::{
    future::Future,
    marker::PhantomData,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    thread,
};

use http::Request;

use super::{
    launch::{Handler, Purpose, launch},
    look::Fetch,
    pump::{Fillable, FlightLeader},
    second::{self, Second},
};
use crate::{handle::Core, store::SecondTier};

type Question = Pin<Box<dyn Future<Output = (Second, Box<Fetch>)> + Send>>;

/// What came of a question, and all that goes on from there.
pub(super) struct Asked<S, R> {
    pub(super) found: Second,
    pub(super) fetch: Box<Fetch>,
    pub(super) leader: FlightLeader,
    pub(super) service: S,
    pub(super) request: Request<R>,
}

/// A question on its way. If it is dropped before it is answered, it goes on by itself.
pub(super) struct Asking<S, R, B>
where
    S: Handler<R, B>,
    R: Send + 'static,
    B: Fillable,
{
    core: Arc<Core>,
    /// None once it is answered.
    waiting: Option<Waiting<S, R>>,
    body: PhantomData<fn() -> B>,
}

struct Waiting<S, R> {
    question: Question,
    leader: FlightLeader,
    service: S,
    request: Request<R>,
}

impl<S, R, B> Asking<S, R, B>
where
    S: Handler<R, B>,
    R: Send + 'static,
    B: Fillable,
{
    pub(super) fn new(
        tier: SecondTier,
        fetch: Box<Fetch>,
        leader: FlightLeader,
        service: S,
        request: Request<R>,
    ) -> Self {
        Self {
            core: Arc::clone(&fetch.kept.shared.core),
            waiting: Some(Waiting {
                question: Box::pin(async move {
                    let found = second::ask(&tier, &fetch).await;
                    (found, fetch)
                }),
                leader,
                service,
                request,
            }),
            body: PhantomData,
        }
    }
}

// Nothing of it is pinned but the question, which has a place of its own.
impl<S, R, B> Unpin for Asking<S, R, B>
where
    S: Handler<R, B>,
    R: Send + 'static,
    B: Fillable,
{
}

impl<S, R, B> Future for Asking<S, R, B>
where
    S: Handler<R, B>,
    R: Send + 'static,
    B: Fillable,
{
    type Output = Asked<S, R>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Asked<S, R>> {
        let Some(waiting) = &mut self.waiting else {
            return Poll::Pending;
        };
        let (found, fetch) = ready!(waiting.question.as_mut().poll(context));
        let answered = self.waiting.take().map(|waiting| Asked {
            found,
            fetch,
            leader: waiting.leader,
            service: waiting.service,
            request: waiting.request,
        });
        answered.map_or(Poll::Pending, Poll::Ready)
    }
}

impl<S, R, B> Drop for Asking<S, R, B>
where
    S: Handler<R, B>,
    R: Send + 'static,
    B: Fillable,
{
    fn drop(&mut self) {
        let Some(waiting) = self.waiting.take() else {
            return;
        };
        // Outside of a runtime, at its end, or after a panic nothing goes on. Dropping the leader tells
        // the others, of whom one leads again.
        if thread::panicking() || !self.core.has_background() {
            return;
        }
        self.core.spawn(async move {
            let Waiting {
                question,
                leader,
                service,
                request,
            } = waiting;
            let (found, fetch) = question.await;
            let purpose = Purpose::Answer;
            // Nobody waits for the answer itself.
            drop(launch(
                &fetch,
                leader,
                service,
                request,
                purpose,
                Some(found),
            ));
        });
    }
}

//! The question to the second tier of one who leads a flight, before anybody runs.
//!
//! It is asked in the future of the request itself: most answers come that way, and need no task. But
//! others may wait for what the one who leads was told. So a client that leaves meanwhile leaves the
//! question behind, not the others: what has been asked goes into a task, as it is, and so does all
//! that a run would need. Nothing is asked twice.

use std::{
    future::{Future, poll_fn},
    marker::PhantomData,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    thread,
};

use http::Request;
use pin_project::pin_project;
use tokio::time::Instant;

use super::{
    launch::{Handler, Purpose, launch},
    look::Fetch,
    pump::{Fillable, FlightLeader},
    second::{self, Second},
};
use crate::{handle::Core, store::SecondTier};

/// What is said to a question, and who asked.
type Said = (Second, Box<Fetch>);

/// A question, and what is there for those who go on from the answer. Large, so that it keeps its place.
#[pin_project]
struct Asked<Q, S, R> {
    #[pin]
    question: Q,
    /// None once it was taken.
    rest: Option<Rest<S, R>>,
}

/// What a run needs.
pub(super) struct Rest<S, R> {
    pub(super) leader: FlightLeader,
    pub(super) call: Box<Call<S, R>>,
    /// Until when the runs of other nodes are waited for, of one who has waited for another one here.
    pub(super) deadline: Option<Instant>,
}

impl<S, R> Rest<S, R> {
    pub(super) fn new(
        leader: FlightLeader,
        call: Box<Call<S, R>>,
        deadline: Option<Instant>,
    ) -> Self {
        Self {
            leader,
            call,
            deadline,
        }
    }
}

/// A request on its way to its handler, boxed since it goes through many hands.
pub(crate) struct Call<S, R> {
    pub(crate) service: S,
    pub(crate) request: Request<R>,
}

/// A question on its way. If it is dropped before it is answered, it goes on by itself.
pub(super) struct Asking<Q, S, R, B>
where
    Q: Future<Output = Said> + Send + 'static,
    S: Handler<R, B>,
    R: Send + 'static,
    B: Fillable,
{
    core: Arc<Core>,
    /// None only at its end.
    asked: Option<Pin<Box<Asked<Q, S, R>>>>,
    body: PhantomData<fn() -> B>,
}

/// Asks `tier` for one who leads.
pub(super) fn asking<S, R, B>(
    tier: SecondTier,
    fetch: Box<Fetch>,
    rest: Rest<S, R>,
) -> Asking<impl Future<Output = Said> + Send + 'static, S, R, B>
where
    S: Handler<R, B>,
    R: Send + 'static,
    B: Fillable,
{
    Asking {
        core: Arc::clone(&fetch.kept.shared.core),
        asked: Some(Box::pin(Asked {
            question: async move {
                let found = second::ask(&tier, &fetch).await;
                (found, fetch)
            },
            rest: Some(rest),
        })),
        body: PhantomData,
    }
}

impl<Q, S, R> Asked<Q, S, R>
where
    Q: Future<Output = Said>,
{
    /// Returns the answer with what goes on from it, which is none if it was taken before.
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<(Said, Option<Rest<S, R>>)> {
        let asked = self.project();
        let said = ready!(asked.question.poll(context));
        Poll::Ready((said, asked.rest.take()))
    }
}

impl<Q, S, R, B> Asking<Q, S, R, B>
where
    Q: Future<Output = Said> + Send + 'static,
    S: Handler<R, B>,
    R: Send + 'static,
    B: Fillable,
{
    /// Waits for the answer. None if it was given before.
    pub(super) async fn said(mut self) -> Option<(Said, Rest<S, R>)> {
        let said = poll_fn(|context| match &mut self.asked {
            Some(asked) => asked.as_mut().poll(context).map(Some),
            None => Poll::Ready(None),
        });
        let (said, rest) = said.await?;
        Some((said, rest?))
    }
}

impl<Q, S, R, B> Drop for Asking<Q, S, R, B>
where
    Q: Future<Output = Said> + Send + 'static,
    S: Handler<R, B>,
    R: Send + 'static,
    B: Fillable,
{
    fn drop(&mut self) {
        let asked = self.asked.take().filter(|asked| asked.rest.is_some());
        // Outside of a runtime, at its end, or after a panic nothing goes on. Dropping the leader tells
        // the others, of whom one leads again.
        let goes_on = !thread::panicking() && self.core.has_background();
        let Some(mut asked) = asked.filter(|_| goes_on) else {
            return;
        };
        self.core.spawn(async move {
            let asked = poll_fn(|context| asked.as_mut().poll(context));
            if let ((found, fetch), Some(rest)) = asked.await {
                // Nobody waits for the answer itself.
                drop(launch(&fetch, rest, Purpose::Answer, Some(found)));
            }
        });
    }
}

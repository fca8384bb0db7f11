//! The future of a response that goes through a layer.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use http::Response;
use pin_project::pin_project;

use super::CacheBody;
use crate::{
    observe::Bypass,
    service::{
        arrive,
        kept::Kept,
        known::Known,
        look::Fetch,
        pump::{self, Fillable, Waiting},
        settings::Shared,
        status,
        watch::watch,
    },
};

/// How a request ends: with the answer of a handler or one from the store, or the handler's own error.
pub(crate) type Answer<B, E> = Result<Response<CacheBody<B>>, E>;

type Slow<B, E> = Pin<Box<dyn Future<Output = Answer<B, E>> + Send>>;

/// The future of a response that goes through a layer.
///
/// A hit is ready at once and needs no allocation of its own; what passes is the inner service's
/// future; only what has to wait for others is boxed.
#[pin_project]
pub struct ResponseFuture<F, B, E> {
    #[pin]
    state: State<F, B, E>,
}

#[pin_project(project = StateProjection)]
enum State<F, B, E> {
    Ready(Option<Response<CacheBody<B>>>),
    Failed(Option<E>),
    /// The handler runs for this request alone; its answer may still be stored.
    Pass {
        #[pin]
        future: F,
        after: After,
    },
    Slow(Slow<B, E>),
}

/// What is done with the answer to a request that went straight to the handler.
#[derive(Debug)]
pub(crate) enum After {
    /// Nothing.
    Leave,
    /// See whether the route can be learned and the answer stored.
    Learn(Box<Kept>),
    /// See whether the next answer may be one to be stored.
    Watch(Arc<Shared>, Arc<Known>),
    /// Compare the answer to a HEAD with what is stored of the GET.
    Compare(Box<Fetch>),
    /// Say why it did not take part.
    Tell(Arc<Shared>, Bypass),
}

impl<F, B, E> ResponseFuture<F, B, E> {
    pub(crate) fn ready(response: Response<CacheBody<B>>) -> Self {
        Self {
            state: State::Ready(Some(response)),
        }
    }

    pub(crate) fn failed(error: E) -> Self {
        Self {
            state: State::Failed(Some(error)),
        }
    }

    pub(crate) fn pass(future: F, after: After) -> Self {
        Self {
            state: State::Pass { future, after },
        }
    }

    pub(crate) fn slow(future: impl Future<Output = Answer<B, E>> + Send + 'static) -> Self {
        Self {
            state: State::Slow(Box::pin(future)),
        }
    }
}

impl<F, B, E> std::fmt::Debug for ResponseFuture<F, B, E> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}

impl<F, B, E> Future for ResponseFuture<F, B, E>
where
    F: Future<Output = Result<Response<B>, E>>,
    B: Fillable,
{
    type Output = Result<Response<CacheBody<B>>, E>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().state.project() {
            StateProjection::Ready(response) => response
                .take()
                .map_or(Poll::Pending, |response| Poll::Ready(Ok(response))),
            StateProjection::Failed(error) => error
                .take()
                .map_or(Poll::Pending, |error| Poll::Ready(Err(error))),
            StateProjection::Slow(future) => future.as_mut().poll(context),
            StateProjection::Pass { future, after } => {
                let response = ready!(match after {
                    After::Learn(kept) => kept.reads.within(|| future.poll(context)),
                    _ => future.poll(context),
                })?;
                Poll::Ready(Ok(finish(response, std::mem::replace(after, After::Leave))))
            }
        }
    }
}

/// Does what is to be done with the answer to a request that went straight to the handler.
pub(crate) fn finish<B: Fillable>(response: Response<B>, after: After) -> Response<CacheBody<B>> {
    match after {
        After::Leave => response.map(CacheBody::inner),
        After::Learn(kept) => pump::learn(response, &kept, Waiting::Nobody),
        After::Watch(shared, known) => {
            let mut response = response;
            watch(&mut response, &shared, &known);
            response.map(CacheBody::inner)
        }
        After::Compare(fetch) => {
            arrive::compare(&response, &fetch);
            response.map(CacheBody::inner)
        }
        After::Tell(shared, reason) => {
            let mut response = response.map(CacheBody::inner);
            status::add_bypass(&shared.core, reason, response.headers_mut());
            pump::Mark::add(&shared.core, response.extensions_mut());
            response
        }
    }
}

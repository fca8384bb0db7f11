//! The body of an answer to a call.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use pin_project::pin_project;

use super::{body::GrpcBody, status};
use crate::service::{BodyError, CacheBody, Fillable, Pending};

/// The body of an answer to a call: the handler's own, or one from the store.
#[pin_project]
pub struct GrpcResponseBody<B> {
    #[pin]
    source: Source<B>,
}

#[pin_project(project = SourceProjection)]
enum Source<B> {
    Cached(#[pin] CacheBody<GrpcBody<B>>),
    Own(#[pin] GrpcBody<B>),
    Watched(Box<Watched<B>>),
    Empty,
}

/// The answer to a call that may have changed something, or may yet.
struct Watched<B> {
    body: GrpcBody<B>,
    pending: Option<Pending>,
    /// Its trailers, while what it has changed is stamped.
    ending: Option<Ending>,
}

/// A stamp under way, and the trailers that wait for it.
struct Ending {
    stamping: Pin<Box<dyn Future<Output = ()> + Send>>,
    trailers: Option<HeaderMap>,
}

impl<B> GrpcResponseBody<B> {
    pub(super) fn cached(body: CacheBody<GrpcBody<B>>) -> Self {
        Self {
            source: Source::Cached(body),
        }
    }

    pub(super) fn of(body: GrpcBody<B>) -> Self {
        Self {
            source: Source::Own(body),
        }
    }

    /// Stamps what is pending before the trailers are let go, or when the body is dropped.
    pub(super) fn watched(body: GrpcBody<B>, pending: Pending) -> Self {
        Self {
            source: Source::Watched(Box::new(Watched {
                body,
                pending: Some(pending),
                ending: None,
            })),
        }
    }
}

impl<B> Default for GrpcResponseBody<B> {
    fn default() -> Self {
        Self {
            source: Source::Empty,
        }
    }
}

impl<B> fmt::Debug for GrpcResponseBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let source = match self.source {
            Source::Cached(_) => "cached",
            Source::Own(_) | Source::Watched(_) => "own",
            Source::Empty => "empty",
        };
        f.debug_struct("GrpcResponseBody")
            .field("source", &source)
            .finish_non_exhaustive()
    }
}

impl<B: Fillable> Body for GrpcResponseBody<B> {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self.project().source.project() {
            SourceProjection::Cached(body) => body.poll_frame(context),
            SourceProjection::Own(body) => body.poll_frame(context),
            SourceProjection::Empty => Poll::Ready(None),
            SourceProjection::Watched(watched) => watched.poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            Source::Cached(body) => body.is_end_stream(),
            Source::Own(body) => body.is_end_stream(),
            Source::Watched(watched) => watched.pending.is_none() && watched.ending.is_none(),
            Source::Empty => true,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Cached(body) => body.size_hint(),
            Source::Own(body) => body.size_hint(),
            Source::Watched(_) => SizeHint::default(),
            Source::Empty => SizeHint::with_exact(0),
        }
    }
}

impl<B: Fillable> Watched<B> {
    fn poll_frame(&mut self, context: &mut Context<'_>) -> Poll<Piece> {
        if self.ending.is_none() {
            let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
            match ended(frame, &mut self.pending) {
                Ok(ending) => self.ending = Some(ending),
                Err(frame) => return Poll::Ready(frame),
            }
        }
        let Some(ending) = &mut self.ending else {
            return Poll::Ready(None);
        };
        ready!(ending.stamping.as_mut().poll(context));
        let trailers = ending.trailers.take();
        self.ending = None;
        Poll::Ready(trailers.map(|trailers| Ok(Frame::trailers(trailers))))
    }
}

type Piece = Option<Result<Frame<Bytes>, BodyError>>;

/// Begins the end, if `frame` is one and there is something to stamp; else gives it back.
fn ended(frame: Piece, pending: &mut Option<Pending>) -> Result<Ending, Piece> {
    let trailers = match frame {
        Some(Ok(frame)) => match frame.into_trailers() {
            Ok(trailers) => Some(trailers),
            Err(frame) => return Err(Some(Ok(frame))),
        },
        // What is pending is stamped when the body is dropped, which is next.
        Some(Err(error)) => return Err(Some(Err(error))),
        None => None,
    };
    let back = |trailers: Option<HeaderMap>| trailers.map(|trailers| Ok(Frame::trailers(trailers)));
    let Some(mut pending) = pending.take() else {
        return Err(back(trailers));
    };
    let code = trailers.as_ref().and_then(status::code);
    if !status::may_have_changed(code) || pending.is_empty() {
        pending.disarm();
        return Err(back(trailers));
    }
    let stamping = Box::pin(async move {
        pending.stamp().await;
        pending.disarm();
    });
    Ok(Ending { stamping, trailers })
}

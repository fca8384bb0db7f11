//! The body of a response that went through a layer.

use std::{
    collections::VecDeque,
    error, fmt,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
};

use bytes::{Buf, Bytes};
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use pin_project::pin_project;
use tokio::sync::oneshot;

use crate::flight::{BodyEnd, BodyReader};

type BoxError = Box<dyn error::Error + Send + Sync>;

/// The body of a response: the handler's own, untouched, or one from the store.
///
/// Its size is known exactly where the bytes are at hand and no trailers follow them.
#[pin_project]
pub struct CacheBody<B> {
    #[pin]
    source: Source<B>,
}

#[pin_project(project = SourceProjection)]
enum Source<B> {
    /// The handler's body.
    Inner(#[pin] B),
    /// The handler's body, after some of it was read for others.
    Rest(Pin<Box<B>>),
    /// All of it at hand.
    Full(Option<Bytes>),
    /// Pieces at hand, then trailers.
    Pieces(VecDeque<Bytes>, Option<Box<HeaderMap>>),
    /// On its way into a shared buffer; should that be given up, the rest comes from the handler.
    Shared {
        reader: BodyReader,
        length: Option<u64>,
        rest: Option<oneshot::Receiver<Pin<Box<B>>>>,
        /// What brings it there, if no task does: then its only reader does.
        fill: Option<Fill>,
    },
    #[cfg(feature = "gzip")]
    Gunzip {
        stream: Box<crate::entry::compress::Gunzip>,
        left: u64,
        trailers: Option<Box<HeaderMap>>,
    },
}

impl<B> CacheBody<B> {
    pub(crate) fn inner(body: B) -> Self {
        Self {
            source: Source::Inner(body),
        }
    }

    pub(crate) fn full(bytes: Bytes) -> Self {
        Self {
            source: Source::Full(Some(bytes).filter(|bytes| !bytes.is_empty())),
        }
    }

    pub(crate) fn pieces(pieces: VecDeque<Bytes>, trailers: Option<Box<HeaderMap>>) -> Self {
        Self {
            source: Source::Pieces(pieces, trailers),
        }
    }

    pub(crate) fn shared(
        reader: BodyReader,
        length: Option<u64>,
        rest: Option<oneshot::Receiver<Pin<Box<B>>>>,
    ) -> Self {
        Self {
            source: Source::Shared {
                reader,
                length,
                rest,
                fill: None,
            },
        }
    }

    /// Returns a body that is filled by whoever reads it. Dropped before its end, it fills nothing.
    pub(crate) fn driven(
        reader: BodyReader,
        length: Option<u64>,
        rest: oneshot::Receiver<Pin<Box<B>>>,
        fill: impl Future<Output = ()> + Send + 'static,
    ) -> Self {
        Self {
            source: Source::Shared {
                reader,
                length,
                rest: Some(rest),
                fill: Some(Fill(Mutex::new(Box::pin(fill)))),
            },
        }
    }

    #[cfg(feature = "gzip")]
    pub(crate) fn gunzip(
        stream: crate::entry::compress::Gunzip,
        length: u64,
        trailers: Option<Box<HeaderMap>>,
    ) -> Self {
        Self {
            source: Source::Gunzip {
                stream: Box::new(stream),
                left: length,
                trailers,
            },
        }
    }
}

impl<B> Default for CacheBody<B> {
    fn default() -> Self {
        Self {
            source: Source::Full(None),
        }
    }
}

impl<B> fmt::Debug for CacheBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let source = match &self.source {
            Source::Inner(_) | Source::Rest(_) => "inner",
            Source::Full(_) | Source::Pieces(..) => "full",
            Source::Shared { .. } => "shared",
            #[cfg(feature = "gzip")]
            Source::Gunzip { .. } => "gunzip",
        };
        f.debug_struct("CacheBody")
            .field("source", &source)
            .finish_non_exhaustive()
    }
}

impl<B> Body for CacheBody<B>
where
    B: Body,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, BodyError>>> {
        let mut source = self.project().source;
        loop {
            match source.as_mut().project() {
                SourceProjection::Inner(body) => return poll_inner(body, context),
                SourceProjection::Rest(body) => return poll_inner(body.as_mut(), context),
                SourceProjection::Full(bytes) => {
                    return Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes))));
                }
                SourceProjection::Pieces(pieces, trailers) => {
                    let piece = pieces.pop_front().map(Frame::data);
                    return Poll::Ready(piece.or_else(|| last(trailers)).map(Ok));
                }
                SourceProjection::Shared {
                    reader, rest, fill, ..
                } => {
                    if fill.as_mut().is_some_and(|fill| fill.is_done(context)) {
                        *fill = None;
                    }
                    match std::task::ready!(reader.poll_frame(context)) {
                        Some(Ok(frame)) => {
                            return Poll::Ready(Some(Ok(frame)));
                        }
                        None => return Poll::Ready(None),
                        Some(Err(BodyEnd::Broken(cause))) => {
                            return Poll::Ready(Some(Err(BodyError(cause))));
                        }
                        Some(Err(_)) => match rest.as_mut().and_then(|rest| rest.try_recv().ok()) {
                            Some(body) => {
                                source.set(Source::Rest(body));
                            }
                            None => return Poll::Ready(Some(Err(BodyError::incomplete()))),
                        },
                    }
                }
                #[cfg(feature = "gzip")]
                SourceProjection::Gunzip {
                    stream,
                    left,
                    trailers,
                } => {
                    return Poll::Ready(next_inflated(stream, left, trailers));
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            Source::Inner(body) => body.is_end_stream(),
            Source::Rest(body) => body.is_end_stream(),
            Source::Full(bytes) => bytes.is_none(),
            Source::Pieces(pieces, trailers) => pieces.is_empty() && trailers.is_none(),
            Source::Shared { .. } => false,
            #[cfg(feature = "gzip")]
            Source::Gunzip { left, trailers, .. } => *left == 0 && trailers.is_none(),
        }
    }

    /// Exact only where no trailers follow: with a length, HTTP/1 would send no trailers.
    fn size_hint(&self) -> SizeHint {
        let exact = |length: usize| SizeHint::with_exact(u64::try_from(length).unwrap_or(u64::MAX));
        match &self.source {
            Source::Inner(body) => body.size_hint(),
            Source::Full(bytes) => exact(bytes.as_ref().map_or(0, Bytes::len)),
            Source::Pieces(pieces, None) => exact(pieces.iter().map(Bytes::len).sum()),
            Source::Shared {
                length: Some(length),
                ..
            } => SizeHint::with_exact(*length),
            #[cfg(feature = "gzip")]
            Source::Gunzip {
                left,
                trailers: None,
                ..
            } => SizeHint::with_exact(*left),
            _ => SizeHint::default(),
        }
    }
}

/// What brings a body into the buffer that it is read from, where no task does. Behind a lock that
/// is never taken, so that bodies can be looked at from several threads.
struct Fill(Mutex<Pin<Box<dyn Future<Output = ()> + Send>>>);

impl Fill {
    fn is_done(&mut self, context: &mut Context<'_>) -> bool {
        let fill = self.0.get_mut().unwrap_or_else(PoisonError::into_inner);
        fill.as_mut().poll(context).is_ready()
    }
}

fn poll_inner<B>(
    body: Pin<&mut B>,
    context: &mut Context<'_>,
) -> Poll<Option<Result<Frame<Bytes>, BodyError>>>
where
    B: Body,
    B::Error: Into<BoxError>,
{
    body.poll_frame(context).map(|frame| {
        frame.map(|result| match result {
            // Free of a copy where the data is `Bytes` already.
            Ok(frame) => Ok(frame.map_data(|mut data| data.copy_to_bytes(data.remaining()))),
            Err(error) => Err(BodyError(Arc::from(error.into()))),
        })
    })
}

fn last(trailers: &mut Option<Box<HeaderMap>>) -> Option<Frame<Bytes>> {
    trailers.take().map(|trailers| Frame::trailers(*trailers))
}

#[cfg(feature = "gzip")]
fn next_inflated(
    stream: &mut crate::entry::compress::Gunzip,
    left: &mut u64,
    trailers: &mut Option<Box<HeaderMap>>,
) -> Option<Result<Frame<Bytes>, BodyError>> {
    match stream.next() {
        Some(Ok(piece)) => {
            *left = left.saturating_sub(u64::try_from(piece.len()).unwrap_or(u64::MAX));
            Some(Ok(Frame::data(piece)))
        }
        Some(Err(error)) => Some(Err(BodyError(Arc::new(error)))),
        None => last(trailers).map(Ok),
    }
}

/// Why a body broke off.
///
/// The cause is that of the handler's body. Where several requests share one body it is told to
/// each of them.
#[derive(Clone, Debug)]
pub struct BodyError(Arc<dyn error::Error + Send + Sync>);

impl BodyError {
    #[cfg(feature = "grpc")]
    pub(crate) fn of(error: impl Into<BoxError>) -> Self {
        Self(Arc::from(error.into()))
    }

    /// The shared body was given up, and there is nobody to go on reading it for this client.
    fn incomplete() -> Self {
        Self(Arc::from(BoxError::from(
            "the response was given up before its end",
        )))
    }
}

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the body of the response broke off")
    }
}

impl error::Error for BodyError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        Some(&*self.0)
    }
}

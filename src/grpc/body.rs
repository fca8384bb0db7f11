//! Bodies of which some has been read, and reading them.

use std::{
    collections::VecDeque,
    error, fmt,
    future::poll_fn,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::{Buf, Bytes, BytesMut};
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};

use crate::service::BodyError;

type BoxError = Box<dyn error::Error + Send + Sync>;

/// The body of a call as handlers get it: what was read of it, and then the rest as it comes.
pub struct GrpcBody<B> {
    frames: VecDeque<Frame<Bytes>>,
    failed: Option<BodyError>,
    rest: Option<Pin<Box<B>>>,
}

impl<B> GrpcBody<B> {
    /// Returns the body as it came.
    pub(super) fn whole(body: B) -> Self {
        Self {
            rest: Some(Box::pin(body)),
            ..Self::default()
        }
    }

    /// Returns whether the body has ended, and well.
    pub(super) fn is_complete(&self) -> bool {
        self.rest.is_none() && self.failed.is_none()
    }

    /// Returns the data that was read, in one piece.
    pub(super) fn data(&self) -> Bytes {
        let mut pieces = self.frames.iter().filter_map(Frame::data_ref);
        match (pieces.next(), pieces.next()) {
            (None, _) => Bytes::new(),
            (Some(one), None) => one.clone(),
            (Some(first), Some(second)) => {
                let mut all = BytesMut::from(&**first);
                all.extend_from_slice(second);
                pieces.for_each(|piece| all.extend_from_slice(piece));
                all.freeze()
            }
        }
    }

    /// Returns how many bytes of data were read.
    pub(super) fn length(&self) -> usize {
        let pieces = self.frames.iter().filter_map(Frame::data_ref);
        pieces.map(Bytes::len).sum()
    }

    /// Returns the trailers, if they were read.
    pub(super) fn trailers(&self) -> Option<&HeaderMap> {
        self.frames.iter().find_map(Frame::trailers_ref)
    }
}

impl<B> GrpcBody<B>
where
    B: Body<Error: Into<BoxError>>,
{
    /// Reads one frame. Returns false at the end, whatever it was.
    pub(super) async fn read(&mut self) -> bool {
        let Some(rest) = &mut self.rest else {
            return false;
        };
        match poll_fn(|context| rest.as_mut().poll_frame(context)).await {
            Some(Ok(frame)) => {
                self.frames.push_back(in_bytes(frame));
                true
            }
            end => {
                self.failed = end.and_then(Result::err).map(BodyError::of);
                self.rest = None;
                false
            }
        }
    }
}

impl<B> Default for GrpcBody<B> {
    fn default() -> Self {
        Self {
            frames: VecDeque::new(),
            failed: None,
            rest: None,
        }
    }
}

impl<B> fmt::Debug for GrpcBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GrpcBody")
            .field("read", &self.frames.len())
            .field("complete", &self.is_complete())
            .finish_non_exhaustive()
    }
}

impl<B> Body for GrpcBody<B>
where
    B: Body<Error: Into<BoxError>>,
{
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if let Some(frame) = self.frames.pop_front() {
            return Poll::Ready(Some(Ok(frame)));
        }
        if let Some(error) = self.failed.take() {
            return Poll::Ready(Some(Err(error)));
        }
        match &mut self.rest {
            Some(rest) => rest
                .as_mut()
                .poll_frame(context)
                .map(|frame| frame.map(|frame| frame.map(in_bytes).map_err(BodyError::of))),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.frames.is_empty()
            && self.failed.is_none()
            && self.rest.as_ref().is_none_or(|rest| rest.is_end_stream())
    }

    /// Exact only for what is all there without trailers: with a length no trailers would be sent.
    fn size_hint(&self) -> SizeHint {
        match &self.rest {
            Some(rest) if self.frames.is_empty() => rest.size_hint(),
            None if self.failed.is_none() && self.trailers().is_none() => {
                SizeHint::with_exact(u64::try_from(self.length()).unwrap_or(u64::MAX))
            }
            _ => SizeHint::default(),
        }
    }
}

/// Free of a copy where the data is `Bytes` already.
fn in_bytes<D: Buf>(frame: Frame<D>) -> Frame<Bytes> {
    frame.map_data(|mut data| data.copy_to_bytes(data.remaining()))
}

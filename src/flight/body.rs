//! A body that is read once from the handler and by any number of readers from memory.

use std::{
    error, fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http_body::Frame;

/// The buffer between one writer and its readers. It holds the whole body until the last reader is
/// gone; the writer sees to it that this is never more than one body may be.
#[derive(Debug, Default)]
pub(crate) struct SharedBody {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    chunks: Vec<Bytes>,
    length: u64,
    end: Option<BodyEnd>,
    waiting: Vec<Waker>,
}

/// How a body ended.
#[derive(Clone)]
pub(crate) enum BodyEnd {
    /// All of it was read, and these trailers, if any, after it.
    Complete(Option<HeaderMap>),
    /// The handler's body failed.
    Broken(Arc<dyn error::Error + Send + Sync>),
    /// It is no longer kept; the first reader goes on with the handler's body itself.
    HandedOver,
}

impl fmt::Debug for BodyEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Complete(_) => "Complete",
            Self::Broken(_) => "Broken",
            Self::HandedOver => "HandedOver",
        })
    }
}

impl SharedBody {
    /// Adds a piece and returns how long the body is now.
    pub(crate) fn push(&self, chunk: Bytes) -> u64 {
        let mut state = self.state();
        state.length = state
            .length
            .saturating_add(u64::try_from(chunk.len()).unwrap_or(u64::MAX));
        state.chunks.push(chunk);
        let length = state.length;
        wake(state);
        length
    }

    /// Says how the body ended. The first word counts.
    pub(crate) fn end(&self, end: BodyEnd) {
        let mut state = self.state();
        state.end.get_or_insert(end);
        wake(state);
    }

    /// Returns all bytes so far as one piece, without a copy where there is only one.
    pub(crate) fn collect(&self) -> Bytes {
        let state = self.state();
        if let [only] = state.chunks.as_slice() {
            return only.clone();
        }
        let mut all = BytesMut::with_capacity(usize::try_from(state.length).unwrap_or_default());
        for chunk in &state.chunks {
            all.extend_from_slice(chunk);
        }
        all.freeze()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn wake(mut state: MutexGuard<'_, State>) {
    let waiting = std::mem::take(&mut state.waiting);
    drop(state);
    waiting.into_iter().for_each(Waker::wake);
}

/// One reader's place in a shared body. Dropping it leaves the writer and the others alone.
#[derive(Debug)]
pub(crate) struct BodyReader {
    shared: Arc<SharedBody>,
    next: usize,
    ended: bool,
}

impl BodyReader {
    pub(crate) fn new(shared: Arc<SharedBody>) -> Self {
        Self {
            shared,
            next: 0,
            ended: false,
        }
    }

    /// Returns the next piece, then the trailers, then nothing; `Err` says how else it ended.
    pub(crate) fn poll_frame(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyEnd>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let mut state = self.shared.state();
        if let Some(chunk) = state.chunks.get(self.next) {
            self.next += 1;
            return Poll::Ready(Some(Ok(Frame::data(chunk.clone()))));
        }
        match &state.end {
            None => {
                if !state
                    .waiting
                    .iter()
                    .any(|waker| waker.will_wake(context.waker()))
                {
                    state.waiting.push(context.waker().clone());
                }
                Poll::Pending
            }
            Some(BodyEnd::Complete(trailers)) => {
                self.ended = true;
                Poll::Ready(
                    trailers
                        .clone()
                        .map(|trailers| Ok(Frame::trailers(trailers))),
                )
            }
            Some(end) => {
                self.ended = true;
                Poll::Ready(Some(Err(end.clone())))
            }
        }
    }
}

//! A layer over an origin whose answers a test scripts, with a clock that a test moves.

use std::{
    collections::VecDeque,
    error, fmt,
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt;
use larder::{Cache, CacheLayer, Larder, Policy, Routes, TestClock};
use tokio::{
    sync::Semaphore,
    task::{JoinError, JoinSet},
};
use tower::{Layer, ServiceExt, util::BoxCloneService};

/// What an origin answers with when it can not answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure;

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the origin failed")
    }
}

impl error::Error for Failure {}

pub(crate) type Answer = Result<Response<Body>, Failure>;
pub(crate) type Origin = BoxCloneService<Request<Body>, Response<Body>, Failure>;

/// A response that was read to its end.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Seen {
    /// Returns what larder says it did.
    pub(crate) fn told(&self) -> &str {
        self.headers
            .get("cache-status")
            .map_or("", |value| value.to_str().unwrap())
    }
}

/// Reads a response to its end.
pub(crate) async fn read(response: Response<Body>) -> Seen {
    let (parts, body) = response.into_parts();
    let bytes = body.collect().await.unwrap().to_bytes();
    Seen {
        status: parts.status,
        headers: parts.headers,
        body: String::from_utf8(bytes.to_vec()).unwrap(),
    }
}

pub(crate) fn request(path: &str) -> Request<Body> {
    Request::builder()
        .uri(path)
        .header("host", "a.test")
        .body(Body::empty())
        .unwrap()
}

/// Lets all tasks go as far as they can. Only in a runtime of one thread.
pub(crate) async fn settle() {
    for _ in 0..200 {
        tokio::task::yield_now().await;
    }
}

/// A gate at which handlers wait until a test opens it.
#[derive(Clone)]
pub(crate) struct Gate(Arc<Semaphore>);

impl Gate {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Semaphore::new(0)))
    }

    pub(crate) async fn pass(&self) {
        // Closing it is what opens the gate, for everybody and for good.
        let _closed = self.0.acquire().await;
    }

    pub(crate) fn open(&self) {
        self.0.close();
    }
}

pub(crate) struct App {
    pub(crate) larder: Larder,
    pub(crate) clock: TestClock,
    pub(crate) service: BoxCloneService<Request<Body>, Response<Body>, Failure>,
    runs: Arc<AtomicUsize>,
}

impl App {
    /// One page per path, each with `policy`; `answer` is told which run of the handler it is.
    pub(crate) async fn new<F, A>(policy: Policy, answer: F) -> Self
    where
        F: Fn(usize, Request<Body>) -> A + Clone + Send + 'static,
        A: Future<Output = Answer> + Send + 'static,
    {
        let table = Routes::new().get("/{page}", policy).build().unwrap();
        Self::with(|larder| CacheLayer::new(larder).routes(table), answer).await
    }

    pub(crate) async fn with<L, F, A>(layer: impl FnOnce(&Larder) -> L, answer: F) -> Self
    where
        L: Layer<Origin, Service = Cache<Origin>>,
        F: Fn(usize, Request<Body>) -> A + Clone + Send + 'static,
        A: Future<Output = Answer> + Send + 'static,
    {
        let clock = TestClock::new();
        let larder = Larder::builder()
            .clock(clock.clone())
            .build()
            .await
            .unwrap();
        let runs = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&runs);
        let origin = tower::service_fn(move |request| {
            answer(counted.fetch_add(1, Ordering::SeqCst) + 1, request)
        });
        let cache = layer(&larder).layer(Origin::new(origin));
        Self {
            larder,
            clock,
            service: BoxCloneService::new(cache.map_response(|response| response.map(Body::new))),
            runs,
        }
    }

    /// How often the handler has run.
    pub(crate) fn runs(&self) -> usize {
        self.runs.load(Ordering::SeqCst)
    }

    pub(crate) fn send(
        &self,
        request: Request<Body>,
    ) -> impl Future<Output = Answer> + Send + 'static {
        self.service.clone().oneshot(request)
    }

    pub(crate) async fn get(&self, path: &str) -> Seen {
        read(self.send(request(path)).await.unwrap()).await
    }

    /// Sends `count` requests at once and lets them go as far as they can.
    pub(crate) async fn crowd(&self, path: &str, count: usize) -> Crowd {
        let mut crowd = JoinSet::new();
        for _ in 0..count {
            let sent = self.send(request(path));
            crowd.spawn(async move { Ok(read(sent.await?).await) });
        }
        settle().await;
        Crowd(crowd)
    }
}

/// Requests that were sent at once.
pub(crate) struct Crowd(JoinSet<Result<Seen, Failure>>);

/// How requests that were sent at once have ended.
#[derive(Default)]
pub(crate) struct Ended {
    pub(crate) answered: Vec<Seen>,
    pub(crate) failed: usize,
    pub(crate) panicked: usize,
}

impl Crowd {
    pub(crate) async fn ended(mut self) -> Ended {
        let mut ended = Ended::default();
        while let Some(one) = self.0.join_next().await {
            match one {
                Ok(Ok(seen)) => ended.answered.push(seen),
                Ok(Err(Failure)) => ended.failed += 1,
                Err(error) => ended.panicked += usize::from(JoinError::is_panic(&error)),
            }
        }
        ended
    }
}

/// A body of given frames, which announces the length that it is told to, true or not.
pub(crate) struct Frames {
    pub(crate) frames: VecDeque<Result<Frame<Bytes>, Failure>>,
    pub(crate) length: Option<u64>,
}

impl http_body::Body for Frames {
    type Data = Bytes;
    type Error = Failure;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        Poll::Ready(self.frames.pop_front())
    }

    fn size_hint(&self) -> SizeHint {
        self.length
            .map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

pub(crate) fn data(text: &'static str) -> Result<Frame<Bytes>, Failure> {
    Ok(Frame::data(Bytes::from_static(text.as_bytes())))
}

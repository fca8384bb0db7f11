//! The service that reads a call, and hands it to the cache or past it.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Method, Request, Response, header};
use tower_service::Service;

use super::{
    answer::GrpcResponseBody,
    body::GrpcBody,
    changing,
    methods::{GrpcMethodTable, Rule},
    status::{self, Family},
    unary::{Call, Shown, Unary, as_call},
    wire,
};
use crate::{
    key::KeyBuffer,
    policy::CacheHint,
    service::{Cache, Fillable, KeyTail, Mark, Shared, original_uri},
};

/// The longest message that a call is keyed by, in bytes: keys hold it whole.
const LONGEST_MESSAGE: usize = 64 << 10;

/// A gRPC service behind a cache. See [`GrpcCacheLayer`](crate::GrpcCacheLayer) for an example.
///
/// It is always ready; what the inner service has to wait for is waited for inside the future.
#[derive(Clone, Debug)]
pub struct GrpcCache<S> {
    inner: S,
    cache: Cache<Unary<S>>,
    shared: Arc<Shared>,
    methods: GrpcMethodTable,
}

impl<S: Clone> GrpcCache<S> {
    pub(super) fn new(inner: S, shared: &Arc<Shared>, methods: GrpcMethodTable) -> Self {
        let unary = Unary::new(inner.clone(), &shared.core);
        Self {
            inner,
            cache: Cache::new(unary, Arc::clone(shared)),
            shared: Arc::clone(shared),
            methods,
        }
    }
}

type Answer<B, E> = Result<Response<GrpcResponseBody<B>>, E>;

/// The future of an answer to a call.
pub struct GrpcResponseFuture<B, E>(Pin<Box<dyn Future<Output = Answer<B, E>> + Send>>);

impl<B, E> fmt::Debug for GrpcResponseFuture<B, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GrpcResponseFuture").finish_non_exhaustive()
    }
}

impl<B, E> Future for GrpcResponseFuture<B, E> {
    type Output = Answer<B, E>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.as_mut().poll(context)
    }
}

impl<S, R, B> Service<Request<R>> for GrpcCache<S>
where
    S: Service<Request<GrpcBody<R>>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
    R: Fillable,
    B: Fillable,
{
    type Response = Response<GrpcResponseBody<B>>;
    type Error = S::Error;
    type Future = GrpcResponseFuture<B, S::Error>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<R>) -> Self::Future {
        let path = original_uri(&request).path();
        let rule = self.methods.get(path).cloned();
        let is_cached = request.method() == Method::POST
            && status::family(request.headers()) != Family::Other
            && (rule.as_ref().is_some_and(|rule| rule.cached) || self.has_learned(path));
        let calling = Calling {
            inner: self.inner.clone(),
            shared: Arc::clone(&self.shared),
            rule,
        };
        let request = request.map(GrpcBody::whole);
        GrpcResponseFuture(if is_cached {
            Box::pin(calling.cached(self.cache.clone(), request))
        } else {
            Box::pin(calling.past(request))
        })
    }
}

impl<S> GrpcCache<S> {
    /// Returns whether the method has shown by an attribute that it is cached.
    fn has_learned(&self, path: &str) -> bool {
        let known = self.shared.known.met(path);
        known.is_some_and(|known| known.is_learned())
    }
}

/// One call.
struct Calling<S> {
    inner: S,
    shared: Arc<Shared>,
    rule: Option<Arc<Rule>>,
}

impl<S> Calling<S> {
    /// Answers a call of a method that is cached.
    async fn cached<R, B>(
        self,
        mut cache: Cache<Unary<S>>,
        mut request: Request<GrpcBody<R>>,
    ) -> Answer<B, S::Error>
    where
        S: Service<Request<GrpcBody<R>>, Response = Response<B>> + Clone + Send + 'static,
        S::Future: Send + 'static,
        S::Error: Send + 'static,
        R: Fillable,
        B: Fillable,
    {
        let message = read_message(request.body_mut()).await;
        let tags = message.as_ref().and_then(|message| match &self.rule {
            Some(rule) => rule.tags(message),
            None => Some(Vec::new()),
        });
        let (Some(message), Some(tags)) = (message, tags) else {
            let core = Arc::clone(&self.shared.core);
            let mut response = self.past(request).await?;
            Mark::add(&core, response.extensions_mut());
            return Ok(response);
        };
        let response = cache.call(as_read(request, &message, tags)).await?;
        let (mut parts, body) = response.into_parts();
        let body = if as_call(&mut parts) {
            GrpcResponseBody::cached(body)
        } else {
            GrpcResponseBody::default()
        };
        Mark::add(&self.shared.core, &mut parts.extensions);
        Ok(Response::from_parts(parts, body))
    }

    /// Answers any other call, and whatever else comes by.
    async fn past<R, B>(self, mut request: Request<GrpcBody<R>>) -> Answer<B, S::Error>
    where
        S: Service<Request<GrpcBody<R>>, Response = Response<B>>,
        R: Fillable,
        B: Fillable,
    {
        let path = original_uri(&request).path().to_owned();
        let changes = self.rule.as_ref().filter(|rule| rule.invalidates.is_some());
        let message = match changes {
            Some(_) => read_message(request.body_mut()).await,
            None => None,
        };
        let core = &self.shared.core;
        let (rule, message) = (self.rule.as_deref(), message.as_deref());
        let response = changing::call(core, self.inner, request, rule, message).await?;
        let hint = response.extensions().get::<CacheHint>();
        if let Some(declared) = hint.and_then(|hint| hint.declared.as_ref()) {
            self.shared.learn_call(&path, declared);
        }
        Ok(response)
    }
}

/// Reads the one message of a call; `None` if it is compressed, too long or not one. What was read
/// stays in the body.
async fn read_message<R: Fillable>(body: &mut GrpcBody<R>) -> Option<Bytes> {
    while body.length() <= LONGEST_MESSAGE + wire::HEAD && body.read().await {}
    let single = wire::single(&body.data()).filter(|_| body.is_complete())?;
    (!single.compressed && single.message.len() <= LONGEST_MESSAGE).then_some(single.message)
}

/// Puts a call as a read: without what only the handler is to see, and with what belongs to its key.
fn as_read<R>(
    request: Request<GrpcBody<R>>,
    message: &Bytes,
    tags: Vec<String>,
) -> Request<GrpcBody<R>> {
    let (mut parts, body) = request.into_parts();
    let mut tail = KeyBuffer::default();
    if let Family::Grpc(format) = status::family(&parts.headers) {
        tail.part(format);
    }
    for encoding in status::encodings(&parts.headers) {
        tail.part(encoding.as_bytes());
    }
    tail.part(message);
    let shown = Shown {
        headers: parts.headers.clone(),
        tags,
    };
    // What HTTP would make of these does not exist for calls.
    for name in [
        header::CONTENT_LENGTH,
        header::TRANSFER_ENCODING,
        header::RANGE,
        header::IF_RANGE,
        header::IF_MATCH,
        header::IF_NONE_MATCH,
        header::IF_MODIFIED_SINCE,
        header::IF_UNMODIFIED_SINCE,
    ] {
        parts.headers.remove(name);
    }
    parts.method = Method::GET;
    parts
        .extensions
        .insert(KeyTail(Bytes::copy_from_slice(tail.as_bytes())));
    parts.extensions.insert(Call(Arc::new(shown)));
    Request::from_parts(parts, body)
}

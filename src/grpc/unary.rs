//! Calls as the cache sees them: a read with a tail to its key, and an answer that is whole.
//!
//! A call of gRPC is a POST whose outcome stands behind its body. For the cache it becomes a GET, and
//! what its handler answers is read to the end before it is shown: then a good answer is a 200, a
//! failure of the service a 5xx, any other code a 400. On the way out each is a call's answer again.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, response::Parts,
};
use tower_service::Service;

use super::{
    body::GrpcBody,
    status::{self, Family, GRPC_ENCODING, GRPC_TIMEOUT},
    wire::{self, Single},
};
use crate::{
    handle::Core,
    policy::CacheHint,
    service::{Fillable, KeyTail, take_off},
};

/// Says of an answer inside the cache that it is that of a call, whatever status it has there.
const CALL: HeaderName = HeaderName::from_static("larder-call");

/// What the handler is shown of a call, which the cache is not.
#[derive(Clone, Debug)]
pub(super) struct Call(pub(super) Arc<Shown>);

#[derive(Debug)]
pub(super) struct Shown {
    pub(super) headers: HeaderMap,
    /// The tags that are declared for the answer.
    pub(super) tags: Vec<String>,
}

/// The service as the cache calls it.
#[derive(Clone, Debug)]
pub(super) struct Unary<S> {
    inner: S,
    core: Arc<Core>,
}

impl<S> Unary<S> {
    pub(super) fn new(inner: S, core: &Arc<Core>) -> Self {
        Self {
            inner,
            core: Arc::clone(core),
        }
    }
}

type Answering<B, E> = Pin<Box<dyn Future<Output = Result<Response<GrpcBody<B>>, E>> + Send>>;

impl<S, R, B> Service<Request<GrpcBody<R>>> for Unary<S>
where
    S: Service<Request<GrpcBody<R>>, Response = Response<B>>,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
    B: Fillable,
{
    type Response = Response<GrpcBody<B>>;
    type Error = S::Error;
    type Future = Answering<B, S::Error>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<GrpcBody<R>>) -> Self::Future {
        let core = Arc::clone(&self.core);
        let call = request.extensions_mut().remove::<Call>();
        request.extensions_mut().remove::<KeyTail>();
        let mut tags = Vec::new();
        if let Some(Call(shown)) = call {
            *request.method_mut() = Method::POST;
            request.headers_mut().clone_from(&shown.headers);
            // Whoever comes first must not end the run for those who have more time.
            request.headers_mut().remove(GRPC_TIMEOUT);
            tags.clone_from(&shown.tags);
        }
        take_off(&core, request.extensions_mut());
        let answering = self.inner.call(request);
        Box::pin(async move {
            match answering.await {
                Ok(response) => Ok(settled(response, tags, &core).await),
                Err(error) => Err(error),
            }
        })
    }
}

/// How a call ended.
enum Outcome {
    Good,
    /// With a code that is not 0, or without any.
    Bad(Option<u32>),
    /// It is none that can be kept: several messages, too long, or none of gRPC.
    Other,
}

/// Reads an answer to its end, and puts it as the rules of HTTP take it.
async fn settled<B: Fillable>(
    response: Response<B>,
    tags: Vec<String>,
    core: &Arc<Core>,
) -> Response<GrpcBody<B>> {
    let (mut parts, body) = response.into_parts();
    let mut body = GrpcBody::whole(body);
    match outcome(&parts, &mut body, core).await {
        Outcome::Good => {
            let declared = CacheHint::new().tags(tags);
            let said = parts.extensions.get::<CacheHint>();
            let hint = said.map_or_else(|| declared.clone(), |said| said.over(&declared));
            parts.extensions.insert(hint);
        }
        Outcome::Bad(code) => {
            parts.status = status::as_http(code);
            parts.headers.insert(CALL, HeaderValue::from_static("1"));
        }
        Outcome::Other => {
            parts.extensions.insert(CacheHint::no_store());
        }
    }
    Response::from_parts(parts, body)
}

async fn outcome<B: Fillable>(parts: &Parts, body: &mut GrpcBody<B>, core: &Arc<Core>) -> Outcome {
    if parts.status != StatusCode::OK || status::family(&parts.headers) == Family::Other {
        return Outcome::Other;
    }
    // With a code in the head there is no message.
    if let Some(code) = status::code(&parts.headers)
        && code != status::OK
    {
        return Outcome::Bad(Some(code));
    }
    let most = usize::try_from(core.max_body).unwrap_or(usize::MAX);
    let mut room = Room::new(core);
    let mut known = 0;
    while body.read().await {
        let length = body.length();
        if length > most || !room.grow(length - known) || wire::has_second(&body.data()) {
            return Outcome::Other;
        }
        known = length;
    }
    if !body.is_complete() {
        return Outcome::Bad(None);
    }
    match body.trailers().map(status::code) {
        Some(Some(status::OK)) => {}
        Some(Some(code)) => return Outcome::Bad(Some(code)),
        Some(None) | None => {
            return Outcome::Bad(status::code(&parts.headers).filter(|code| *code > 0));
        }
    }
    let Some(message) = wire::single(&body.data()) else {
        return Outcome::Other;
    };
    if is_sound(message, &parts.headers).await {
        Outcome::Good
    } else {
        Outcome::Other
    }
}

/// Returns whether a message can be what it says: one that says it is gzip and is not would be kept
/// for all who ask.
async fn is_sound(message: Single, fields: &HeaderMap) -> bool {
    if !message.compressed {
        return true;
    }
    match fields.get(GRPC_ENCODING).map(HeaderValue::as_bytes) {
        #[cfg(feature = "gzip")]
        Some(b"gzip") => gzip::is_gzip(message.message).await,
        Some(b"identity") | None => false,
        Some(_) => true,
    }
}

#[cfg(feature = "gzip")]
mod gzip {
    use std::io::{self, Read};

    use bytes::Bytes;

    /// From this length on unpacking leaves the async threads, in bytes of the packed message. The
    /// limit of bodies at rest.
    const LONG: usize = 128 << 10;

    /// What more is unpacked to is not looked through, in bytes, and not kept.
    const MOST: u64 = 64 << 20;

    pub(super) async fn is_gzip(message: Bytes) -> bool {
        if message.len() < LONG || tokio::runtime::Handle::try_current().is_err() {
            return unpacks(&message);
        }
        tokio::task::spawn_blocking(move || unpacks(&message))
            .await
            .unwrap_or(false)
    }

    fn unpacks(message: &[u8]) -> bool {
        let mut unpacked = flate2::read::GzDecoder::new(message).take(MOST);
        io::copy(&mut unpacked, &mut io::sink()).is_ok_and(|length| length < MOST)
    }
}

/// What an answer that is read takes of the room that all of them share.
struct Room {
    core: Arc<Core>,
    taken: u64,
}

impl Room {
    fn new(core: &Arc<Core>) -> Self {
        Self {
            core: Arc::clone(core),
            taken: 0,
        }
    }

    fn grow(&mut self, bytes: usize) -> bool {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        let has_room = self.core.reserve(bytes);
        self.taken += if has_room { bytes } else { 0 };
        has_room
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.core.release(self.taken);
    }
}

/// Makes what the cache answered the answer of a call again. Returns whether there is a body to send.
pub(super) fn as_call(parts: &mut Parts) -> bool {
    if parts.headers.remove(CALL).is_some() {
        parts.status = StatusCode::OK;
        return true;
    }
    // What larder refuses by itself has no type.
    let own = parts.status == StatusCode::SERVICE_UNAVAILABLE
        && !parts.headers.contains_key(http::header::CONTENT_TYPE);
    if own {
        parts.status = StatusCode::OK;
        parts.headers.extend(status::unavailable());
    }
    !own
}

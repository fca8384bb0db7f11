//! A caching reverse proxy in front of one HTTP/1.1 origin: the gateway preset, a shared cache to the
//! letter of RFC 9111.
//!
//! ```text
//! ORIGIN=http://127.0.0.1:8000 cargo run --release --example reverse_proxy
//! curl -i http://127.0.0.1:8080/
//! ```
//!
//! `LISTEN` (default `127.0.0.1:8080`) is where it listens, `ORIGIN` (default
//! `http://127.0.0.1:8000`) where requests go. An origin that can not be reached is an *error* of
//! the inner service and not an answer, so that a stale response can be served in its place; what is
//! still an error outside of the cache becomes a 502.

#![allow(clippy::print_stdout, reason = "an example talks to its reader")]

use std::{convert::Infallible, env, time::Duration};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, Uri, Version,
    header::{CONNECTION, PROXY_AUTHORIZATION, TE, TRANSFER_ENCODING, UPGRADE, VIA},
    uri::{Authority, PathAndQuery, Scheme},
};
use http_body::Body;
use http_body_util::{Either, Empty};
use hyper::{body::Incoming, server::conn::http1};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioIo},
    service::TowerToHyperService,
};
use larder::{CacheLayer, Larder};
use tokio::net::TcpListener;
use tower::{Layer, Service, ServiceExt, service_fn};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// What the cache may take, in bytes.
const MEMORY: u64 = 256 << 20;

/// Tells the origin that `Surrogate-Control` is obeyed here, as that older field of the same kind
/// as `CDN-Cache-Control` asks for.
const CAPABILITY: (HeaderName, HeaderValue) = (
    HeaderName::from_static("surrogate-capability"),
    HeaderValue::from_static("larder=\"Surrogate/1.0\""),
);

/// How long an unused connection to the origin is kept: less than the 5 s after which common
/// servers close it, so that a request seldom meets a connection that is just being closed.
const IDLE: Duration = Duration::from_secs(3);

/// Fields that speak of one connection only (RFC 9110 §7.6.1), besides those that `Connection` names.
const HOP_BY_HOP: [HeaderName; 6] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    TE,
    TRANSFER_ENCODING,
    UPGRADE,
];

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let listen = env::var("LISTEN").unwrap_or_else(|_| "127.0.0.1:8080".into());
    let origin = env::var("ORIGIN").unwrap_or_else(|_| "http://127.0.0.1:8000".into());
    let origin = Origin::new(&origin)?;
    let larder = Larder::builder().memory_bytes(MEMORY).build().await?;
    let cache = CacheLayer::gateway(&larder).targeted_fields([
        HeaderName::from_static("cdn-cache-control"),
        HeaderName::from_static("surrogate-control"),
    ]);
    let proxy = cache.layer(service_fn(move |request| origin.clone().forward(request)));
    let listener = TcpListener::bind(&listen).await?;
    println!("listening on http://{}", listener.local_addr()?);
    serve(listener, proxy).await
}

/// The server behind the proxy.
#[derive(Clone)]
struct Origin {
    authority: Authority,
    client: Client<HttpConnector, Incoming>,
}

impl Origin {
    fn new(address: &str) -> Result<Self, BoxError> {
        let uri: Uri = address.parse()?;
        if uri.scheme() != Some(&Scheme::HTTP) || uri.path() != "/" || uri.query().is_some() {
            return Err(format!("ORIGIN is `{address}`; write it as http://HOST:PORT").into());
        }
        Ok(Self {
            authority: uri.authority().ok_or("ORIGIN names no host")?.clone(),
            client: Client::builder(TokioExecutor::new())
                .pool_idle_timeout(IDLE)
                .build_http(),
        })
    }

    /// Sends a request on, its path and query byte for byte and its `Host` as they came.
    async fn forward(self, mut request: Request<Incoming>) -> Result<Response<Incoming>, BoxError> {
        let path = request.uri().path_and_query().cloned();
        *request.uri_mut() = Uri::builder()
            .scheme(Scheme::HTTP)
            .authority(self.authority)
            .path_and_query(path.unwrap_or_else(|| PathAndQuery::from_static("/")))
            .build()?;
        *request.version_mut() = Version::HTTP_11;
        let headers = request.headers_mut();
        headers.append(VIA, HeaderValue::from_static("1.1 larder"));
        headers.insert(CAPABILITY.0, CAPABILITY.1);
        let mut response = self.client.request(request).await?;
        drop_hop_by_hop(response.headers_mut());
        Ok(response)
    }
}

/// Removes the fields that must not travel further than one connection.
fn drop_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in HOP_BY_HOP.iter().chain(&named) {
        headers.remove(name);
    }
}

/// Answers connections until the process is told to end; an error of `service` is a 502.
async fn serve<S, B>(listener: TcpListener, service: S) -> Result<(), BoxError>
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = BoxError>
        + Clone
        + Send
        + 'static,
    S::Future: Send,
    B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    let service = service_fn(move |mut request: Request<Incoming>| {
        let service = service.clone();
        // Outside the cache, which must see no field that the origin will not see: else a client
        // could name a field in `Connection` and have the wrong variant stored.
        drop_hop_by_hop(request.headers_mut());
        request.headers_mut().remove(PROXY_AUTHORIZATION);
        async move {
            let answer = service.oneshot(request).await;
            Ok::<_, Infallible>(
                answer.map_or_else(|_| bad_gateway(), |answer| answer.map(Either::Left)),
            )
        }
    });
    loop {
        let connection = tokio::select! {
            accepted = listener.accept() => accepted?.0,
            _ = tokio::signal::ctrl_c() => return Ok(()),
        };
        let service = TowerToHyperService::new(service.clone());
        tokio::spawn(async move {
            // What goes wrong here concerns this client alone, and it is gone.
            let _ = http1::Builder::new()
                .serve_connection(TokioIo::new(connection), service)
                .await;
        });
    }
}

fn bad_gateway<B>() -> Response<Either<B, Empty<Bytes>>> {
    let mut response = Response::new(Either::Right(Empty::new()));
    *response.status_mut() = StatusCode::BAD_GATEWAY;
    response
}

//! What the benches measure: the same page through larder, through the least that could serve it from
//! memory (the *floor*), and through a router that makes it anew each time (*axum*).
//!
//! The page has four fields and a body of a chosen length; the request has the four fields that
//! browsers always send.

#![allow(
    dead_code,
    unused_imports,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "each bench uses a part of this, and a bench may panic"
)]

mod floor;
mod page;

use std::{
    fmt::Debug,
    future::Future,
    pin::pin,
    task::{Context, Poll, Waker},
};

use axum::{Router, body::Body, routing::get};
use http::{Request, Response};
use larder::{Cache, CacheLayer, Larder, Policy, RouteTable, Routes, mins};
use tokio::runtime::Runtime;
use tower::{Layer, Service};

pub(crate) use self::{
    floor::{Floor, FloorLayer},
    page::Page,
};

/// The lengths of bodies at which hits are measured, in bytes.
pub(crate) const LENGTHS: [usize; 4] = [100, 4 << 10, 64 << 10, 1 << 20];

/// Pages of one site are at this path.
pub(crate) const PATTERN: &str = "/pages/{id}";

/// Returns a request for a page.
pub(crate) fn request(path: &str) -> Request<Body> {
    Request::builder()
        .uri(path)
        .header("host", "shop.test")
        .header("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0)")
        .header("accept", "*/*")
        .header("accept-encoding", "gzip, deflate, br")
        .body(Body::empty())
        .unwrap()
}

/// Returns a table that keeps the pages for five minutes.
pub(crate) fn table() -> RouteTable {
    Routes::new()
        .get(PATTERN, Policy::ttl(mins(5)).tag("page:{id}"))
        .build()
        .unwrap()
}

/// Returns a runtime of one thread; its services need it on a miss alone.
pub(crate) fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

/// Returns a handle with the settings that it has by itself.
pub(crate) fn larder() -> Larder {
    runtime().block_on(Larder::builder().build()).unwrap()
}

/// Returns a layer that keeps the pages.
pub(crate) fn layer() -> CacheLayer {
    CacheLayer::new(&larder()).routes(table())
}

/// Returns an axum router that makes the page for each request.
pub(crate) fn router(page: Page) -> Router {
    Router::new().route(PATTERN, get(async move || page.response::<Body>()))
}

/// Returns larder over a bare handler.
pub(crate) fn cached(page: Page) -> Cache<Page> {
    layer().layer(page)
}

/// Asks a service, and lets it work in the background until the answer has been read.
pub(crate) fn fill<S, B>(service: &mut S, path: &str)
where
    S: Service<Request<Body>, Response = Response<B>, Error: Debug>,
    B: http_body::Body<Error: Debug>,
{
    fill_with(service, request(path));
}

/// The same by a request of one's own.
pub(crate) fn fill_with<S, B>(service: &mut S, request: Request<Body>)
where
    S: Service<Request<Body>, Response = Response<B>, Error: Debug>,
    B: http_body::Body<Error: Debug>,
{
    use http_body_util::BodyExt;
    runtime().block_on(async {
        let response = service.call(request).await.unwrap();
        response.into_body().collect().await.unwrap();
        // What packs large bodies goes on when the answer has been read.
        for _ in 0..50 {
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
    });
}

/// Asks a service whose answer is at hand, and returns it unread.
pub(crate) fn ask<S, B>(service: &mut S, request: Request<Body>) -> Response<B>
where
    S: Service<Request<Body>, Response = Response<B>, Error: Debug>,
{
    let mut future = pin!(service.call(request));
    match future
        .as_mut()
        .poll(&mut Context::from_waker(Waker::noop()))
    {
        Poll::Ready(response) => response.unwrap(),
        Poll::Pending => panic!("the answer was not at hand"),
    }
}

/// Asks a service whose answer is at hand, reads the answer, and returns its length.
pub(crate) fn read<S, B>(service: &mut S, request: Request<Body>) -> usize
where
    S: Service<Request<Body>, Response = Response<B>, Error: Debug>,
    B: http_body::Body<Data = bytes::Bytes, Error: Debug>,
{
    let mut body = pin!(ask(service, request).into_body());
    let mut length = 0;
    let mut context = Context::from_waker(Waker::noop());
    loop {
        match body.as_mut().poll_frame(&mut context) {
            Poll::Ready(Some(frame)) => {
                length += frame.unwrap().into_data().map_or(0, |data| data.len());
            }
            Poll::Ready(None) => return length,
            Poll::Pending => panic!("the body was not at hand"),
        }
    }
}

/// Fills a service with many pages.
pub(crate) fn fill_all<S, B>(service: &mut S, paths: &[String])
where
    S: Service<Request<Body>, Response = Response<B>, Error: Debug>,
    B: http_body::Body<Error: Debug>,
{
    use http_body_util::BodyExt;
    runtime().block_on(async {
        for path in paths {
            let response = service.call(request(path)).await.unwrap();
            response.into_body().collect().await.unwrap();
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    });
}

/// Returns numbers below `most` without end, of which the first ones come most often (Zipf, exponent
/// 1), the same for the same seed.
pub(crate) fn zipf(most: usize, seed: u64) -> impl Iterator<Item = usize> {
    let mut sum = 0.0;
    let shares = (1..=most).map(|rank| {
        sum += 1.0 / rank as f64;
        sum
    });
    let shares: Vec<f64> = shares.collect();
    let mut state = seed;
    std::iter::repeat_with(move || {
        // xorshift64*, as Vigna describes it.
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        let drawn = (state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11) as f64 / (1_u64 << 53) as f64;
        shares
            .partition_point(|share| *share < drawn * sum)
            .min(most - 1)
    })
}

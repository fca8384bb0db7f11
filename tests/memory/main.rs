//! What the process holds after strangers have asked for a million things: no more than was allowed.
//!
//! Everything runs on one thread, so that what the thread has allocated and not given back is all
//! that there is: keys, heads, bodies, the index, and every map beside it.

#![allow(
    clippy::unwrap_used,
    clippy::cast_precision_loss,
    reason = "a test may panic, and compares shares"
)]

use std::{convert::Infallible, future::Future};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::{Empty, Full};
use larder::{CacheLayer, Larder, Policy, Routes, Target, mins, secs};
use tower::{Layer, ServiceExt};

/// What the cache may take, in bytes.
const BOUND: u64 = 64 << 20;

/// Distinct keys of a flood: in an optimised build a million, else as many as fill it several times.
const FLOOD: u64 = if cfg!(debug_assertions) {
    60_000
} else {
    1_000_000
};

/// Distinct things that are not stored for long, where one of each must not be remembered.
const TRICKLE: u64 = FLOOD / 5;

/// What the cache holds besides responses, in bytes: the stamps of a hundred thousand invalidations
/// and their buckets, once for this process and once for others.
const BESIDE: i64 = 24 << 20;

type Page = Response<Full<Bytes>>;

/// Runs `work` on this thread and returns what it has left on the heap, in bytes, with its result.
fn kept<T>(work: impl Future<Output = T>) -> (i64, T) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let mut result = None;
    let heap = allocation_counter::measure(|| result = Some(runtime.block_on(work)));
    (heap.bytes_current, result.unwrap())
}

/// Asks for `count` pages, one after the other, and lets what each leaves behind be done.
async fn ask(
    larder: &Larder,
    policy: Policy,
    count: u64,
    page: fn(Request<Empty<Bytes>>) -> Page,
    request: impl Fn(u64) -> http::request::Builder,
) {
    let table = Routes::new().get("/{*page}", policy).build().unwrap();
    let handler = move |request| async move { Ok::<_, Infallible>(page(request)) };
    let cache = CacheLayer::new(larder)
        .routes(table)
        .layer(tower::service_fn(handler));
    for number in 0..count {
        let request = request(number).header("host", "a.test");
        let request = request.body(Empty::new()).unwrap();
        drop(cache.clone().oneshot(request).await.unwrap());
        if number % 64 == 0 {
            settle().await;
        }
    }
    settle().await;
}

async fn settle() {
    for _ in 0..8 {
        tokio::task::yield_now().await;
    }
}

async fn larder() -> Larder {
    let builder = Larder::builder().memory_bytes(BOUND).max_body(1 << 20);
    builder.build().await.unwrap()
}

fn share(bytes: i64) -> f64 {
    bytes as f64 / BOUND as f64
}

#[test]
fn a_million_distinct_keys_take_what_was_allowed() {
    let (bytes, larder) = kept(async {
        let larder = larder().await;
        let page = |request: Request<_>| {
            let number: usize = request.uri().path()[7..].parse().unwrap();
            let body = vec![b'x'; [200, 1000, 4000, 12_000][number % 4]];
            Response::new(Full::from(body))
        };
        let asked = |number| Request::get(format!("/items/{number}"));
        let policy = Policy::ttl(mins(5)).tag("item:{page}");
        ask(&larder, policy, FLOOD, page, asked).await;
        larder
    });
    let statistics = larder.statistics();
    assert!(statistics.bytes <= BOUND, "{statistics:?}");
    assert!(
        (0.9..=1.1).contains(&share(bytes)),
        "the heap holds {} of the bound: {statistics:?}",
        share(bytes)
    );
}

/// A response of four fields, which its handler made for it alone.
fn small() -> Page {
    let mut response = Response::new(Full::from(vec![b'x'; 1024]));
    for (name, value) in [
        ("cache-control", "max-age=300"),
        ("content-type", "application/json"),
        ("etag", "\"1767225600\""),
        ("last-modified", "Thu, 01 Jan 2026 00:00:00 GMT"),
    ] {
        let value = HeaderValue::from_static(value);
        response.headers_mut().insert(name, value);
    }
    response
}

#[test]
fn a_response_of_a_kibibyte_takes_at_most_eighteen_tenths_of_that() {
    let count = i64::try_from(BOUND / 4096).unwrap();
    let [empty, full] = [0, count].map(|count| {
        let (bytes, _larder) = kept(async {
            let larder = larder().await;
            let asked = |number| Request::get(format!("/items/{number}"));
            let policy = Policy::ttl(mins(5)).tag("item:{page}").compress(false);
            ask(&larder, policy, count.unsigned_abs(), |_| small(), asked).await;
            assert_eq!(larder.statistics().entries, count.unsigned_abs());
            larder
        });
        bytes
    });
    let each = (full - empty) / count;
    assert!(each * 10 <= 1024 * 18, "{each} bytes");
}

#[test]
fn a_flood_of_pages_that_are_not_there_takes_no_more_than_was_allowed() {
    let absent = |_: Request<_>| {
        let mut response = Response::new(Full::from("no such page"));
        *response.status_mut() = StatusCode::NOT_FOUND;
        response
    };
    let asked = |number| Request::get(format!("/absent/{number}"));
    for (policy, most) in [
        // Not stored, and nothing remembered of them.
        (Policy::ttl(mins(5)), 0.05),
        (Policy::ttl(mins(5)).negative_ttl(secs(5)), 1.1),
    ] {
        let (bytes, _larder) = kept(async {
            let larder = larder().await;
            ask(&larder, policy, TRICKLE, absent, asked).await;
            larder
        });
        assert!(share(bytes) <= most, "{} of the bound", share(bytes));
    }
}

#[test]
fn a_flood_of_urls_that_can_not_be_cached_leaves_nothing() {
    let (bytes, _larder) = kept(async {
        let larder = larder().await;
        let private = |_: Request<_>| {
            let mut response = Response::new(Full::from("for one alone"));
            let cookie = HeaderValue::from_static("session=1");
            response.headers_mut().insert("set-cookie", cookie);
            response
        };
        let asked = |number| Request::get(format!("/own/{number}"));
        ask(&larder, Policy::ttl(mins(5)), TRICKLE, private, asked).await;
        larder
    });
    assert!(share(bytes) <= 0.05, "{} of the bound", share(bytes));
}

#[test]
fn a_flood_of_values_that_one_page_varies_on_leaves_sixteen() {
    let (bytes, larder) = kept(async {
        let larder = larder().await;
        let varying = |_: Request<_>| {
            let mut response = Response::new(Full::from("for one of many"));
            let names = HeaderValue::from_static("x-visitor");
            response.headers_mut().insert("vary", names);
            response
        };
        let asked = |number| Request::get("/varying").header("x-visitor", number);
        ask(&larder, Policy::ttl(mins(5)), TRICKLE, varying, asked).await;
        larder
    });
    let statistics = larder.statistics();
    assert!(statistics.entries <= 17, "{statistics:?}");
    assert!(share(bytes) <= 0.05, "{} of the bound", share(bytes));
}

#[test]
fn a_flood_of_invalidations_is_folded_away() {
    let (bytes, _larder) = kept(async {
        let larder = larder().await;
        for number in 0..FLOOD.max(300_000) {
            larder
                .invalidate([Target::tag(&format!("tag:{number}"))])
                .await;
        }
        larder
    });
    assert!(bytes <= BESIDE, "{bytes} bytes");
}

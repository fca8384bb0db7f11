//! How much longer does a hit take with more in its key than the URL?

#![allow(
    missing_docs,
    clippy::unwrap_used,
    reason = "criterion makes functions without documentation, and a bench may panic"
)]

mod support;

use std::hint::black_box;

use axum::body::Body;
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use http::{HeaderValue, Request, header};
use larder::{Cache, CacheLayer, Key, Policy, Routes, mins};
use tower::Layer;

use self::support::{PATTERN, Page, ask, fill_with, larder, request};

/// A policy, and the requests that are keyed by it.
struct Case {
    name: &'static str,
    policy: Policy,
    uri: String,
}

fn cases() -> Vec<Case> {
    let policy = || Policy::ttl(mins(5));
    let case = |name, policy, uri: &str| Case {
        name,
        policy,
        uri: uri.to_owned(),
    };
    let long = format!("/pages/{}", "a".repeat(1000));
    let query = "/pages/42?a=1&b=2&c=3&d=4&e=5&f=6&g=7&h=8&page=9&sort=price";
    vec![
        case("url", policy(), "/pages/42"),
        case("url of a thousand bytes", policy(), &long),
        case("url with ten parameters", policy(), query),
        case(
            "two of ten parameters",
            policy().query(["page", "sort"]),
            query,
        ),
        case("route", policy().key(Key::route().params()), "/pages/42"),
        case(
            "two header fields",
            policy().vary(["accept", "accept-language"]),
            "/pages/42",
        ),
        case(
            "one of two cookies",
            policy().key_cookies(["theme"]).ignore_cookies(["seen"]),
            "/pages/42",
        ),
    ]
}

fn asked(case: &Case) -> Request<Body> {
    let mut request = request(&case.uri);
    let more = match case.name {
        "two header fields" => (header::ACCEPT_LANGUAGE, "de, en;q=0.5"),
        "one of two cookies" => (header::COOKIE, "theme=dark; seen=yesterday"),
        _ => return request,
    };
    let value = HeaderValue::from_static(more.1);
    request.headers_mut().insert(more.0, value);
    request
}

fn cached(case: &Case) -> Cache<Page> {
    let table = Routes::new().get(PATTERN, case.policy.clone());
    let layer = CacheLayer::new(&larder()).routes(table.build().unwrap());
    let mut service = layer.layer(Page::of(100));
    fill_with(&mut service, asked(case));
    service
}

fn how_much_longer_does_a_hit_take_with_more_in_its_key(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("how long does a hit take by its key");
    for case in cases() {
        let mut service = cached(&case);
        group.bench_function(case.name, |bencher| {
            bencher.iter_batched(
                || asked(&case),
                |request| {
                    let response = ask(&mut service, request);
                    debug_assert!(response.headers().contains_key(header::AGE), "no hit");
                    black_box(response)
                },
                BatchSize::SmallInput,
            );
        });
    }
    group.finish();
}

criterion_group!(keys, how_much_longer_does_a_hit_take_with_more_in_its_key);
criterion_main!(keys);

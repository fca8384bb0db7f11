//! How many instructions does it take? Run by `scripts/instructions` under valgrind.
//!
//! `instructions SUBJECT QUESTION LENGTH ROUNDS`: prepares, and then answers `ROUNDS` requests inside
//! [`measured`], the only function that is counted.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a bench may panic, and says how it is used"
)]

mod support;

use std::hint::black_box;

use axum::body::Body;
use http::Request;
use larder::CacheLayer;
use tower::Layer;

use self::support::{
    Floor, FloorLayer, Page, ask, cached, fill, larder, layer, request, router, runtime,
};

const PATH: &str = "/pages/42";

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [subject, question, length, rounds] = arguments.as_slice() else {
        eprintln!("to be run by scripts/instructions");
        return;
    };
    let length = length.parse().unwrap();
    let rounds = rounds.parse().unwrap();
    run(subject, question, length, rounds);
}

fn run(subject: &str, question: &str, length: usize, rounds: usize) {
    let page = match question {
        "gzip" => Page::of_text(length),
        "pass" => Page::private(length),
        _ => Page::of(length),
    };
    let floor = Floor::new(&page, [PATH]);
    match (subject, question) {
        ("axum", _) => count(rounds, router(page)),
        ("bare", _) => count(rounds, page),
        ("floor", "mounted") => count(rounds, router(page).layer(FloorLayer(floor))),
        ("floor", _) => count(rounds, floor),
        ("larder", "mounted") => {
            let mut service = router(page).layer(layer());
            fill(&mut service, PATH);
            count(rounds, service);
        }
        ("larder", "around") => {
            let mut service = layer().around(router(page));
            fill(&mut service, PATH);
            count(rounds, service);
        }
        ("larder", "pass") => count(rounds, CacheLayer::new(&larder()).layer(page)),
        ("larder", _) => {
            let mut service = cached(page);
            fill(&mut service, PATH);
            count(rounds, service);
        }
        _ => panic!("no subject `{subject}`"),
    }
}

fn count<S, B>(rounds: usize, mut service: S)
where
    S: tower::Service<Request<Body>, Response = http::Response<B>, Error: std::fmt::Debug>,
{
    let runtime = runtime();
    let _inside = runtime.enter();
    // Until a route has shown that nothing of it is ever stored, its requests are kept.
    for _ in 0..100 {
        ask(&mut service, request(PATH));
    }
    let requests: Vec<_> = (0..rounds).map(|_| request(PATH)).collect();
    measured(&mut service, requests);
}

/// What is counted: from the request to the answer, both dropped, the request made beforehand.
#[inline(never)]
fn measured<S, B>(service: &mut S, requests: Vec<Request<Body>>)
where
    S: tower::Service<Request<Body>, Response = http::Response<B>, Error: std::fmt::Debug>,
{
    for request in requests {
        black_box(ask(service, request));
    }
}

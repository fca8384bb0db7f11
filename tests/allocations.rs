//! What does an answer cost in allocations? Counts alone, which are the same on every machine.
//!
//! The figures are bounds that are kept, not records.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may panic"
)]

#[path = "../benches/support/mod.rs"]
mod support;

use allocation_counter::{AllocationInfo, measure};
use axum::body::Body;
use http::{Request, Response};
use larder::{CacheLayer, Policy, Routes, hours};
use support::{Floor, LENGTHS, Page, ask, cached, fill, larder, layer, request, router, runtime};
use tower::{Layer, Service};

const PATH: &str = "/pages/42";

/// How many requests are counted.
const ROUNDS: u64 = 100;

/// Returns what `ROUNDS` answers take, from the request to the dropped answer.
///
/// The least of three tries: the first answer of all with an age, or a time that is left, makes the
/// value that the others copy.
fn count<S, B>(mut service: S) -> AllocationInfo
where
    S: Service<Request<Body>, Response = Response<B>, Error: std::fmt::Debug>,
{
    let runtime = runtime();
    let _inside = runtime.enter();
    let least = (0..3).map(|_| {
        ask(&mut service, request(PATH));
        let requests: Vec<_> = (0..ROUNDS).map(|_| request(PATH)).collect();
        measure(|| {
            for request in requests {
                drop(ask(&mut service, request));
            }
        })
    });
    least.min_by_key(|counted| counted.count_total).unwrap()
}

fn filled(page: Page) -> larder::Cache<Page> {
    let mut service = cached(page);
    fill(&mut service, PATH);
    service
}

#[test]
fn a_hit_takes_the_two_allocations_of_its_fields_whatever_its_length() {
    for length in LENGTHS {
        let counted = count(filled(Page::of(length)));
        assert_eq!(counted.count_total, 2 * ROUNDS, "{length}");
        let bytes = counted.bytes_total / ROUNDS;
        assert!(bytes <= 800, "a hit of {length} takes {bytes} bytes");
    }
}

#[test]
fn the_floor_takes_as_many_allocations_as_a_hit() {
    let page = Page::of(100);
    let floor = count(Floor::new(&page, [PATH]));
    assert_eq!(floor.count_total, 2 * ROUNDS);
}

#[test]
fn a_compressed_hit_takes_no_more_than_another() {
    let counted = count(filled(Page::of_text(4 << 10)));
    assert_eq!(counted.count_total, 2 * ROUNDS);
}

#[test]
fn what_passes_takes_at_most_one_allocation_more_than_without_a_layer() {
    let page = Page::private(100);
    let bare = count(page.clone());
    let mut layered = CacheLayer::new(&larder()).layer(page);
    // Until a route has shown that nothing of it is ever stored, its requests are kept.
    for _ in 0..100 {
        ask(&mut layered, request(PATH));
    }
    let passed = count(layered);
    assert!(
        passed.count_total <= bare.count_total + ROUNDS,
        "{} allocations with a layer, {} without",
        passed.count_total / ROUNDS,
        bare.count_total / ROUNDS
    );
}

#[test]
fn a_layer_inside_a_router_takes_no_more_than_the_least_layer_there() {
    let page = Page::of(100);
    let floor = Floor::new(&page, [PATH]);
    let least = count(router(page.clone()).layer(support::FloorLayer(floor)));
    let mut mounted = router(page).layer(layer());
    fill(&mut mounted, PATH);
    let mounted = count(mounted);
    assert!(
        mounted.count_total <= least.count_total,
        "{} allocations, {} for the least layer",
        mounted.count_total / ROUNDS,
        least.count_total / ROUNDS
    );
}

#[test]
fn a_hit_that_stays_fresh_for_long_takes_no_more_than_another() {
    let policy = Policy::ttl(hours(24));
    let table = Routes::new().get(support::PATTERN, policy).build().unwrap();
    let mut service = CacheLayer::new(&larder())
        .routes(table)
        .layer(Page::of(100));
    fill(&mut service, PATH);
    assert_eq!(count(service).count_total, 2 * ROUNDS);
}

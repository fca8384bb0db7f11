//! How long does a hit take, beside the least that could serve it and a router that makes the page anew?

#![allow(
    missing_docs,
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "criterion makes functions without documentation; a bench may panic, and reads the clock"
)]

mod support;

use std::{
    fmt::Debug,
    hint::black_box,
    thread,
    time::{Duration, Instant},
};

use axum::body::Body;
use criterion::{
    BatchSize, BenchmarkGroup, BenchmarkId, Criterion, criterion_group, criterion_main,
    measurement::WallTime,
};
use http::{Request, Response};
use tower::Service;

use self::support::{
    Floor, FloorLayer, LENGTHS, Page, ask, cached, fill, layer, request, router, zipf,
};

const PATH: &str = "/pages/42";

/// How many pages there are where threads ask for many.
const PAGES: usize = 500;

fn one<S, B>(group: &mut BenchmarkGroup<'_, WallTime>, subject: &str, length: usize, mut service: S)
where
    S: Service<Request<Body>, Response = Response<B>, Error: Debug>,
{
    group.bench_function(BenchmarkId::new(subject, length), |bencher| {
        bencher.iter_batched(
            || request(PATH),
            |request| black_box(ask(&mut service, request)),
            BatchSize::SmallInput,
        );
    });
}

fn how_long_does_a_hit_take(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("how long does a hit take");
    for length in LENGTHS {
        let page = Page::of(length);
        one(&mut group, "axum", length, router(page.clone()));
        one(&mut group, "floor", length, Floor::new(&page, [PATH]));
        let mut service = cached(page);
        fill(&mut service, PATH);
        one(&mut group, "larder", length, service);
    }
    group.finish();
}

fn how_long_does_a_compressed_hit_take(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("how long does a compressed hit take");
    for length in LENGTHS {
        let page = Page::of_text(length);
        one(&mut group, "floor", length, Floor::new(&page, [PATH]));
        let mut service = cached(page);
        fill(&mut service, PATH);
        one(&mut group, "larder", length, service);
    }
    group.finish();
}

fn how_long_does_a_hit_take_inside_a_router(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("how long does a hit take inside a router");
    let page = Page::of(4 << 10);
    let floor = FloorLayer(Floor::new(&page, [PATH]));
    one(&mut group, "axum", 4 << 10, router(page.clone()));
    one(
        &mut group,
        "floor",
        4 << 10,
        router(page.clone()).layer(floor),
    );
    let mut service = router(page).layer(layer());
    fill(&mut service, PATH);
    one(&mut group, "larder", 4 << 10, service);
    group.finish();
}

/// Two threads that ask for pages by a Zipf distribution, some far more often than others.
fn two<S, B>(group: &mut BenchmarkGroup<'_, WallTime>, subject: &str, length: usize, service: &S)
where
    S: Service<Request<Body>, Response = Response<B>, Error: Debug> + Clone + Send,
{
    let paths: Vec<String> = (0..PAGES).map(|page| format!("/pages/{page}")).collect();
    let paths = &paths;
    let ask_for = |mut service: S, rounds: u64, seed: u64| {
        for page in zipf(PAGES, seed).take(usize::try_from(rounds).unwrap()) {
            black_box(ask(&mut service, request(&paths[page])));
        }
    };
    group.bench_function(BenchmarkId::new(subject, length), |bencher| {
        bencher.iter_custom(|rounds| -> Duration {
            let begun = Instant::now();
            thread::scope(|scope| {
                for seed in [1, 2] {
                    let service = service.clone();
                    scope.spawn(move || ask_for(service, rounds.div_ceil(2), seed));
                }
            });
            begun.elapsed()
        });
    });
}

fn how_long_do_hits_of_two_threads_take(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("how long do hits of two threads take");
    let paths: Vec<String> = (0..PAGES).map(|page| format!("/pages/{page}")).collect();
    // So many bodies of 1 MiB are more than a cache holds by itself.
    for length in LENGTHS.into_iter().filter(|length| *length < 1 << 20) {
        let page = Page::of(length);
        let floor = Floor::new(&page, paths.iter().map(String::as_str));
        two(&mut group, "floor", length, &floor);
        let mut service = cached(page);
        support::fill_all(&mut service, &paths);
        two(&mut group, "larder", length, &service);
    }
    group.finish();
}

criterion_group!(
    hits,
    how_long_does_a_hit_take,
    how_long_does_a_compressed_hit_take,
    how_long_does_a_hit_take_inside_a_router,
    how_long_do_hits_of_two_threads_take
);
criterion_main!(hits);

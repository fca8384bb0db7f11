//! How long does it take when the handler has to answer: on a route without a policy, on a miss, and
//! for a hundred who ask for the same at once?

#![allow(
    missing_docs,
    clippy::unwrap_used,
    reason = "criterion makes functions without documentation, and a bench may panic"
)]

mod support;

use std::hint::black_box;

use criterion::{BatchSize, BenchmarkId, Criterion, criterion_group, criterion_main};
use larder::CacheLayer;
use tower::{Layer, Service};

use self::support::{LENGTHS, Page, ask, cached, larder, request, runtime};

const PATH: &str = "/pages/42";

fn how_long_does_it_take_to_pass(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("how long does it take to pass");
    let mut bare = Page::private(100);
    let mut layered = CacheLayer::new(&larder()).layer(bare.clone());
    group.bench_function("bare", |bencher| {
        let asked = |request| black_box(ask(&mut bare, request));
        bencher.iter_batched(|| request(PATH), asked, BatchSize::SmallInput);
    });
    group.bench_function("larder", |bencher| {
        let asked = |request| black_box(ask(&mut layered, request));
        bencher.iter_batched(|| request(PATH), asked, BatchSize::SmallInput);
    });
    group.finish();
}

fn how_long_does_a_miss_take(criterion: &mut Criterion) {
    use http_body_util::BodyExt;
    let runtime = runtime();
    let mut group = criterion.benchmark_group("how long does a miss take");
    for length in LENGTHS {
        let service = cached(Page::of(length));
        let mut page = 0_u64;
        group.bench_function(BenchmarkId::new("larder", length), |bencher| {
            bencher.iter(|| {
                page += 1;
                let asked = request(&format!("/pages/{page}"));
                let mut service = service.clone();
                runtime.block_on(async move {
                    let response = service.call(asked).await.unwrap();
                    black_box(response.into_body().collect().await.unwrap())
                })
            });
        });
    }
    group.finish();
}

fn how_long_do_a_hundred_wait_for_one_page(criterion: &mut Criterion) {
    use http_body_util::BodyExt;
    let runtime = runtime();
    let service = cached(Page::of(4 << 10));
    let mut page = 0_u64;
    criterion.bench_function("how long do a hundred wait for one page", |bencher| {
        bencher.iter(|| {
            page += 1;
            let path = format!("/pages/{page}");
            let calls: Vec<_> = (0..100)
                .map(|_| service.clone().call(request(&path)))
                .collect();
            runtime.block_on(async move {
                let crowd: tokio::task::JoinSet<_> = calls
                    .into_iter()
                    .map(|call| async move {
                        call.await.unwrap().into_body().collect().await.unwrap();
                    })
                    .collect();
                crowd.join_all().await;
            });
        });
    });
}

criterion_group!(
    misses,
    how_long_does_it_take_to_pass,
    how_long_does_a_miss_take,
    how_long_do_a_hundred_wait_for_one_page
);
criterion_main!(misses);

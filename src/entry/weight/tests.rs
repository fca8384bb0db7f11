use std::sync::Arc;

use bytes::Bytes;

use super::*;
use crate::{
    clock::Timestamp,
    entry::{
        Coding, Form,
        samples::{Sample, fields},
    },
};

fn sample(headers: &HeaderMap, body: usize, coding: Coding, tags: usize) -> Sample {
    Sample {
        headers: headers.clone(),
        coding,
        tags: (0..tags).map(|tag| format!("tag:{tag}")).collect(),
        ..Sample::new(&"k".repeat(90)).body(vec![7; body])
    }
}

/// Does what a hit does to an entry.
fn serve(entry: &Entry) {
    let status = HeaderValue::from_static("larder; hit; ttl=60; detail=MEMORY");
    let now = Timestamp::from_millis(12_345_678);
    let gzip = entry.body.coding == Coding::Gzip;
    for form in [Form::Plain, Form::Gzip]
        .into_iter()
        .take(1 + usize::from(gzip))
    {
        drop((entry.fields(form, now, Some(&status)), entry.body.clone()));
    }
}

/// Returns what a thousand entries weigh, what they keep once each has been served, and in how many
/// blocks.
fn weigh(sample: &Sample) -> (u64, u64, u64) {
    // What is pooled by the first is not counted, and packing takes what other tests may have taken.
    let first = sample.clone().entry();
    serve(&first);
    let mut weight = 0;
    let mut kept = Vec::with_capacity(1000);
    let heap = allocation_counter::measure(|| {
        for _ in 0..1000 {
            // A key and a body of its own, as with real requests.
            let unpacked = Sample {
                key: (&*sample.key).into(),
                body: Bytes::new(),
                coding: Coding::Identity,
                ..sample.clone()
            }
            .entry();
            let body = StoredBody {
                bytes: Bytes::copy_from_slice(&first.body.bytes),
                ..first.body
            };
            let trailers = unpacked.trailers.clone();
            let entry = Arc::new(Entry::new(Arc::clone(&unpacked.head), body, trailers));
            drop(unpacked);
            serve(&entry);
            weight += entry.weight();
            kept.push(entry);
        }
    });
    let count = |kept: i64| u64::try_from(kept).unwrap();
    (weight, count(heap.bytes_current), count(heap.count_current))
}

#[test]
fn the_weight_of_an_entry_is_what_it_keeps_allocated() {
    let plain = fields(&[
        ("content-type", "application/json"),
        ("etag", "\"0123456789abcdef\""),
        ("cache-control", "max-age=60"),
        ("x-powered-by", "a handler"),
    ]);
    let lines = fields(&[
        ("vary", "accept"),
        ("vary", "accept-language"),
        ("link", "</a>"),
        ("link", "</b>"),
        ("link", "</c>"),
    ]);
    let trailing = Sample {
        trailers: Some(crate::entry::own(&plain)),
        ..sample(&lines, 10, Coding::Identity, 1)
    };
    for sample in [
        sample(&HeaderMap::new(), 0, Coding::Identity, 0),
        sample(&plain, 0, Coding::Identity, 0),
        sample(&plain, 1024, Coding::Identity, 2),
        sample(&plain, 2048, Coding::Gzip, 0),
        sample(&plain, 100_000, Coding::Identity, 0),
        sample(&lines, 300, Coding::Identity, 64),
        trailing,
    ] {
        let (weight, heap, blocks) = weigh(&sample);
        // The allocator's own share of a block, which is not counted, is 8 to 31 bytes.
        let most = heap + 28 * blocks + heap / 50;
        assert!(
            heap <= weight && weight <= most,
            "{sample:?} weighs {weight}, keeps {heap} in {blocks} blocks"
        );
    }
}

#[test]
fn a_block_has_a_head_and_comes_in_steps() {
    assert_eq!([0, 1, 24, 25, 40, 41].map(block), [0, 32, 32, 48, 48, 64]);
    assert_eq!(block(usize::MAX), usize::MAX & !15);
}

//! A queue in Redis: two nodes at one queue, and a Redis that ends or may not be trusted.

use std::{
    collections::BTreeMap,
    num::NonZeroU16,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use larder::{
    ErrorKind, Larder, secs,
    write_behind::{Sink, SinkError, Write, WriteBehind},
};
use tokio::time::sleep;

use super::{place::patient, support::redis::Redis};

/// Long enough for anything that is waited for here.
const LONG: Duration = Duration::from_secs(60);

/// A sink that all nodes write to.
#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<Write<u64>>>>);

impl Sink<u64> for Shared {
    async fn write(&self, batch: &[Write<u64>]) -> Result<(), SinkError> {
        // Others have their chance to come in between.
        tokio::task::yield_now().await;
        self.0.lock().unwrap().extend_from_slice(batch);
        Ok(())
    }
}

impl Shared {
    /// Returns of each key the values in the order in which they came first.
    fn firsts(&self) -> BTreeMap<String, Vec<u64>> {
        let mut firsts: BTreeMap<String, Vec<u64>> = BTreeMap::new();
        for write in self.0.lock().unwrap().iter() {
            let values = firsts.entry(write.key.clone()).or_default();
            if !values.contains(&write.value) {
                values.push(write.value);
            }
        }
        firsts
    }

    fn len(&self) -> usize {
        self.0.lock().unwrap().len()
    }
}

async fn start(redis: &Redis, sink: &Shared) -> (Larder, WriteBehind<u64>) {
    let larder = patient(&redis.url()).await;
    let queue = larder
        .write_behind("numbers")
        .held_for(Duration::from_millis(500));
    let queue = queue.start(sink.clone()).await.unwrap();
    (larder, queue)
}

#[tokio::test(flavor = "multi_thread")]
async fn two_nodes_at_one_queue_lose_nothing_and_keep_the_order_of_each_key() {
    let (redis, sink) = (Redis::start(), Shared::default());
    let nodes = [start(&redis, &sink).await, start(&redis, &sink).await];
    let adders = (0..8_u64).map(|key| {
        let queue = nodes[usize::from(key % 2 == 1)].1.clone();
        tokio::spawn(async move {
            for value in 0..250 {
                queue.add(&key.to_string(), &value).await.unwrap();
            }
        })
    });
    let adders: Vec<_> = adders.collect();
    // One of the two goes in the middle, and the other one takes its lanes.
    while sink.len() < 200 {
        sleep(Duration::from_millis(1)).await;
    }
    nodes[0].0.shutdown(secs(10)).await;
    for adder in adders {
        adder.await.unwrap();
    }
    assert!(nodes[1].1.drain(LONG).await.unwrap());
    let firsts = sink.firsts();
    assert_eq!(firsts.len(), 8);
    for (key, values) in firsts {
        assert_eq!(values, (0..250).collect::<Vec<_>>(), "key {key}");
    }
    // A sink that notes ids must not take one write for another, of whichever lane.
    let written = sink.0.lock().unwrap();
    let ids: BTreeMap<_, _> = written.iter().map(|write| (&write.id, write)).collect();
    assert_eq!((ids.len(), written.len()), (2000, 2000));
    let mut last: BTreeMap<&str, u64> = BTreeMap::new();
    for write in ids.into_values() {
        let before = last.insert(&write.key, write.value);
        assert!(
            before < Some(write.value),
            "ids of {} are not in order",
            write.key
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_redis_with_a_log_has_acknowledged_outlives_its_end() {
    // With `everysec` the log is not even written while it is being synced, so a killed server may
    // have forgotten what it had acknowledged.
    let settings = [("appendonly", "yes"), ("appendfsync", "always")];
    let (mut redis, sink) = (Redis::with(&settings), Shared::default());
    let (larder, queue) = start(&redis, &sink).await;
    let mut kept: Vec<u64> = Vec::new();
    let mut value = 0;
    for round in 1..=3 {
        let adder = tokio::spawn({
            let queue = queue.clone();
            async move {
                let mut kept = Vec::new();
                // Until the server is gone, which ends in an error and never in a false word.
                while queue.add("7", &value).await.is_ok() {
                    kept.push(value);
                    value += 1;
                }
                kept
            }
        });
        while sink.len() < 300 * round {
            sleep(Duration::from_millis(1)).await;
        }
        redis.kill();
        kept.extend(adder.await.unwrap());
        redis.begin();
        value = kept.last().unwrap() + 1000;
        // It is found again on its own.
        while queue.add("7", &value).await.is_err() {
            value += 1;
            sleep(Duration::from_millis(20)).await;
        }
        kept.push(value);
        value += 1;
    }
    assert!(queue.drain(LONG).await.unwrap());
    let came = &sink.firsts()["7"];
    assert!(came.is_sorted(), "out of order");
    let lost: Vec<_> = kept.iter().filter(|value| !came.contains(value)).collect();
    assert!(lost.is_empty(), "{lost:?} of {} are lost", kept.len());
    assert_eq!(larder.statistics().lost_writes(), 0);
}

#[tokio::test]
async fn a_lane_that_was_removed_is_begun_anew() {
    let (redis, sink) = (Redis::start(), Shared::default());
    let (larder, queue) = start(&redis, &sink).await;
    for value in 0..3 {
        queue.add("7", &value).await.unwrap();
        assert!(queue.drain(LONG).await.unwrap());
        for name in redis.names() {
            if value == 0 && name.contains(":w:numbers:") {
                redis.ask(&["DEL", &name]);
            } else if value == 1 {
                redis.ask(&["XGROUP", "DESTROY", &name, "larder"]);
            }
        }
    }
    assert_eq!(sink.firsts()["7"], [0, 1, 2]);
    assert_eq!(larder.statistics().lost_writes(), 0);
}

/// A sink that takes nothing until it is opened.
#[derive(Clone, Default)]
struct Closed(Shared, Arc<AtomicBool>);

impl Sink<u64> for Closed {
    async fn write(&self, batch: &[Write<u64>]) -> Result<(), SinkError> {
        if !self.1.load(Ordering::SeqCst) {
            return Err("not now".into());
        }
        self.0.write(batch).await
    }
}

#[tokio::test]
async fn writes_that_were_removed_under_the_queue_are_counted() {
    for command in ["DEL", "FLUSHALL"] {
        let (redis, sink) = (Redis::start(), Closed::default());
        let larder = patient(&redis.url()).await;
        let queue = larder.write_behind("numbers").lanes(NonZeroU16::MIN);
        let queue = queue.start(sink.clone()).await.unwrap();
        for value in 0..3 {
            queue.add("7", &value).await.unwrap();
        }
        // A round that began after the last one was added has met them all.
        let before = larder.statistics().failures();
        while larder.statistics().failures() < before + 2 {
            sleep(Duration::from_millis(1)).await;
        }
        let words = [command, "larder:{larder}:w:numbers:0"];
        redis.ask(&words[..if command == "DEL" { 2 } else { 1 }]);
        queue.add("7", &3).await.unwrap();
        sink.1.store(true, Ordering::SeqCst);
        assert!(queue.drain(LONG).await.unwrap());
        let statistics = larder.statistics();
        assert_eq!(
            (statistics.lost_writes(), statistics.buried_writes()),
            (3, 0),
            "{command}"
        );
        assert_eq!(sink.0.firsts()["7"], [3]);
    }
}

#[tokio::test]
async fn a_queue_in_a_redis_that_may_evict_it_does_not_start() {
    for policy in ["allkeys-lru", "allkeys-lfu", "allkeys-random"] {
        let redis = Redis::with(&[("maxmemory-policy", policy)]);
        let larder = patient(&redis.url()).await;
        let started = larder.write_behind("numbers").start(Shared::default());
        let refused = started.await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Configuration);
        assert!(refused.to_string().contains(policy), "{refused}");
    }
}

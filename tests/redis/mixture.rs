//! Requests of every kind at once, on two nodes of one Redis that are strict.

use std::time::Duration;

use larder::{CacheLayer, Consistency, Larder};

use crate::{
    every_kind::{nodes, played, windows},
    support::redis::Redis,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_is_asked_of_strict_nodes_no_answer_is_older_than_what_was_acknowledged_on_any() {
    for lock in [false, true] {
        let redis = Redis::start();
        let mut layers = Vec::new();
        for _ in 0..2 {
            let larder = Larder::builder()
                .redis(redis.url().as_str())
                .consistency(Consistency::Strict)
                .flight_lock(lock);
            let larder = larder.build().await.unwrap();
            let layer = CacheLayer::new(&larder);
            layers.push((larder, layer));
        }
        let (truth, nodes) = nodes(layers, &windows());
        let reads = played(&truth, &nodes, Duration::from_secs(2)).await;
        assert!(reads > 100, "{reads} reads");
        for (larder, _) in &nodes {
            let counted = larder.statistics();
            assert!(counted.redis.hits > 0, "{counted:?}");
        }
    }
}

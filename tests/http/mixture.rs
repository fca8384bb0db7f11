//! Requests of every kind at once, on one node.

use std::time::Duration;

use larder::{CacheLayer, Larder};

use crate::every_kind::{nodes, played, windows};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_is_asked_no_answer_is_older_than_what_was_acknowledged_before() {
    let patient = windows();
    let hasty = windows().soft_timeout(Duration::from_millis(2));
    for (gateway, policy) in [(false, &patient), (false, &hasty), (true, &patient)] {
        let larder = Larder::builder().build().await.unwrap();
        let layer = if gateway {
            CacheLayer::gateway(&larder)
        } else {
            CacheLayer::new(&larder)
        };
        let (truth, nodes) = nodes(vec![(larder.clone(), layer)], policy);
        let reads = played(&truth, &nodes, Duration::from_millis(1500)).await;
        let counted = larder.statistics();
        assert!(reads > 100, "{reads} reads");
        assert!(counted.refreshes() > 0 && counted.entries > 0);
    }
}

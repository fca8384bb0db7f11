//! What one node tells of the others.

use std::time::{Duration, Instant};

use larder::Larder;

use crate::{desk::Desk, support::redis::Redis};

/// Within this time what has to happen soon has happened, on a machine that does other things too.
const SOON: Duration = Duration::from_secs(10);

const EXPLAIN: &str = "/explain?url=http%3A%2F%2Fshop.test%2Fitems%2F1";

/// Starts a node that hears what the others say.
async fn node(redis: &Redis) -> Desk {
    let desk = Desk::of(Larder::builder().redis(redis.url())).await;
    let began = Instant::now();
    while desk.larder.statistics().shared.sync_age.is_none() {
        assert!(began.elapsed() < SOON, "not in sync");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    desk
}

/// Waits until a node answers so, with a word in it.
async fn wait_until(desk: &Desk, path: &str, word: &str) -> String {
    let began = Instant::now();
    loop {
        let told = desk.look(path).await.to_string();
        if told.contains(word) {
            return told;
        }
        assert!(began.elapsed() < SOON, "no {word}: {told}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn who_killed_an_entry_is_told_by_the_other_nodes_too() {
    let redis = Redis::start();
    let (one, other) = (node(&redis).await, node(&redis).await);
    other.visit("GET", "/items/1").await;
    one.visit("PUT", "/items/1").await;
    let told = wait_until(&other, EXPLAIN, "stamped by").await;
    assert!(
        told.contains("tag item:1 stamped by PUT /items/1 on another node 0 s ago"),
        "{told}"
    );
    // It is told once, and whoever made it does not hear of itself as of another.
    let own = one.look("/invalidations").await["invalidations"].clone();
    assert_eq!(own.as_array().map(Vec::len), Some(1), "{own}");
    assert_eq!(own[0]["source"], "PUT /items/1");
}

#[tokio::test]
async fn the_document_tells_of_the_second_tier_too() {
    let redis = Redis::start();
    let desk = node(&redis).await;
    for path in ["/stats", "/health"] {
        let tier = desk.look(path).await["second_tier"].clone();
        assert_eq!(tier["state"], "connected", "{path}: {tier}");
    }
}

#[tokio::test]
async fn what_another_program_invalidated_is_told_on_every_node() {
    let redis = Redis::start();
    let desks = [node(&redis).await, node(&redis).await];
    let message = r#"{"id":"one","tags":["item:1"]}"#;
    redis.ask(&["PUBLISH", "larder:{larder}:invalidate", message]);
    for desk in &desks {
        let told = wait_until(desk, "/invalidations", "another program").await;
        assert!(told.contains("tag item:1"), "{told}");
    }
}

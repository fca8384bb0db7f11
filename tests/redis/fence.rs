//! What is invalidated on one node is void on the others, whatever becomes of Redis.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use larder::{Ack, Consistency, Target};

use super::{
    node::{Node, Truth},
    support::redis::Redis,
};

const BOUNDED: Consistency = Consistency::Bounded;
const STRICT: Consistency = Consistency::Strict;

/// Bounded nodes follow within this time at the worst.
const BOUND: Duration = Duration::from_secs(2);

async fn two(redis: &Redis, truth: &Arc<Truth>, consistency: Consistency) -> (Node, Node) {
    let url = redis.url();
    (
        Node::start(&url, truth, consistency).await,
        Node::start(&url, truth, consistency).await,
    )
}

/// Asks until the answer is of `version`, and fails if that takes longer than the bound.
async fn follows(node: &Node, path: &str, version: u64) {
    let began = Instant::now();
    while node.get(path).await < version {
        assert!(began.elapsed() < BOUND, "stale after {:?}", began.elapsed());
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Changes the truth until that is acknowledged globally, and returns the version: a server that is
/// back is asked again within the bound.
async fn globally(node: &Node, path: &str) -> u64 {
    let began = Instant::now();
    loop {
        let (version, ack) = node.put(path).await;
        if ack == Ack::Global {
            return version;
        }
        assert!(began.elapsed() < BOUND, "{ack:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn what_one_node_invalidates_is_void_on_the_other() {
    let (redis, truth) = (Redis::start(), Truth::new());
    let (one, other) = two(&redis, &truth, BOUNDED).await;
    for _ in 0..20 {
        let before = truth.version();
        assert_eq!(one.get("/items/1").await, before);
        assert_eq!(other.get("/items/1").await, before);
        let (version, ack) = one.put("/items/1").await;
        assert_eq!(ack, Ack::Global);
        assert_eq!(one.get("/items/1").await, version, "on the node itself");
        follows(&other, "/items/1", version).await;
    }
    let runs = truth.runs();
    for _ in 0..20 {
        one.get("/items/1").await;
        other.get("/items/1").await;
    }
    assert_eq!(truth.runs(), runs, "what is not invalidated stays");
}

#[tokio::test]
async fn a_strict_node_is_never_behind_an_acknowledgement() {
    let (redis, truth) = (Redis::start(), Truth::new());
    let (one, other) = two(&redis, &truth, STRICT).await;
    for _ in 0..200 {
        let (version, ack) = one.put("/items/1").await;
        assert_eq!(ack, Ack::Global);
        assert_eq!(other.get("/items/1").await, version);
        assert_eq!(other.get("/items/1").await, version);
    }
    let runs = truth.runs();
    assert!(runs <= 400, "the second of two was a hit: {runs}");
    other.get("/items/1").await;
    assert_eq!(truth.runs(), runs);
}

#[tokio::test]
async fn a_slow_fill_on_one_node_does_not_outlive_an_invalidation_on_the_other() {
    for consistency in [STRICT, BOUNDED] {
        let (redis, truth) = (Redis::start(), Truth::new());
        let (one, other) = two(&redis, &truth, consistency).await;
        truth.close();
        let slow = tokio::spawn({
            let other = other.clone();
            async move { other.get("/items/1").await }
        });
        truth.read().await;
        let (version, ack) = one.put("/items/1").await;
        assert_eq!(ack, Ack::Global);
        if consistency == BOUNDED {
            tokio::time::sleep(BOUND).await;
        }
        // Whoever comes now must not be given what the slow one has read.
        let follower = tokio::spawn({
            let other = other.clone();
            async move { other.get("/items/1").await }
        });
        tokio::time::sleep(Duration::from_millis(100)).await;
        truth.open();
        assert_eq!(slow.await.unwrap(), version - 1);
        assert_eq!(follower.await.unwrap(), version);
        assert_eq!(other.get("/items/1").await, version);
    }
}

#[tokio::test]
async fn a_killed_server_leaves_tagged_responses_a_second_and_others_their_lifetime() {
    let (mut redis, truth) = (Redis::start(), Truth::new());
    let (one, _) = two(&redis, &truth, BOUNDED).await;
    one.get("/items/1").await;
    one.get("/plain/1").await;
    redis.kill();
    one.out_of_sync().await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let runs = truth.runs();
    one.get("/plain/1").await;
    assert_eq!(truth.runs(), runs, "no tags");
    one.get("/items/1").await;
    assert_eq!(truth.runs(), runs + 1, "filled more than a second ago");
    one.get("/items/1").await;
    assert_eq!(truth.runs(), runs + 1, "filled just now");
    assert!(one.fenced_by("unverified") > 0);
}

#[tokio::test]
async fn a_strict_node_without_its_server_has_no_hits() {
    let (mut redis, truth) = (Redis::start(), Truth::new());
    let (one, _) = two(&redis, &truth, STRICT).await;
    one.get("/plain/1").await;
    redis.kill();
    let runs = truth.runs();
    for more in 1..4 {
        one.get("/plain/1").await;
        assert_eq!(truth.runs(), runs + more);
    }
    redis.begin();
    one.in_sync().await;
    // A server that is back is asked again within the bound.
    let began = Instant::now();
    loop {
        let runs = truth.runs();
        one.get("/plain/1").await;
        if truth.runs() == runs {
            break;
        }
        assert!(began.elapsed() < BOUND, "it is back");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_crowd_on_a_strict_node_without_its_server_does_not_run_one_by_one() {
    let (mut redis, truth) = (Redis::start(), Truth::new());
    let (one, _) = two(&redis, &truth, STRICT).await;
    one.get("/plain/1").await;
    redis.kill();
    // So often that nobody waits any more for an answer that does not come.
    for number in 2..20 {
        one.get(&format!("/plain/{number}")).await;
    }
    assert!(one.larder.statistics().redis.is_away);
    let runs = truth.runs();
    truth.close();
    // That those before have read.
    truth.read().await;
    let asking = || {
        let one = one.clone();
        tokio::spawn(async move { one.get("/plain/1").await })
    };
    let first = asking();
    truth.read().await;
    // Whoever comes now may have been told of this change, which the run before it has not seen.
    truth.change();
    let crowd: Vec<_> = (0..100).map(|_| asking()).collect();
    tokio::time::sleep(Duration::from_millis(300)).await;
    truth.open_for_one();
    let new = truth.version();
    assert_eq!(first.await.unwrap(), new - 1);
    truth.read().await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    truth.open();
    for one in crowd {
        assert_eq!(one.await.unwrap(), new);
    }
    let more = truth.runs() - runs;
    assert!(more <= 4, "{more} runs for a hundred requests");
}

#[tokio::test]
async fn what_was_invalidated_while_the_server_was_away_reaches_the_others() {
    for keep in [true, false] {
        let settings = [("appendonly", if keep { "yes" } else { "no" })];
        let (mut redis, truth) = (Redis::with(&settings), Truth::new());
        let (one, other) = two(&redis, &truth, BOUNDED).await;
        other.get("/items/1").await;
        redis.kill();
        let (version, ack) = one.put("/items/1").await;
        assert!(
            matches!(ack, Ack::Local { pending } if pending > 0),
            "{ack:?}"
        );
        assert_eq!(one.get("/items/1").await, version);
        assert_eq!(one.larder.statistics().shared.pending, one.pending());
        redis.begin();
        one.until("drained", |node| node.pending() == 0).await;
        other.in_sync().await;
        follows(&other, "/items/1", version).await;
        follows(&one, "/items/1", globally(&other, "/items/1").await).await;
    }
}

#[tokio::test]
async fn a_flushed_server_makes_everything_void_and_goes_on() {
    let (redis, truth) = (Redis::start(), Truth::new());
    let (one, other) = two(&redis, &truth, STRICT).await;
    for _ in 0..5 {
        one.get("/items/1").await;
        let (runs, epochs) = (truth.runs(), one.epochs());
        redis.ask(&["FLUSHALL"]);
        let (version, ack) = other.put("/items/1").await;
        assert_eq!(ack, Ack::Global);
        assert_eq!(one.get("/items/1").await, version);
        assert_eq!(truth.runs(), runs + 1);
        one.until("anew", |node| node.epochs() > epochs).await;
        one.in_sync().await;
    }
}

#[tokio::test]
async fn a_registry_that_fell_back_under_its_own_epoch_is_begun_anew() {
    let (redis, truth) = (Redis::start(), Truth::new());
    let (one, other) = two(&redis, &truth, BOUNDED).await;
    let (version, ack) = one.put("/items/1").await;
    assert_eq!(ack, Ack::Global);
    follows(&other, "/items/1", version).await;
    let epoch = || redis.ask(&["HGET", "larder:{larder}:seq", "epoch"]).text();
    let (before, epochs) = (epoch(), other.epochs());
    // As of a server that has lost its last stamp, and kept everything else. No script runs that
    // would look at all parts: the mirrors see it by the number alone.
    redis.ask(&["HINCRBY", "larder:{larder}:seq", "number", "-1"]);
    other
        .until("begun anew", |node| node.epochs() > epochs)
        .await;
    assert_ne!(epoch(), before);
    truth.change();
    let (version, runs) = (truth.version(), truth.runs());
    other.in_sync().await;
    assert_eq!(other.get("/items/1").await, version, "filled before");
    assert_eq!(truth.runs(), runs + 1);
    one.until("begun anew", |node| node.epochs() > 1).await;
    globally(&one, "/items/1").await;
}

#[tokio::test]
async fn a_server_restarted_from_an_old_snapshot_brings_nothing_back() {
    for consistency in [STRICT, BOUNDED] {
        let (mut redis, truth) = (Redis::start(), Truth::new());
        let (one, other) = two(&redis, &truth, consistency).await;
        other.get("/items/1").await;
        let snapshot = redis.snapshot();
        let (version, ack) = one.put("/items/1").await;
        assert_eq!(ack, Ack::Global);
        let (before, epochs) = (other.get("/items/2").await, other.epochs());
        redis.restart_from(&snapshot);
        for node in [&one, &other] {
            node.until("anew", |node| node.epochs() > epochs).await;
            node.in_sync().await;
            assert_eq!(node.get("/items/1").await, version);
        }
        assert_eq!(before, version);
        // Numbers that the snapshot had forgotten are not taken for known ones.
        let (version, _) = one.put("/items/2").await;
        follows(&other, "/items/2", version).await;
    }
}

#[tokio::test]
async fn a_forgotten_script_is_sent_again() {
    let (redis, truth) = (Redis::start(), Truth::new());
    let (one, other) = two(&redis, &truth, STRICT).await;
    for _ in 0..20 {
        redis.ask(&["SCRIPT", "FLUSH"]);
        let (version, ack) = one.put("/items/1").await;
        assert_eq!(ack, Ack::Global);
        assert_eq!(other.get("/items/1").await, version);
    }
}

#[tokio::test]
async fn a_mirror_whose_connection_is_killed_over_and_over_follows() {
    let (redis, truth) = (Redis::start(), Truth::new());
    let (one, other) = two(&redis, &truth, BOUNDED).await;
    let epochs = other.epochs();
    for _ in 0..10 {
        other.get("/items/1").await;
        redis.ask(&["CLIENT", "KILL", "TYPE", "pubsub"]);
        // The mirror of the invalidating node may be away as well: then it is local for now.
        let (version, _) = one.put("/items/1").await;
        assert_eq!(one.get("/items/1").await, version);
        follows(&other, "/items/1", version).await;
    }
    one.until("drained", |node| node.pending() == 0).await;
    assert_eq!(
        other.epochs(),
        epochs,
        "the registry was there all the time"
    );
}

#[tokio::test]
async fn a_node_that_missed_what_was_trimmed_from_the_log_serves_nothing_older() {
    let (redis, truth) = (Redis::start(), Truth::new());
    let (one, other) = two(&redis, &truth, BOUNDED).await;
    other.get("/items/1").await;
    other.get("/plain/1").await;
    let (version, _) = one.put("/items/1").await;
    let mut client = redis.client().unwrap();
    let script = "redis.call('HINCRBY', KEYS[1], 'number', 100) \
                  local held = redis.call('HMGET', KEYS[1], 'number', 'epoch') \
                  redis.call('XADD', KEYS[2], 'MAXLEN', 1, held[1] .. '-0', 'epoch', held[2])";
    let (seq, log) = ("larder:{larder}:seq", "larder:{larder}:log");
    let reply = client.ask(&["EVAL", script, "2", seq, log]).unwrap();
    assert!(!reply.is_error(""), "{reply:?}");
    other
        .until("at the floor", |node| {
            node.larder
                .statistics()
                .shared
                .sync_age
                .is_some_and(|age| age < BOUND)
        })
        .await;
    tokio::time::sleep(Duration::from_millis(600)).await;
    let runs = truth.runs();
    assert_eq!(other.get("/items/1").await, version);
    other.get("/plain/1").await;
    assert!(truth.runs() > runs, "filled below the floor");
    assert!(other.fenced_by("floor") > 0);
    let (version, ack) = one.put("/items/1").await;
    assert_eq!(ack, Ack::Global);
    follows(&other, "/items/1", version).await;
}

#[tokio::test]
async fn a_full_server_still_takes_invalidations() {
    let (redis, truth) = (Redis::start(), Truth::new());
    let (one, other) = two(&redis, &truth, STRICT).await;
    other.get("/items/1").await;
    redis.ask(&["CONFIG", "SET", "maxmemory", "1"]);
    let (version, ack) = one.put("/items/1").await;
    assert_eq!(ack, Ack::Global);
    assert_eq!(one.get("/items/1").await, version);
    assert_eq!(other.get("/items/1").await, version);
    redis.ask(&["CONFIG", "SET", "maxmemory", "0"]);
    one.until("drained", |node| node.pending() == 0).await;
    let (version, ack) = one.put("/items/1").await;
    assert_eq!(ack, Ack::Global);
    assert_eq!(other.get("/items/1").await, version);
}

#[tokio::test]
async fn a_demoted_primary_is_not_believed() {
    let (redis, truth) = (Redis::start(), Truth::new());
    let (one, _) = two(&redis, &truth, BOUNDED).await;
    one.get("/items/1").await;
    redis.ask(&["REPLICAOF", "127.0.0.1", "1"]);
    let (version, ack) = one.put("/items/1").await;
    assert!(matches!(ack, Ack::Local { .. }), "{ack:?}");
    assert_eq!(one.get("/items/1").await, version);
    one.out_of_sync().await;
    redis.ask(&["REPLICAOF", "NO", "ONE"]);
    one.in_sync().await;
    one.until("drained", |node| node.pending() == 0).await;
    globally(&one, "/items/1").await;
}

#[tokio::test]
async fn any_program_can_invalidate_by_publishing() {
    let (redis, truth) = (Redis::start(), Truth::new());
    let (one, other) = two(&redis, &truth, BOUNDED).await;
    let publish = |message: &str| redis.ask(&["PUBLISH", "larder:{larder}:invalidate", message]);
    for (number, message) in [
        r#"{"id":"1","tags":["item:1"]}"#,
        r#"{"id":"2","urls":["/items/1"]}"#,
        r#"{"id":"3","prefixes":["/items"]}"#,
        r#"{"id":"4","routes":["/items/{id}"]}"#,
        r#"{"id":"5","all":true}"#,
    ]
    .into_iter()
    .enumerate()
    {
        let version = truth.version();
        assert_eq!(one.get("/items/1").await, version);
        assert_eq!(other.get("/items/1").await, version);
        truth.change();
        publish("no json at all");
        publish(message);
        follows(&one, "/items/1", version + 1).await;
        follows(&other, "/items/1", version + 1).await;
        // One of the two nodes has acted on it, once.
        let made = |node: &Node| node.larder.statistics().invalidations();
        assert_eq!(made(&one) + made(&other), number as u64 + 1, "{message}");
        publish(message);
        assert!(one.larder.statistics().misheard() > 0);
    }
}

#[tokio::test]
async fn what_is_invalidated_here_is_told_to_any_program() {
    let (redis, truth) = (Redis::start(), Truth::new());
    let one = Node::start(&redis.url(), &truth, BOUNDED).await;
    let mut client = redis.client().unwrap();
    client
        .ask(&["SUBSCRIBE", "larder:{larder}:invalidate"])
        .unwrap();
    one.larder
        .invalidate([Target::tag("a"), Target::url("/x?y=1")])
        .await;
    let message = client.read().unwrap().list().pop().unwrap().text();
    assert!(message.contains(r#""seq":"#), "{message}");
    let targets = r#","tags":["a"],"urls":["/x?y=1"],"node":""#;
    assert!(message.contains(targets), "{message}");
    assert!(
        message.ends_with(r#"","by":"the application"}"#),
        "{message}"
    );
}

#[tokio::test]
async fn a_node_that_starts_without_a_server_works_and_finds_it_later() {
    let (mut redis, truth) = (Redis::down(&[]), Truth::new());
    let one = Node::alone(&redis.url(), &truth, BOUNDED).await;
    one.get("/items/1").await;
    let runs = truth.runs();
    one.get("/items/1").await;
    assert_eq!(truth.runs(), runs, "for a second it is kept");
    let (version, ack) = one.put("/items/1").await;
    assert!(matches!(ack, Ack::Local { .. }), "{ack:?}");
    assert_eq!(one.get("/items/1").await, version);
    redis.begin();
    one.in_sync().await;
    one.until("drained", |node| node.pending() == 0).await;
    let (_, ack) = one.put("/items/1").await;
    assert_eq!(ack, Ack::Global);
}

#[tokio::test]
async fn an_invalidation_waits_for_replicas_where_it_is_told_to() {
    let (redis, truth) = (Redis::start(), Truth::new());
    let one = Node::start(&redis.url(), &truth, BOUNDED).await;
    let target = || [Target::tag("item:1")];
    let within = Duration::from_millis(100);
    assert_eq!(
        one.larder.invalidate_wait(target(), 0, within).await,
        Ack::Global
    );
    let ack = one.larder.invalidate_wait(target(), 1, within).await;
    assert!(matches!(ack, Ack::Local { .. }), "{ack:?}");
    let port = redis.address().port().to_string();
    let _replica = Redis::with(&[("replicaof", &format!("127.0.0.1 {port}"))]);
    one.until("replicated", |_| redis.info("connected_slaves") == 1)
        .await;
    let began = Instant::now();
    while one.larder.invalidate_wait(target(), 1, BOUND).await != Ack::Global {
        assert!(began.elapsed() < 5 * BOUND, "no replica has it");
    }
}

#[tokio::test]
async fn two_namespaces_of_one_server_do_not_know_each_other() {
    let (redis, truth) = (Redis::start(), Truth::new());
    let builder = |namespace| {
        let builder = larder::Larder::builder().redis(redis.url());
        builder.namespace(namespace)
    };
    let one = Node::build(builder("one"), &truth).await;
    let other = Node::build(builder("other"), &truth).await;
    one.in_sync().await;
    other.in_sync().await;
    let before = other.get("/items/1").await;
    let (_, ack) = one.put("/items/1").await;
    assert_eq!(ack, Ack::Global);
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(other.get("/items/1").await, before);
}

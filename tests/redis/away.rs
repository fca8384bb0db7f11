//! Redis is not there, or as good as not there: nobody waits for it, nothing old is served, and when
//! it is back so is everything.

use std::{thread, time::Duration};

use crate::{
    scene::{Scene, is_from_redis},
    support::redis::Redis,
};

#[test]
fn a_node_starts_before_its_redis_does() {
    let mut scene = Scene::on(Redis::down(&[]), 2, &[]);
    scene.goes_on_without_redis();
    scene.redis.begin();
    scene.comes_back();
}

#[test]
fn a_killed_redis_is_missed_by_nobody_and_found_again_each_time() {
    let mut scene = Scene::start(2);
    for _ in 0..3 {
        scene.redis.kill();
        scene.goes_on_without_redis();
        scene.redis.begin();
        scene.comes_back();
        scene.follows();
    }
}

#[test]
fn a_frozen_redis_is_waited_for_by_nobody() {
    let scene = Scene::start(2);
    scene.redis.freeze();
    scene.goes_on_without_redis();
    scene.redis.thaw();
    scene.comes_back();
    scene.follows();
}

#[test]
fn a_redis_that_is_busy_with_a_script_is_waited_for_by_nobody() {
    let scene = Scene::with(2, &[("lua-time-limit", "50")], &[]);
    let mut client = scene.redis.client().unwrap();
    client.send(&[b"EVAL", b"while true do end", b"0"]).unwrap();
    thread::sleep(Duration::from_millis(100));
    scene.goes_on_without_redis();
    assert_eq!(scene.redis.ask(&["SCRIPT", "KILL"]).text(), "OK");
    scene.comes_back();
}

#[test]
fn a_redis_that_stands_still_is_waited_for_by_nobody() {
    let scene = Scene::with(2, &[("enable-debug-command", "yes")], &[]);
    let mut client = scene.redis.client().unwrap();
    client.send(&[b"DEBUG", b"SLEEP", b"5"]).unwrap();
    thread::sleep(Duration::from_millis(100));
    scene.goes_on_without_redis();
    assert_eq!(client.read().unwrap().text(), "OK");
    scene.comes_back();
}

#[test]
fn while_writes_are_paused_reads_go_on_and_invalidations_are_kept() {
    let scene = Scene::start(2);
    let target = scene.fresh();
    scene.get(0, &target);
    thread::sleep(Duration::from_millis(50));
    scene.redis.ask(&["CLIENT", "PAUSE", "1500", "WRITE"]);
    assert!(
        is_from_redis(&scene.get(1, &target)),
        "reads are not paused"
    );
    assert!(!scene.put(0, &target), "nobody took the invalidation");
    assert_eq!(scene.version(0, &target), 1);
    scene.comes_back();
    scene.wait_until("the other node is told", || scene.version(1, &target) == 1);
}

#[test]
fn a_slow_redis_makes_nobody_slow() {
    let scene = Scene::start(2);
    scene.nodes[0]
        .proxy
        .set(|faults| faults.replies.delay = Duration::from_millis(400));
    scene.goes_on_without_redis();
    scene.nodes[0].proxy.mend();
    scene.comes_back();
}

#[test]
fn a_way_that_swallows_everything_is_left_and_a_new_one_taken() {
    let scene = Scene::start(2);
    for requests in [true, false] {
        let accepted = scene.nodes[0].proxy.accepted();
        scene.nodes[0].proxy.set(|faults| {
            faults.requests.hold = requests;
            faults.replies.hold = !requests;
        });
        scene.goes_on_without_redis();
        scene.nodes[0].proxy.mend();
        scene.comes_back();
        let accepted = scene.nodes[0].proxy.accepted() - accepted;
        assert!(accepted > 0, "nothing that swallowed was replaced");
        assert!(accepted < 60, "{accepted} connections were made");
    }
}

#[test]
fn a_password_that_was_changed_is_a_redis_that_is_away() {
    let scene = Scene::start(2);
    let mut admin = scene.redis.client().unwrap();
    admin.ask(&["CONFIG", "SET", "requirepass", "new"]).unwrap();
    admin.ask(&["CLIENT", "KILL", "TYPE", "normal"]).unwrap();
    admin.ask(&["CLIENT", "KILL", "TYPE", "pubsub"]).unwrap();
    scene.goes_on_without_redis();
    admin.ask(&["CONFIG", "SET", "requirepass", ""]).unwrap();
    scene.comes_back();
}

#[test]
fn a_redis_that_is_loading_is_a_redis_that_is_away() {
    let settings = [
        ("key-load-delay", "2000"),
        ("loading-process-events-interval-bytes", "1024"),
        ("enable-debug-command", "yes"),
    ];
    let mut scene = Scene::with(2, &settings, &[]);
    scene
        .redis
        .ask(&["DEBUG", "POPULATE", "1500", "filling", "64"]);
    let filled = scene.redis.snapshot();
    scene.redis.restart_from(&filled);
    assert_eq!(scene.redis.info("loading"), 1, "loaded too fast");
    scene.goes_on_without_redis();
    scene.wait_until("Redis has loaded", || scene.redis.info("loading") == 0);
    scene.comes_back();
}

#[test]
fn a_redis_that_was_made_a_replica_acknowledges_nothing() {
    let scene = Scene::start(2);
    let target = scene.fresh();
    scene.get(0, &target);
    thread::sleep(Duration::from_millis(50));
    scene.redis.ask(&["REPLICAOF", "127.0.0.1", "1"]);
    let other = scene.fresh();
    scene.get(0, &other);
    assert!(!scene.put(0, &other), "a replica took an invalidation");
    assert_eq!(scene.version(0, &other), 1);
    scene.redis.ask(&["REPLICAOF", "NO", "ONE"]);
    scene.comes_back();
    scene.wait_until("the other node is told", || scene.version(1, &other) == 1);
}

#[test]
fn a_replica_that_lost_its_primary_is_a_redis_that_is_away() {
    let scene = Scene::with(2, &[("replica-serve-stale-data", "no")], &[]);
    scene.redis.ask(&["REPLICAOF", "127.0.0.1", "1"]);
    scene.goes_on_without_redis();
    scene.redis.ask(&["REPLICAOF", "NO", "ONE"]);
    scene.comes_back();
}

#[test]
fn a_redis_without_room_for_connections_is_a_redis_that_is_away() {
    let scene = Scene::start(2);
    let mut admin = scene.redis.client().unwrap();
    admin.ask(&["CONFIG", "SET", "maxclients", "3"]).unwrap();
    let idle: Vec<_> = (0..2).map(|_| scene.redis.client()).collect();
    admin
        .ask(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"])
        .unwrap();
    admin.ask(&["CLIENT", "KILL", "TYPE", "pubsub"]).unwrap();
    let squatters: Vec<_> = (0..4).map(|_| scene.redis.client()).collect();
    for _ in 0..30 {
        assert_eq!(scene.version(0, &scene.fresh()), 0);
    }
    let target = scene.fresh();
    scene.put(0, &target);
    assert_eq!(scene.version(0, &target), 1);
    drop((idle, squatters));
    admin.ask(&["CONFIG", "SET", "maxclients", "1000"]).unwrap();
    scene.comes_back();
    let open: usize = scene.nodes.iter().map(|node| node.proxy.open()).sum();
    assert!(open <= 2 * 7, "{open} connections of two nodes");
}

//! Between the nodes: messages lost, late, twice, foreign, too many, and of somebody else.

use std::{
    cell::Cell,
    thread,
    time::{Duration, Instant},
};

use crate::{
    scene::{Scene, version},
    support::{proxy::Lane, redis::Redis, resp::Client},
};

const CHANNEL: &str = "larder:{ground}:invalidate";

fn publish(redis: &Redis, message: &str) {
    redis.ask(&["PUBLISH", CHANNEL, message]);
}

/// Writes on the first node and reads on the last while `break_it` is done over and over.
fn follows_while(scene: &Scene, break_it: impl Fn(usize)) {
    for round in 0..8 {
        break_it(round);
        let target = scene.fresh();
        assert_eq!(scene.version(1, &target), 0);
        let global = scene.put(0, &target);
        let acknowledged = Instant::now();
        thread::sleep(Duration::from_millis(20));
        while scene.version(1, &target) == 0 {
            // What was acknowledged locally is told later, when Redis is there again.
            let bound = if global { 2 } else { 10 };
            assert!(acknowledged.elapsed() < Duration::from_secs(bound), "old");
            thread::sleep(Duration::from_millis(5));
        }
    }
}

#[test]
fn a_subscriber_that_is_cut_off_again_and_again_misses_nothing() {
    let scene = Scene::start(2);
    let mut admin = scene.redis.client().unwrap();
    let kill = |kind: &str| {
        drop(
            scene
                .redis
                .client()
                .unwrap()
                .ask(&["CLIENT", "KILL", "TYPE", kind]),
        )
    };
    follows_while(&scene, |round| kill(["pubsub", "normal"][round % 2]));
    admin.ask(&["PING"]).unwrap_err();
    scene.comes_back();
}

#[test]
fn a_log_that_is_held_back_makes_a_node_ask() {
    let scene = Scene::start(2);
    follows_while(&scene, |_| {
        scene.nodes[1].proxy.set(|faults| {
            faults.only = Some(Lane::Log);
            faults.replies.hold = true;
        });
    });
    scene.nodes[1].proxy.mend();
    scene.comes_back();
}

#[test]
fn a_subscriber_that_is_dropped_for_slowness_misses_nothing() {
    let limit = ("client-output-buffer-limit", "pubsub 64kb 32kb 1");
    let scene = Scene::with(2, &[limit], &[]);
    let garbage = "x".repeat(20_000);
    follows_while(&scene, |_| {
        let mut client = scene.redis.client().unwrap();
        for _ in 0..100 {
            client.ask(&["PUBLISH", CHANNEL, &garbage]).unwrap();
        }
    });
    scene.comes_back();
}

#[test]
fn foreign_messages_invalidate_what_they_name_and_garbage_nothing() {
    let scene = Scene::start(2);
    let kept = "/single/kept-0";
    let named = "/single/named-0";
    for node in 0..2 {
        scene.get(node, kept);
        scene.get(node, named);
    }
    let runs = [0, 1].map(|node| scene.nodes[node].runs(kept));
    for garbage in [
        "",
        "garbage",
        "{}",
        "[]",
        "null",
        r#"{"id":7}"#,
        r#"{"id":"a","tags":"single:kept-0"#,
        r#"{"id":"b","tags":[7,null,{}]}"#,
        r#"{"id":"c","version":99,"unknown":["x"]}"#,
        "\u{0}\u{1}\u{2}",
    ] {
        publish(&scene.redis, garbage);
    }
    publish(
        &scene.redis,
        &format!(r#"{{"id":"d","tags":["{}"]}}"#, "x".repeat(10 << 20)),
    );
    let many: Vec<String> = (0..100_000)
        .map(|number| format!(r#""other-{number}""#))
        .collect();
    publish(
        &scene.redis,
        &format!(r#"{{"id":"e","tags":[{}]}}"#, many.join(",")),
    );
    let turn = Cell::new(0);
    for node in 0..2 {
        let before = scene.nodes[node].runs(named);
        scene.wait_until("what was named is gone", || {
            // A message is a hint: who is not listening in that moment never hears it.
            turn.set(turn.get() + 1);
            let message = format!(r#"{{"id":"f{}","tags":["single:named-0"]}}"#, turn.get());
            publish(&scene.redis, &message);
            thread::sleep(Duration::from_millis(50));
            scene.get(node, named);
            scene.nodes[node].runs(named) > before
        });
    }
    for (node, runs) in runs.into_iter().enumerate() {
        scene.get(node, kept);
        assert_eq!(scene.nodes[node].runs(kept), runs, "nobody named it");
    }
    scene.follows();
    scene.is_quiet();
}

#[test]
fn a_message_that_comes_twice_is_one_and_an_old_one_kills_nothing_new() {
    let scene = Scene::start(2);
    let mut listener = Client::open(scene.redis.address()).unwrap();
    listener.ask(&["SUBSCRIBE", CHANNEL]).unwrap();
    let target = scene.fresh();
    assert!(scene.put(0, &target));
    let own = listener.read().unwrap().list()[2].text();
    let foreign = r#"{"id":"once","tags":["single:twice-0"]}"#;
    publish(&scene.redis, foreign);
    thread::sleep(Duration::from_millis(300));
    for node in 0..2 {
        scene.get(node, &target);
        scene.get(node, "/single/twice-0");
    }
    for _ in 0..5 {
        publish(&scene.redis, foreign);
        publish(&scene.redis, &own);
    }
    thread::sleep(Duration::from_millis(300));
    for node in 0..2 {
        for target in [&*target, "/single/twice-0"] {
            assert!(scene.get(node, target).is_hit(), "{target} on node {node}");
        }
    }
}

#[test]
fn a_nodes_own_message_does_not_kill_what_it_has_just_filled() {
    let scene = Scene::start(2);
    for _ in 0..20 {
        let target = scene.fresh();
        assert!(scene.put(0, &target));
        let filled = scene.get(0, &target);
        thread::sleep(Duration::from_millis(15));
        let again = scene.get(0, &target);
        assert!(again.is_hit() && again.run() == filled.run(), "evicted");
    }
}

#[test]
fn a_storm_of_invalidations_is_bounded() {
    let scene = Scene::start(2);
    let resident = |node: usize| scene.nodes[node].ground.resident_bytes();
    let before = [resident(0), resident(1)];
    let address = scene.redis.address();
    let storm = thread::spawn(move || {
        let mut client = Client::open(address).unwrap();
        for number in 0..10_000 {
            let message = format!(r#"{{"id":"{number}","tags":["single:{}"]}}"#, number % 50);
            client
                .send(&[b"PUBLISH", CHANNEL.as_bytes(), message.as_bytes()])
                .unwrap();
            if number % 100 == 99 {
                (0..100).for_each(|_| drop(client.read().unwrap()));
            }
        }
    });
    while !storm.is_finished() {
        let target = scene.fresh();
        let begun = Instant::now();
        scene.get(0, &target);
        assert!(begun.elapsed() < Duration::from_secs(1), "stalled");
        thread::sleep(Duration::from_millis(10));
    }
    storm.join().unwrap();
    scene.comes_back();
    scene.follows();
    for (node, before) in before.into_iter().enumerate() {
        let grown = resident(node).saturating_sub(before);
        assert!(grown < 64 << 20, "node {node} grew by {grown} bytes");
    }
}

#[test]
fn two_applications_on_one_redis_know_nothing_of_each_other() {
    let variables = [("0:NAMESPACE", "one"), ("1:NAMESPACE", "two")];
    let scene = Scene::on(Redis::start(), 2, &variables);
    let target = scene.fresh();
    scene.wait_until("both are there", || {
        scene.put(0, &scene.fresh()) && scene.put(1, &scene.fresh())
    });
    let first = scene.get(0, &target);
    thread::sleep(Duration::from_millis(60));
    let second = scene.get(1, &target);
    assert_ne!(first.field("x-node"), second.field("x-node"), "shared");
    assert!(scene.put(0, &target));
    thread::sleep(Duration::from_millis(300));
    let kept = scene.get(1, &target);
    assert!(
        kept.is_hit() && version(&kept) == 0,
        "another's invalidation"
    );
    for name in scene.redis.names() {
        let own = [
            "larder:one:",
            "larder:two:",
            "larder:{one}:",
            "larder:{two}:",
        ];
        assert!(own.iter().any(|start| name.starts_with(start)), "{name}");
    }
}

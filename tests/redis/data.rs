//! What is in Redis is not what was put there: cut, wrong, of another kind, emptied, evicted, full.

use std::{thread, time::Duration};

use crate::{
    scene::{Scene, is_from_redis, version},
    support::{
        message::Request,
        resp::{Client, Reply},
    },
};

/// How long an entry takes to be written behind its response.
const BEHIND: Duration = Duration::from_millis(60);

#[test]
fn a_reply_that_drips_or_is_cut_is_a_miss_and_never_half_a_body() {
    let scene = Scene::start(2);
    let targets: Vec<String> = (0..6).map(|_| scene.fresh()).collect();
    for target in &targets {
        scene.get(0, target);
    }
    thread::sleep(BEHIND);
    let proxy = &scene.nodes[1].proxy;
    for (number, target) in targets.iter().enumerate() {
        proxy.set(|faults| match number % 3 {
            0 => faults.replies.drip = Some((1, Duration::from_millis(100))),
            1 => faults.reset_after = Some(60 + 40 * number),
            _ => faults.replies.drip = Some((700, Duration::from_millis(60))),
        });
        assert_eq!(scene.version(1, target), 0);
        proxy.mend();
    }
    scene.comes_back();
}

#[test]
fn a_flipped_bit_is_a_miss_and_the_entry_is_replaced() {
    let scene = Scene::start(2);
    scene.nodes[1].proxy.set(|faults| faults.flip = Some(1));
    for _ in 0..40 {
        let target = scene.fresh();
        let stored = scene.get(0, &target);
        thread::sleep(Duration::from_millis(5));
        let found = scene.get(1, &target);
        assert_eq!(version(&found), 0);
        assert_eq!(found.body, stored.body);
        assert!(
            !is_from_redis(&found),
            "an entry with a wrong bit was served"
        );
    }
    let flipped = scene.nodes[1].proxy.flipped();
    assert!(flipped > 10, "{flipped} entries were spoilt");
    scene.nodes[1].proxy.mend();
    scene.comes_back();
}

#[test]
fn a_key_of_another_kind_or_with_garbage_is_passed_over() {
    let scene = Scene::start(2);
    let spoil: [&dyn Fn(&mut Client, &str); 5] = [
        &|client, name| {
            client.ask(&["DEL", name]).unwrap();
            client.ask(&["LPUSH", name, "x"]).unwrap();
        },
        &|client, name| drop(client.ask(&["SET", name, ""]).unwrap()),
        &|client, name| drop(client.ask(&["SETRANGE", name, "200", "garbage"]).unwrap()),
        &|client, name| drop(client.ask(&["SET", name, "lrdr garbage"]).unwrap()),
        &|client, name| {
            let Reply::Text(whole) = client.ask(&["GET", name]).unwrap() else {
                panic!("no entry");
            };
            let half = &whole[..whole.len() / 2];
            client.send(&[b"SET", name.as_bytes(), half]).unwrap();
            client.read().unwrap();
        },
    ];
    let mut client = scene.redis.client().unwrap();
    for spoil in spoil {
        scene.redis.ask(&["FLUSHALL"]);
        scene.wait_until("a new beginning", || scene.is_shared());
        let before = scene.entries();
        let target = scene.fresh();
        scene.get(0, &target);
        let names = scene.stored(before.len() + 1);
        let name = names.iter().find(|name| !before.contains(name)).unwrap();
        spoil(&mut client, name);
        let found = scene.get(1, &target);
        assert_eq!(version(&found), 0);
        assert!(!is_from_redis(&found), "served from garbage");
    }
    scene.comes_back();
}

#[test]
fn an_entry_of_a_later_format_is_a_miss_and_stays() {
    let scene = Scene::start(2);
    let before = scene.entries();
    let target = scene.fresh();
    scene.get(0, &target);
    let names = scene.stored(before.len() + 1);
    let name = names.iter().find(|name| !before.contains(name)).unwrap();
    // The byte after the four that every entry begins with is its format.
    scene.redis.ask(&["SETRANGE", name, "4", "\u{7f}"]);
    let later = scene.redis.ask(&["GET", name]);
    // A HEAD asks Redis and stores nothing: what is there afterwards, nobody has taken away.
    let found = scene.nodes[1].send(&Request::new("HEAD", &target));
    assert!(!is_from_redis(&found), "read by guessing");
    thread::sleep(BEHIND);
    assert_eq!(
        scene.redis.ask(&["GET", name]),
        later,
        "a newer node's entry"
    );
}

#[test]
fn an_entry_under_another_entrys_name_is_a_miss() {
    let scene = Scene::start(2);
    let before = scene.entries();
    let [one, two] = [scene.fresh(), scene.fresh()];
    scene.put(0, &two);
    scene.get(0, &one);
    let first = scene.stored(before.len() + 1);
    scene.get(0, &two);
    let both = scene.stored(before.len() + 2);
    let one_name = first.iter().find(|name| !before.contains(name)).unwrap();
    let two_name = both.iter().find(|name| !first.contains(name)).unwrap();
    scene.redis.ask(&["COPY", two_name, one_name, "REPLACE"]);
    assert_eq!(scene.version(1, &one), 0, "the answer of another page");
}

#[test]
fn an_emptied_redis_costs_one_run_for_each_key_and_node() {
    let scene = Scene::start(2);
    let target = scene.fresh();
    for round in 1..=5 {
        scene.redis.ask(&["FLUSHALL"]);
        // The first requests may still come before a node has noticed; the crowd must not.
        scene.wait_until("a new beginning", || scene.is_shared());
        let runs = |node: usize| scene.nodes[node].runs(&target);
        let before = [runs(0), runs(1)];
        for node in &scene.nodes {
            let answers = node.crowd(&target, 25);
            assert!(answers.iter().all(|answer| answer.status == 200));
        }
        let after = [runs(0), runs(1)];
        for node in 0..2 {
            let more = after[node] - before[node];
            assert!(more <= 1, "{more} runs on node {node} in round {round}");
        }
    }
    scene.comes_back();
    scene.follows();
}

#[test]
fn a_redis_that_restarts_with_nothing_or_with_old_data_brings_nothing_old_back() {
    let mut scene = Scene::start(2);
    let target = scene.fresh();
    assert_eq!(scene.version(0, &target), 0);
    thread::sleep(BEHIND);
    let old = scene.redis.snapshot();
    let sequence = |scene: &Scene| scene.redis.ask(&["HGET", "larder:{ground}:seq", "epoch"]);
    assert!(scene.put(0, &target));
    let before = sequence(&scene);
    for empty in [false, true] {
        if empty {
            scene.redis.restart_empty();
        } else {
            scene.redis.restart_from(&old);
        }
        for _ in 0..20 {
            assert_eq!(scene.version(0, &target), 1, "the snapshot's answer");
            assert_eq!(scene.version(1, &target), 1, "the snapshot's answer");
            thread::sleep(Duration::from_millis(20));
        }
        scene.comes_back();
        scene.follows();
    }
    assert_ne!(sequence(&scene), before);
}

#[test]
fn forgotten_scripts_are_sent_again() {
    let scene = Scene::start(2);
    for _ in 0..20 {
        scene.redis.ask(&["SCRIPT", "FLUSH"]);
        assert!(scene.put(0, &scene.fresh()), "a script was missing");
    }
}

#[test]
fn a_full_redis_still_takes_invalidations_and_serves_what_it_has() {
    let scene = Scene::start(2);
    let target = scene.fresh();
    scene.get(0, &target);
    thread::sleep(BEHIND);
    scene.redis.ask(&["CONFIG", "SET", "maxmemory", "1"]);
    assert!(is_from_redis(&scene.get(1, &target)), "hits go on");
    for _ in 0..10 {
        assert_eq!(scene.version(0, &scene.fresh()), 0);
    }
    scene.put(0, &target);
    assert_eq!(scene.version(0, &target), 1);
    scene.wait_until("the other node is told", || scene.version(1, &target) == 1);
    scene.redis.ask(&["CONFIG", "SET", "maxmemory", "0"]);
    scene.comes_back();
    scene.follows();
}

#[test]
fn a_redis_that_evicts_changes_nothing_but_the_hits() {
    let settings = [("maxmemory", "4mb"), ("maxmemory-policy", "allkeys-lru")];
    let scene = Scene::with(2, &settings, &[]);
    let target = scene.fresh();
    let filling = "x".repeat(2_000);
    let mut client = scene.redis.client().unwrap();
    for round in 1..=8 {
        for number in 0..500 {
            let name = format!("filling-{round}-{number}");
            client.ask(&["SET", &name, &filling]).unwrap();
        }
        scene.put(0, &target);
        assert_eq!(scene.version(0, &target), round);
        scene.wait_until("the other node follows", || {
            scene.version(1, &target) == round
        });
    }
    assert!(
        scene.redis.info("evicted_keys") > 500,
        "nothing was evicted"
    );
    scene.is_quiet();
}

#[test]
fn a_redis_that_can_not_save_is_as_a_full_one() {
    let scene = Scene::with(
        2,
        &[("save", "3600 1"), ("enable-protected-configs", "yes")],
        &[],
    );
    let target = scene.fresh();
    scene.get(0, &target);
    thread::sleep(BEHIND);
    // Where it would save there is nothing any more.
    let elsewhere = scene.redis.directory().join("gone");
    std::fs::create_dir(&elsewhere).unwrap();
    let named = elsewhere.to_string_lossy();
    assert_eq!(
        scene.redis.ask(&["CONFIG", "SET", "dir", &named]).text(),
        "OK"
    );
    std::fs::remove_dir(&elsewhere).unwrap();
    scene.redis.ask(&["BGSAVE"]);
    scene.wait_until("writes are refused", || {
        scene.redis.ask(&["SET", "a", "b"]).is_error("MISCONF")
    });
    assert!(is_from_redis(&scene.get(1, &target)), "hits go on");
    scene.put(0, &target);
    assert_eq!(scene.version(0, &target), 1);
    scene
        .redis
        .ask(&["CONFIG", "SET", "stop-writes-on-bgsave-error", "no"]);
    scene.comes_back();
    scene.wait_until("the other node is told", || scene.version(1, &target) == 1);
}

#[test]
fn what_is_above_the_cap_is_never_sent() {
    let scene = Scene::start(2);
    let before = scene.entries().len();
    let shared = crate::support::ask::shared;
    // The route is learned first: its first answer is not stored for others.
    for size in ["10", "1000", "900000", "3000000"] {
        let target = shared(&[("size", size)]);
        scene.get(0, &target);
        let again = scene.get(0, &target);
        assert!(
            again.is_hit() || size == "10",
            "{size} bytes were not stored"
        );
    }
    thread::sleep(Duration::from_millis(300));
    let longest = scene
        .entries()
        .iter()
        .map(|name| scene.redis.ask(&["STRLEN", name]).number())
        .max();
    assert!(scene.entries().len() > before);
    assert!(longest.unwrap() < 1 << 20, "an entry of {longest:?} bytes");
    let other = scene.get(1, &shared(&[("size", "3000000")]));
    assert!(!is_from_redis(&other));
}

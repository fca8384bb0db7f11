//! The lock that lets one node of all run a handler: it is for load alone, and its holder may die,
//! hang or be late without anything being wrong.

use std::{
    thread,
    time::{Duration, Instant},
};

use crate::{
    scene::{Scene, version},
    support::{message::Request, redis::signal, wire::Wire},
};

const LOCKED: [(&str, &str); 1] = [("LOCK", "on")];

/// How long a request waits for another's run.
const WAIT_LIMIT: Duration = Duration::from_secs(5);

/// Asks for an item whose handler waits so long, if it is run.
fn slow(target: &str, wait: u64) -> Request {
    Request::get(target).with("X-Wait", &wait.to_string())
}

fn locks(scene: &Scene) -> Vec<String> {
    let mut names = scene.redis.names();
    names.retain(|name| name.starts_with("larder:") && !name.contains(":e:"));
    names.retain(|name| scene.redis.ask(&["TYPE", name]).text() == "string");
    names.retain(|name| scene.redis.ask(&["PTTL", name]).number() > 0);
    names
}

fn runs(scene: &Scene, target: &str) -> u64 {
    scene.nodes.iter().map(|node| node.runs(target)).sum()
}

#[test]
fn a_crowd_on_three_nodes_costs_one_run_with_the_lock() {
    let scene = Scene::with(3, &[], &LOCKED);
    let crowds = [(); 5].map(|()| {
        let target = scene.fresh();
        thread::scope(|scope| {
            for node in &scene.nodes {
                let target = &target;
                scope.spawn(move || {
                    assert_eq!(version(&node.send(&slow(target, 200))), 0);
                    assert!(node.crowd(target, 29).iter().all(|one| one.status == 200));
                });
            }
        });
        runs(&scene, &target)
    });
    // On a machine so busy that Redis does not answer within its 25 ms a node runs without the lock.
    let by_one = crowds.iter().filter(|runs| **runs == 1).count();
    assert!(
        by_one >= 3 && crowds.iter().all(|runs| *runs <= 3),
        "{crowds:?}"
    );
    assert_eq!(locks(&scene), [""; 0], "locks that nobody holds");
}

/// Lets the first node hold the lock for a run that would take a minute, and so many clients of each
/// other node wait for it.
fn waiting_for_the_first(scene: &Scene, target: &str, then: impl FnOnce()) -> Duration {
    let wire = Wire::One(scene.nodes[0].ground.address());
    let held = wire.hold(&[slow(target, 60_000)]).unwrap();
    scene.wait_until("the lock is held", || !locks(scene).is_empty());
    let ended = thread::scope(|scope| {
        for node in &scene.nodes[1..] {
            scope.spawn(move || {
                let answers = node.crowd(target, 20);
                assert!(answers.iter().all(|answer| version(answer) == 0));
            });
        }
        // They are waiting by now, or will find the holder as it is then.
        thread::sleep(Duration::from_millis(300));
        then();
        Instant::now()
    });
    drop(held);
    ended.elapsed()
}

#[test]
fn when_the_holder_of_the_lock_is_killed_one_of_those_who_wait_takes_it_over() {
    let scene = Scene::with(3, &[], &LOCKED);
    let target = scene.fresh();
    let killed = scene.nodes[0].ground.pid();
    let took = waiting_for_the_first(&scene, &target, || signal(killed, "KILL"));
    // The lock stands for two seconds; at five all who wait would run.
    assert!(took < WAIT_LIMIT, "took {took:?}");
    assert!(scene.nodes[1..].iter().all(|node| node.runs(&target) <= 1));
    scene.wait_until("the lock is given back", || locks(&scene).is_empty());
}

#[test]
fn when_the_holder_of_the_lock_hangs_one_of_those_who_wait_takes_it_over() {
    let scene = Scene::with(3, &[], &LOCKED);
    let target = scene.fresh();
    let frozen = scene.nodes[0].ground.pid();
    let took = waiting_for_the_first(&scene, &target, || signal(frozen, "STOP"));
    assert!(took < WAIT_LIMIT, "took {took:?}");
    assert!(scene.nodes[1..].iter().all(|node| node.runs(&target) <= 1));
    assert!(scene.put(1, &target));
    assert_eq!(scene.version(1, &target), 1);
    signal(frozen, "CONT");
    scene.wait_until("it is back", || scene.version(0, &target) == 1);
}

#[test]
fn what_a_paused_node_fills_late_is_dead_on_arrival() {
    let scene = Scene::with(2, &[], &LOCKED);
    let target = scene.fresh();
    let wire = Wire::One(scene.nodes[0].ground.address());
    let held = wire.hold(&[slow(&target, 400)]).unwrap();
    scene.wait_until("the lock is held", || !locks(&scene).is_empty());
    let paused = scene.nodes[0].ground.pid();
    signal(paused, "STOP");
    assert!(scene.put(1, &target));
    assert_eq!(scene.version(1, &target), 1);
    thread::sleep(Duration::from_millis(2_500));
    signal(paused, "CONT");
    // Now its handler ends, with what it read before the write.
    for _ in 0..50 {
        for node in 0..2 {
            assert_eq!(scene.version(node, &target), 1, "old on node {node}");
        }
        thread::sleep(Duration::from_millis(20));
    }
    drop(held);
}

#[test]
fn a_lock_that_was_taken_away_costs_another_run_at_most() {
    let scene = Scene::with(2, &[], &LOCKED);
    let target = scene.fresh();
    let answers = thread::scope(|scope| {
        let asking = [0, 1].map(|node| {
            let (scene, target) = (&scene.nodes[node], &target);
            scope.spawn(move || version(&scene.send(&slow(target, 400))))
        });
        scene.wait_until("the lock is held", || !locks(&scene).is_empty());
        for name in locks(&scene) {
            scene
                .redis
                .ask(&["SET", &name, "somebody else's", "PX", "1500"]);
        }
        asking.map(|one| one.join().unwrap())
    });
    assert_eq!(answers, [0, 0]);
    assert!(runs(&scene, &target) <= 2);
    // What is somebody else's is not taken away by who no longer holds it.
    assert!(scene.put(0, &target));
    scene.wait_until("the write is seen", || scene.version(1, &target) == 1);
}

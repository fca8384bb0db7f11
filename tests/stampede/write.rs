//! Reads around writes.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use crate::{
    scene::{Scene, pass, version},
    support::{ask::shared, message::Request},
};

#[test]
fn every_write_runs_its_handler_and_carries_its_acknowledgement() {
    Scene::over_both(&[], |scene| {
        for expected in 1..=3 {
            let method = if expected == 2 { "DELETE" } else { "PUT" };
            let written = scene.send(&Request::new(method, "/items/twice"));
            assert_eq!(version(&written), expected);
            assert_eq!(written.field("x-ack").unwrap(), "global");
        }
        let target = shared(&[]);
        let post = || scene.send(&Request::new("POST", &target)).run();
        assert_ne!(post(), post());
    });
}

#[test]
fn a_slow_read_from_before_a_write_is_neither_shared_nor_stored_after_it() {
    Scene::over_both(&[], |scene| {
        let target = "/items/slow";
        let slow = Request::get(target).with("X-Wait", "1000");
        let reader = scene.wire.another().unwrap();
        let _reader = reader.hold(&[slow]).unwrap();
        scene.wait_for_runs(target, 1);
        // The run is counted just before it reads.
        pass(100);
        let read = Instant::now();
        scene.send(&Request::new("PUT", target));
        // Those who come now must not wait for the old answer, nor find it when it has landed.
        while read.elapsed() < Duration::from_millis(1500) {
            let begun = Instant::now();
            assert_eq!(version(&scene.get(target)), 1);
            assert!(
                begun.elapsed() < Duration::from_millis(700),
                "{:?}",
                begun.elapsed()
            );
        }
        assert_eq!(scene.runs(target), 2);
    });
}

#[test]
fn a_tag_of_one_write_drops_every_page_that_carries_it() {
    Scene::over_both(&[], |scene| {
        for target in ["/items/a?x=1", "/items/a?x=2", "/items/b", "/items"] {
            scene.get(target);
            assert!(scene.get(target).is_hit(), "{target}");
        }
        let bystander = shared(&[]);
        scene.get(&bystander);
        scene.send(&Request::new("PUT", "/items/a"));
        for target in ["/items/a?x=1", "/items/a?x=2", "/items/b", "/items"] {
            assert!(!scene.get(target).is_hit(), "{target}");
        }
        assert!(scene.get(&bystander).is_hit());
    });
}

/// Keys of the checked run: few, so that reads and writes meet.
const KEYS: usize = 8;

/// How long the checked run goes on over each version of HTTP.
const CHECKED: Duration = Duration::from_secs(3);

/// Readers and writers at once. A read that begins after a write was acknowledged must see it: the
/// newest acknowledged version is noted before the read begins, and compared after it.
#[test]
fn no_read_is_older_than_a_write_acknowledged_before_it_began() {
    Scene::over_both(&[], |scene| {
        let acknowledged: Vec<AtomicU64> = (0..KEYS).map(|_| AtomicU64::new(0)).collect();
        let stale = Mutex::new(Vec::new());
        let [reads, hits] = [AtomicU64::new(0), AtomicU64::new(0)];
        let begun = Instant::now();
        thread::scope(|scope| {
            for client in 0..10 {
                let wire = scene.wire.another().unwrap();
                let (acknowledged, stale, reads, hits) = (&acknowledged, &stale, &reads, &hits);
                scope.spawn(move || {
                    let mut chance = client + 1;
                    while begun.elapsed() < CHECKED {
                        chance = next(chance);
                        let key = usize::try_from(chance >> 8).unwrap() % KEYS;
                        let target = format!("/items/checked-{key}");
                        if client < 2 {
                            let written = wire.send(&Request::new("PUT", &target)).unwrap();
                            acknowledged[key].fetch_max(version(&written), Ordering::SeqCst);
                            thread::sleep(Duration::from_millis(chance % 20));
                            continue;
                        }
                        let newest = acknowledged[key].load(Ordering::SeqCst);
                        let wait = (chance % 4 * 10).to_string();
                        let answer = wire
                            .send(&Request::get(&target).with("X-Wait", &wait))
                            .unwrap();
                        reads.fetch_add(1, Ordering::Relaxed);
                        hits.fetch_add(u64::from(answer.is_hit()), Ordering::Relaxed);
                        if version(&answer) < newest {
                            stale.lock().unwrap().push((newest, answer));
                        }
                    }
                });
            }
        });
        let stale = stale.into_inner().unwrap();
        assert!(
            stale.is_empty(),
            "{} stale, the first {:?}",
            stale.len(),
            stale[0]
        );
        // The run is worth something only if it was answered from the store as well.
        let [reads, hits] = [reads, hits].map(AtomicU64::into_inner);
        assert!(reads > 200 && hits > 20, "{hits} hits of {reads} reads");
    });
}

/// The next number of a fixed sequence (xorshift): no two clients do the same, each run does.
fn next(chance: u64) -> u64 {
    let chance = chance ^ (chance << 13);
    let chance = chance ^ (chance >> 7);
    chance ^ (chance << 17)
}

//! Answers past their lifetime.

use std::time::{Duration, Instant};

use crate::{
    scene::{Scene, pass, version},
    support::message::{Answer, Request},
};

/// A lifetime of one second, and a minute in which stale answers are served while one is fetched.
const REFRESHED: &[(&str, &str)] = &[("TTL", "1"), ("SWR", "60")];

/// Stores an item and waits until it is stale; asking does not refresh before that.
fn let_go_stale(scene: &Scene, target: &str) {
    scene.get(target);
    pass(1100);
}

#[test]
fn readers_of_a_stale_answer_do_not_wait_and_refresh_it_once() {
    Scene::over_both(REFRESHED, |scene| {
        let target = "/items/readers";
        scene.get(target);
        for expiry in 1..=2 {
            pass(1100);
            let before = scene.runs(target);
            // The refresh takes as long as the loop; no reader may wait for it.
            scene.send(&Request::new("POST", "/mode?status=200&delay=900"));
            let begun = Instant::now();
            while begun.elapsed() < Duration::from_millis(600) {
                let asked = Instant::now();
                let answers = scene.crowd(target, 10);
                assert!(answers.iter().all(Answer::is_hit), "expiry {expiry}");
                assert!(
                    asked.elapsed() < Duration::from_millis(500),
                    "{:?}",
                    asked.elapsed()
                );
            }
            assert_eq!(scene.runs(target) - before, 1, "expiry {expiry}");
            scene.send(&Request::new("POST", "/mode"));
            pass(600);
            assert!(scene.get(target).is_hit());
        }
    });
}

#[test]
fn a_refresh_that_fails_is_not_shown_until_the_stale_time_is_over() {
    let variables = [("TTL", "1"), ("SWR", "2"), ("SIE", "3")];
    Scene::over_both(&variables, |scene| {
        let target = "/items/sie";
        let stored = Instant::now();
        scene.get(target);
        scene.send(&Request::new("POST", "/mode?status=500&delay=0"));
        loop {
            let asked = stored.elapsed();
            let answer = scene.get(target);
            if asked > Duration::from_secs(6) {
                assert_eq!(answer.status, 500);
                break;
            }
            // A stale answer is never given after its window: freshness, and three seconds.
            let answered = stored.elapsed();
            if answered < Duration::from_millis(3500) {
                assert_eq!(answer.status, 200, "{asked:?} after it was stored");
            }
            if asked > Duration::from_millis(4500) {
                assert_eq!(answer.status, 500, "{asked:?} after it was stored");
            }
            pass(50);
        }
    });
}

#[test]
fn refreshes_that_fail_are_tried_again_at_growing_distances() {
    let variables = [("TTL", "1"), ("SWR", "60")];
    Scene::over_both(&variables, |scene| {
        let target = "/items/throttled";
        let_go_stale(scene, target);
        scene.send(&Request::new("POST", "/mode?status=503&delay=0"));
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(4) {
            assert_eq!(scene.get(target).status, 200);
        }
        // At 0, 1 and 3 seconds; one more for jitter.
        let refreshes = scene.runs(target) - 1;
        assert!((1..=4).contains(&refreshes), "{refreshes} refreshes in 4 s");
    });
}

#[test]
fn a_refresh_that_says_gone_or_forbidden_ends_the_stale_answer() {
    Scene::over_both(&[("TTL", "1"), ("SWR", "60"), ("SIE", "60")], |scene| {
        for status in [401, 403, 404, 410] {
            let target = format!("/items/{status}");
            let_go_stale(scene, &target);
            scene.send(&Request::new(
                "POST",
                &format!("/mode?status={status}&delay=0"),
            ));
            assert!(scene.get(&target).is_hit());
            scene.wait_until("the end of the stale answer", || {
                scene.get(&target).status == status
            });
            assert_eq!(scene.get(&target).status, status);
            scene.send(&Request::new("POST", "/mode"));
        }
    });
}

#[test]
fn a_refresh_that_a_write_overtakes_is_not_kept() {
    Scene::over_both(REFRESHED, |scene| {
        let target = "/items/overtaken";
        let_go_stale(scene, target);
        // This reader gets the stale answer, and its request becomes the refresh: it reads
        // version 0, and answers a second later.
        let stale = scene.send(&Request::get(target).with("X-Wait", "1000"));
        assert!(stale.is_hit());
        assert_eq!(version(&stale), 0);
        scene.wait_for_runs(target, 2);
        // The run is counted just before it reads.
        pass(100);
        let read = Instant::now();
        scene.send(&Request::new("PUT", target));
        while read.elapsed() < Duration::from_millis(1500) {
            assert_eq!(version(&scene.get(target)), 1);
        }
    });
}

#[test]
fn a_stale_answer_is_not_served_after_a_write() {
    Scene::over_both(&[("TTL", "1"), ("SWR", "60"), ("SIE", "60")], |scene| {
        let target = "/items/written";
        let_go_stale(scene, target);
        scene.send(&Request::new("PUT", target));
        scene.send(&Request::new("POST", "/mode?status=500&delay=0"));
        // Not even when the handler fails: what is known to be wrong is no help.
        assert_eq!(scene.get(target).status, 500);
    });
}

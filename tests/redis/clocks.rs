//! Nodes whose wall clocks are an hour apart: nothing is immortal, nothing dies at once, and no age
//! is negative.

use std::{thread, time::Duration};

use crate::{
    scene::{Scene, is_from_redis, version},
    support::{clock::shifter, message::Answer, redis::Redis},
};

fn age(answer: &Answer) -> u64 {
    answer.field("age").map_or(0, |age| age.parse().unwrap())
}

#[test]
fn wall_clocks_an_hour_apart_change_no_lifetime() {
    let library = shifter();
    for shift in ["+1h", "-1h"] {
        let variables = [
            ("TTL", "2"),
            ("1:LD_PRELOAD", &*library),
            ("1:FAKETIME", shift),
            // A clock that nobody can set stays as it is.
            ("1:DONT_FAKE_MONOTONIC", "1"),
        ];
        let scene = Scene::on(Redis::start(), 2, &variables);
        scene.wait_until("the nodes share their answers", || scene.is_shared());
        for (from, to) in [(0, 1), (1, 0)] {
            let target = scene.fresh();
            scene.get(from, &target);
            thread::sleep(Duration::from_millis(100));
            let found = scene.get(to, &target);
            assert!(is_from_redis(&found), "{shift}: dead at once");
            assert!(age(&found) <= 2, "{shift}: an age of {}", age(&found));
            assert!(age(&scene.get(to, &target)) <= 2);
            thread::sleep(Duration::from_millis(2_500));
            let runs = scene.nodes[to].runs(&target);
            assert_eq!(version(&scene.get(to, &target)), 0);
            assert_eq!(scene.nodes[to].runs(&target), runs + 1, "{shift}: immortal");
        }
        scene.follows();
    }
}

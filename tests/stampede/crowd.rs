//! Many ask for one thing at once.

use std::{
    collections::HashSet,
    io, thread,
    time::{Duration, Instant},
};

use crate::{
    scene::Scene,
    support::{
        ask::{SHARED, ctl, shared},
        message::{Answer, Request},
        script::is_alphabet,
        wire::Wire,
    },
};

/// Clients in a crowd.
const CROWD: usize = 50;

fn runs(answers: &[Answer]) -> HashSet<u64> {
    answers.iter().filter_map(Answer::run).collect()
}

#[test]
fn a_crowd_costs_one_run() {
    Scene::over_both(&[], |scene| {
        for target in ["/items/crowd?d=200", &shared(&[("delay", "200")])] {
            let answers = scene.crowd(target, CROWD);
            assert!(
                answers
                    .iter()
                    .all(|answer| answer.status == 200 && answer.whole)
            );
            assert_eq!(scene.runs(target), 1, "{target}");
            assert_eq!(runs(&answers).len(), 1);
            assert!(scene.get(target).is_hit());
        }
    });
}

/// The wait limit of five seconds, and what a busy machine adds.
const LATE: Duration = Duration::from_secs(9);

#[test]
fn a_leader_that_hangs_lets_its_followers_go_a_few_at_a_time() {
    Scene::over_both(&[], |scene| {
        let target = shared(&[("once", "hang"), ("delay", "100")]);
        let wire = scene.wire.another().unwrap();
        let _leader = wire.hold(&[Request::get(&target)]).unwrap();
        scene.wait_for_runs(&target, 1);
        let begun = Instant::now();
        let answers = scene.crowd(&target, CROWD);
        let waited = begun.elapsed();
        assert!(answers.iter().all(|answer| answer.status == 200));
        assert!(
            waited > Duration::from_millis(4900) && waited < LATE,
            "{waited:?}"
        );
        // The one that hangs and eight who no longer wait; what they bring serves all others.
        assert!(scene.runs(&target) <= 9, "{} runs", scene.runs(&target));
        assert!(scene.get(&target).is_hit());
    });
}

#[test]
fn a_leader_whose_client_leaves_still_answers_everybody() {
    Scene::over_both(&[], |scene| {
        for (name, waits_for_run) in [("begun", true), ("not begun", false)] {
            let target = shared(&[("delay", "300"), ("is", name)]);
            let wire = scene.wire.another().unwrap();
            let leader = wire.hold(&[Request::get(&target)]).unwrap();
            if waits_for_run {
                scene.wait_for_runs(&target, 1);
            }
            let answers = thread::scope(|scope| {
                let crowd = scope.spawn(|| scene.crowd(&target, CROWD));
                if waits_for_run {
                    thread::sleep(Duration::from_millis(100));
                }
                drop(leader);
                crowd.join().unwrap()
            });
            assert!(
                answers
                    .iter()
                    .all(|answer| answer.status == 200 && answer.whole),
                "{name}"
            );
            let runs = scene.runs(&target);
            assert!((1..=2).contains(&runs), "{name}: {runs} runs");
            assert!(scene.get(&target).is_hit(), "{name}");
        }
    });
}

#[test]
fn five_impatient_clients_cost_one_run_and_fill_the_cache() {
    Scene::over_both(&[], |scene| {
        let target = shared(&[("delay", "1000")]);
        for _ in 0..5 {
            let wire = scene.wire.another().unwrap();
            let impatient = wire.hold(&[Request::get(&target)]).unwrap();
            scene.wait_for_runs(&target, 1);
            drop(impatient);
        }
        scene.wait_until("the answer in the store", || {
            scene.send(&Request::new("HEAD", &target)).is_hit()
        });
        assert!(scene.get(&target).is_hit());
        assert_eq!(scene.runs(&target), 1);
    });
}

/// Requests in a stampede.
const STAMPEDE: usize = 1000;

/// Requests of a stampede that share an HTTP/2 connection: servers allow 100 to 250 at a time.
const TOGETHER: usize = 100;

/// Asks for one target by a thousand clients at once.
fn stampede(scene: &Scene, target: &str) -> Vec<io::Result<Answer>> {
    let requests = vec![Request::get(target); TOGETHER];
    let wires: Vec<Wire> = (0..STAMPEDE / TOGETHER)
        .map(|_| scene.wire.another().unwrap())
        .collect();
    thread::scope(|scope| {
        let sent: Vec<_> = wires
            .iter()
            .map(|wire| scope.spawn(|| wire.send_all(&requests)))
            .collect();
        sent.into_iter()
            .flat_map(|part| part.join().unwrap())
            .collect()
    })
}

#[test]
fn where_every_run_panics_nobody_waits_and_few_run() {
    Scene::over_both(&[], |scene| {
        let target = shared(&[("panic", "1"), ("delay", "1500")]);
        let begun = Instant::now();
        let answers = stampede(scene, &target);
        // Two runs, one after the other, and nobody waits longer than for them.
        assert!(
            begun.elapsed() < Duration::from_secs(8),
            "{:?}",
            begun.elapsed()
        );
        let refused = answers
            .iter()
            .filter(|answer| answer.as_ref().is_ok_and(|answer| answer.status == 503));
        // A panic ends its connection, or its stream; the others are told to come back.
        let refused = refused.count();
        assert!(
            refused >= STAMPEDE - 10,
            "{refused} refused over {}",
            scene.wire
        );
        let runs = scene.runs(&target);
        assert!(runs <= 10, "{runs} runs");
    });
}

#[test]
fn a_stampede_for_a_page_that_fails_is_two_runs_at_the_most() {
    Scene::over_both(&[], |scene| {
        let target = shared(&[("status", "500"), ("delay", "3000")]);
        for answer in stampede(scene, &target) {
            assert_eq!(answer.unwrap().status, 500);
        }
        let runs = scene.runs(&target);
        assert!(runs <= 2, "{runs} runs");
    });
}

#[test]
fn a_panic_of_the_first_run_reaches_one_client_and_the_rest_are_answered() {
    Scene::over_both(&[], |scene| {
        let target = shared(&[("once", "panic"), ("delay", "100")]);
        let wire = scene.wire.another().unwrap();
        let answers = wire.send_all(&vec![Request::get(&target); CROWD]);
        let good: Vec<Answer> = answers.into_iter().filter_map(Result::ok).collect();
        assert!(
            good.len() >= CROWD - 1,
            "{} of {CROWD} answered",
            good.len()
        );
        assert!(good.iter().all(|answer| answer.status == 200), "{good:?}");
        assert!(scene.runs(&target) <= 2, "{} runs", scene.runs(&target));
        assert!(scene.get(&target).is_hit());
    });
}

#[test]
fn a_private_answer_is_given_to_nobody_else_and_nobody_queues_for_it() {
    Scene::over_both(&[], |scene| {
        for field in ["Cache-Control:private", "Set-Cookie:sid=1"] {
            let target = ctl(&[("h", field), ("delay", "100")]);
            let begun = Instant::now();
            let answers = scene.crowd(&target, 2 * CROWD);
            assert_eq!(runs(&answers).len(), 2 * CROWD);
            // One after the other, they would take ten seconds.
            assert!(
                begun.elapsed() < Duration::from_secs(2),
                "{:?}",
                begun.elapsed()
            );
        }
    });
}

#[test]
fn a_failure_is_shared_by_those_who_waited_and_kept_for_nobody() {
    Scene::over_both(&[], |scene| {
        let target = shared(&[("status", "500"), ("delay", "200")]);
        let answers = scene.crowd(&target, CROWD);
        assert!(answers.iter().all(|answer| answer.status == 500));
        assert!(scene.runs(&target) <= 2, "{} runs", scene.runs(&target));
        assert!(!runs(&answers).contains(&scene.get(&target).run().unwrap()));
    });
}

#[test]
fn a_refusal_is_not_given_to_who_is_authorised() {
    Scene::over_both(&[], |scene| {
        let target = shared(&[("status", "401")]);
        let refused = scene.get(&target);
        let request = Request::get(&target).with("Authorization", "Bearer alice");
        let authorised = scene.send(&request);
        assert_ne!(refused.run(), authorised.run());
        assert_ne!(scene.get(&target).run(), authorised.run());
    });
}

#[test]
fn a_body_that_fails_is_given_whole_to_nobody_and_never_stored() {
    let cut = [
        vec![SHARED, ("fail", "1"), ("size", "1000")],
        vec![SHARED, ("fail", "1"), ("size", "1000"), ("chunks", "4")],
        vec![
            SHARED,
            ("h", "Content-Length:1000"),
            ("size", "100"),
            ("chunks", "1"),
        ],
    ];
    Scene::over_both(&[], |scene| {
        for orders in &cut {
            let target = ctl(orders);
            for _ in 0..2 {
                let wire = scene.wire.another().unwrap();
                for answer in wire
                    .send_all(&vec![Request::get(&target); 10])
                    .into_iter()
                    .flatten()
                {
                    let whole = answer.whole && answer.status == 200;
                    assert!(
                        !whole && !answer.is_hit(),
                        "{target} over {}: {answer:?}",
                        scene.wire
                    );
                }
            }
            assert!(scene.runs(&target) >= 2);
        }
    });
}

#[test]
fn a_leader_that_reads_slowly_holds_nobody_up() {
    Scene::over_both(&[], |scene| {
        const SIZE: usize = 6 << 20;
        let target = shared(&[("size", &SIZE.to_string())]);
        let wire = scene.wire.another().unwrap();
        let (head, mut rest) = wire.begin(&Request::get(&target)).unwrap();
        let begun = Instant::now();
        for answer in scene.crowd(&target, 4) {
            assert!(is_alphabet(&answer.body, SIZE));
            assert_eq!(answer.run(), head.run());
        }
        assert!(
            begun.elapsed() < Duration::from_secs(8),
            "{:?}",
            begun.elapsed()
        );
        assert_eq!(scene.runs(&target), 1);
        assert!(rest.some().unwrap().is_some());
    });
}

#[test]
fn followers_stream_along_with_a_body_of_known_length() {
    Scene::over_both(&[], |scene| {
        // Told to be 26 bytes long, and sent in 26 pieces that take 2.6 s.
        let orders = [
            SHARED,
            ("size", "26"),
            ("chunks", "26"),
            ("gap", "100"),
            ("h", "Content-Length:26"),
        ];
        let target = ctl(&orders);
        let wire = scene.wire.another().unwrap();
        let (_, _leader) = wire.begin(&Request::get(&target)).unwrap();
        let begun = Instant::now();
        let (head, mut body) = scene.wire.begin(&Request::get(&target)).unwrap();
        assert!(body.some().unwrap().is_some());
        assert!(
            begun.elapsed() < Duration::from_millis(1500),
            "{:?}",
            begun.elapsed()
        );
        assert_eq!(head.status, 200);
        assert_eq!(scene.runs(&target), 1);
    });
}

#[test]
fn variants_of_one_url_are_bounded() {
    Scene::over_both(&[("MEMORY_BYTES", "8388608")], |scene| {
        const VALUES: usize = 1000;
        let target = shared(&[("h", "Vary:X-A"), ("size", "20000")]);
        let ask =
            |number: usize| scene.send(&Request::get(&target).with("X-A", &number.to_string()));
        (0..100).for_each(|number| drop(ask(number)));
        let settled = scene.ground.resident_bytes();
        (100..VALUES).for_each(|number| drop(ask(number)));
        let grown = scene.ground.resident_bytes().saturating_sub(settled);
        assert!(grown < 8 << 20, "grew by {grown} bytes");
        let kept = (0..VALUES)
            .rev()
            .take(100)
            .filter(|number| ask(*number).is_hit())
            .count();
        assert!(kept <= 16, "{kept} variants were kept");
    });
}

#[test]
fn many_tagged_keys_stay_within_the_bound_and_go_by_one_tag() {
    Scene::over_both(&[("MEMORY_BYTES", "4194304")], |scene| {
        let ask = |number: usize| scene.get(&format!("/items/{number}"));
        (0..1000).for_each(|number| drop(ask(number)));
        let settled = scene.ground.resident_bytes();
        (1000..8000).for_each(|number| drop(ask(number)));
        let grown = scene.ground.resident_bytes().saturating_sub(settled);
        assert!(grown < 10 << 20, "grew by {grown} bytes");
        assert!(ask(7999).is_hit());
        scene.send(&Request::new("PUT", "/items/other"));
        assert!((7900..8000).all(|number| !ask(number).is_hit()));
    });
}

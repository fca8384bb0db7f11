//! The runs, and the checks against notes that were made up.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use crate::{
    check::{Checker, MOST_GROWTH},
    journal::{Batch, Begun, Disturbance, Failure, From, OPEN, Place, Quiet, Read, Write},
    plan::Plan,
    run,
};

/// A second of the run.
const SECOND: u64 = 1_000_000_000;

/// Runs a plan and fails if anything was violated, or if too little happened to say so.
fn must_hold(plan: &Plan) {
    // Two at a time would be in each other's way.
    static ONE: Mutex<()> = Mutex::new(());
    let _turn = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    println!("{plan:?}");
    let (checker, _) = run(plan);
    println!("{}", checker.figures);
    assert!(
        checker.violation_count == 0,
        "seed {}: {} violations\n{}",
        plan.seed,
        checker.violation_count,
        checker.violations.join("\n")
    );
    let figures = &checker.figures;
    assert!(figures.reads() > 20 * plan.seconds, "too few reads");
    assert!(figures.from_memory > 0 && figures.global > 0, "too little");
    assert!(figures.quiets > 0, "no quiet time");
    assert!(!plan.redis || figures.from_redis > 0, "nothing of Redis");
}

#[test]
fn one_node_alone_keeps_its_promises_through_restarts() {
    let plan = Plan {
        seconds: 8,
        nodes: 1,
        redis: false,
        ..Plan::default()
    };
    must_hold(&plan);
}

#[test]
fn three_nodes_on_one_redis_keep_their_promises_while_everything_fails() {
    must_hold(&Plan::default());
}

#[test]
fn strict_nodes_are_never_behind_an_acknowledgement_while_everything_fails() {
    let plan = Plan {
        seconds: 15,
        seed: 5,
        strict: true,
        ..Plan::default()
    };
    must_hold(&plan);
}

#[test]
fn nodes_that_leave_runs_to_each_other_keep_their_promises_while_everything_fails() {
    let plan = Plan {
        seconds: 15,
        seed: 6,
        lock: true,
        ..Plan::default()
    };
    must_hold(&plan);
}

#[test]
#[ignore = "as long as it is asked to be; see scripts/checker"]
fn long_run() {
    must_hold(&Plan::default().or_as_asked());
}

#[test]
#[ignore = "needs a build with planted faults; see scripts/checker"]
fn a_planted_fault_is_caught() {
    let plan = Plan {
        seconds: 60,
        ..Plan::default()
    };
    let plan = plan.or_as_asked();
    let mutant = plan.mutant.clone().unwrap();
    let (checker, took) = run(&plan);
    println!("{}", checker.figures);
    let first = checker.violations.first();
    let Some(first) = first else {
        panic!("{mutant} was not caught within {took:?}");
    };
    println!("{mutant}: caught after {took:.1?}: {first}");
}

fn at(node: usize) -> Place {
    Place {
        node,
        life: Some(2),
    }
}

fn write(end: u64, node: usize, version: u64, global: bool) -> Write {
    let start = end - 1;
    Write {
        start,
        end,
        key: 0,
        version,
        at: at(node),
        global,
    }
}

fn read(start: u64, node: usize, version: u64) -> Read {
    Read {
        start,
        end: start + 1,
        key: 0,
        host: 0,
        version,
        at: at(node),
        from: From::Memory,
    }
}

/// Returns which checks complain about two nodes that were written to and read so.
fn complaints(writes: &[Write], reads: &[Read], quiets: Vec<Quiet>) -> Vec<String> {
    complaints_of(
        &Plan::default().with("nodes=2").unwrap(),
        writes,
        reads,
        quiets,
    )
}

fn complaints_of(plan: &Plan, writes: &[Write], reads: &[Read], quiets: Vec<Quiet>) -> Vec<String> {
    let begun = writes.iter().map(|write| Begun {
        start: write.start,
        key: write.key,
        is_write: true,
    });
    let batch = Batch {
        begun: begun.collect(),
        reads: reads.to_vec(),
        writes: writes.to_vec(),
        quiets,
        ..Batch::default()
    };
    let mut checker = Checker::new(plan);
    checker.absorb(batch, &[]);
    names(&checker)
}

fn names(checker: &Checker) -> Vec<String> {
    let words = checker.violations.iter();
    words.map(|words| words[..2].to_owned()).collect()
}

fn quiet(from: u64, to: u64, runs: u64) -> Quiet {
    let mut by_key = vec![0; crate::cluster::KEYS];
    by_key[0] = runs;
    Quiet {
        from,
        to,
        runs: by_key,
        lives: vec![2, 2],
        resident: 1 << 20,
    }
}

#[test]
fn an_old_answer_of_the_node_that_acknowledged_is_found() {
    let writes = [write(10, 0, 1, false)];
    assert_eq!(complaints(&writes, &[read(11, 0, 0)], Vec::new()), ["K1"]);
    // Begun before the acknowledgement, on another node, or in another life: nothing was promised.
    let mut earlier_life = read(11, 0, 0);
    earlier_life.at.life = Some(4);
    for fine in [read(10, 0, 0), read(11, 1, 0), read(11, 0, 1), earlier_life] {
        assert_eq!(complaints(&writes, &[fine], Vec::new()), [""; 0]);
    }
}

#[test]
fn an_old_answer_of_another_node_is_found_after_the_bound() {
    let writes = [write(10, 0, 1, true)];
    let late = read(11 + 2 * SECOND, 1, 0);
    let soon = read(SECOND, 1, 0);
    assert_eq!(complaints(&writes, &[late], Vec::new()), ["K2"]);
    assert_eq!(complaints(&writes, &[soon], Vec::new()), [""; 0]);
    let strict = Plan::default().with("nodes=2 strict=on").unwrap();
    assert_eq!(complaints_of(&strict, &writes, &[soon], Vec::new()), ["K2"]);
    let local = [write(10, 0, 1, false)];
    assert_eq!(complaints(&local, &[late], Vec::new()), [""; 0]);
}

#[test]
fn what_a_node_acknowledged_for_all_outlives_it() {
    let mut next_life = read(11, 0, 0);
    next_life.at.life = Some(4);
    assert_eq!(
        complaints(&[write(10, 0, 1, true)], &[next_life], Vec::new()),
        ["K3"]
    );
}

#[test]
fn a_step_back_in_a_quiet_time_is_found() {
    let writes = [write(10, 0, 1, false)];
    let begin = 10 * SECOND;
    let at = [5, 7, 9].map(|later| begin + later);
    let mut reads = vec![read(at[0], 0, 1), read(at[1], 1, 1), read(at[2], 1, 0)];
    let window = || vec![quiet(begin, begin + 40, 1)];
    assert_eq!(complaints(&writes, &reads, window()), ["K4", "K9"]);
    // The other node had not answered it before.
    reads.remove(1);
    assert_eq!(complaints(&writes, &reads, window()), ["K9"]);
}

#[test]
fn versions_out_of_nowhere_and_wrong_bodies_are_found() {
    let writes = [write(10, 0, 1, true)];
    assert_eq!(complaints(&writes, &[read(5, 0, 1)], Vec::new()), ["K5"]);
    let failure = |wrong| Failure {
        start: 1,
        end: 2,
        node: 0,
        wrong,
        what: "some".to_owned(),
    };
    let judged = |failure: Failure, disturbances: &[Disturbance]| {
        let mut checker = Checker::new(&Plan::default());
        let failures = vec![failure];
        let batch = Batch {
            failures,
            ..Batch::default()
        };
        checker.absorb(batch, disturbances);
        names(&checker)
    };
    let stopped = Disturbance {
        from: 0,
        to: OPEN,
        node: 0,
    };
    assert_eq!(judged(failure(true), &[stopped]), ["K5"]);
    assert_eq!(judged(failure(false), &[]), ["K8"]);
    assert_eq!(judged(failure(false), &[stopped]), [""; 0]);
    let other = Disturbance { node: 1, ..stopped };
    assert_eq!(judged(failure(false), &[other]), ["K8"]);
}

#[test]
fn many_runs_slow_answers_and_local_acknowledgements_in_quiet_times_are_found() {
    let begin = 10 * SECOND;
    let window = |runs| vec![quiet(begin, begin + SECOND, runs)];
    // Two nodes, two hosts, no invalidation.
    assert_eq!(complaints(&[], &[], window(4)), [""; 0]);
    assert_eq!(complaints(&[], &[], window(5)), ["K6"]);
    let writes = [write(begin + 5, 0, 1, true)];
    assert_eq!(complaints(&writes, &[], window(8)), [""; 0]);
    let mut writes = [5, 7, 9, 11, 13].map(|later| write(begin + later, 0, 1, false));
    assert_eq!(complaints(&writes, &[], window(0)), ["K9"]);
    writes[2].global = true;
    assert_eq!(complaints(&writes, &[], window(0)), [""; 0]);
    let mut grown = [quiet(5, 6, 0), quiet(7, 8, 0)];
    grown[1].resident += MOST_GROWTH + 1;
    assert_eq!(complaints(&[], &[], grown.to_vec()), ["K9"]);
    let mut slow = read(5, 0, 0);
    slow.end = slow.start + u64::try_from(Duration::from_secs(9).as_nanos()).unwrap();
    assert_eq!(complaints(&[], &[slow], Vec::new()), ["K8"]);
}

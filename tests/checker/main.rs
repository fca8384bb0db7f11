//! Whether a cluster keeps the promises of consistency while everything around it fails.
//!
//! Several proving grounds share one truth and one Redis, each over a proxy of its own. Clients read
//! and write at random; a nemesis breaks the network, Redis and the nodes, one thing after another,
//! by a seed that is printed; every answer is judged by [`check`]. `LARDER_CHECK` changes the run:
//! `LARDER_CHECK="seconds=3600 nodes=5 seed=7" cargo test --release --test checker long_run --
//! --ignored --nocapture`; `scripts/checker` says more.
//!
//! A checker that finds nothing has to be shown to find something: `scripts/checker mutants` plants
//! faults into a build of the library that no release can be, and each has to be caught.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a test may panic, measures time and shows what it measured"
)]

mod chance;
mod check;
mod client;
mod cluster;
mod failover;
mod figures;
mod journal;
mod nemesis;
mod plan;
mod release;
mod rising;
#[path = "../support/mod.rs"]
#[allow(dead_code, reason = "each suite uses its part")]
mod support;
mod tests;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use tokio::runtime;

use self::{
    check::Checker,
    client::Shared,
    cluster::Cluster,
    journal::{Journal, Moment},
    plan::Plan,
};

/// How often what was noted is judged.
const ROUND: Duration = Duration::from_millis(500);

/// Disturbances that ended so long ago (in nanoseconds) excuse nothing that is still to be judged.
const LONG_AGO: Moment = 60_000_000_000;

/// Runs a plan to its end, or to the first violation if a fault is planted, and returns its judge
/// and how long that took.
fn run(plan: &Plan) -> (Checker, Duration) {
    let cluster = Cluster::start(plan);
    let shared = Arc::new(Shared {
        plan: plan.clone(),
        cluster,
        // One page for each client, one for the nemesis.
        journal: Journal::new(plan.clients + 1),
        stop: AtomicBool::new(false),
        calm: AtomicBool::new(false),
    });
    let clients = runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    for number in 0..plan.clients {
        clients.spawn(client::run(number, Arc::clone(&shared)));
    }
    for node in 0..plan.nodes {
        clients.spawn(client::watch(node, Arc::clone(&shared)));
    }
    let breaking = Arc::clone(&shared);
    let nemesis = thread::spawn(move || nemesis::run(breaking));
    let mut checker = Checker::new(plan);
    let began = Instant::now();
    let mut caught = None;
    while !nemesis.is_finished() {
        thread::sleep(ROUND);
        judge(&mut checker, &shared);
        if began.elapsed() > Duration::from_secs(plan.seconds) {
            shared.calm.store(true, Ordering::Relaxed);
        }
        if plan.mutant.is_some() && checker.violation_count > 0 && caught.is_none() {
            caught = Some(began.elapsed());
            shared.calm.store(true, Ordering::Relaxed);
            shared.stop.store(true, Ordering::Relaxed);
        }
    }
    nemesis.join().unwrap();
    judge(&mut checker, &shared);
    shared.stop.store(true, Ordering::Relaxed);
    let took = caught.unwrap_or_else(|| began.elapsed());
    clients.shutdown_timeout(Duration::from_secs(1));
    for (number, node) in shared.cluster.nodes.iter().enumerate() {
        if node.log().contains("panicked") {
            let words = format!("node {number} panicked: {}", node.log());
            checker.violation("K8", shared.journal.now(), &words);
        }
    }
    (checker, took)
}

fn judge(checker: &mut Checker, shared: &Shared) {
    let before = shared.journal.now();
    let batch = shared.journal.collect();
    // After the notes, so that whatever disturbed them is known.
    let disturbances = shared
        .journal
        .disturbances_since(before.saturating_sub(LONG_AGO));
    checker.absorb(batch, &disturbances);
}

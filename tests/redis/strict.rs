//! Strict reads, while others invalidate what has nothing to do with them.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use larder::{Ack, Consistency, Larder, Redis, Target};
use tokio::time::{MissedTickBehavior, interval};

use crate::{
    node::{Node, Truth},
    support::redis::Redis as Server,
};

/// What strict reads of one page came to.
#[derive(Debug)]
struct Reads {
    count: usize,
    /// How many of them ran the handler.
    missed: u64,
    invalidated: u32,
    /// The middle one, and the one that a hundredth took longer than.
    took: (Duration, Duration),
}

/// Lets eight callers read for so long, while another node invalidates something else at this
/// interval, if there is one. A request waits for Redis no longer than `budget`.
async fn reads(budget: Duration, every: Option<Duration>, lasting: Duration) -> Reads {
    let (server, truth) = (Server::start(), Truth::new());
    let redis = Redis::new(server.url()).budget(budget);
    let strict = Larder::builder()
        .redis(redis)
        .consistency(Consistency::Strict);
    let one = Node::build(strict, &truth).await;
    one.in_sync().await;
    let other = Node::start(server.url(), &truth, Consistency::Bounded).await;
    one.get("/items/1").await;
    let (runs, is_over) = (truth.runs(), Arc::new(AtomicBool::new(false)));
    let over = Arc::clone(&is_over);
    let writing = tokio::spawn(async move {
        let mut invalidated = 0;
        let Some(every) = every else { return 0 };
        let mut tick = interval(every);
        tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
        while !over.load(Ordering::Relaxed) {
            tick.tick().await;
            let tag = Target::tag(&format!("other:{}", invalidated % 50));
            invalidated += u32::from(other.larder.invalidate([tag]).await == Ack::Global);
        }
        invalidated
    });
    let callers = (0..8).map(|_| {
        let one = one.clone();
        tokio::spawn(async move {
            let (begun, mut took) = (Instant::now(), Vec::new());
            while begun.elapsed() < lasting {
                let asked = Instant::now();
                one.get("/items/1").await;
                took.push(asked.elapsed());
            }
            took
        })
    });
    let callers: Vec<_> = callers.collect();
    let mut took = Vec::new();
    for caller in callers {
        took.extend(caller.await.unwrap());
    }
    is_over.store(true, Ordering::Relaxed);
    took.sort_unstable();
    Reads {
        count: took.len(),
        missed: truth.runs() - runs,
        invalidated: writing.await.unwrap(),
        took: (took[took.len() / 2], took[took.len() * 99 / 100]),
    }
}

const A_HUNDRED_A_SECOND: Option<Duration> = Some(Duration::from_millis(10));

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invalidations_of_other_things_do_not_make_strict_reads_run_handlers() {
    let patient = Duration::from_secs(5);
    let seen = reads(patient, A_HUNDRED_A_SECOND, Duration::from_secs(2)).await;
    assert!(seen.count > 100 && seen.invalidated > 20, "{seen:?}");
    assert_eq!(seen.missed, 0, "{seen:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "measures; the figures are in DESIGN.md"]
async fn how_many_strict_reads_are_hits_within_the_default_budget() {
    let default = Duration::from_millis(25);
    for every in [None, A_HUNDRED_A_SECOND] {
        let seen = reads(default, every, Duration::from_secs(10)).await;
        let share = 1.0 - seen.missed as f64 / seen.count as f64;
        let (middle, long) = seen.took;
        println!(
            "{share:.5} of {} reads were hits beside {} invalidations; the middle took {middle:?}, 99 of 100 at most {long:?}",
            seen.count, seen.invalidated
        );
    }
}

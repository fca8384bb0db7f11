//! Writers that cross: in whatever order their steps come, the loser's value does not stay.
//!
//! Each writer commits to the truth at one moment and stores at another, and the schedule of all of
//! them is drawn at random. Whatever is stored in the end has to be the truth.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use larder::Typed;
use proptest::prelude::*;
use tokio::sync::Semaphore;

use super::larder;

const WRITERS: u64 = 4;

/// One writer, held back before its commit and after it.
struct Writer {
    before: Arc<Semaphore>,
    after: Arc<Semaphore>,
    task: tokio::task::JoinHandle<()>,
}

fn writer(values: &Typed<u64>, truth: &Arc<AtomicU64>, number: u64) -> Writer {
    let (before, after) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let (values, truth) = (values.clone(), Arc::clone(truth));
    let (gate, exit) = (Arc::clone(&before), Arc::clone(&after));
    let task = tokio::spawn(async move {
        let commit = async {
            gate.acquire().await.unwrap().forget();
            truth.store(number, Ordering::SeqCst);
            exit.acquire().await.unwrap().forget();
            Ok::<_, io::Error>(())
        };
        values.write_through("7", number, commit).await.unwrap();
    });
    Writer {
        before,
        after,
        task,
    }
}

async fn play(schedule: Vec<usize>) -> Result<(), TestCaseError> {
    let (larder, _) = larder().await;
    let values = larder.typed::<u64>("value");
    let truth = Arc::new(AtomicU64::new(0));
    let writers: Vec<_> = (1..=WRITERS)
        .map(|number| writer(&values, &truth, number))
        .collect();
    settle().await;
    for step in schedule {
        let writer = &writers[step / 2 % writers.len()];
        if step % 2 == 0 {
            &writer.before
        } else {
            &writer.after
        }
        .add_permits(1);
        settle().await;
        if let (Some(stored), true) = (values.get("7").await, writers.iter().all(Writer::is_idle)) {
            prop_assert_eq!(*stored, truth.load(Ordering::SeqCst));
        }
    }
    for writer in writers {
        writer.before.add_permits(1);
        writer.after.add_permits(1);
        writer.task.await.unwrap();
    }
    if let Some(stored) = values.get("7").await {
        prop_assert_eq!(*stored, truth.load(Ordering::SeqCst));
    }
    Ok(())
}

impl Writer {
    /// Whether it has not committed yet, or is done.
    fn is_idle(&self) -> bool {
        self.task.is_finished()
    }
}

/// Lets every task go as far as it can.
async fn settle() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn of_writers_that_cross_the_loser_never_stays(
        schedule in prop::collection::vec(0_usize..8, 0..16)
    ) {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
            .block_on(play(schedule))?;
    }
}

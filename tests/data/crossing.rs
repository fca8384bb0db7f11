//! Writers that cross: in whatever order their steps come, the loser's value does not stay.
//!
//! Each writer begins, commits to the truth and stores, and the schedule of all of them is drawn at
//! random; what a writer does after its commit may go on beside the steps of the others. Whenever no
//! writer stands between the two, whatever is stored has to be the truth: in one process, and on two
//! nodes that share a Redis.

use std::{
    io,
    sync::{
        Arc, LazyLock,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
};

use larder::{Consistency, Larder, Redis as Tier, Typed, secs};
use proptest::prelude::*;
use tokio::{
    runtime::{Builder, Runtime},
    sync::oneshot,
    task::JoinHandle,
};

use super::support::redis::Redis;

const WRITERS: usize = 4;

/// How often a value was stored, of all writers of one test.
type Stored = Arc<AtomicU32>;

/// One writer, and how far it is.
enum Writer {
    Waiting,
    Begun {
        commit: oneshot::Sender<()>,
        committed: oneshot::Receiver<()>,
        finish: oneshot::Sender<()>,
        task: JoinHandle<bool>,
    },
    Committed {
        finish: oneshot::Sender<()>,
        task: JoinHandle<bool>,
    },
    /// Stores while others take their steps.
    Finishing(JoinHandle<bool>),
    Done,
}

impl Writer {
    /// Starts a write and returns once its commit is about to be made.
    async fn begin(values: &Typed<u64>, id: &str, truth: &Arc<AtomicU64>, number: u64) -> Self {
        let (commit, may_commit) = oneshot::channel();
        let (has_committed, committed) = oneshot::channel();
        let (finish, may_finish) = oneshot::channel();
        let (has_begun, begun) = oneshot::channel();
        let (values, truth, id) = (values.clone(), Arc::clone(truth), id.to_owned());
        let task = tokio::spawn(async move {
            let change = async {
                has_begun.send(()).unwrap();
                may_commit.await.unwrap();
                truth.store(number, Ordering::SeqCst);
                has_committed.send(()).unwrap();
                may_finish.await.unwrap();
                Ok::<_, io::Error>(())
            };
            let written = values.write_through(&id, number, change).await;
            written.unwrap().stored
        });
        begun.await.unwrap();
        Self::Begun {
            commit,
            committed,
            finish,
            task,
        }
    }

    /// Takes the next step; the last one is waited for only if `whole`.
    async fn step(self, whole: bool, stored: &Stored) -> Self {
        match self {
            Self::Begun {
                commit,
                committed,
                finish,
                task,
            } => {
                commit.send(()).unwrap();
                committed.await.unwrap();
                Self::Committed { finish, task }
            }
            Self::Committed { finish, task } => {
                finish.send(()).unwrap();
                if whole {
                    Self::ended(task, stored).await
                } else {
                    Self::Finishing(task)
                }
            }
            Self::Finishing(task) => Self::ended(task, stored).await,
            other => other,
        }
    }

    async fn ended(task: JoinHandle<bool>, stored: &Stored) -> Self {
        let one = u32::from(task.await.unwrap());
        stored.fetch_add(one, Ordering::SeqCst);
        Self::Done
    }

    /// Whether the truth is as it was, or all know of it.
    fn is_settled(&self) -> bool {
        matches!(self, Self::Waiting | Self::Begun { .. } | Self::Done)
    }
}

/// Plays one schedule; the writers take turns with the nodes.
async fn play(
    nodes: &[Typed<u64>],
    id: &str,
    schedule: Vec<(usize, bool)>,
    stored: &Stored,
) -> Result<(), TestCaseError> {
    let truth = Arc::new(AtomicU64::new(0));
    let mut writers: Vec<Writer> = (0..WRITERS).map(|_| Writer::Waiting).collect();
    let to_the_end = (0..WRITERS).flat_map(|writer| [(writer, true); 4]);
    let mut begun = 0;
    for (writer, whole) in schedule.into_iter().chain(to_the_end) {
        let before = std::mem::replace(&mut writers[writer], Writer::Done);
        writers[writer] = match before {
            Writer::Waiting => {
                let node = &nodes[writer % nodes.len()];
                begun += 1;
                Writer::begin(node, id, &truth, begun).await
            }
            before => before.step(whole, stored).await,
        };
        if writers.iter().all(Writer::is_settled) {
            for node in nodes {
                if let Some(stored) = node.get(id).await {
                    prop_assert_eq!(*stored, truth.load(Ordering::SeqCst));
                }
            }
        }
    }
    Ok(())
}

fn schedules() -> impl Strategy<Value = Vec<(usize, bool)>> {
    prop::collection::vec((0..WRITERS, any::<bool>()), 0..24)
}

static RUNTIME: LazyLock<Runtime> =
    LazyLock::new(|| Builder::new_multi_thread().enable_all().build().unwrap());

#[test]
fn of_writers_that_cross_the_loser_never_stays() {
    let larder = RUNTIME.block_on(async { Larder::builder().build().await.unwrap() });
    the_loser_never_stays(&[larder], 300);
}

#[test]
fn of_writers_that_cross_on_two_nodes_the_loser_never_stays() {
    let redis = Redis::start();
    let node = || async {
        let tier = Tier::new(redis.url())
            .budget(secs(10))
            .background_budget(secs(10));
        let built = Larder::builder().redis(tier);
        let built = built.consistency(Consistency::Strict).build();
        built.await.unwrap()
    };
    let nodes = RUNTIME.block_on(async { [node().await, node().await] });
    the_loser_never_stays(&nodes, 150);
}

fn the_loser_never_stays(nodes: &[Larder], cases: u32) {
    let values: Vec<_> = nodes
        .iter()
        .map(|node| node.typed::<u64>("value"))
        .collect();
    let (stored, number) = (Stored::default(), AtomicU64::new(0));
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
        cases,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    let played = runner.run(&schedules(), |schedule| {
        let id = number.fetch_add(1, Ordering::SeqCst).to_string();
        RUNTIME.block_on(play(&values, &id, schedule, &stored))
    });
    played.unwrap_or_else(|error| panic!("{error}"));
    let stored = stored.load(Ordering::SeqCst);
    assert!(stored >= cases, "only {stored} values were stored at all");
}

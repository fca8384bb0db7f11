//! Values that two nodes load through one lock: one load in all, whatever becomes of it.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use larder::{Ack, Consistency, Larder, Redis as Tier, Typed, mins};
use tokio::{sync::Semaphore, task::JoinSet};

use crate::support::redis::Redis;

/// How many callers of one id there are on each node.
const CROWD: usize = 50;

/// What loads read, and how often they did.
#[derive(Debug)]
struct Source {
    loads: AtomicUsize,
    /// Loads take a permit before they answer.
    gate: Semaphore,
}

impl Source {
    fn closed() -> Arc<Self> {
        Arc::new(Self {
            loads: AtomicUsize::new(0),
            gate: Semaphore::new(0),
        })
    }

    fn open(&self) {
        self.gate.add_permits(1_000_000);
    }

    fn loads(&self) -> usize {
        self.loads.load(Ordering::SeqCst)
    }

    async fn load(&self) -> usize {
        let load = self.loads.fetch_add(1, Ordering::SeqCst);
        self.gate.acquire().await.unwrap().forget();
        load
    }
}

async fn node(redis: &Redis) -> (Larder, Typed<usize>) {
    // These tests are about who loads, not about how fast a busy machine is.
    let tier = Tier::new(redis.url()).budget(Duration::from_secs(5));
    node_with(tier, Consistency::Bounded).await
}

async fn node_with(tier: Tier, consistency: Consistency) -> (Larder, Typed<usize>) {
    let builder = Larder::builder().redis(tier).consistency(consistency);
    let builder = builder.flight_lock(true);
    let larder = builder.build().await.unwrap();
    eventually(|| larder.statistics().shared.sync_age.is_some()).await;
    let values = larder.typed("value").ttl(mins(5)).wait_limit(mins(1));
    (larder, values)
}

async fn eventually(mut holds: impl FnMut() -> bool) {
    let began = std::time::Instant::now();
    while !holds() {
        assert!(began.elapsed() < Duration::from_secs(20), "it never came");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

type Answers = JoinSet<Result<Option<usize>, String>>;

/// Lets a crowd on each node load; `read` makes what a load says of its number.
fn crowds(
    nodes: [&Typed<usize>; 2],
    source: &Arc<Source>,
    read: fn(usize) -> io::Result<Option<usize>>,
) -> Answers {
    let mut answers = JoinSet::new();
    for values in nodes {
        for _ in 0..CROWD {
            let (values, source) = (values.clone(), Arc::clone(source));
            answers.spawn(async move {
                let load = move |_| async move { read(source.load().await) };
                let loaded = values.get_or_load("7", load).await;
                loaded
                    .map(|value| value.map(|value| *value))
                    .map_err(|error| error.to_string())
            });
        }
    }
    answers
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_on_each_of_two_nodes_costs_one_load() {
    let (redis, source) = (Redis::start(), Source::closed());
    let ((one, first), (other, second)) = (node(&redis).await, node(&redis).await);
    let answers = crowds([&first, &second], &source, |load| Ok(Some(load)));
    eventually(|| source.loads() == 1).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    source.open();
    for answer in answers.join_all().await {
        assert_eq!(answer, Ok(Some(0)));
    }
    assert_eq!(source.loads(), 1);
    drop((one, other));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn that_there_is_no_value_is_found_out_once() {
    let (redis, source) = (Redis::start(), Source::closed());
    let ((_one, first), (_other, second)) = (node(&redis).await, node(&redis).await);
    let answers = crowds([&first, &second], &source, |_| Ok(None));
    eventually(|| source.loads() == 1).await;
    source.open();
    for answer in answers.join_all().await {
        assert_eq!(answer, Ok(None));
    }
    assert_eq!(source.loads(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_load_that_fails_is_tried_by_each_node_and_not_by_each_caller() {
    let (redis, source) = (Redis::start(), Source::closed());
    let ((_one, first), (_other, second)) = (node(&redis).await, node(&redis).await);
    let answers = crowds([&first, &second], &source, |_| {
        Err(io::Error::other("the database is down"))
    });
    eventually(|| source.loads() == 1).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    source.open();
    for answer in answers.join_all().await {
        assert!(answer.unwrap_err().contains("the database is down"));
    }
    // A caller that comes after the failure rightly loads again, on a machine that is so slow.
    assert!((2..=4).contains(&source.loads()), "{}", source.loads());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_load_that_an_invalidation_has_overtaken_is_not_waited_for_on_the_other_node() {
    let (redis, source) = (Redis::start(), Source::closed());
    let ((_one, first), (_other, second)) = (node(&redis).await, node(&redis).await);
    let load = |values: &Typed<usize>| {
        let (values, source) = (values.clone(), Arc::clone(&source));
        tokio::spawn(async move {
            let load = move |_| async move { Ok::<_, io::Error>(Some(source.load().await)) };
            values
                .get_or_load("7", load)
                .await
                .unwrap()
                .map(|value| *value)
        })
    };
    let old = load(&first);
    eventually(|| source.loads() == 1).await;
    let new = load(&second);
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(source.loads(), 1, "the second waits for the first");
    assert_eq!(second.remove("7").await, Ack::Global);
    eventually(|| source.loads() == 2).await;
    source.open();
    assert_eq!((old.await.unwrap(), new.await.unwrap()), (Some(0), Some(1)));
    let kept = [first.get("7").await, second.get("7").await];
    assert_eq!(kept[1].as_deref(), Some(&1));
    assert_ne!(kept[0].as_deref(), Some(&0), "the late load was stored");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_on_a_strict_node_without_its_server_does_not_load_one_by_one() {
    let (mut redis, source) = (Redis::start(), Source::closed());
    let (larder, values) = node_with(Tier::new(redis.url()), Consistency::Strict).await;
    redis.kill();
    for _ in 0..20 {
        values.get("another").await;
    }
    assert!(larder.statistics().redis.is_away);
    let answers = crowds([&values, &values], &source, |load| Ok(Some(load)));
    tokio::time::sleep(Duration::from_millis(300)).await;
    source.gate.add_permits(1);
    eventually(|| source.loads() >= 2).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    source.open();
    for answer in answers.join_all().await {
        assert!(answer.unwrap().is_some());
    }
    assert!(source.loads() <= 4, "{} loads", source.loads());
}

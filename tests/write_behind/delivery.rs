//! Delivery to a sink in the same process.

use std::{
    collections::BTreeMap,
    num::{NonZeroU64, NonZeroUsize},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use larder::{
    ErrorKind, Larder, Target, secs,
    write_behind::{Sink, SinkError, Write, WriteBehind},
};
use tokio::time::sleep;

use super::place::Directory;

/// Long enough for anything that is waited for here.
const LONG: Duration = Duration::from_secs(30);

/// A sink in memory that can be made to fail.
#[derive(Clone, Default)]
struct Kept {
    written: Arc<Mutex<Vec<(String, u64)>>>,
    ids: Arc<Mutex<BTreeMap<String, u32>>>,
    is_down: Arc<AtomicBool>,
    /// Writes of this value are refused.
    poison: Arc<AtomicU64>,
    /// Whether it says that a refusal is final.
    is_final: Arc<AtomicBool>,
    batches: Arc<AtomicU64>,
}

impl Sink<u64> for Kept {
    async fn write(&self, batch: &[Write<u64>]) -> Result<(), SinkError> {
        self.batches.fetch_add(1, Ordering::SeqCst);
        for write in batch {
            *self
                .ids
                .lock()
                .unwrap()
                .entry(write.id.clone())
                .or_default() += 1;
        }
        if self.is_down.load(Ordering::SeqCst) {
            return Err("the database is down".into());
        }
        let poison = self.poison.load(Ordering::SeqCst);
        if batch.iter().any(|write| write.value == poison) {
            return Err(if self.is_final.load(Ordering::SeqCst) {
                SinkError::reject("no such row")
            } else {
                "no such row".into()
            });
        }
        let mut written = self.written.lock().unwrap();
        written.extend(batch.iter().map(|write| (write.key.clone(), write.value)));
        Ok(())
    }
}

impl Kept {
    fn of(&self, key: &str) -> Vec<u64> {
        let written = self.written.lock().unwrap();
        let of_key = written.iter().filter(|(written, _)| written == key);
        of_key.map(|(_, value)| *value).collect()
    }
}

struct Scene {
    larder: Larder,
    sink: Kept,
    queue: WriteBehind<u64>,
    _directory: Directory,
}

async fn scene() -> Scene {
    let larder = Larder::builder().build().await.unwrap();
    let (sink, directory) = (Kept::default(), Directory::new());
    sink.poison.store(u64::MAX, Ordering::SeqCst);
    let queue = larder
        .write_behind("views")
        .file(directory.file("queue.redb"))
        .capacity(NonZeroU64::new(50).unwrap())
        .batch(NonZeroUsize::new(10).unwrap())
        .invalidates(|write: &Write<u64>| vec![Target::tag(&format!("product:{}", write.key))])
        .start(sink.clone())
        .await
        .unwrap();
    Scene {
        larder,
        sink,
        queue,
        _directory: directory,
    }
}

#[tokio::test]
async fn writes_of_one_key_reach_the_sink_in_order_and_in_batches() {
    let scene = scene().await;
    scene.sink.is_down.store(true, Ordering::SeqCst);
    for value in 0..20 {
        scene.queue.add("7", &value).await.unwrap();
        scene.queue.add("8", &(100 + value)).await.unwrap();
    }
    assert_eq!(scene.queue.pending("7").await.unwrap(), Some(19));
    scene.sink.is_down.store(false, Ordering::SeqCst);
    assert!(scene.queue.drain(LONG).await.unwrap());
    assert_eq!(scene.sink.of("7"), (0..20).collect::<Vec<_>>());
    assert_eq!(scene.sink.of("8"), (100..120).collect::<Vec<_>>());
    assert_eq!(scene.queue.pending("7").await.unwrap(), None);
}

#[tokio::test]
async fn a_sink_that_is_down_loses_nothing_and_buries_nothing() {
    let scene = scene().await;
    scene.sink.is_down.store(true, Ordering::SeqCst);
    for value in 0..10 {
        scene.queue.add(&value.to_string(), &value).await.unwrap();
    }
    // Many more attempts than would bury a write that is to blame itself.
    while scene.sink.ids.lock().unwrap().values().min() < Some(&6) {
        sleep(Duration::from_millis(10)).await;
    }
    assert!(scene.queue.buried(1).await.unwrap().is_empty());
    scene.sink.is_down.store(false, Ordering::SeqCst);
    assert!(scene.queue.drain(LONG).await.unwrap());
    assert_eq!(scene.sink.written.lock().unwrap().len(), 10);
}

#[tokio::test]
async fn a_full_queue_refuses_and_keeps_what_it_has() {
    let scene = scene().await;
    scene.sink.is_down.store(true, Ordering::SeqCst);
    let mut kept = 0;
    let refused = loop {
        match scene.queue.add("7", &kept).await {
            Ok(()) => kept += 1,
            Err(refused) => break refused,
        }
    };
    assert_eq!((refused.kind(), kept), (ErrorKind::Full, 50));
    scene.sink.is_down.store(false, Ordering::SeqCst);
    assert!(scene.queue.drain(LONG).await.unwrap());
    assert_eq!(scene.sink.of("7"), (0..50).collect::<Vec<_>>());
    scene.queue.add("7", &50).await.unwrap();
}

#[tokio::test]
async fn a_write_that_fails_while_others_succeed_is_set_aside_and_the_rest_flows() {
    for is_final in [false, true] {
        let scene = scene().await;
        scene.sink.poison.store(13, Ordering::SeqCst);
        scene.sink.is_final.store(is_final, Ordering::SeqCst);
        for value in 0..20 {
            let key = if value == 13 { "bad" } else { "good" };
            scene.queue.add(key, &value).await.unwrap();
        }
        // Others have to succeed for a failure to count.
        let mut next = 100;
        while scene.queue.buried(1).await.unwrap().is_empty() {
            for key in 0..8 {
                drop(scene.queue.add(&key.to_string(), &next).await);
            }
            next += 1;
            sleep(Duration::from_millis(20)).await;
        }
        assert!(scene.queue.drain(LONG).await.unwrap());
        let buried = scene.queue.buried(10).await.unwrap();
        assert_eq!(buried.len(), 1);
        assert_eq!((&*buried[0].key, buried[0].value), ("bad", Some(13)));
        assert_eq!(buried[0].reason, "no such row");
        assert_eq!(scene.sink.of("good").len(), 19);
        scene.sink.poison.store(u64::MAX, Ordering::SeqCst);
        assert!(scene.queue.requeue(&buried[0].id).await.unwrap());
        assert!(scene.queue.drain(LONG).await.unwrap());
        assert_eq!(scene.sink.of("bad"), [13]);
        assert!(!scene.queue.discard(&buried[0].id).await.unwrap());
    }
}

#[tokio::test]
async fn the_targets_of_a_write_are_void_when_it_is_settled() {
    let scene = scene().await;
    let products = scene.larder.typed::<u64>("product");
    products.insert("7", 1).await;
    products.insert("8", 1).await;
    scene.queue.add("7", &2).await.unwrap();
    assert!(scene.queue.drain(LONG).await.unwrap());
    assert_eq!(products.get("7").await, None);
    assert!(products.get("8").await.is_some());
}

#[tokio::test]
async fn a_shutdown_ends_the_batch_under_way_and_leaves_the_rest_for_the_next_start() {
    let directory = Directory::new();
    let sink = Kept::default();
    sink.poison.store(u64::MAX, Ordering::SeqCst);
    let open = |larder: &Larder| {
        larder
            .write_behind("views")
            .file(directory.file("queue.redb"))
            .start(sink.clone())
    };
    let larder = Larder::builder().build().await.unwrap();
    let queue = open(&larder).await.unwrap();
    sink.is_down.store(true, Ordering::SeqCst);
    for value in 0..5 {
        queue.add("7", &value).await.unwrap();
    }
    larder.shutdown(secs(10)).await;
    drop((queue, larder));
    sink.is_down.store(false, Ordering::SeqCst);
    let larder = Larder::builder().build().await.unwrap();
    let queue = loop {
        // The thread that writes the file ends on its own time.
        match open(&larder).await {
            Ok(queue) => break queue,
            Err(_) => sleep(Duration::from_millis(5)).await,
        }
    };
    assert!(queue.drain(LONG).await.unwrap());
    assert_eq!(sink.of("7"), [0, 1, 2, 3, 4]);
}

#[tokio::test]
async fn a_queue_without_a_place_is_refused_and_says_what_is_missing() {
    let larder = Larder::builder().build().await.unwrap();
    let start = |name: &str| larder.write_behind::<u64>(name).start(Kept::default());
    let refused = start("views").await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Configuration);
    assert!(refused.to_string().contains("file"), "{refused}");
    let refused = start("a:b").await.unwrap_err();
    assert!(refused.to_string().contains("a:b"), "{refused}");
}

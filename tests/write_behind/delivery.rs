//! Delivery to a sink in the same process, from a file and from Redis.

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
    ErrorKind, Larder, Target, mins, secs,
    write_behind::{Sink, SinkError, Write, WriteBehind, WriteBehindBuilder},
};
use tokio::time::sleep;

use super::place::Place;

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
    place: Place,
}

impl Scene {
    async fn start(place: Place) -> Self {
        let larder = place.larder().await;
        let sink = Kept::default();
        sink.poison.store(u64::MAX, Ordering::SeqCst);
        let queue = settings(&place, &larder).start(sink.clone()).await.unwrap();
        Self {
            larder,
            sink,
            queue,
            place,
        }
    }
}

fn settings(place: &Place, larder: &Larder) -> WriteBehindBuilder<u64> {
    // In Redis each of the four lanes has its part.
    let capacity = if place.is_redis() { 200 } else { 50 };
    place
        .queue(larder, "views")
        .capacity(NonZeroU64::new(capacity).unwrap())
        .batch(NonZeroUsize::new(10).unwrap())
        .invalidates(|write: &Write<u64>| vec![Target::tag(&format!("product:{}", write.key))])
}

/// Plays the scene with a queue in a file and with one in Redis, at one time.
async fn in_both_places(play: impl AsyncFn(Scene)) {
    let played = [Place::file(), Place::redis()].map(|place| async {
        play(Scene::start(place).await).await;
    });
    let [in_file, in_redis] = played;
    tokio::join!(in_file, in_redis);
}

#[tokio::test]
async fn writes_of_one_key_reach_the_sink_in_order_and_in_batches() {
    in_both_places(async |scene| {
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
    })
    .await;
}

#[tokio::test]
async fn a_sink_that_is_down_loses_nothing_and_buries_nothing() {
    in_both_places(async |scene| {
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
    })
    .await;
}

#[tokio::test]
async fn a_full_queue_refuses_and_keeps_what_it_has() {
    in_both_places(async |scene| {
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
    })
    .await;
}

#[tokio::test]
async fn a_write_that_fails_while_others_succeed_is_set_aside_and_the_rest_flows() {
    for (is_final, place) in [
        (false, Place::file()),
        (true, Place::file()),
        (false, Place::redis()),
        (true, Place::redis()),
    ] {
        let scene = Scene::start(place).await;
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
        let statistics = scene.larder.statistics();
        assert_eq!(
            (statistics.buried_writes(), statistics.lost_writes()),
            (1, 0)
        );
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
    in_both_places(async |scene| {
        let products = scene.larder.typed::<u64>("product");
        products.insert("7", 1).await;
        products.insert("8", 1).await;
        scene.queue.add("7", &2).await.unwrap();
        assert!(scene.queue.drain(LONG).await.unwrap());
        assert_eq!(products.get("7").await, None);
        assert!(products.get("8").await.is_some());
    })
    .await;
}

#[tokio::test]
async fn a_shutdown_ends_the_batch_under_way_and_leaves_the_rest_for_the_next_start() {
    in_both_places(async |scene| {
        let Scene {
            larder,
            sink,
            queue,
            place,
        } = scene;
        sink.is_down.store(true, Ordering::SeqCst);
        for value in 0..5 {
            queue.add("7", &value).await.unwrap();
        }
        larder.shutdown(secs(10)).await;
        drop((queue, larder));
        sink.is_down.store(false, Ordering::SeqCst);
        let larder = place.larder().await;
        let queue = loop {
            // The thread that writes the file ends on its own time.
            match settings(&place, &larder)
                .held_for(mins(10))
                .start(sink.clone())
                .await
            {
                Ok(queue) => break queue,
                Err(_) => sleep(Duration::from_millis(5)).await,
            }
        };
        // Nobody has to wait for the end of a lane that was let go.
        assert!(queue.drain(secs(9)).await.unwrap());
        assert_eq!(sink.of("7"), [0, 1, 2, 3, 4]);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_is_down_for_a_minute_is_tried_later_and_later_and_loses_nothing() {
    let scene = Scene::start(Place::file()).await;
    scene.sink.is_down.store(true, Ordering::SeqCst);
    for value in 0..20 {
        scene.queue.add("7", &value).await.unwrap();
    }
    sleep(secs(60)).await;
    let tries = scene.sink.batches.load(Ordering::SeqCst);
    assert!(tries > 5, "{tries}");
    scene.sink.is_down.store(false, Ordering::SeqCst);
    // No real time passes: this is long for nobody.
    assert!(scene.queue.drain(mins(60 * 24)).await.unwrap());
    assert!(scene.queue.buried(1).await.unwrap().is_empty());
    assert_eq!(scene.sink.of("7"), (0..20).collect::<Vec<_>>());
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

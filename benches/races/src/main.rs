//! How often does a reader get an old value after the write of a new one was acknowledged?
//!
//! ```text
//! cargo run --release --manifest-path benches/races/Cargo.toml [SECONDS]
//! ```
//!
//! The truth is a version for each of a few keys. Readers go through a cache, whose load reads the
//! version and then takes up to three milliseconds, as a query and its serialising do. Writers raise a
//! version and invalidate its key in the way that the cache's documentation shows. A read is *stale* if it
//! returns less than a version whose invalidation had returned before the read began.
//!
//! One harness, one truth, the same readers and writers for all.

use std::{
    collections::HashMap,
    convert::Infallible,
    env,
    future::Future,
    pin::Pin,
    sync::{
        Arc, LazyLock, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use cached::{Cached, proc_macro::cached};
use larder::{Larder, Target, Typed, mins};

const KEYS: usize = 8;
const READERS: usize = 32;
const WRITERS: usize = 2;

/// The truth, and what of it has been acknowledged.
#[derive(Default)]
struct Truth {
    committed: [AtomicU64; KEYS],
    acknowledged: [AtomicU64; KEYS],
    loads: AtomicU64,
}

impl Truth {
    /// Reads the version first and is slow afterwards.
    async fn load(&self, key: usize, wait: Duration) -> u64 {
        self.loads.fetch_add(1, Ordering::Relaxed);
        let version = self.committed[key].load(Ordering::SeqCst);
        tokio::time::sleep(wait).await;
        version
    }
}

type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A cache under test.
trait Contender: Send + Sync {
    fn read(&self, key: usize, wait: Duration) -> Boxed<'_, u64>;
    /// Called when a new version has been committed; its return is the acknowledgement.
    fn invalidate(&self, key: usize) -> Boxed<'_, ()>;
}

/// Get; on a miss load and set; after a write delete.
struct CacheAside {
    truth: Arc<Truth>,
    values: Mutex<HashMap<usize, u64>>,
}

impl Contender for CacheAside {
    fn read(&self, key: usize, wait: Duration) -> Boxed<'_, u64> {
        Box::pin(async move {
            if let Some(value) = self.values.lock().unwrap().get(&key) {
                return *value;
            }
            let value = self.truth.load(key, wait).await;
            self.values.lock().unwrap().insert(key, value);
            value
        })
    }

    fn invalidate(&self, key: usize) -> Boxed<'_, ()> {
        Box::pin(async move {
            self.values.lock().unwrap().remove(&key);
        })
    }
}

/// moka's own single flight.
struct MokaGetWith {
    truth: Arc<Truth>,
    values: moka::future::Cache<usize, u64>,
}

impl Contender for MokaGetWith {
    fn read(&self, key: usize, wait: Duration) -> Boxed<'_, u64> {
        Box::pin(async move {
            let load = self.truth.load(key, wait);
            self.values.get_with(key, load).await
        })
    }

    fn invalidate(&self, key: usize) -> Boxed<'_, ()> {
        Box::pin(async move { self.values.invalidate(&key).await })
    }
}

/// The truth that the function below reads: a cached function has no other arguments than its key.
static OF_CACHED: LazyLock<Arc<Truth>> = LazyLock::new(Arc::default);

#[cached(name = "CACHED", key = "usize", convert = "{ key }")]
async fn of_cached(key: usize, wait: Duration) -> u64 {
    OF_CACHED.load(key, wait).await
}

struct CachedFunction;

impl Contender for CachedFunction {
    fn read(&self, key: usize, wait: Duration) -> Boxed<'_, u64> {
        Box::pin(of_cached(key, wait))
    }

    fn invalidate(&self, key: usize) -> Boxed<'_, ()> {
        Box::pin(async move {
            CACHED.lock().await.cache_remove(&key);
        })
    }
}

struct WithLarder {
    truth: Arc<Truth>,
    larder: Larder,
    values: Typed<u64>,
}

impl Contender for WithLarder {
    fn read(&self, key: usize, wait: Duration) -> Boxed<'_, u64> {
        Box::pin(async move {
            let truth = Arc::clone(&self.truth);
            let load =
                move |_| async move { Ok::<_, Infallible>(Some(truth.load(key, wait).await)) };
            let value = self.values.get_or_load(&key.to_string(), load).await;
            *value.unwrap().unwrap()
        })
    }

    fn invalidate(&self, key: usize) -> Boxed<'_, ()> {
        Box::pin(async move {
            self.larder
                .invalidate([Target::tag(&format!("value:{key}"))])
                .await;
        })
    }
}

/// What a run came to.
struct Outcome {
    reads: u64,
    stale: u64,
    writes: u64,
    loads: u64,
}

async fn run(contender: Arc<dyn Contender>, truth: Arc<Truth>, time: Duration) -> Outcome {
    let end = Instant::now() + time;
    let mut readers = Vec::new();
    for number in 0..READERS {
        let (contender, truth) = (Arc::clone(&contender), Arc::clone(&truth));
        readers.push(tokio::spawn(async move {
            let mut random = Random(number as u64 + 1);
            let (mut reads, mut stale) = (0, 0);
            while Instant::now() < end {
                let key = random.below(KEYS as u64) as usize;
                let wait = Duration::from_micros(random.below(3000));
                let known = truth.acknowledged[key].load(Ordering::SeqCst);
                let read = contender.read(key, wait).await;
                reads += 1;
                stale += u64::from(read < known);
                // Hits never wait: let the others have their turn.
                tokio::time::sleep(Duration::from_micros(random.below(400))).await;
            }
            (reads, stale)
        }));
    }
    let mut writers = Vec::new();
    for number in 0..WRITERS {
        let (contender, truth) = (Arc::clone(&contender), Arc::clone(&truth));
        writers.push(tokio::spawn(async move {
            let mut random = Random(number as u64 + 1000);
            let mut writes = 0;
            while Instant::now() < end {
                tokio::time::sleep(Duration::from_micros(random.below(4000))).await;
                // Each writer has keys of its own, so that its versions are acknowledged in order.
                let key = random.below((KEYS / WRITERS) as u64) as usize * WRITERS + number;
                let version = truth.committed[key].fetch_add(1, Ordering::SeqCst) + 1;
                contender.invalidate(key).await;
                truth.acknowledged[key].store(version, Ordering::SeqCst);
                writes += 1;
            }
            writes
        }));
    }
    let mut outcome = Outcome {
        reads: 0,
        stale: 0,
        writes: 0,
        loads: 0,
    };
    for reader in readers {
        let (reads, stale) = reader.await.unwrap();
        outcome.reads += reads;
        outcome.stale += stale;
    }
    for writer in writers {
        outcome.writes += writer.await.unwrap();
    }
    outcome.loads = truth.loads.load(Ordering::Relaxed);
    outcome
}

/// A small generator of its own, so that every contender meets the same choices.
struct Random(u64);

impl Random {
    fn below(&mut self, most: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % most
    }
}

#[tokio::main(worker_threads = 2)]
async fn main() {
    let seconds = env::args().nth(1).map_or(10, |text| text.parse().unwrap());
    let time = Duration::from_secs(seconds);
    let truth = Arc::<Truth>::default;
    println!("| cache | reads | writes | loads | stale after an acknowledged write |");
    println!("| --- | --- | --- | --- | --- |");
    let aside = truth();
    let larder = Larder::builder().build().await.unwrap();
    let (of_moka, of_larder) = (truth(), truth());
    let contenders: [(&str, Arc<Truth>, Arc<dyn Contender>); 4] = [
        (
            "cache-aside (get, load, set, delete)",
            Arc::clone(&aside),
            Arc::new(CacheAside {
                truth: aside,
                values: Mutex::default(),
            }),
        ),
        (
            "moka `get_with`, `invalidate`",
            Arc::clone(&of_moka),
            Arc::new(MokaGetWith {
                truth: of_moka,
                values: moka::future::Cache::new(1000),
            }),
        ),
        (
            "cached, `cache_remove`",
            Arc::clone(&OF_CACHED),
            Arc::new(CachedFunction),
        ),
        (
            "larder `get_or_load`, `invalidate`",
            Arc::clone(&of_larder),
            Arc::new(WithLarder {
                truth: of_larder,
                values: larder.typed::<u64>("value").ttl(mins(5)),
                larder,
            }),
        ),
    ];
    for (name, truth, contender) in contenders {
        let Outcome {
            reads,
            stale,
            writes,
            loads,
        } = run(contender, truth, time).await;
        let share = 100.0 * stale as f64 / reads as f64;
        println!("| {name} | {reads} | {writes} | {loads} | {stale} ({share:.2} %) |");
    }
}

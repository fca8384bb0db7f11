//! What do values, writes that are made later and rankings cost beside plain calls to Redis for the
//! same bytes?
//!
//! `cargo bench --all-features --bench data`. Starts a redis-server of its own. Both sides have as many
//! connections and are measured in turns; the best of the rounds counts. A plain reader decodes what it
//! is given, as a reader of values does.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    reason = "a benchmark may panic, prints its figures and takes the time"
)]

#[path = "support/redis.rs"]
#[allow(dead_code, reason = "it measures responses as well")]
mod harness;

use std::{
    collections::HashMap,
    io,
    num::{NonZeroU64, NonZeroUsize},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use larder::{
    Larder, Typed, mins,
    structures::{Name, Ranking},
    write_behind::{Sink, SinkError, Write},
};
use redis::{AsyncConnectionConfig, aio::MultiplexedConnection};
use serde::{Deserialize, Serialize};

use self::harness::{Server, node};

/// How many connections both sides have.
const LANES: usize = 2;

/// How often each side is measured.
const ROUNDS: usize = 5;

/// How many callers there are at a time.
const CALLERS: usize = 64;

/// How many values there are.
const VALUES: usize = 5000;

/// How many values are asked for at once.
const MANY: usize = 100;

/// How many writes are made later, or scores raised.
const WRITES: usize = 20_000;

/// A value of about a kilobyte.
#[derive(Clone, Debug, Deserialize, Serialize)]
struct Product {
    id: u64,
    name: String,
    words: Vec<String>,
    prices: HashMap<String, u64>,
}

impl Product {
    fn new(id: usize) -> Self {
        Self {
            id: id as u64,
            name: format!("product {id}"),
            words: (0..40).map(|word| format!("word {word} of {id}")).collect(),
            prices: [("EUR", 1990), ("USD", 2190), ("CHF", 1890)]
                .map(|(currency, price)| (currency.to_owned(), price))
                .into(),
        }
    }
}

/// Returns as many plain connections as a node has.
async fn lanes(server: &Server) -> Vec<MultiplexedConnection> {
    let client = redis::Client::open(server.url()).unwrap();
    let mut lanes = Vec::new();
    while lanes.len() < LANES {
        // A busy machine is no fault of the plain side either.
        let patient = AsyncConnectionConfig::new().set_response_timeout(None);
        let made = client.get_multiplexed_async_connection_with_config(&patient);
        match made.await {
            Ok(lane) => lanes.push(lane),
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
    lanes
}

/// Takes turns, `callers` at a time, and returns how long that took. `turn` is given the number of the
/// caller and that of the turn.
async fn crowd<F>(
    turns: usize,
    callers: usize,
    turn: impl Fn(usize, usize) -> F + Clone + Send + 'static,
) -> Duration
where
    F: Future<Output = ()> + Send,
{
    let next = Arc::new(AtomicUsize::new(0));
    let began = Instant::now();
    let callers: Vec<_> = (0..callers)
        .map(|caller| {
            let (next, turn) = (Arc::clone(&next), turn.clone());
            tokio::spawn(async move {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= turns {
                        return;
                    }
                    turn(caller, number).await;
                }
            })
        })
        .collect();
    for caller in callers {
        caller.await.unwrap();
    }
    began.elapsed()
}

/// What both sides took for the same turns.
struct Figures {
    larder: Duration,
    plain: Duration,
}

impl Figures {
    const fn new() -> Self {
        Self {
            larder: Duration::MAX,
            plain: Duration::MAX,
        }
    }

    fn round(&mut self, larder: Duration, plain: Duration) {
        self.larder = self.larder.min(larder);
        self.plain = self.plain.min(plain);
    }

    fn print(&self, what: &str, turns: usize) {
        let each = |took: Duration| took.as_secs_f64() * 1e6 / turns as f64;
        println!(
            "{what:44} {:9.2} us, plain {:9.2} us: {:6.2} of its rate",
            each(self.larder),
            each(self.plain),
            self.plain.as_secs_f64() / self.larder.as_secs_f64(),
        );
    }
}

/// The plain way: the same bytes under names of their own.
#[derive(Clone)]
struct Plain(Arc<[MultiplexedConnection]>);

impl Plain {
    fn lane(&self, caller: usize) -> MultiplexedConnection {
        self.0[caller % self.0.len()].clone()
    }

    /// Stores all products as JSON, with an end.
    async fn fill(&self) {
        let mut pipe = redis::pipe();
        for id in 0..VALUES {
            let json = serde_json::to_vec(&Product::new(id)).unwrap();
            pipe.cmd("SET")
                .arg(plain_name(id))
                .arg(json)
                .arg("EX")
                .arg(600);
        }
        pipe.exec_async(&mut self.lane(0)).await.unwrap();
    }

    /// Reads each product once.
    async fn get(&self, callers: usize) -> Duration {
        let plain = self.clone();
        crowd(VALUES, callers, move |caller, id| {
            let mut lane = plain.lane(caller);
            async move {
                let mut get = redis::cmd("GET");
                let bytes: Vec<u8> = get
                    .arg(plain_name(id))
                    .query_async(&mut lane)
                    .await
                    .unwrap();
                decoded(&bytes, id);
            }
        })
        .await
    }

    /// Reads each product once, many at a time.
    async fn get_many(&self, callers: usize) -> Duration {
        let plain = self.clone();
        crowd(VALUES / MANY, callers, move |caller, turn| {
            let mut lane = plain.lane(caller);
            async move {
                let mut get = redis::cmd("MGET");
                let ids = turn * MANY..(turn + 1) * MANY;
                get.arg(ids.clone().map(plain_name).collect::<Vec<_>>());
                let all: Vec<Vec<u8>> = get.query_async(&mut lane).await.unwrap();
                all.iter()
                    .zip(ids)
                    .for_each(|(bytes, id)| decoded(bytes, id));
            }
        })
        .await
    }
}

fn plain_name(id: usize) -> String {
    format!("plain:product:{id:036}")
}

fn decoded(bytes: &[u8], id: usize) {
    let product: Product = serde_json::from_slice(bytes).unwrap();
    assert_eq!(product.id, id as u64);
}

fn products(larder: &Larder) -> Typed<Product> {
    larder.typed::<Product>("product").ttl(mins(10))
}

/// Reads each product once; in the end all are in the memory of the node.
async fn get(products: &Typed<Product>, callers: usize) -> Duration {
    let products = products.clone();
    crowd(VALUES, callers, move |_, id| {
        let products = products.clone();
        async move {
            let product = products.get(&id.to_string()).await.unwrap();
            assert_eq!(product.id, id as u64);
        }
    })
    .await
}

async fn get_many(products: &Typed<Product>, callers: usize) -> Duration {
    let products = products.clone();
    crowd(VALUES / MANY, callers, move |_, turn| {
        let products = products.clone();
        async move {
            let ids = (turn * MANY..(turn + 1) * MANY).map(|id| id.to_string());
            let all = products.get_many(ids).await;
            assert!(all.iter().all(Option::is_some));
        }
    })
    .await
}

async fn values(server: &Server, plain: &Plain) {
    plain.fill().await;
    let filling = node(server).await;
    let batch = NonZeroUsize::new(MANY).unwrap();
    let load = |ids: Vec<String>| async move {
        let product = |id: String| (id.clone(), Product::new(id.parse().unwrap()));
        Ok::<_, io::Error>(ids.into_iter().map(product).collect::<HashMap<_, _>>())
    };
    let ids = (0..VALUES).map(|id| id.to_string());
    products(&filling).warm(ids, batch, load, |_| {}).await;
    filling.shutdown(Duration::from_secs(30)).await;
    for callers in [1, CALLERS] {
        let (mut shared, mut here) = (Figures::new(), Figures::new());
        for _ in 0..ROUNDS {
            let node = node(server).await;
            let products = products(&node);
            let took = plain.get(callers).await;
            shared.round(get(&products, callers).await, took);
            here.round(get(&products, callers).await, took);
            node.shutdown(Duration::from_secs(5)).await;
        }
        here.print(&format!("a value in memory, {callers} callers"), VALUES);
        shared.print(&format!("a value in Redis, {callers} callers"), VALUES);
    }
    for callers in [1, 4] {
        let mut many = Figures::new();
        for _ in 0..ROUNDS {
            let node = node(server).await;
            let took = plain.get_many(callers).await;
            many.round(get_many(&products(&node), callers).await, took);
            node.shutdown(Duration::from_secs(5)).await;
        }
        let what = format!("{MANY} values in Redis at once, {callers} callers");
        many.print(&what, VALUES / MANY);
    }
}

/// Takes everything.
struct Nowhere;

impl Sink<Product> for Nowhere {
    async fn write(&self, _: &[Write<Product>]) -> Result<(), SinkError> {
        Ok(())
    }
}

/// Adds writes until all are kept, and then until all are delivered.
async fn write_behind(server: &Server, round: usize) -> (Duration, Duration) {
    let node = node(server).await;
    let queue = node
        .write_behind::<Product>(&format!("writes-{round}"))
        .capacity(NonZeroU64::new(10 * WRITES as u64).unwrap())
        .start(Nowhere)
        .await
        .unwrap();
    let adding = queue.clone();
    let began = Instant::now();
    let added = crowd(WRITES, CALLERS, move |_, number| {
        let queue = adding.clone();
        async move {
            let key = (number % 1000).to_string();
            queue.add(&key, &Product::new(number)).await.unwrap();
        }
    })
    .await;
    assert!(queue.drain(Duration::from_secs(60)).await.unwrap());
    let delivered = began.elapsed();
    node.shutdown(Duration::from_secs(5)).await;
    (added, delivered)
}

/// Adds the same bytes to as many streams, and reads and removes them with a group, a hundred at a time.
async fn streams(plain: &Plain, round: usize) -> (Duration, Duration) {
    let began = Instant::now();
    let stream = move |number: usize| format!("plain:stream:{round}:{}", number % 1000 % 4);
    let adding = plain.clone();
    let added = crowd(WRITES, CALLERS, move |caller, number| {
        let mut lane = adding.lane(caller);
        async move {
            let json = serde_json::to_vec(&Product::new(number)).unwrap();
            let mut add = redis::cmd("XADD");
            add.arg(stream(number))
                .arg("*")
                .arg("k")
                .arg(number % 1000)
                .arg("v")
                .arg(json);
            add.exec_async(&mut lane).await.unwrap();
        }
    })
    .await;
    let readers = (0..4).map(|number| {
        let (mut lane, stream) = (plain.lane(number), stream(number));
        tokio::spawn(async move { read_all(&mut lane, &stream).await })
    });
    for reader in readers.collect::<Vec<_>>() {
        reader.await.unwrap();
    }
    (added, began.elapsed())
}

async fn read_all(lane: &mut MultiplexedConnection, stream: &str) {
    let mut create = redis::cmd("XGROUP");
    create.arg("CREATE").arg(stream).arg("group").arg("0");
    create.exec_async(lane).await.unwrap();
    loop {
        let mut read = redis::cmd("XREADGROUP");
        read.arg(&[
            "GROUP", "group", "reader", "COUNT", "100", "STREAMS", stream, ">",
        ]);
        let read: redis::streams::StreamReadReply = read.query_async(lane).await.unwrap();
        let Some(read) = read.keys.into_iter().next() else {
            return;
        };
        let mut settle = redis::pipe();
        for row in &read.ids {
            let bytes: Vec<u8> = row.get("v").unwrap();
            drop(serde_json::from_slice::<Product>(&bytes).unwrap());
        }
        let ids: Vec<&str> = read.ids.iter().map(|row| &*row.id).collect();
        settle.cmd("XACK").arg(stream).arg("group").arg(&ids);
        settle.cmd("XDEL").arg(stream).arg(&ids);
        settle.exec_async(lane).await.unwrap();
    }
}

async fn writes(server: &Server, plain: &Plain) {
    let (mut adding, mut delivering) = (Figures::new(), Figures::new());
    for round in 0..ROUNDS {
        let (plain_added, plain_read) = streams(plain, round).await;
        let (added, delivered) = write_behind(server, round).await;
        adding.round(added, plain_added);
        delivering.round(delivered, plain_read);
    }
    adding.print(
        &format!("a write kept for later, {CALLERS} callers"),
        WRITES,
    );
    delivering.print("the same until it is delivered", WRITES);
}

async fn ranking(server: &Server, plain: &Plain) {
    let node = node(server).await;
    let ranking = node.ranking(&Name::new("shop", "products", "sold").unwrap());
    let (mut raising, mut top) = (Figures::new(), Figures::new());
    for _ in 0..ROUNDS {
        let (lanes, other) = (plain.clone(), ranking.clone());
        let plain_raised = crowd(WRITES, CALLERS, move |caller, number| {
            let mut lane = lanes.lane(caller);
            async move {
                let mut raise = redis::cmd("ZINCRBY");
                raise.arg("plain:sold").arg(1).arg(number % 1000);
                raise.exec_async(&mut lane).await.unwrap();
            }
        });
        let plain_raised = plain_raised.await;
        let raised = crowd(WRITES, CALLERS, move |_, number| {
            let ranking: Ranking = other.clone();
            async move {
                let member = (number % 1000).to_string();
                ranking.raise(&member, 1.0).await.unwrap();
            }
        });
        raising.round(raised.await, plain_raised);
        let (lanes, other) = (plain.clone(), ranking.clone());
        let plain_top = crowd(WRITES / 4, CALLERS, move |caller, _| {
            let mut lane = lanes.lane(caller);
            async move {
                let mut range = redis::cmd("ZREVRANGE");
                range.arg("plain:sold").arg(0).arg(9).arg("WITHSCORES");
                let top: Vec<(String, f64)> = range.query_async(&mut lane).await.unwrap();
                assert_eq!(top.len(), 10);
            }
        });
        let plain_top = plain_top.await;
        let first = crowd(WRITES / 4, CALLERS, move |_, _| {
            let ranking = other.clone();
            async move { assert_eq!(ranking.top(10).await.unwrap().len(), 10) }
        });
        top.round(first.await, plain_top);
    }
    raising.print(&format!("a score raised, {CALLERS} callers"), WRITES);
    top.print("the first ten of a thousand", WRITES / 4);
}

fn main() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let server = Server::start();
        let plain = Plain(lanes(&server).await.into());
        values(&server, &plain).await;
        writes(&server, &plain).await;
        ranking(&server, &plain).await;
    });
}

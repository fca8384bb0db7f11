//! Two nodes that want one run of a handler among them.

use std::{future::poll_fn, pin::pin};

use http_body::Frame;
use tower::ServiceBuilder;

use super::*;
use crate::{
    Target,
    entry::Position,
    store::{Locked, Released},
};

/// Two nodes that want one run of a handler among them.
async fn locking(server: &Server, origin: &Origin, policy: Policy) -> [Node; 2] {
    let node = async || {
        let redis = Redis::new(server.url())
            .budget(Duration::from_secs(5))
            .background_budget(Duration::from_secs(5));
        let built = Larder::builder().redis(redis).flight_lock(true).build();
        let node = Node::of(built.await.unwrap(), origin, policy.clone());
        node.in_sync().await;
        node
    };
    [node().await, node().await]
}

/// Lets what waits come as far as it can before anybody else runs.
async fn nudge(mut waiting: Pin<&mut impl Future>) {
    poll_fn(|context| {
        assert!(waiting.as_mut().poll(context).is_pending(), "it waits");
        Poll::Ready(())
    })
    .await;
}

/// Returns how many keys of a kind there are.
fn count(server: &Server, kind: &str) -> String {
    let script = "return #redis.call('SCAN', 0, 'MATCH', ARGV[1], 'COUNT', 1000)[2]";
    server.ask(&["EVAL", script, "0", &format!("larder:larder:{kind}:*")])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn with_the_lock_one_node_runs_the_handler_and_the_other_takes_what_it_brought() {
    let server = Server::start();
    let origin = Origin::new(|_| {
        std::thread::sleep(Duration::from_millis(300));
        Response::new("hello".into())
    });
    let [one, other] = locking(&server, &origin, Policy::ttl(secs(60))).await;
    let leading = one.clone();
    let first = tokio::spawn(async move { leading.get("/a").await });
    eventually(|| origin.runs() == 1).await;
    let got = other.get("/a").await;
    assert_eq!(got.body, "hello");
    assert!(got.told.contains("REDIS"), "{}", got.told);
    assert_eq!(first.await.unwrap().body, "hello");
    assert_eq!(origin.runs(), 1);
    // The lock is given back behind the response that was written.
    eventually(|| count(&server, "l") == "0").await;
}

#[tokio::test]
async fn another_node_is_waited_for_no_longer_than_the_limit() {
    let server = Server::start();
    let hung = Arc::new(AtomicUsize::new(0));
    let runs = Arc::clone(&hung);
    let origin = Origin::new(move |_| {
        if runs.fetch_add(1, Ordering::SeqCst) == 0 {
            std::thread::sleep(Duration::from_secs(3));
        }
        Response::new("hello".into())
    });
    let policy = Policy::ttl(secs(60)).wait_limit(Duration::from_millis(300));
    let [one, other] = locking(&server, &origin, policy).await;
    // A thread that hangs must not be one that the other node needs.
    let first = std::thread::spawn(move || {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_all().build().unwrap();
        runtime.block_on(one.get("/a"))
    });
    eventually(|| origin.runs() == 1).await;
    let asked = tokio::time::Instant::now();
    assert_eq!(other.get("/a").await.body, "hello");
    assert!(
        asked.elapsed() < Duration::from_millis(2500),
        "it waited for the other"
    );
    assert_eq!(origin.runs(), 2);
    assert_eq!(first.join().unwrap().body, "hello");
}

fn patient() -> Policy {
    Policy::ttl(secs(60)).wait_limit(secs(60)).tag("a")
}

#[tokio::test]
async fn who_waits_hears_that_the_lock_was_given_back_and_how() {
    let server = Server::start();
    let [one, other] = locking(&server, &Origin::says("hello"), patient()).await;
    let tiers = [&one, &other].map(|node| node.larder.core().second.clone().unwrap());
    let key = Key::from(&b"a key"[..]);
    for is_shared in [true, false] {
        let Locked::Held(lock) = tiers[0].lock(&key, Position::default(), false).await else {
            panic!("nobody else has it");
        };
        let Locked::Busy(mut rival) = tiers[1].lock(&key, Position::default(), false).await else {
            panic!("the other one has it");
        };
        let expected = if is_shared {
            Released::Open
        } else {
            lock.unshared();
            Released::Unshared
        };
        drop(lock);
        let word = tokio::time::timeout(Duration::from_secs(10), rival.released());
        assert_eq!(word.await.expect("it was never said"), expected);
        // It is said behind the deletion.
        let Locked::Held(_) = tiers[1].lock(&key, Position::default(), false).await else {
            panic!("it was given back");
        };
        eventually(|| count(&server, "l") == "0").await;
    }
}

#[tokio::test]
async fn what_somebody_else_holds_by_now_is_not_taken_away() {
    let server = Server::start();
    let [one, other] = locking(&server, &Origin::says("hello"), patient()).await;
    let tiers = [&one, &other].map(|node| node.larder.core().second.clone().unwrap());
    let key = Key::from(&b"a key"[..]);
    let Locked::Held(late) = tiers[0].lock(&key, Position::default(), false).await else {
        panic!("nobody else has it");
    };
    let Locked::Busy(rival) = tiers[1].lock(&key, Position::default(), false).await else {
        panic!("the other one has it");
    };
    let taken = tiers[1].take_over(&key, Position::default(), &rival).await;
    assert!(taken.is_some());
    let again = tiers[1].take_over(&key, Position::default(), &rival).await;
    assert!(again.is_none(), "the value is another one by now");
    drop(late);
    tiers[0].flush().await;
    assert_eq!(count(&server, "l"), "1");
    drop(taken);
    eventually(|| count(&server, "l") == "0").await;
}

#[tokio::test]
async fn a_run_that_an_invalidation_has_overtaken_is_not_waited_for() {
    let server = Server::start();
    let runs = AtomicUsize::new(0);
    let body = move || ["old", "new"][runs.fetch_add(1, Ordering::SeqCst).min(1)];
    let (origin, gate) = Origin::new(move |_| Response::new(body().into())).gated(0);
    let [one, other] = locking(&server, &origin, patient()).await;
    let first = asking(&one);
    eventually(|| origin.runs() == 1).await;
    let second = asking(&other);
    eventually(|| other.larder.statistics().flights == 1).await;
    other.larder.invalidate([Target::tag("a")]).await;
    // The first run still stands at the gate, and everybody would wait for a minute.
    assert_eq!(second.await.unwrap().body, "new");
    gate.add_permits(1);
    assert_eq!(first.await.unwrap().body, "old", "it came before");
    for node in [&one, &other] {
        node.flush().await;
        assert_eq!(node.get("/a").await.body, "new");
    }
    assert_eq!(origin.runs(), 2);
}

#[tokio::test]
async fn what_is_nobody_elses_is_not_run_for_one_node_after_the_other() {
    let server = Server::start();
    let (origin, gate) = Origin::new(|_| {
        let response = Response::builder().header("cache-control", "private");
        response.body("mine".into()).unwrap()
    })
    .gated(0);
    let [one, other] = locking(&server, &origin, patient()).await;
    let first = asking(&one);
    eventually(|| origin.runs() == 1).await;
    let second = asking(&other);
    eventually(|| other.larder.statistics().flights == 1).await;
    gate.add_permits(1);
    assert_eq!(first.await.unwrap().body, "mine");
    assert_eq!(second.await.unwrap().body, "mine");
    assert_eq!(origin.runs(), 2);
    let kept = other.larder.core().second.clone().unwrap();
    kept.flush().await;
    assert_eq!(count(&server, "l"), "0");
}

/// A body that does not tell how long it is.
struct Unsized(Body);

impl http_body::Body for Unsized {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Pin::new(&mut self.0).poll_frame(context)
    }
}

/// Lets a node ask for what streams.
async fn streamed(node: Node) -> Bytes {
    let request = Request::get("/a").header("host", "shop.test");
    let request = request.body(Body::default()).unwrap();
    let origin = ServiceBuilder::new()
        .map_response(|response: Response<Body>| response.map(Unsized))
        .service(node.origin.clone());
    let response = node.layer.layer(origin).oneshot(request).await.unwrap();
    response.into_body().collect().await.unwrap().to_bytes()
}

/// Returns how often the server was asked to store something, as who tries a lock does.
fn stores(server: &Server) -> usize {
    let statistics = server.ask(&["INFO", "commandstats"]);
    let mut lines = statistics.lines();
    let calls = lines.find_map(|line| line.strip_prefix("cmdstat_set:calls="));
    let calls = calls.and_then(|calls| calls.split(',').next());
    calls.map_or(0, |calls| calls.parse().unwrap())
}

type Asking = Pin<Box<dyn Future<Output = Bytes> + Send>>;

/// Lets three nodes ask at the same time, of which all wait for the first, and returns what they get
/// if the others run beside each other.
async fn beside_each_other(
    server: &Server,
    nodes: [Node; 3],
    gate: &Semaphore,
    ask: impl Fn(Node) -> Asking,
) -> [Bytes; 3] {
    let origin = nodes[0].origin.clone();
    let (runs, tries) = (origin.runs(), stores(server));
    // The nodes outlive what they ask: what gives the lock back is theirs.
    let [first, others @ ..] = nodes.each_ref().map(|node| ask(node.clone()));
    let first = tokio::spawn(first);
    eventually(|| origin.runs() == runs + 1).await;
    let others = others.map(tokio::spawn);
    // Who waits tries four times a second: both have by then.
    eventually(|| stores(server) > tries + 6).await;
    assert_eq!(origin.runs(), runs + 1, "they wait");
    gate.add_permits(1);
    let first = first.await.unwrap();
    // One that waited for the other would wait for a minute.
    eventually(|| origin.runs() == runs + 3).await;
    gate.add_permits(2);
    let [second, third] = others;
    [first, second.await.unwrap(), third.await.unwrap()]
}

#[tokio::test]
async fn what_streams_and_turns_out_too_long_is_not_run_for_one_node_after_the_other() {
    let server = Server::start();
    let long = 3 << 20;
    let (origin, gate) = Origin::new(move |_| Response::new(vec![b'a'; long].into())).gated_from(0);
    let policy = || patient().max_body(1 << 20);
    let [one, other] = locking(&server, &origin, policy()).await;
    let [third, _] = locking(&server, &origin, policy()).await;
    let ask = |node| -> Asking { Box::pin(streamed(node)) };
    let got = beside_each_other(&server, [one, other, third], &gate, ask).await;
    assert!(got.iter().all(|body| body.len() == long));
    assert_eq!(count(&server, "e"), "0");
    eventually(|| count(&server, "l") == "0").await;
}

#[tokio::test]
async fn a_variant_too_many_is_not_run_for_one_node_after_the_other() {
    let server = Server::start();
    let origin = Origin::new(|_| {
        let response = Response::builder().header("vary", "x-a");
        response.body("a".into()).unwrap()
    });
    let (origin, gate) = origin.gated_from(MOST_VARIANTS);
    let ask = |node: &Node, value: usize| {
        let node = node.clone();
        async move { node.ask(Request::get("/a").header("x-a", value)).await.body }
    };
    let [one, other] = locking(&server, &origin, patient()).await;
    let [third, _] = locking(&server, &origin, patient()).await;
    // One node has made all the variants that there may be, and the others know of them.
    for node in [&one, &other, &third] {
        for value in 0..MOST_VARIANTS {
            ask(node, value).await;
        }
        node.flush().await;
    }
    assert_eq!(origin.runs(), MOST_VARIANTS);
    let another =
        |node: Node| -> Asking { Box::pin(async move { ask(&node, MOST_VARIANTS).await }) };
    let got = beside_each_other(&server, [one, other, third], &gate, another).await;
    assert_eq!(got, ["a"; 3]);
    eventually(|| count(&server, "l") == "0").await;
}

#[tokio::test]
async fn what_was_purged_while_a_run_waited_for_its_turn_is_not_asked_about() {
    let server = Server::start();
    let asked = Arc::<Mutex<Vec<bool>>>::default();
    let noted = Arc::clone(&asked);
    let (origin, gate) = Origin::new(move |request| {
        let asks = request.headers().contains_key("if-none-match");
        noted.lock().unwrap().push(asks);
        let mut response = good_for(1, "hello");
        let etag = "\"1\"".parse().unwrap();
        response.headers_mut().insert("etag", etag);
        response
    })
    .gated(1);
    let policy = Policy::new().wait_limit(secs(60)).tag("a");
    let [one, other] = locking(&server, &origin, policy).await;
    one.get("/a").await;
    one.flush().await;
    other.get("/a").await;
    tokio::time::sleep(Duration::from_millis(1100)).await;
    let first = asking(&one);
    eventually(|| origin.runs() == 2).await;
    let second = asking(&other);
    eventually(|| other.larder.statistics().flights == 1).await;
    one.larder.invalidate([Target::tag("a")]).await;
    eventually(|| origin.runs() == 3).await;
    gate.add_permits(1);
    first.await.unwrap();
    second.await.unwrap();
    assert_eq!(*asked.lock().unwrap(), [false, true, false]);
}

#[tokio::test]
async fn a_run_that_takes_longer_than_its_lock_stands_is_waited_for_all_the_same() {
    let server = Server::start();
    let (origin, gate) = Origin::says("hello").gated(0);
    let [one, other] = locking(&server, &origin, patient()).await;
    let first = asking(&one);
    eventually(|| origin.runs() == 1).await;
    let second = asking(&other);
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert_eq!(origin.runs(), 1);
    gate.add_permits(1);
    for got in [first, second] {
        assert_eq!(got.await.unwrap().body, "hello");
    }
    assert_eq!(origin.runs(), 1);
}

#[tokio::test]
async fn the_lock_of_a_node_that_died_is_taken_over_by_one_of_those_who_wait() {
    let server = Server::start();
    let (origin, gate) = Origin::says("hello").gated(0);
    let [one, _] = locking(&server, &origin, patient()).await;
    let others = locking(&server, &origin, patient()).await;
    let first = asking(&one);
    eventually(|| origin.runs() == 1).await;
    let name = "return redis.call('SCAN', 0, 'MATCH', 'larder:larder:l:*', 'COUNT', 1000)[2][1]";
    let name = server.ask(&["EVAL", name, "0"]);
    let value = server.ask(&["GET", &name]);
    gate.add_permits(1);
    first.await.unwrap();
    one.flush().await;
    eventually(|| count(&server, "l") == "0").await;
    // What a node leaves behind that dies before it has anything to store.
    let responses = "for _, name in ipairs(redis.call('SCAN', 0, 'MATCH', 'larder:larder:e:*', \
         'COUNT', 1000)[2]) do redis.call('UNLINK', name) end return redis.call('SET', KEYS[1], \
         ARGV[1], 'PX', 1500)";
    server.ask(&["EVAL", responses, "1", &name, &value]);
    let crowd = others.each_ref().map(asking);
    eventually(|| {
        others
            .iter()
            .all(|node| node.larder.statistics().flights == 1)
    })
    .await;
    assert_eq!(origin.runs(), 1, "they wait");
    for got in crowd {
        assert_eq!(got.await.unwrap().body, "hello");
    }
    assert_eq!(origin.runs(), 2);
}

#[tokio::test]
async fn who_waits_for_refreshes_that_are_left_to_another_node_is_not_refused() {
    let server = Server::start();
    let age = |seconds: u32, body: &'static str| {
        let lifetime = format!("max-age={seconds}, stale-while-revalidate=600");
        let response = Response::builder().header("cache-control", lifetime);
        response.body(body.into()).unwrap()
    };
    let (origin, gate) = Origin::new(move |_| age(1, "old")).gated(1);
    let nodes = locking(&server, &origin, Policy::new()).await;
    let [one, other] = nodes.map(|node| Node {
        layer: CacheLayer::gateway(&node.larder),
        ..node
    });
    one.get("/a").await;
    one.flush().await;
    other.get("/a").await;
    tokio::time::sleep(Duration::from_millis(1100)).await;
    origin.change(move |_| age(600, "new"));
    let demanding = || Request::get("/a").header("cache-control", "min-fresh=10");
    let leading = one.clone();
    let first = tokio::spawn(async move { leading.ask(demanding()).await });
    eventually(|| origin.runs() == 2).await;

    let flights = &other.larder.core().flights;
    let mut waiting = pin!(other.ask(demanding()));
    for _ in 0..2 {
        // Each begins a refresh, for which the other node has the lock.
        assert_eq!(other.get("/a").await.body, "old");
        nudge(waiting.as_mut()).await;
        assert_eq!(flights.waiters(), 1);
        eventually(|| flights.len() == 0).await;
    }
    gate.add_permits(1);
    let got = waiting.await;
    assert_eq!((got.status, &*got.body), (StatusCode::OK, &b"new"[..]));
    assert_eq!(first.await.unwrap().body, "new");
    assert_eq!(origin.runs(), 2);
}

#[tokio::test]
async fn who_has_waited_for_a_run_here_waits_that_much_less_for_one_elsewhere() {
    let server = Server::start();
    let (origin, gate) = Origin::says("hello").gated(0);
    let policy = Policy::ttl(secs(60)).wait_limit(secs(3));
    let [_, node] = locking(&server, &origin, policy).await;
    let first = asking(&node);
    eventually(|| origin.runs() == 1).await;
    // From here on it is another node that has the lock.
    let name = "return redis.call('SCAN', 0, 'MATCH', 'larder:larder:l:*', 'COUNT', 1000)[2][1]";
    let name = server.ask(&["EVAL", name, "0"]);
    let value = server.ask(&["GET", &name]).replacen(|_| true, "x", 1);
    server.ask(&["SET", &name, &value, "PX", "60000"]);
    let began = tokio::time::Instant::now();
    let second = asking(&node);
    eventually(|| node.larder.core().flights.waiters() == 1).await;
    tokio::time::sleep(Duration::from_millis(2500)).await;
    // The run panics.
    gate.close();
    assert!(first.await.is_err());
    assert_eq!(second.await.unwrap().body, "hello");
    let waited = began.elapsed();
    assert!(waited < Duration::from_secs(5), "it waited {waited:?}");
    assert_eq!(origin.runs(), 2);
}

//! Nodes on one Redis, each over a proxy of its own, and what is asked of them in every test.

use std::{
    cell::Cell,
    env,
    net::SocketAddr,
    thread,
    time::{Duration, Instant},
};

use crate::support::{
    message::{Answer, Request},
    process::Ground,
    proxy::Proxy,
    redis::{Redis, url},
    wire::Wire,
};

/// What recovery after a fault may take: what is promised, and as much again for the machine.
pub(crate) const RECOVERY: Duration = Duration::from_secs(2 + 2);

/// How far behind an acknowledged write another node may be.
pub(crate) const BOUND: Duration = Duration::from_secs(2);

/// How long a test waits for what must happen.
const PATIENCE: Duration = Duration::from_secs(20);

/// A Redis and the nodes that share it.
pub(crate) struct Scene {
    pub(crate) nodes: Vec<Node>,
    pub(crate) redis: Redis,
    /// Numbers keys that nobody has asked for yet.
    fresh: Cell<u32>,
    variables: Vec<(String, String)>,
    way: Way,
}

/// How nodes reach their Redis.
pub(crate) struct Way {
    /// What the proxies stand before.
    pub(crate) server: SocketAddr,
    /// The URL that a node is given, from the address of its proxy.
    pub(crate) url: Box<dyn Fn(SocketAddr) -> String>,
}

/// Returns whether the tests of consistency are to run with the lock of runs, on which none of them
/// may depend.
pub(crate) fn has_lock() -> bool {
    env::var_os("LARDER_TEST_LOCK").is_some()
}

/// Returns the variables of all nodes: the lock, and the fault that is planted in their build.
fn everywhere() -> impl Iterator<Item = (String, String)> {
    let lock = has_lock().then(|| ("LOCK".to_owned(), "on".to_owned()));
    let planted = "LARDER_SABOTAGE";
    let fault = env::var(planted)
        .ok()
        .map(|fault| (planted.to_owned(), fault));
    lock.into_iter().chain(fault)
}

/// One proving ground and its way to Redis.
pub(crate) struct Node {
    pub(crate) ground: Ground,
    pub(crate) proxy: Proxy,
    wire: Wire,
}

impl Scene {
    /// Starts a Redis and so many nodes, and waits until they share what they store.
    pub(crate) fn start(count: usize) -> Self {
        Self::with(count, &[], &[])
    }

    /// The same, with settings of Redis and variables of the nodes.
    pub(crate) fn with(
        count: usize,
        settings: &[(&str, &str)],
        variables: &[(&str, &str)],
    ) -> Self {
        let scene = Self::on(Redis::with(settings), count, variables);
        scene.wait_until("the nodes share their answers", || scene.is_shared());
        scene
    }

    /// Starts nodes on a Redis that may be down.
    pub(crate) fn on(redis: Redis, count: usize, variables: &[(&str, &str)]) -> Self {
        let way = Way {
            server: redis.address(),
            url: Box::new(url),
        };
        Self::by(way, redis, count, variables)
    }

    /// The same, by another way than an address.
    pub(crate) fn by(way: Way, redis: Redis, count: usize, variables: &[(&str, &str)]) -> Self {
        let variables = variables
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let variables = everywhere().chain(variables);
        let mut scene = Self {
            nodes: Vec::new(),
            redis,
            fresh: Cell::new(0),
            variables: variables.collect(),
            way,
        };
        for number in 0..count {
            let node = scene.node(number);
            scene.nodes.push(node);
        }
        scene
    }

    /// Starts another node: all keep their truth in the same file.
    pub(crate) fn node(&self, number: usize) -> Node {
        let proxy = Proxy::before(self.way.server);
        let redis = (self.way.url)(proxy.address());
        let truth = self.redis.directory().join("truth");
        let truth = truth.to_string_lossy();
        let mut variables = vec![("DATABASE", &*truth), ("REDIS_URL", &redis)];
        // `0:NAME` is for the first node alone.
        for (name, value) in &self.variables {
            match name.split_once(':') {
                Some((only, name)) if only == number.to_string() => variables.push((name, value)),
                Some(_) => {}
                None => variables.push((name, value)),
            }
        }
        let ground = Ground::start(&variables);
        let wire = Wire::One(ground.address());
        Node {
            ground,
            proxy,
            wire,
        }
    }

    /// Returns the path of an item that nobody has asked for yet.
    pub(crate) fn fresh(&self) -> String {
        self.fresh.set(self.fresh.get() + 1);
        // The last byte chooses the size of the body; this one is of 3 kB.
        format!("/single/fresh-{}-2", self.fresh.get())
    }

    /// Reads; the answer must be a good one.
    pub(crate) fn get(&self, node: usize, target: &str) -> Answer {
        self.nodes[node].get(target)
    }

    /// Writes, and returns whether it was acknowledged for all nodes.
    pub(crate) fn put(&self, node: usize, target: &str) -> bool {
        let answer = self.nodes[node].send(&Request::new("PUT", target));
        let acknowledged = answer.field("x-ack");
        match acknowledged.as_deref() {
            Some("global") => true,
            Some("local") => false,
            other => panic!("a write was acknowledged as {other:?}"),
        }
    }

    /// Reads an item and returns its version; the body must be whole and right.
    pub(crate) fn version(&self, node: usize, target: &str) -> u64 {
        version(&self.get(node, target))
    }

    /// Returns whether what the first node stores is found by the last.
    pub(crate) fn is_shared(&self) -> bool {
        let target = self.fresh();
        let [first, last] = [0, self.nodes.len() - 1];
        self.get(first, &target);
        thread::sleep(Duration::from_millis(30));
        let found = self.get(last, &target);
        // With one node it is found in its memory; then a write tells whether Redis is there.
        let by_first = found.field("x-node") == Some(self.nodes[first].ground.pid().to_string());
        by_first && (first != last || self.put(first, &target))
    }

    /// Without Redis everything goes on: right answers, soon, and writes that hold on their node.
    pub(crate) fn goes_on_without_redis(&self) {
        let begun = Instant::now();
        for _ in 0..30 {
            assert_eq!(self.version(0, &self.fresh()), 0);
        }
        let took = begun.elapsed();
        // Five waits of 25 ms, then none; a client's own defaults would take 30 s for each.
        assert!(took < Duration::from_secs(4), "30 reads took {took:?}");
        let target = self.fresh();
        assert_eq!(self.version(0, &target), 0);
        let begun = Instant::now();
        let global = self.put(0, &target);
        let took = begun.elapsed();
        assert!(!global, "acknowledged for all by nobody");
        assert!(took < Duration::from_secs(2), "a write took {took:?}");
        assert_eq!(self.version(0, &target), 1);
    }

    /// Everything is shared again soon: entries, and writes that were made meanwhile.
    pub(crate) fn comes_back(&self) {
        let begun = Instant::now();
        while !(self.is_shared() && self.put(0, &self.fresh())) {
            let waited = begun.elapsed();
            assert!(waited < RECOVERY, "not back after {waited:?}");
        }
        self.is_quiet();
    }

    /// No node said anything that it should not have.
    pub(crate) fn is_quiet(&self) {
        for node in &self.nodes {
            let log = node.ground.log();
            assert!(!log.contains("panicked"), "{log}");
            assert!(log.lines().count() < 50, "{log}");
        }
    }

    /// A write on the first node is seen on the last within the bound.
    pub(crate) fn follows(&self) {
        let target = self.fresh();
        let last = self.nodes.len() - 1;
        assert_eq!(self.version(last, &target), 0);
        let global = self.put(0, &target);
        assert!(global, "not acknowledged for all");
        let acknowledged = Instant::now();
        while self.version(last, &target) == 0 {
            let behind = acknowledged.elapsed();
            assert!(behind < BOUND, "still old after {behind:?}");
            thread::sleep(Duration::from_millis(2));
        }
    }

    pub(crate) fn wait_until(&self, what: &str, condition: impl Fn() -> bool) {
        let asked = Instant::now();
        while !condition() {
            assert!(
                asked.elapsed() < PATIENCE,
                "{what}: not with {} nodes",
                self.nodes.len()
            );
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Returns the names of the stored entries.
    pub(crate) fn entries(&self) -> Vec<String> {
        let mut names = self.redis.names();
        names.retain(|name| name.contains(":e:"));
        names
    }

    /// Waits until so many entries are stored, and returns their names.
    pub(crate) fn stored(&self, count: usize) -> Vec<String> {
        self.wait_until("entries", || self.entries().len() >= count);
        self.entries()
    }
}

impl Node {
    pub(crate) fn get(&self, target: &str) -> Answer {
        self.send(&Request::get(target))
    }

    pub(crate) fn send(&self, request: &Request) -> Answer {
        let answer = self.wire.send(request);
        let answer = answer.unwrap_or_else(|error| panic!("{}: {error}", request.target));
        assert_eq!(answer.status, 200, "{}: {}", request.target, answer.text());
        assert!(answer.whole, "{} was cut off", request.target);
        answer
    }

    /// Sends from so many clients at once.
    pub(crate) fn crowd(&self, target: &str, count: usize) -> Vec<Answer> {
        let answers = self.wire.send_all(&vec![Request::get(target); count]);
        answers.into_iter().map(Result::unwrap).collect()
    }

    /// Returns how often the handler has run for a GET of `target`.
    pub(crate) fn runs(&self, target: &str) -> u64 {
        let counted: serde_json::Value = serde_json::from_slice(&self.get("/runs").body).unwrap();
        counted[format!("GET {target}")].as_u64().unwrap_or(0)
    }
}

/// Returns the version in an item's answer, whose checksum must be right.
pub(crate) fn version(answer: &Answer) -> u64 {
    let item: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    let [id, host, padding] = ["id", "host", "pad"].map(|name| item[name].as_str().unwrap());
    let version = item["v"].as_u64().unwrap();
    let checksum = crc32fast::hash(format!("{id}:{host}:{version}:{padding}").as_bytes());
    assert_eq!(item["crc"].as_u64(), Some(checksum.into()), "{id} is wrong");
    version
}

/// Returns whether the answer was found in Redis.
pub(crate) fn is_from_redis(answer: &Answer) -> bool {
    answer.is_hit() && answer.has_status_parameter("detail=REDIS")
}

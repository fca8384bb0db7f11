//! Responses that go to a real server and come back: what of it concerns Redis alone. What it has in
//! common with all that keep responses is tried in the suite of the handle's tiers.

use std::sync::Arc;

use http::{HeaderMap, Uri};

use super::*;
use crate::{
    clock::{Clock, SystemClock, Timestamp},
    entry::{
        Coding, Entry, Position,
        samples::{Sample, fields},
    },
    key::Key,
    policy::{Target, TargetId},
    store::{Wanted, Whence},
};

const EPOCH: u64 = 7;

/// A node: its tier, with a writer that lets everything leave.
pub(super) struct Node {
    pub(super) tier: SecondTier,
    clock: Arc<dyn Clock>,
}

impl Node {
    fn new(server: &Server) -> Self {
        Self::with(server, SystemClock::new())
    }

    pub(super) fn at(url: &str) -> Self {
        Self::tuned(url, SystemClock::new(), patient())
    }

    fn with(server: &Server, clock: impl Clock) -> Self {
        Self::tuned(&server.url(), clock, patient())
    }

    fn tuned(url: &str, clock: impl Clock, settings: Settings) -> Self {
        let clock: Arc<dyn Clock> = Arc::new(clock);
        let layout = Layout::new("test");
        let connections = Connections::new(url, layout, settings, Arc::clone(&clock)).unwrap();
        let (tier, writer) = SecondTier::new(connections, 2 << 20);
        tokio::spawn(writer.run(|_| true));
        Self { tier, clock }
    }

    /// A response that is fresh for a minute from now.
    pub(super) fn sample(&self, key: &str) -> Sample {
        let mut sample = Sample::new(key);
        let now = self.clock.now();
        sample.life.received = now;
        sample.life.fresh_until = now.after(Duration::from_secs(60));
        sample.life.gone_at = now.after(Duration::from_secs(60));
        sample.position = Position {
            epoch: EPOCH,
            sequence: 9,
            local: 3,
        };
        sample.targets.clear();
        let Whence { authority, uri, .. } = whence();
        let targets = &mut sample.targets;
        TargetId::of_request(&authority, uri.path(), uri.query(), None, targets);
        sample
    }

    async fn put(&self, entry: &Arc<Entry>) {
        self.tier.put(&entry.key, entry, whence());
        self.tier.flush().await;
    }

    pub(super) async fn find(&self, key: &str) -> Option<Entry> {
        self.find_for(key, &HeaderMap::new(), None).await
    }

    async fn find_for(
        &self,
        key: &str,
        request: &HeaderMap,
        names: Option<&[http::HeaderName]>,
    ) -> Option<Entry> {
        let wanted = Wanted {
            primary: &Key::from(key.as_bytes()),
            request,
            names,
            place: None,
            local: 5,
            now: self.clock.now(),
        };
        self.tier.find(wanted).await
    }
}

pub(super) fn whence() -> Whence {
    Whence {
        authority: "shop.test".into(),
        uri: Uri::from_static("/items/1?page=2"),
        route: None,
        lock: None,
    }
}

/// These tests are about what is read, not about how fast a busy machine is.
fn patient() -> Settings {
    Settings {
        request_budget: Duration::from_secs(5),
        background_budget: Duration::from_secs(5),
        connect_limit: Duration::from_secs(5),
        ..Settings::default()
    }
}

fn name(key: &str) -> String {
    Layout::new("test").entry(key.as_bytes())
}

/// Returns how many keys of responses there are.
fn responses(server: &Server) -> usize {
    let count = "return #redis.call('SCAN', 0, 'MATCH', ARGV[1], 'COUNT', 1000)[2]";
    let answer = server.ask(&["EVAL", count, "0", "larder:test:e:*"]);
    answer.parse().unwrap()
}

#[tokio::test]
async fn the_local_number_of_what_comes_back_is_the_readers_own() {
    let server = Server::start();
    let (one, other) = (Node::new(&server), Node::new(&server));
    one.put(&one.sample("key").entry()).await;
    let found = other.find("key").await.unwrap();
    let position = Position {
        epoch: EPOCH,
        sequence: 9,
        local: 5,
    };
    assert_eq!(found.seal.position, position);
    let statistics = other.tier.statistics();
    assert_eq!((statistics.hits, statistics.misses), (1, 0));
    assert_eq!(one.tier.statistics().written, 1);
}

#[tokio::test]
async fn a_look_up_is_one_command() {
    let server = Server::start();
    let node = Node::new(&server);
    node.put(&node.sample("key").entry()).await;
    node.find("key").await.unwrap();
    server.ask(&["CONFIG", "RESETSTAT"]);
    for _ in 0..10 {
        node.find("key").await.unwrap();
    }
    let calls = server.ask(&["INFO", "commandstats"]);
    let commands = calls.lines().filter(|line| line.starts_with("cmdstat_"));
    let commands: Vec<_> = commands
        .filter(|line| !line.starts_with("cmdstat_config"))
        .collect();
    assert!(
        matches!(&commands[..], [get] if get.starts_with("cmdstat_getrange:calls=10,")),
        "{commands:?}"
    );
}

#[tokio::test]
async fn a_variant_costs_one_look_up_if_the_names_are_known() {
    let server = Server::start();
    let node = Node::new(&server);
    let request = fields(&[("accept-language", "de")]);
    let sample = node.sample("key").varying(&["accept-language"], &request);
    node.put(&sample.body("de").entry()).await;
    for (names, calls) in [(None, 2), (Some(&[http::header::ACCEPT_LANGUAGE][..]), 1)] {
        server.ask(&["CONFIG", "RESETSTAT"]);
        let found = node.find_for("key", &request, names).await;
        assert_eq!(found.unwrap().body.bytes, "de");
        let told = server.ask(&["INFO", "commandstats"]);
        assert!(
            told.contains(&format!("cmdstat_getrange:calls={calls},")),
            "{told}"
        );
    }
}

#[tokio::test]
async fn every_key_ends_by_itself() {
    let server = Server::start();
    let node = Node::new(&server);
    let request = fields(&[("accept-language", "de")]);
    node.put(&node.sample("one").entry()).await;
    node.put(
        &node
            .sample("two")
            .varying(&["accept-language"], &request)
            .entry(),
    )
    .await;
    let mut endless = node.sample("three");
    endless.life.gone_at = Timestamp::NEVER;
    node.put(&endless.entry()).await;
    assert_eq!(responses(&server), 4);
    let mut lasting = 0;
    for key in ["one", "two"] {
        let left: i64 = server.ask(&["PTTL", &name(key)]).parse().unwrap();
        assert!((1..=60_000).contains(&left), "{key}: {left}");
    }
    let left: i64 = server.ask(&["PTTL", &name("three")]).parse().unwrap();
    assert!(left > 1_000_000, "{left}");
    lasting += server
        .ask(&["INFO", "keyspace"])
        .matches("expires=4")
        .count();
    assert_eq!(lasting, 1, "a key without an end");
}

#[tokio::test]
async fn what_is_gone_is_neither_written_nor_found() {
    let server = Server::start();
    let node = Node::new(&server);
    let mut gone = node.sample("gone");
    gone.life.gone_at = node.clock.now();
    node.put(&gone.entry()).await;
    assert_eq!(responses(&server), 0);
    assert_eq!(node.tier.statistics().dropped, 1);
}

#[tokio::test]
async fn a_node_whose_clock_is_an_hour_behind_agrees_on_when_a_response_is_stale() {
    let server = Server::start();
    let ahead = Node::new(&server);
    // Years behind, in fact.
    let behind = Node::with(&server, crate::clock::TestClock::new());
    ahead.put(&ahead.sample("key").entry()).await;
    let found = behind.find("key").await.unwrap();
    let left = found.life.fresh_until.since(behind.clock.now());
    assert!((58_000..=61_000).contains(&left.as_millis()), "{left:?}");
    assert!(found.life.age(behind.clock.now()) < 2000);
}

#[tokio::test]
async fn what_nobody_can_read_is_removed_and_counted() {
    let server = Server::start();
    let node = Node::new(&server);
    node.put(&node.sample("cut").body(vec![b'a'; 100]).entry())
        .await;
    server.ask(&["SETRANGE", &name("cut"), "80", "damage"]);
    server.ask(&["SET", &name("noise"), "noise"]);
    server.ask(&["LPUSH", &name("list"), "element"]);
    for key in ["cut", "noise", "list"] {
        assert!(node.find(key).await.is_none(), "{key}");
    }
    node.tier.flush().await;
    assert_eq!(responses(&server), 0);
    assert_eq!(node.tier.statistics().corrupt, 3);
    node.put(&node.sample("list").entry()).await;
    assert!(node.find("list").await.is_some());
}

#[tokio::test]
async fn what_a_newer_version_wrote_is_a_miss_and_stays() {
    let server = Server::start();
    let node = Node::new(&server);
    server.ask(&["SET", &name("new"), "lrdr\u{2}whatever comes"]);
    assert!(node.find("new").await.is_none());
    node.tier.flush().await;
    assert_eq!(server.ask(&["EXISTS", &name("new")]), "1");
    assert_eq!(node.tier.statistics().corrupt, 0);
}

#[tokio::test]
async fn a_fill_leaves_what_a_newer_version_wrote_as_it_is() {
    use sha2::{Digest, Sha256};

    let server = Server::start();
    let node = Node::new(&server);
    let version = crate::entry::codec::VERSION + 1;
    let digest = Sha256::new().chain_update([version]).chain_update(b"key");
    let digits: String = (digest.finalize().iter().take(20))
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let newer = format!("larder:test:e:{digits}");
    let written = format!("lrdr{}whatever comes", char::from(version));
    server.ask(&["SET", &newer, &written]);
    assert!(node.find("key").await.is_none());
    node.put(&node.sample("key").body("own").entry()).await;
    assert_eq!(node.find("key").await.unwrap().body.bytes, "own");
    assert_eq!(server.ask(&["GET", &newer]), written);
    assert_eq!(responses(&server), 2);
}

#[tokio::test]
async fn a_response_under_the_name_of_another_is_a_miss_and_stays() {
    let server = Server::start();
    let node = Node::new(&server);
    node.put(&node.sample("mine").entry()).await;
    server.ask(&["COPY", &name("mine"), &name("yours")]);
    assert!(node.find("yours").await.is_none());
    node.tier.flush().await;
    assert_eq!(server.ask(&["EXISTS", &name("yours")]), "1");
    // The same for two variants of one URL that were swapped.
    let request = |value| fields(&[("accept-language", value)]);
    let de = node
        .sample("key")
        .varying(&["accept-language"], &request("de"))
        .entry();
    node.put(&de).await;
    let layout = Layout::new("test");
    let [own, other] = ["de", "fr"].map(|value| {
        let sample = node
            .sample("key")
            .varying(&["accept-language"], &request(value));
        let variation = sample.variation.unwrap();
        crate::store::redis::queue::variant_name(&layout, b"key", &variation)
    });
    server.ask(&["COPY", &own, &other]);
    assert!(node.find_for("key", &request("de"), None).await.is_some());
    assert!(node.find_for("key", &request("fr"), None).await.is_none());
}

#[tokio::test]
async fn a_response_above_the_limit_is_never_sent() {
    let server = Server::start();
    let node = Node::new(&server);
    node.put(&node.sample("large").body(vec![b'a'; 1 << 20]).entry())
        .await;
    node.put(&node.sample("fits").body(vec![b'a'; 1_000_000]).entry())
        .await;
    assert_eq!(responses(&server), 1);
    let statistics = node.tier.statistics();
    assert_eq!((statistics.written, statistics.dropped), (1, 1));
}

#[tokio::test]
async fn a_response_whose_targets_would_not_come_back_does_not_leave() {
    let server = Server::start();
    let node = Node::new(&server);
    let mut sample = node.sample("key");
    sample.targets.push(Target::tag("not among its tags").id());
    node.put(&sample.entry()).await;
    assert_eq!(responses(&server), 0);
}

#[tokio::test]
async fn a_body_longer_than_may_be_stored_is_not_accepted() {
    let server = Server::start();
    let node = Node::new(&server);
    let zeros = vec![0; 3 << 20];
    let mut sample = node.sample("bomb").body(zeros);
    sample.coding = Coding::Gzip;
    let entry = sample.entry();
    assert!(entry.body.bytes.len() < 100_000);
    node.put(&entry).await;
    assert_eq!(responses(&server), 1);
    assert!(node.find("bomb").await.is_none());
}

#[tokio::test]
async fn while_redis_is_away_writes_are_dropped_and_nobody_waits() {
    let mut server = Server::start();
    let node = Node::tuned(&server.url(), SystemClock::new(), Settings::default());
    let entry = node.sample("key").entry();
    node.put(&entry).await;
    server.kill();
    for _ in 0..20 {
        node.put(&entry).await;
    }
    let statistics = node.tier.statistics();
    assert_eq!((statistics.written, statistics.dropped), (1, 20));
    assert!(statistics.is_away);
    let asked = Instant::now();
    assert!(node.find("key").await.is_none());
    assert!(asked.elapsed() < SLACK);
    server.restart();
    until_closed(node.tier.connections()).await;
    node.put(&entry).await;
    assert!(node.find("key").await.is_some());
}

#[tokio::test]
async fn a_server_without_memory_still_answers_and_what_it_refuses_is_counted() {
    let server = Server::start();
    let node = Node::new(&server);
    node.put(&node.sample("kept").entry()).await;
    server.ask(&["CONFIG", "SET", "maxmemory", "1"]);
    node.put(&node.sample("refused").entry()).await;
    assert!(node.find("kept").await.is_some());
    assert!(node.find("refused").await.is_none());
    let statistics = node.tier.statistics();
    assert_eq!((statistics.errors, statistics.dropped), (1, 1));
    assert!(!statistics.is_away);
}

#[tokio::test]
async fn the_queue_is_bounded_by_number_and_by_bytes() {
    let server = Server::start();
    let node = Node::new(&server);
    server.freeze();
    let small = node.sample("small").entry();
    for _ in 0..3000 {
        node.tier.put(&small.key, &small, whence());
    }
    // A thousand wait, and a few are on their way.
    let dropped = node.tier.statistics().dropped;
    assert!((1800..=2000).contains(&dropped), "{dropped}");
    server.thaw();
    node.tier.flush().await;
    server.freeze();
    let large = node.sample("large").body(vec![b'a'; 900_000]).entry();
    let before = node.tier.statistics().dropped;
    for _ in 0..100 {
        node.tier.put(&large.key, &large, whence());
    }
    let dropped = node.tier.statistics().dropped - before;
    assert!((50..=65).contains(&dropped), "{dropped}");
    server.thaw();
}

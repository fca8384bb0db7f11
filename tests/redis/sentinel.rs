//! Sentinels name the primary of a service; when it fails they name another one, and larder follows.

use std::{
    fs,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

#[cfg(feature = "redis-tls")]
use crate::certificates::{Certificates, borrowed};
use crate::{
    pair::{AGREEMENT, Pair},
    support::{
        folder::Folder,
        redis::{Redis, free_port, program, signal},
        resp::Client,
    },
};

/// The service of these tests: a primary, its replica, and three sentinels.
struct Service {
    primary: Redis,
    replica: Redis,
    sentinels: Vec<Sentinel>,
}

struct Sentinel {
    child: Child,
    port: u16,
    _folder: Folder,
}

impl Sentinel {
    /// Starts one that watches the server at `watched`, with more settings as lines.
    fn start(watched: u16, more: &str) -> Self {
        let (folder, port) = (Folder::new("sentinel"), free_port());
        let file = folder.path().join("sentinel.conf");
        let directory = folder.path().display();
        let settings = format!(
            "port {port}\nbind 127.0.0.1\ndir {directory}\nlogfile log\n\
             sentinel monitor shop 127.0.0.1 {watched} 2\n\
             sentinel down-after-milliseconds shop 500\nsentinel failover-timeout shop 3000\n\
             {more}"
        );
        fs::write(&file, settings).unwrap();
        let child = Command::new(program())
            .arg(&file)
            .arg("--sentinel")
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        Self {
            child,
            port,
            _folder: folder,
        }
    }

    /// Returns what it says of the service, if it is there.
    fn told(&self) -> Option<String> {
        let mut client = Client::open(([127, 0, 0, 1], self.port).into()).ok()?;
        let told = client.ask(&["INFO", "sentinel"]).ok()?;
        Some(told.text())
    }
}

impl Drop for Sentinel {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Service {
    fn start() -> Self {
        let primary = Redis::start();
        let watched = primary.address().port();
        let of = format!("127.0.0.1 {watched}");
        let replica = Redis::with(&[("replicaof", &of)]);
        let sentinels = (0..3).map(|_| Sentinel::start(watched, "")).collect();
        Self::that_meets(primary, replica, sentinels)
    }

    /// Starts one whose servers and sentinels speak by TLS to each other and to whoever shows a
    /// certificate. The ports of the sentinels for that are returned as well.
    #[cfg(feature = "redis-tls")]
    fn behind_tls(certificates: &Certificates) -> (Self, Vec<u16>) {
        let server = |of: &[(&'static str, String)]| {
            let port = free_port();
            let mut settings = certificates.settings(port, true);
            settings.push(("tls-replication", "yes".to_owned()));
            settings.extend_from_slice(of);
            (Redis::with(&borrowed(&settings)), port)
        };
        let (primary, watched) = server(&[]);
        let (replica, _) = server(&[("replicaof", format!("127.0.0.1 {watched}"))]);
        let (mut sentinels, mut ports) = (Vec::new(), Vec::new());
        for _ in 0..3 {
            let port = free_port();
            let settings = certificates.settings(port, true);
            let lines = settings
                .iter()
                .map(|(name, value)| format!("{name} {value}\n"));
            let more = lines.collect::<String>() + "tls-replication yes\n";
            sentinels.push(Sentinel::start(watched, &more));
            ports.push(port);
        }
        (Self::that_meets(primary, replica, sentinels), ports)
    }

    fn that_meets(primary: Redis, replica: Redis, sentinels: Vec<Sentinel>) -> Self {
        let service = Self {
            primary,
            replica,
            sentinels,
        };
        let knows_all = |sentinel: &Sentinel| {
            let told = sentinel.told().unwrap_or_default();
            told.contains("status=ok") && told.contains("slaves=1,sentinels=3")
        };
        let begun = Instant::now();
        while !service.sentinels.iter().all(knows_all) {
            assert!(begun.elapsed() < AGREEMENT, "the sentinels do not meet");
            std::thread::sleep(Duration::from_millis(20));
        }
        service
    }

    fn url(&self) -> String {
        let hosts = self.sentinels.iter();
        let hosts: Vec<_> = hosts.map(|own| format!("127.0.0.1:{}", own.port)).collect();
        format!("redis-sentinel://{}/shop", hosts.join(","))
    }
}

/// Returns whether it takes itself for the primary; none if it does not say, as while it changes.
fn takes_itself_for_primary(redis: &Redis) -> Option<bool> {
    let role = redis.client().and_then(|mut client| client.ask(&["ROLE"]));
    let role = role.ok()?.list();
    Some(role.first()?.text() == "master")
}

fn is_primary(redis: &Redis) -> bool {
    takes_itself_for_primary(redis) == Some(true)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_a_primary_dies_nodes_follow_to_the_one_that_sentinels_name() {
    let mut service = Service::start();
    let pair = Pair::start(&service.url()).await;
    let before = pair.writes_until_global("/items/1").await;
    service.primary.kill();
    let during = pair.one.put("/items/2").await;
    assert_eq!(pair.one.get("/items/2").await, during.0);
    let after = pair.writes_until_global("/items/1").await;
    assert!(after > before);
    assert!(is_primary(&service.replica), "acknowledged by whom?");
    pair.drained().await;
    // What was written while there was no primary has reached the other node too.
    assert!(pair.other.get("/items/2").await >= during.0);
    pair.shares_again().await;
    // The old one comes back, and is made a replica.
    service.primary.begin();
    pair.writes_until_global("/items/1").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_primary_that_wakes_after_it_was_replaced_brings_nothing_old_back() {
    let service = Service::start();
    let pair = Pair::start(&service.url()).await;
    pair.writes_until_global("/items/1").await;
    service.primary.freeze();
    let begun = Instant::now();
    while !is_primary(&service.replica) {
        assert!(begun.elapsed() < AGREEMENT, "nobody takes over");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    pair.writes_until_global("/items/1").await;
    // It takes itself for the primary until the sentinels tell it.
    service.primary.thaw();
    let begun = Instant::now();
    while takes_itself_for_primary(&service.primary) != Some(false) {
        pair.writes_until_global("/items/1").await;
        assert!(begun.elapsed() < AGREEMENT, "it stays a primary");
    }
    pair.writes_until_global("/items/1").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sentinel_that_hangs_keeps_nobody_from_the_primary() {
    let service = Service::start();
    let hanging = service.sentinels[0].child.id();
    signal(hanging, "STOP");
    let pair = Pair::start(&service.url()).await;
    pair.writes_until_global("/items/1").await;
    signal(hanging, "CONT");
}

#[cfg(feature = "redis-tls")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_follow_sentinels_and_what_they_name_over_tls() {
    let certificates = Certificates::new();
    let (mut service, ports) = Service::behind_tls(&certificates);
    let hosts: Vec<_> = ports
        .iter()
        .map(|port| format!("127.0.0.1:{port}"))
        .collect();
    let url = format!("rediss-sentinel://{}/shop", hosts.join(","));
    let pair = Pair::start(certificates.way(&url)).await;
    let before = pair.writes_until_global("/items/1").await;
    pair.shares_again().await;
    service.primary.kill();
    assert!(pair.writes_until_global("/items/1").await > before);
    assert!(is_primary(&service.replica), "acknowledged by whom?");
    pair.shares_again().await;
}

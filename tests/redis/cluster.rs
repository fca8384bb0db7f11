//! A cluster of three: slots move while they are read, nodes change places, and one is gone.

use std::{
    thread,
    time::{Duration, Instant},
};

use larder::Ack;

#[cfg(feature = "redis-tls")]
use crate::certificates::{Certificates, borrowed};
use crate::{
    pair::{AGREEMENT, Pair},
    support::redis::{Redis, free_port},
};

/// The slots of a cluster.
const SLOTS: u16 = 16_384;

/// Three servers that share the slots, and perhaps replicas.
struct Cluster {
    servers: Vec<Redis>,
}

impl Cluster {
    fn start() -> Self {
        Self::of((0..3).map(|_| Self::server(&[])).collect())
    }

    fn of(servers: Vec<Redis>) -> Self {
        let share = SLOTS / 3 + 1;
        for (first, server) in (0..).step_by(usize::from(share)).zip(&servers) {
            let last = (first + share - 1).min(SLOTS - 1);
            let slots = [first.to_string(), last.to_string()];
            let words = ["CLUSTER", "ADDSLOTSRANGE", &slots[0], &slots[1]];
            assert_eq!(server.ask(&words).text(), "OK");
        }
        let cluster = Self { servers };
        for server in &cluster.servers[1..] {
            cluster.meet(server);
        }
        cluster.is_whole(3);
        cluster
    }

    fn server(more: &[(&str, &str)]) -> Redis {
        let bus = free_port().to_string();
        let own = [
            ("cluster-enabled", "yes"),
            ("cluster-port", &bus),
            ("cluster-node-timeout", "1000"),
        ];
        Redis::with(&[&own, more].concat())
    }

    fn meet(&self, server: &Redis) {
        let bus = server.ask(&["CONFIG", "GET", "cluster-port"]).list();
        let port = port(server).to_string();
        let words = ["CLUSTER", "MEET", "127.0.0.1", &port, &bus[1].text()];
        assert_eq!(self.servers[0].ask(&words).text(), "OK");
    }

    /// Waits until all agree that nothing is missing.
    fn is_whole(&self, nodes: usize) {
        let known = format!("cluster_known_nodes:{nodes}\r");
        wait_until("the cluster is whole", || {
            let told = self
                .servers
                .iter()
                .map(|server| server.ask(&["CLUSTER", "INFO"]).text());
            told.into_iter()
                .all(|told| told.contains("cluster_state:ok") && told.contains(&known))
        });
    }

    fn url(&self) -> String {
        format!("redis-cluster://{}", self.hosts())
    }

    fn hosts(&self) -> String {
        let ports = self.servers.iter().map(port);
        let hosts: Vec<_> = ports.map(|port| format!("127.0.0.1:{port}")).collect();
        hosts.join(",")
    }

    fn slot(&self, key: &str) -> u16 {
        let slot = self.servers[0].ask(&["CLUSTER", "KEYSLOT", key]).number();
        u16::try_from(slot).unwrap()
    }

    fn id(&self, server: usize) -> String {
        self.servers[server].ask(&["CLUSTER", "MYID"]).text()
    }

    /// Moves a slot to another server; `midway` runs when half of its keys are on either side, as
    /// far as it has two.
    fn move_slot(&self, slot: u16, midway: impl FnOnce()) {
        let from = owner(slot);
        let to = (from + 1) % 3;
        let (source, target) = (&self.servers[from], &self.servers[to]);
        let [source_id, target_id] = [from, to].map(|server| self.id(server));
        let digits = slot.to_string();
        let set = |server: &Redis, what: &str, id: &str| {
            let set = server.ask(&["CLUSTER", "SETSLOT", &digits, what, id]);
            assert_eq!(set.text(), "OK", "{what}");
        };
        set(target, "IMPORTING", &source_id);
        set(source, "MIGRATING", &target_id);
        let keys = source
            .ask(&["CLUSTER", "GETKEYSINSLOT", &digits, "1000"])
            .list();
        let keys: Vec<_> = keys.iter().map(|key| key.text()).collect();
        let (first, second) = keys.split_at(keys.len() / 2);
        let port = target.address().port().to_string();
        let migrate = |keys: &[String]| {
            if !keys.is_empty() {
                let mut words = vec!["MIGRATE", "127.0.0.1", &port, "", "0", "5000", "KEYS"];
                words.extend(keys.iter().map(String::as_str));
                assert!(["OK", "NOKEY"].contains(&&*source.ask(&words).text()));
            }
        };
        migrate(first);
        midway();
        migrate(second);
        for server in [target, source] {
            set(server, "NODE", &target_id);
        }
    }
}

/// Returns where a server is spoken to: by TLS, if it can be.
fn port(server: &Redis) -> u16 {
    let secure = server.ask(&["CONFIG", "GET", "tls-port"]).list();
    match secure[1].text().parse() {
        Ok(0) | Err(_) => server.address().port(),
        Ok(port) => port,
    }
}

/// Returns which server has a slot by the even shares of the beginning.
fn owner(slot: u16) -> usize {
    usize::from(slot / (SLOTS / 3 + 1))
}

fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < AGREEMENT, "not: {what}");
        thread::sleep(Duration::from_millis(20));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invalidations_hold_on_every_node_of_a_cluster() {
    let cluster = Cluster::start();
    let pair = Pair::start(&cluster.url()).await;
    for number in 0..30 {
        let path = format!("/items/{number}");
        pair.one.get(&path).await;
        pair.other.get(&path).await;
        let (version, ack) = pair.one.put(&path).await;
        assert_eq!(ack, Ack::Global, "{path}");
        assert_eq!(pair.one.get(&path).await, version);
    }
    pair.writes_until_global("/items/1").await;
    pair.shares_again().await;
    let holding = cluster.servers.iter().filter(|server| {
        let names = server.names();
        names.iter().any(|name| name.contains(":e:"))
    });
    assert_eq!(holding.count(), 3, "the responses are not spread");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slot_of_responses_that_moves_is_followed() {
    let cluster = Cluster::start();
    let Pair { one, other, truth } = Pair::start(&cluster.url()).await;
    one.get("/plain/1").await;
    let stored = || {
        let mut names = cluster.servers.iter().flat_map(Redis::names);
        names.find(|name| name.contains(":e:"))
    };
    wait_until("stored", || stored().is_some());
    let slot = cluster.slot(&stored().unwrap());
    let runs = truth.runs();
    cluster.move_slot(slot, || {});
    // Its lanes still take the old server for the owner of the slot, and are told better.
    other.get("/plain/1").await;
    assert_eq!(truth.runs(), runs, "the second node did not find it");
    assert_eq!(other.larder.statistics().redis.errors, 0);
}

#[cfg(feature = "write-behind")]
#[tokio::test]
async fn writes_that_are_made_later_wait_in_a_cluster_too() {
    use std::sync::{Arc, Mutex};

    use larder::{
        Larder, secs,
        write_behind::{Sink, SinkError, Write},
    };

    struct Noted(Arc<Mutex<Vec<u64>>>);

    impl Sink<u64> for Noted {
        async fn write(&self, batch: &[Write<u64>]) -> Result<(), SinkError> {
            let values = batch.iter().map(|write| write.value);
            self.0.lock().unwrap().extend(values);
            Ok(())
        }
    }

    let cluster = Cluster::start();
    // By a user who may do what the page about operations says, and no more.
    let page = include_str!("../../src/docs/operations.md");
    let mut lines = page.lines().filter(|line| line.starts_with("ACL SETUSER "));
    let words = lines.next().unwrap().split(' ').chain(["+cluster|slots"]);
    let words: Vec<_> = words.collect();
    for server in &cluster.servers {
        assert_eq!(server.ask(&words).text(), "OK");
    }
    let url = format!("redis-cluster://larder:password@{}", cluster.hosts());
    let tier = larder::Redis::new(url)
        .budget(secs(10))
        .background_budget(secs(10))
        .connect_limit(secs(10));
    let larder = Larder::builder().redis(tier).build().await.unwrap();
    let noted = Arc::default();
    let queue = larder.write_behind("numbers");
    let queue = queue.start(Noted(Arc::clone(&noted))).await.unwrap();
    for value in 0..50 {
        queue.add("7", &value).await.unwrap();
    }
    assert!(queue.drain(secs(60)).await.unwrap());
    assert_eq!(*noted.lock().unwrap(), (0..50).collect::<Vec<_>>());
    assert_eq!(larder.statistics().lost_writes(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_slot_of_the_registry_moves_nothing_old_is_served() {
    let cluster = Cluster::start();
    let pair = Pair::start(&cluster.url()).await;
    pair.writes_until_global("/items/1").await;
    let slot = cluster.slot("larder:{larder}:seq");
    let runtime = tokio::runtime::Handle::current();
    tokio::task::block_in_place(|| {
        cluster.move_slot(slot, || {
            // Half of the registry is elsewhere: its scripts find no place to run.
            let (version, _) = runtime.block_on(pair.one.put("/items/1"));
            assert_eq!(runtime.block_on(pair.one.get("/items/1")), version);
        });
    });
    pair.writes_until_global("/items/1").await;
    pair.drained().await;
    pair.shares_again().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_takes_the_registry_over_is_followed() {
    let mut cluster = Cluster::start();
    let first_owner = owner(cluster.slot("larder:{larder}:seq"));
    let replica = Cluster::server(&[]);
    cluster.meet(&replica);
    cluster.servers.push(replica);
    cluster.is_whole(4);
    let replica = &cluster.servers[3];
    assert_eq!(
        replica
            .ask(&["CLUSTER", "REPLICATE", &cluster.id(first_owner)])
            .text(),
        "OK"
    );
    let role = |server: &Redis| server.ask(&["ROLE"]).list();
    wait_until("it replicates", || {
        let role = role(replica);
        role[0].text() == "slave" && role[3].text() == "connected"
    });
    let pair = Pair::start(&cluster.url()).await;
    pair.writes_until_global("/items/1").await;
    let epochs = pair.other.epochs();
    assert_eq!(replica.ask(&["CLUSTER", "FAILOVER"]).text(), "OK");
    wait_until("it has taken over", || role(replica)[0].text() == "master");
    // The mirror's connection must not go on reading from what is a replica now.
    pair.other
        .until("in another epoch", |node| node.epochs() > epochs)
        .await;
    pair.writes_until_global("/items/1").await;
    pair.shares_again().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_that_lacks_a_node_is_a_redis_that_is_away() {
    let mut cluster = Cluster::start();
    let pair = Pair::start(&cluster.url()).await;
    pair.writes_until_global("/items/1").await;
    let first_owner = owner(cluster.slot("larder:{larder}:seq"));
    cluster.servers[first_owner].kill();
    let down = &cluster.servers[(first_owner + 1) % 3];
    wait_until("the others notice", || {
        down.ask(&["CLUSTER", "INFO"])
            .text()
            .contains("cluster_state:fail")
    });
    for number in 0..30 {
        let asked = Instant::now();
        let path = format!("/items/away-{number}");
        pair.one.get(&path).await;
        let (version, ack) = pair.one.put(&path).await;
        assert!(matches!(ack, Ack::Local { .. }), "{ack:?}");
        assert_eq!(pair.one.get(&path).await, version);
        let took = asked.elapsed();
        assert!(took < Duration::from_secs(2), "it took {took:?}");
    }
    cluster.servers[first_owner].begin();
    cluster.is_whole(3);
    pair.one.in_sync().await;
    pair.drained().await;
    pair.writes_until_global("/items/1").await;
    pair.shares_again().await;
}

#[cfg(feature = "redis-tls")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_share_a_cluster_behind_tls() {
    let certificates = Certificates::new();
    let server = || {
        let mut settings = certificates.settings(free_port(), true);
        settings.push(("tls-cluster", "yes".to_owned()));
        Cluster::server(&borrowed(&settings))
    };
    let cluster = Cluster::of((0..3).map(|_| server()).collect());
    let url = format!("rediss-cluster://{}", cluster.hosts());
    let pair = Pair::start(certificates.way(&url)).await;
    pair.writes_until_global("/items/1").await;
    pair.shares_again().await;
}

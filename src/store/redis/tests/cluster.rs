//! Responses and invalidations over a cluster of three real servers.

use super::{
    entries::Node,
    server::{Server, free_port},
    *,
};

/// The slots of a cluster.
const SLOTS: u32 = 16_384;

/// Three servers that share the slots.
struct Cluster {
    servers: Vec<Server>,
    directory: std::path::PathBuf,
}

impl Cluster {
    fn start() -> Self {
        let name = format!("larder-cluster-{}-{}", std::process::id(), free_port());
        let directory = std::env::temp_dir().join(name);
        let servers: Vec<_> = (0..3)
            .map(|number| {
                let own = directory.join(number.to_string());
                std::fs::create_dir_all(&own).unwrap();
                let (own, bus) = (own.display().to_string(), free_port().to_string());
                let on = [
                    "--cluster-enabled",
                    "yes",
                    "--cluster-port",
                    &bus,
                    "--dir",
                    &own,
                ];
                (Server::with(&on), bus)
            })
            .collect();
        let share = SLOTS / 3 + 1;
        for (number, (server, _)) in (0..).zip(&servers) {
            let first = (number * share).to_string();
            let last = ((number + 1) * share - 1).min(SLOTS - 1).to_string();
            server.ask(&["CLUSTER", "ADDSLOTSRANGE", &first, &last]);
            for (other, bus) in &servers {
                let port = other.port().to_string();
                server.ask(&["CLUSTER", "MEET", "127.0.0.1", &port, bus]);
            }
        }
        let servers: Vec<_> = servers.into_iter().map(|(server, _)| server).collect();
        let began = Instant::now();
        let is_whole = |server: &Server| {
            let told = server.ask(&["CLUSTER", "INFO"]);
            told.contains("cluster_state:ok") && told.contains("cluster_known_nodes:3")
        };
        while !servers.iter().all(is_whole) {
            assert!(began.elapsed() < Duration::from_secs(30), "no cluster");
            std::thread::sleep(Duration::from_millis(20));
        }
        Self { servers, directory }
    }

    fn url(&self) -> String {
        let hosts = self
            .servers
            .iter()
            .map(|server| format!("127.0.0.1:{}", server.port()));
        format!("redis-cluster://{}", hosts.collect::<Vec<_>>().join(","))
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.servers.clear();
        // What is left behind is in the folder for what may be left behind.
        drop(std::fs::remove_dir_all(&self.directory));
    }
}

#[tokio::test]
async fn responses_are_spread_over_a_cluster_and_found_from_every_node() {
    let cluster = Cluster::start();
    let (one, other) = (Node::at(&cluster.url()), Node::at(&cluster.url()));
    for number in 0..50 {
        let entry = one
            .sample(&number.to_string())
            .body(number.to_string())
            .entry();
        one.tier.put(&entry.key, &entry, super::entries::whence());
    }
    one.tier.flush().await;
    assert_eq!(one.tier.statistics().written, 50);
    for number in 0..50 {
        let found = other.find(&number.to_string()).await.unwrap();
        assert_eq!(found.body.bytes, number.to_string());
    }
    for server in &cluster.servers {
        let keys: u64 = server.ask(&["DBSIZE"]).parse().unwrap();
        assert!(keys >= 5, "{keys} on one of three");
    }
}

#[tokio::test]
async fn an_answer_stands_where_its_command_stood_whatever_slot_it_came_from() {
    let cluster = Cluster::start();
    let connections = connected(&cluster.url()).unwrap();
    let mut pipeline = redis::pipe();
    for key in ["a", "b", "c", "d", "e"] {
        pipeline.cmd("SET").arg(key).arg(key);
        pipeline.cmd("GET").arg(key);
    }
    pipeline.cmd("LPUSH").arg("a").arg("x");
    let patient = Duration::from_secs(5);
    connections.run(&pipeline, patient).await.unwrap();
    let answers = connections.run(&pipeline, patient).await.unwrap();
    assert_eq!(answers.len(), 11);
    for (at, key) in ["a", "b", "c", "d", "e"].iter().enumerate() {
        assert_eq!(
            answers[2 * at + 1],
            redis::Value::BulkString(key.as_bytes().to_vec())
        );
    }
    assert!(
        matches!(&answers[10], redis::Value::ServerError(error) if error.code() == "WRONGTYPE"),
        "{answers:?}"
    );
    assert_eq!(connections.health().state, State::Closed);
}

#[tokio::test]
async fn a_cluster_that_is_taken_for_one_server_is_told_so() {
    let cluster = Cluster::start();
    let servers = cluster.servers.iter();
    let states = servers.map(|server| connected(&server.url()).unwrap());
    for connections in states.collect::<Vec<_>>() {
        let began = Instant::now();
        while connections.health().state == State::Closed {
            let budget = Duration::from_secs(1);
            let mut pipeline = redis::pipe();
            for key in ["a", "b", "c"] {
                pipeline.cmd("GET").arg(key);
            }
            drop(connections.run(&pipeline, budget).await);
            assert!(
                began.elapsed() < Duration::from_secs(20),
                "the breaker stays closed"
            );
        }
        let cause = connections.health().last_error.unwrap();
        assert!(cause.contains("redis-cluster://"), "{cause}");
    }
}

//! An application's own pool makes the connections that requests share.

use std::{sync::Arc, time::Duration};

use bb8_redis::RedisConnectionManager;
use larder::{Ack, Larder, Redis};

use crate::{
    node::{Node, Truth},
    support::redis::Redis as Server,
};

type Pool = bb8::Pool<RedisConnectionManager>;

/// A pool as an application makes it, under a user of its own.
async fn pool(server: &Server) -> Pool {
    let permitted = ["on", "nopass", "~*", "&*", "+@all"];
    let words = [&["ACL", "SETUSER", "application"], &permitted[..]].concat();
    assert_eq!(server.ask(&words).text(), "OK");
    let url = format!("redis://application:any@{}", server.address());
    let manager = RedisConnectionManager::new(url).unwrap();
    bb8::Pool::builder()
        .max_size(3)
        .build(manager)
        .await
        .unwrap()
}

async fn node(server: &Server, pool: &Pool, truth: &Arc<Truth>) -> Node {
    let redis = Redis::new(server.url()).pool(pool.clone());
    let node = Node::build(Larder::builder().redis(redis), truth).await;
    node.in_sync().await;
    node
}

/// Returns how many connections there are of that user.
fn connections(server: &Server, user: &str) -> usize {
    let clients = server.ask(&["CLIENT", "LIST"]).text();
    let own = format!("user={user} ");
    clients.lines().filter(|line| line.contains(&own)).count()
}

#[tokio::test]
async fn requests_go_by_connections_of_the_applications_own_pool() {
    let server = Server::start();
    let (pool, truth) = (pool(&server).await, Truth::new());
    let idle = connections(&server, "application");
    let one = node(&server, &pool, &truth).await;
    let other = node(&server, &pool, &truth).await;
    let before = truth.version();
    assert_eq!(one.get("/items/1").await, before);
    one.until("written", |node| {
        node.larder.statistics().redis.written == 1
    })
    .await;
    assert_eq!(other.get("/items/1").await, before);
    assert_eq!(truth.runs(), 1, "the second node did not ask Redis");
    // Each node has two for requests and one for writes; what the pool keeps is the application's.
    assert_eq!(connections(&server, "application"), idle + 2 * 3);
    assert_eq!(
        connections(&server, "default"),
        2 + 1,
        "log of each, and this question"
    );
    let held: Vec<_> = {
        let mut held = Vec::new();
        for _ in 0..3 {
            held.push(pool.get().await.unwrap());
        }
        held
    };
    // The pool is empty, and nobody at larder waits for it.
    let (version, ack) = one.put("/items/1").await;
    assert_eq!(ack, Ack::Global);
    assert_eq!(one.get("/items/1").await, version);
    drop(held);
}

#[tokio::test]
async fn a_restarted_redis_is_found_again_by_connections_of_the_pool() {
    let mut server = Server::start();
    let (pool, truth) = (pool(&server).await, Truth::new());
    let one = node(&server, &pool, &truth).await;
    let other = node(&server, &pool, &truth).await;
    assert_eq!(one.get("/items/1").await, truth.version());
    server.kill();
    let (version, ack) = one.put("/items/1").await;
    assert!(matches!(ack, Ack::Local { .. }), "{ack:?}");
    assert_eq!(one.get("/items/1").await, version);
    server.begin();
    // The user of the pool is gone with the server's memory.
    let words = [
        "ACL",
        "SETUSER",
        "application",
        "on",
        "nopass",
        "~*",
        "&*",
        "+@all",
    ];
    server.ask(&words);
    one.in_sync().await;
    other.in_sync().await;
    one.until("drained", |node| node.pending() == 0).await;
    let mut acked = one.put("/items/1").await;
    for _ in 0..50 {
        if acked.1 == Ack::Global {
            break;
        }
        tokio::time::sleep(Duration::from_millis(40)).await;
        acked = one.put("/items/1").await;
    }
    assert_eq!(acked.1, Ack::Global);
    assert!(connections(&server, "application") > 0);
}

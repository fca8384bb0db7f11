//! A node is asked before it has found its registry in Redis.

use super::*;
use crate::{Ack, Consistency, Target};

/// A node that was asked for `/a` while its Redis did not answer yet, which it does by now.
struct Starting {
    node: Node,
    first: tokio::task::JoinHandle<Got>,
}

impl Starting {
    async fn on(server: &Server, origin: &Origin, consistency: Consistency) -> Self {
        let patience = Duration::from_secs(5);
        let redis = Redis::new(server.url())
            .budget(patience)
            .background_budget(patience)
            .connect_limit(patience);
        server.freeze();
        let built = Larder::builder().redis(redis).consistency(consistency);
        let node = Node::of(built.build().await.unwrap(), origin, tagged());
        let first = asking(&node);
        eventually(|| node.larder.statistics().flights == 1).await;
        let statistics = node.larder.statistics().shared;
        assert_eq!(statistics.epochs, 0, "it knows the registry already");
        server.thaw();
        Self { node, first }
    }
}

fn tagged() -> Policy {
    Policy::ttl(secs(60)).tag("a")
}

#[tokio::test]
async fn what_a_node_fills_while_it_finds_its_registry_is_kept_and_shared() {
    for consistency in [Consistency::Bounded, Consistency::Strict] {
        let server = Server::start();
        let origin = Origin::says("hello");
        let Starting { node, first } = Starting::on(&server, &origin, consistency).await;
        assert_eq!(first.await.unwrap().body, "hello");
        let got = node.get("/a").await;
        assert!(got.told.contains("detail=MEMORY"), "{}", got.told);
        node.flush().await;
        let other = Node::new(&server, &origin, tagged()).await;
        let got = other.get("/a").await;
        assert!(got.told.contains("detail=REDIS"), "{}", got.told);
        assert_eq!(origin.runs(), 1);
    }
}

#[tokio::test]
async fn those_who_come_when_the_registry_is_found_wait_for_who_came_before() {
    let server = Server::start();
    let (origin, gate) = Origin::says("hello").gated(0);
    let Starting { node, first } = Starting::on(&server, &origin, Consistency::Bounded).await;
    eventually(|| origin.runs() == 1).await;
    assert_eq!(node.larder.statistics().shared.epochs, 1);
    let second = asking(&node);
    eventually(|| node.larder.core().flights.waiters() == 1).await;
    gate.add_permits(1);
    for got in [first, second] {
        assert_eq!(got.await.unwrap().body, "hello");
    }
    assert_eq!(origin.runs(), 1);
}

#[tokio::test]
async fn what_is_invalidated_elsewhere_during_the_first_run_makes_it_void() {
    let server = Server::start();
    let (origin, gate) = Origin::says("old").gated(0);
    let one = Node::new(&server, &origin, tagged()).await;
    let Starting { node, first } = Starting::on(&server, &origin, Consistency::Strict).await;
    eventually(|| origin.runs() == 1).await;
    origin.change(|_| Response::new("new".into()));
    let ack = one.larder.invalidate([Target::tag("a")]).await;
    assert_eq!(ack, Ack::Global);
    gate.add_permits(1);
    assert_eq!(first.await.unwrap().body, "old", "it came before");
    for node in [&node, &one] {
        node.flush().await;
        assert_eq!(node.get("/a").await.body, "new");
    }
    assert_eq!(origin.runs(), 2);
}

#[tokio::test]
async fn who_comes_after_an_invalidation_waits_for_a_run_that_has_not_begun() {
    let server = Server::start();
    let origin = Origin::says("new");
    let node = Node::new(&server, &origin, tagged()).await;
    server.freeze();
    let first = asking(&node);
    eventually(|| node.larder.statistics().flights == 1).await;
    let purge = crate::invalidate::Purge::hard([Target::tag("a")]);
    node.larder.core().invalidate_here(&purge);
    let second = asking(&node);
    eventually(|| node.larder.core().flights.waiters() == 1).await;
    server.thaw();
    for got in [first, second] {
        assert_eq!(got.await.unwrap().body, "new");
    }
    assert!(node.get("/a").await.told.contains("detail=MEMORY"));
    assert_eq!(origin.runs(), 1);
}

//! One who leads a flight leaves while Redis is asked.

use std::{future::poll_fn, task::Poll};

use tokio::task::JoinHandle;

use super::*;

/// A node whose Redis does not answer, and those who have asked it for `/a` since.
struct Frozen {
    server: Server,
    node: Node,
    leader: JoinHandle<Got>,
    others: Vec<JoinHandle<Got>>,
}

impl Frozen {
    /// Starts a Redis and a node, and lets a client ask, and then so many others.
    async fn with(origin: &Origin, others: usize) -> Self {
        let server = Server::start();
        let node = patient(&server, origin).await;
        Self::crowded(server, node, others).await
    }

    async fn crowded(server: Server, node: Node, others: usize) -> Self {
        server.freeze();
        let leader = asking(&node);
        eventually(|| node.larder.statistics().flights == 1).await;
        let others: Vec<_> = (0..others).map(|_| asking(&node)).collect();
        eventually(|| node.larder.core().flights.waiters() == others.len()).await;
        Self {
            server,
            node,
            leader,
            others,
        }
    }

    async fn leader_leaves(&mut self) {
        self.leader.abort();
        assert!((&mut self.leader).await.unwrap_err().is_cancelled());
    }

    async fn all_others_get(&mut self, body: &str) {
        for other in &mut self.others {
            assert_eq!(other.await.unwrap().body, body);
        }
    }
}

async fn patient(server: &Server, origin: &Origin) -> Node {
    Node::new(server, origin, Policy::ttl(secs(60))).await
}

/// Returns a Redis where one node has stored what `origin` says, and another node.
async fn stored_elsewhere(origin: &Origin) -> (Server, Node) {
    let server = Server::start();
    let one = patient(&server, origin).await;
    one.get("/a").await;
    one.flush().await;
    let other = patient(&server, origin).await;
    (server, other)
}

#[tokio::test]
async fn the_others_get_what_one_who_left_has_asked_for_and_nothing_is_asked_twice() {
    let origin = Origin::says("hello");
    let (server, node) = stored_elsewhere(&origin).await;
    server.ask(&["CONFIG", "RESETSTAT"]);
    let mut frozen = Frozen::crowded(server, node, 9).await;
    frozen.leader_leaves().await;
    assert_eq!(frozen.node.larder.statistics().flights, 1);
    frozen.server.thaw();
    frozen.all_others_get("hello").await;
    assert_eq!(frozen.node.larder.statistics().redis.hits, 1);
    let commands = frozen.server.ask(&["INFO", "commandstats"]);
    assert!(commands.contains("cmdstat_getrange:calls=1,"), "{commands}");
    assert_eq!(origin.runs(), 1);
}

#[tokio::test]
async fn where_redis_has_nothing_the_fill_goes_on_without_the_one_who_left() {
    let origin = Origin::says("hello");
    let mut frozen = Frozen::with(&origin, 9).await;
    frozen.leader_leaves().await;
    frozen.server.thaw();
    frozen.all_others_get("hello").await;
    assert!(frozen.node.get("/a").await.told.contains("detail=MEMORY"));
    assert_eq!(origin.runs(), 1);
}

#[tokio::test]
async fn nobody_has_to_follow_for_the_fill_to_go_on() {
    let origin = Origin::says("hello");
    let mut frozen = Frozen::with(&origin, 0).await;
    frozen.leader_leaves().await;
    frozen.server.thaw();
    eventually(|| frozen.node.larder.statistics().entries == 1).await;
    eventually(|| frozen.node.larder.statistics().flights == 0).await;
    assert_eq!(origin.runs(), 1);
}

#[tokio::test]
async fn a_frozen_redis_and_a_client_that_leaves_hold_nobody_up() {
    let origin = Origin::says("hello");
    let server = Server::start();
    let redis = Redis::new(server.url()).budget(Duration::from_millis(500));
    let hurried = Node::with(redis, &origin, Policy::ttl(secs(60))).await;
    hurried.in_sync().await;
    let mut frozen = Frozen::crowded(server, hurried, 9).await;
    frozen.leader_leaves().await;
    frozen.all_others_get("hello").await;
    assert_eq!(origin.runs(), 1);
    frozen.server.thaw();
}

#[tokio::test]
async fn a_handler_that_panics_for_one_who_left_is_run_once_more() {
    let fails = Mutex::new(true);
    let origin = Origin::new(move |_| {
        let first = std::mem::replace(&mut *fails.lock().unwrap(), false);
        assert!(!first, "the first run fails");
        Response::new("hello".into())
    });
    let mut frozen = Frozen::with(&origin, 9).await;
    frozen.leader_leaves().await;
    frozen.server.thaw();
    frozen.all_others_get("hello").await;
    assert_eq!(origin.runs(), 2);
}

#[tokio::test]
async fn where_the_question_can_not_go_on_another_one_leads() {
    let origin = Origin::says("hello");
    let server = Server::start();
    let node = patient(&server, &origin).await;
    server.freeze();
    let asked = node.clone();
    let mut leader = Box::pin(async move { asked.get("/a").await });
    poll_fn(|context| {
        assert!(leader.as_mut().poll(context).is_pending());
        Poll::Ready(())
    })
    .await;
    assert_eq!(node.larder.statistics().flights, 1);
    let follower = asking(&node);
    eventually(|| node.larder.core().flights.waiters() == 1).await;
    // There is no runtime on that thread.
    std::thread::spawn(|| drop(leader)).join().unwrap();
    server.thaw();
    assert_eq!(follower.await.unwrap().body, "hello");
    assert_eq!(origin.runs(), 1);
}

#[tokio::test]
async fn a_shutdown_while_redis_is_asked_takes_no_answer_away() {
    let origin = Origin::says("hello");
    let frozen = Frozen::with(&origin, 0).await;
    frozen.node.larder.shutdown(Duration::ZERO).await;
    frozen.server.thaw();
    let got = frozen.leader.await.unwrap();
    assert_eq!((got.status, &*got.body), (StatusCode::OK, &b"hello"[..]));
}

#[tokio::test]
async fn what_was_asked_for_by_one_who_left_and_purged_meanwhile_is_not_served() {
    let origin = Origin::says("old");
    let (server, node) = stored_elsewhere(&origin).await;
    let mut frozen = Frozen::crowded(server, node, 9).await;
    frozen.leader_leaves().await;
    origin.change(|_| Response::new("new".into()));
    let purge = crate::invalidate::Purge::hard([crate::Target::url("/a")]);
    frozen.node.larder.core().invalidate_here(&purge);
    frozen.server.thaw();
    frozen.all_others_get("new").await;
}

//! One who leads a flight leaves while Redis is asked.

use std::{future::poll_fn, task::Poll};

use super::*;

/// A client that leads, and others that wait for what it gets.
struct Crowd {
    leader: tokio::task::JoinHandle<Got>,
    others: Vec<tokio::task::JoinHandle<Got>>,
}

/// Lets one client ask for `/a` and then nine others. Redis must not answer meanwhile.
async fn crowd(node: &Node) -> Crowd {
    let ask = || {
        let node = node.clone();
        tokio::spawn(async move { node.get("/a").await })
    };
    let leader = ask();
    eventually(|| node.larder.statistics().flights == 1).await;
    let others = (0..9).map(|_| ask()).collect();
    eventually(|| node.larder.core().flights.waiters() == 9).await;
    Crowd { leader, others }
}

impl Crowd {
    async fn leader_leaves(&mut self) {
        self.leader.abort();
        assert!((&mut self.leader).await.unwrap_err().is_cancelled());
    }

    async fn all_others_get(self, body: &str) {
        for other in self.others {
            assert_eq!(other.await.unwrap().body, body);
        }
    }
}

#[tokio::test]
async fn the_others_get_what_one_who_left_has_asked_for_and_nothing_is_asked_twice() {
    let server = Server::start();
    let origin = Origin::says("hello");
    let one = Node::new(&server, &origin, Policy::ttl(secs(60))).await;
    let other = Node::new(&server, &origin, Policy::ttl(secs(60))).await;
    one.get("/a").await;
    one.flush().await;
    server.ask(&["CONFIG", "RESETSTAT"]);
    server.freeze();
    let mut crowd = crowd(&other).await;
    crowd.leader_leaves().await;
    assert_eq!(other.larder.statistics().flights, 1);
    server.thaw();
    crowd.all_others_get("hello").await;
    assert_eq!(other.larder.statistics().redis.hits, 1);
    let commands = server.ask(&["INFO", "commandstats"]);
    assert!(commands.contains("cmdstat_get:calls=1,"), "{commands}");
    assert_eq!(origin.runs(), 1);
}

#[tokio::test]
async fn where_redis_has_nothing_the_fill_goes_on_without_the_one_who_left() {
    let server = Server::start();
    let origin = Origin::says("hello");
    let node = Node::new(&server, &origin, Policy::ttl(secs(60))).await;
    server.freeze();
    let mut crowd = crowd(&node).await;
    crowd.leader_leaves().await;
    server.thaw();
    crowd.all_others_get("hello").await;
    assert!(node.get("/a").await.told.contains("detail=MEMORY"));
    assert_eq!(origin.runs(), 1);
}

#[tokio::test]
async fn nobody_has_to_follow_for_the_fill_to_go_on() {
    let server = Server::start();
    let origin = Origin::says("hello");
    let node = Node::new(&server, &origin, Policy::ttl(secs(60))).await;
    server.freeze();
    let asking = node.clone();
    let leader = tokio::spawn(async move { asking.get("/a").await });
    eventually(|| node.larder.statistics().flights == 1).await;
    leader.abort();
    assert!(leader.await.unwrap_err().is_cancelled());
    server.thaw();
    eventually(|| node.larder.statistics().entries == 1).await;
    eventually(|| node.larder.statistics().flights == 0).await;
    assert_eq!(origin.runs(), 1);
}

#[tokio::test]
async fn a_frozen_redis_and_a_client_that_leaves_hold_nobody_up() {
    let server = Server::start();
    let origin = Origin::says("hello");
    let node = Node::new(&server, &origin, Policy::ttl(secs(60))).await;
    let redis = Redis::new(server.url()).budget(Duration::from_millis(500));
    let hurried = Node::with(redis, &origin, Policy::ttl(secs(60))).await;
    hurried.in_sync().await;
    drop(node);
    server.freeze();
    let mut crowd = crowd(&hurried).await;
    crowd.leader_leaves().await;
    crowd.all_others_get("hello").await;
    assert_eq!(origin.runs(), 1);
    server.thaw();
}

#[tokio::test]
async fn a_handler_that_panics_for_one_who_left_is_run_once_more() {
    let server = Server::start();
    let fails = Mutex::new(true);
    let origin = Origin::new(move |_| {
        let first = std::mem::replace(&mut *fails.lock().unwrap(), false);
        assert!(!first, "the first run fails");
        Response::new("hello".into())
    });
    let node = Node::new(&server, &origin, Policy::ttl(secs(60))).await;
    server.freeze();
    let mut crowd = crowd(&node).await;
    crowd.leader_leaves().await;
    server.thaw();
    crowd.all_others_get("hello").await;
    assert_eq!(origin.runs(), 2);
}

#[tokio::test]
async fn where_the_question_can_not_go_on_another_one_leads() {
    let server = Server::start();
    let origin = Origin::says("hello");
    let node = Node::new(&server, &origin, Policy::ttl(secs(60))).await;
    server.freeze();
    let asking = node.clone();
    let mut leader = Box::pin(async move { asking.get("/a").await });
    poll_fn(|context| {
        assert!(leader.as_mut().poll(context).is_pending());
        Poll::Ready(())
    })
    .await;
    assert_eq!(node.larder.statistics().flights, 1);
    let follower = node.clone();
    let follower = tokio::spawn(async move { follower.get("/a").await });
    eventually(|| node.larder.core().flights.waiters() == 1).await;
    // There is no runtime on that thread.
    std::thread::spawn(|| drop(leader)).join().unwrap();
    server.thaw();
    assert_eq!(follower.await.unwrap().body, "hello");
    assert_eq!(origin.runs(), 1);
}

#[tokio::test]
async fn a_shutdown_while_redis_is_asked_takes_no_answer_away() {
    let server = Server::start();
    let origin = Origin::says("hello");
    let node = Node::new(&server, &origin, Policy::ttl(secs(60))).await;
    server.freeze();
    let asking = node.clone();
    let leader = tokio::spawn(async move { asking.get("/a").await });
    eventually(|| node.larder.statistics().flights == 1).await;
    node.larder.shutdown(Duration::ZERO).await;
    server.thaw();
    let got = leader.await.unwrap();
    assert_eq!((got.status, &*got.body), (StatusCode::OK, &b"hello"[..]));
}

#[tokio::test]
async fn what_was_asked_for_by_one_who_left_and_purged_meanwhile_is_not_served() {
    let server = Server::start();
    let origin = Origin::says("old");
    let one = Node::new(&server, &origin, Policy::ttl(secs(60))).await;
    let other = Node::new(&server, &origin, Policy::ttl(secs(60))).await;
    one.get("/a").await;
    one.flush().await;
    server.freeze();
    let mut crowd = crowd(&other).await;
    crowd.leader_leaves().await;
    origin.change(|_| Response::new("new".into()));
    let purge = crate::invalidate::Purge::hard([crate::Target::url("/a")]);
    other.larder.core().invalidate_here(&purge);
    server.thaw();
    crowd.all_others_get("new").await;
}

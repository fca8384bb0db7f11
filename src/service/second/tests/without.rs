//! Redis is away, or the handle ends or is begun without it.

use super::*;

#[tokio::test]
async fn a_redis_that_does_not_answer_costs_a_budget_each_and_soon_nothing() {
    let mut server = Server::start();
    let origin = Origin::says("hello");
    let node = Node::with(Redis::new(server.url()), &origin, Policy::ttl(secs(60))).await;
    node.get("/warm").await;
    node.flush().await;
    server.freeze();
    for number in 0..20 {
        let asked = tokio::time::Instant::now();
        assert_eq!(node.get(&format!("/{number}")).await.body, "hello");
        let waited = asked.elapsed();
        assert!(waited < Duration::from_millis(275), "waited {waited:?}");
    }
    let statistics = node.larder.statistics().redis;
    assert!(
        statistics.is_away && statistics.errors <= 6,
        "{statistics:?}"
    );
    server.thaw();
    eventually(|| !node.larder.statistics().redis.is_away).await;
    server.kill();
    assert_eq!(node.get("/gone").await.body, "hello");
}

#[tokio::test]
async fn a_shutdown_writes_what_waits() {
    let server = Server::start();
    let origin = Origin::says("hello");
    let one = Node::new(&server, &origin, Policy::ttl(secs(60))).await;
    one.get("/a").await;
    one.larder.shutdown(Duration::from_secs(5)).await;
    assert_eq!(one.larder.statistics().redis.written, 1);
}

#[tokio::test]
async fn without_a_server_at_the_start_a_handle_is_built_and_works() {
    let mut server = Server::start();
    server.kill();
    let origin = Origin::says("hello");
    let node = Node::with(Redis::new(server.url()), &origin, Policy::ttl(secs(60))).await;
    for _ in 0..10 {
        assert_eq!(node.get("/a").await.body, "hello");
    }
    assert_eq!(origin.runs(), 1);
}

#[tokio::test]
async fn a_bad_address_is_an_error_of_the_configuration() {
    let refused = Larder::builder().redis("localhost:6379").build().await;
    assert_eq!(refused.unwrap_err().kind(), crate::ErrorKind::Configuration);
}

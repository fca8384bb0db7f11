//! Calls to several nodes on one Redis.

use std::time::{Duration, Instant};

use larder::{GrpcCacheLayer, Larder, Policy, mins};
use tonic::transport::{Channel, Endpoint, Server};

use crate::{
    ground::items_client::ItemsClient,
    shop::{Shop, get, incoming, methods, put, told, until_kept},
    support::redis::Redis,
};

/// Starts a node, and returns a client that calls it by the name that all nodes have.
async fn node(shop: &Shop, redis: &Redis) -> ItemsClient<Channel> {
    let larder = Larder::builder().redis(redis.url()).build().await.unwrap();
    let methods = methods(Policy::ttl(mins(1))).build().unwrap();
    let (address, incoming) = incoming().await;
    let server = Server::builder()
        .layer(GrpcCacheLayer::new(&larder).methods(methods))
        .add_service(shop.service())
        .serve_with_incoming(incoming);
    tokio::spawn(server);
    let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap();
    let named = endpoint.origin("http://shop.test".parse().unwrap());
    ItemsClient::new(named.connect().await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_one_node_kept_is_served_by_another_until_either_changes_it() {
    let (redis, shop) = (Redis::start(), Shop::new());
    let other = shop.beside();
    let mut here = node(&shop, &redis).await;
    let mut there = node(&other, &redis).await;
    // It is written behind the answer, and not before the node has found its server.
    let mut shared = None;
    for number in 0..100 {
        let id = format!("a{number}");
        let kept = until_kept(&mut here, &id).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
        let runs = other.runs();
        let answer = there.get(get(&id)).await.unwrap();
        if told(&answer).1.contains("detail=REDIS") {
            assert_eq!((other.runs(), told(&answer).0), (runs, told(&kept).0));
            assert_eq!(answer.get_ref(), kept.get_ref());
            shared = Some(id);
            break;
        }
    }
    let id = shared.expect("nothing came through Redis");
    there.put(put(&id)).await.unwrap();
    assert_eq!(there.get(get(&id)).await.unwrap().get_ref().version, 1);
    let began = Instant::now();
    while here.get(get(&id)).await.unwrap().get_ref().version < 1 {
        assert!(began.elapsed() < Duration::from_secs(2));
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

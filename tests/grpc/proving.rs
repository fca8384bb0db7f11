//! The calls of the proving ground, from outside of its process.

use std::time::Duration;

use http::Method;
use tokio_stream::StreamExt;
use tonic::{Code, transport::Channel};

use crate::{
    ground::{FailRequest, items_client::ItemsClient},
    shop::{client, get, put, told, until_kept},
    support::{message::Request, process::Ground, wire::Wire},
};

async fn ground(variables: &[(&str, &str)]) -> (Ground, ItemsClient<Channel>) {
    let ground = Ground::start(variables);
    let client = client(ground.address()).await;
    (ground, client)
}

/// Asks twice, and returns how each ended: the number of its run, or its code.
async fn twice(client: &mut ItemsClient<Channel>, id: &str) -> [Result<String, Code>; 2] {
    let mut ends = Vec::new();
    for _ in 0..2 {
        let answer = client.get(get(id)).await;
        ends.push(answer.map(|answer| told(&answer).0).map_err(|status| {
            let is_head_alone = id.starts_with("x:status") || id.starts_with("x:then");
            let told = status.metadata().contains_key("x-run");
            assert!(told || !is_head_alone, "{id}");
            status.code()
        }));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    [ends.remove(0), ends.remove(0)]
}

#[tokio::test(flavor = "multi_thread")]
async fn items_are_the_same_by_calls_and_by_pages() {
    let (ground, mut client) = ground(&[]).await;
    let address = ground.address();
    let page = move |method: Method| {
        tokio::task::spawn_blocking(move || {
            let [wire, _] = Wire::both(address).unwrap();
            let answer = wire
                .send(&Request::new(method.as_str(), "/items/a"))
                .unwrap();
            String::from_utf8_lossy(&answer.body).into_owned()
        })
    };
    assert_eq!(until_kept(&mut client, "a").await.get_ref().version, 0);
    assert!(page(Method::GET).await.unwrap().contains(r#""v":0"#));
    let changed = client.put(put("a")).await.unwrap();
    assert_eq!(changed.get_ref().version, 1);
    assert_eq!(changed.metadata().get("x-ack").unwrap(), "global");
    assert!(page(Method::GET).await.unwrap().contains(r#""v":1"#));
    assert_eq!(client.get(get("a")).await.unwrap().get_ref().version, 1);
    until_kept(&mut client, "a").await;
    page(Method::PUT).await.unwrap();
    assert_eq!(client.get(get("a")).await.unwrap().get_ref().version, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_go_wrong_are_never_kept() {
    let (_ground, mut client) = ground(&[]).await;
    for (id, code) in [
        ("x:status=14#1", Code::Unavailable),
        ("x:status=5#1", Code::NotFound),
        ("x:late=13#1", Code::Internal),
        ("x:late=7#1", Code::PermissionDenied),
        ("x:badgzip#1", Code::Internal),
    ] {
        let [first, second] = twice(&mut client, id).await;
        assert!(
            first.is_err() && second.is_err(),
            "{id}: {first:?}, {second:?}"
        );
        if id.starts_with("x:status") || id.starts_with("x:late") {
            assert_eq!((first, second), (Err(code), Err(code)), "{id}");
        }
    }
    // A client of tonic takes the first of two messages for the answer.
    let [first, second] = twice(&mut client, "x:two#1").await;
    assert_ne!(first.unwrap(), second.unwrap());
    let [first, second] = twice(&mut client, "x:rst#1").await;
    assert!(first.is_err() && second.is_err(), "{first:?}, {second:?}");
    for after_message in [false, true] {
        let failing = FailRequest {
            code: 9,
            after_message,
        };
        let status = client.fail(failing).await.unwrap_err();
        assert_eq!(status.code(), Code::FailedPrecondition);
        assert!(status.metadata().contains_key("x-run") || after_message);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_went_well_once_stands_in_for_failures_within_its_window() {
    let (_ground, mut client) = ground(&[("TTL", "1"), ("SIE", "60")]).await;
    let [first, second] = twice(&mut client, "x:then=14#1").await;
    assert_eq!(first, second);
    tokio::time::sleep(Duration::from_millis(1200)).await;
    let [first, second] = twice(&mut client, "x:then=14#1").await;
    assert!(first.is_ok() && first == second, "{first:?}, {second:?}");
    twice(&mut client, "x:then=7#1").await[0].as_ref().unwrap();
    tokio::time::sleep(Duration::from_millis(1200)).await;
    let refused = twice(&mut client, "x:then=7#1").await;
    assert_eq!(
        refused,
        [Err(Code::PermissionDenied), Err(Code::PermissionDenied)]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watched_item_comes_again_and_again() {
    let (_ground, mut client) = ground(&[]).await;
    let mut items = client.watch(get("w")).await.unwrap().into_inner();
    for version in [0, 1] {
        while items.next().await.unwrap().unwrap().version != version {}
        client.put(put("w")).await.unwrap();
    }
}

//! What is kept of calls, for whom, and what never is.

use std::time::Duration;

use larder::{GrpcMethods, Policy, mins, secs};
use tokio::task::JoinSet;
use tokio_stream::StreamExt;
use tonic::{Code, codec::CompressionEncoding, metadata::MetadataValue};

use crate::{
    ground::FailRequest,
    shop::{DESCRIPTORS, GET, Site, get, methods, put, told, until_kept},
};

#[tokio::test]
async fn equal_calls_are_one_run_with_its_metadata() {
    let site = Site::new().await;
    let mut client = site.client().await;
    let first = client.get(get("a")).await.unwrap();
    let kept = until_kept(&mut client, "a").await;
    assert_eq!(
        told(&kept),
        ("1".into(), "larder; hit; ttl=60; detail=MEMORY".into())
    );
    assert_eq!(kept.get_ref(), first.get_ref());
    // tonic takes the code out of the trailers; without them the call would have failed.
    assert_eq!(client.get(get("b")).await.unwrap().get_ref().id, "b");
    assert_eq!(site.shop.runs(), 2);
    let mut other = site.client().await;
    assert_eq!(told(&other.get(get("a")).await.unwrap()).0, "1");
}

#[tokio::test]
async fn a_hundred_equal_calls_at_once_are_one_run() {
    let site = Site::new().await;
    let mut crowd = JoinSet::new();
    let client = site.client().await;
    for _ in 0..100 {
        let mut client = client.clone();
        crowd.spawn(async move { client.get(get("slow")).await.unwrap().into_inner().id });
    }
    while site.shop.runs() == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    site.shop.gate.add_permits(100);
    assert_eq!(crowd.join_all().await, vec!["slow".to_owned(); 100]);
    assert_eq!(site.shop.runs(), 1);
}

#[tokio::test]
async fn an_answer_ends_with_its_lifetime_and_its_tag() {
    let site = Site::new().await;
    let mut client = site.client().await;
    until_kept(&mut client, "a").await;
    site.larder.invalidate_tag("item:b").await;
    assert_eq!(told(&client.get(get("a")).await.unwrap()).0, "1");
    site.larder.invalidate_tag("item:a").await;
    assert_eq!(told(&client.get(get("a")).await.unwrap()).0, "2");
    until_kept(&mut client, "a").await;
    site.clock.advance(secs(61));
    assert_eq!(told(&client.get(get("a")).await.unwrap()).0, "3");
    until_kept(&mut client, "a").await;
    site.larder.invalidate([larder::Target::route(GET)]).await;
    assert_eq!(told(&client.get(get("a")).await.unwrap()).0, "4");
}

#[tokio::test]
async fn codes_other_than_zero_are_never_kept() {
    let site = Site::new().await;
    let mut client = site.client().await;
    for (id, code) in [("gone", Code::Unavailable), ("missing", Code::NotFound)] {
        let before = site.shop.runs();
        for _ in 0..3 {
            let status = client.get(get(id)).await.unwrap_err();
            assert_eq!(status.code(), code);
            assert!(["no such luck", "nothing"].contains(&status.message()));
        }
        assert_eq!(site.shop.runs(), before + 3, "{id}");
    }
    assert_eq!(site.larder.statistics().entries, 0);
}

#[tokio::test]
async fn a_failure_is_shared_with_those_who_wait_for_it() {
    let site = Site::new().await;
    let client = site.client().await;
    site.shop.broken.close();
    let mut crowd = JoinSet::new();
    for _ in 0..20 {
        let mut client = client.clone();
        crowd.spawn(async move { client.get(get("slow")).await.unwrap_err() });
    }
    while site.shop.runs() == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    site.shop.gate.add_permits(100);
    for status in crowd.join_all().await {
        assert_eq!(
            (status.code(), status.message()),
            (Code::Unavailable, "no such luck")
        );
    }
    assert_eq!(site.shop.runs(), 1);
}

#[tokio::test]
async fn something_stale_stands_in_while_the_service_fails() {
    let policy = Policy::ttl(secs(10)).stale_if_error(mins(1));
    let site = Site::with(methods(policy)).await;
    let mut client = site.client().await;
    until_kept(&mut client, "a").await;
    site.shop.broken.close();
    site.clock.advance(secs(20));
    let stale = client.get(get("a")).await.unwrap();
    assert_eq!(told(&stale).0, "1");
    assert_eq!(
        client.get(get("b")).await.unwrap_err().code(),
        Code::Unavailable
    );
    site.clock.advance(secs(60));
    assert_eq!(
        client.get(get("a")).await.unwrap_err().code(),
        Code::Unavailable
    );
}

#[tokio::test]
async fn nobody_waits_for_a_refresh_within_its_window() {
    let policy = Policy::ttl(secs(10)).stale_while_revalidate(secs(30));
    let site = Site::with(methods(policy)).await;
    let mut client = site.client().await;
    site.shop.gate.add_permits(1);
    until_kept(&mut client, "slow").await;
    site.clock.advance(secs(15));
    // The handler waits at the gate, and nobody with it.
    assert_eq!(told(&client.get(get("slow")).await.unwrap()).0, "1");
    site.shop.gate.add_permits(1);
    while told(&client.get(get("slow")).await.unwrap()).0 != "2" {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn streams_pass_one_message_at_a_time() {
    let site = Site::new().await;
    let mut client = site.client().await;
    for _ in 0..2 {
        let mut items = client.watch(get("a")).await.unwrap().into_inner();
        for version in 0..3 {
            // Nothing more is sent before the gate opens, so that nothing can have been held back.
            let item = tokio::time::timeout(secs(5), items.next())
                .await
                .unwrap()
                .unwrap();
            assert_eq!(item.unwrap().version, version);
            site.shop.gate.add_permits(1);
        }
    }
    assert_eq!(site.shop.runs(), 2);
}

#[tokio::test]
async fn methods_that_nobody_declared_pass() {
    let site = Site::new().await;
    let mut client = site.client().await;
    for run in 1..4 {
        let request = FailRequest {
            code: 0,
            after_message: false,
        };
        let response = client.fail(request).await.unwrap();
        assert_eq!(told(&response), (run.to_string(), String::new()));
    }
}

#[tokio::test]
async fn each_client_is_answered_in_a_coding_that_it_accepts() {
    let site = Site::new().await;
    let mut plain = site.client().await;
    let mut packed = site
        .client()
        .await
        .accept_compressed(CompressionEncoding::Gzip);
    let long = "long".repeat(500);
    for _ in 0..2 {
        assert_eq!(until_kept(&mut packed, &long).await.get_ref().id, long);
        assert_eq!(until_kept(&mut plain, &long).await.get_ref().id, long);
    }
    assert_eq!(site.shop.runs(), 2, "one run for each set of codings");
    // One of the two kept answers really is packed.
    let bytes = site.larder.statistics().filled_bytes;
    assert!((2000..3000).contains(&bytes), "{bytes}");
}

#[tokio::test]
async fn a_message_that_is_packed_or_too_long_passes() {
    let site = Site::new().await;
    let mut packing = site
        .client()
        .await
        .send_compressed(CompressionEncoding::Gzip);
    let mut client = site.client().await;
    for run in 1..3 {
        assert_eq!(
            told(&packing.get(get(&"a".repeat(100))).await.unwrap()),
            (run.to_string(), String::new())
        );
    }
    let fits = "a".repeat(65_500);
    assert_eq!(told(&until_kept(&mut client, &fits).await).0, "3");
    let too_long = "a".repeat(70_000);
    for run in 4..6 {
        assert_eq!(
            told(&client.get(get(&too_long)).await.unwrap()),
            (run.to_string(), String::new())
        );
    }
}

#[tokio::test]
async fn the_deadline_of_the_first_ends_nothing_for_the_others() {
    let site = Site::new().await;
    let mut client = site.client().await;
    let mut hasty = get("slow");
    hasty.set_timeout(Duration::from_millis(50));
    let status = client.get(hasty).await.unwrap_err();
    assert!(
        [Code::Cancelled, Code::DeadlineExceeded].contains(&status.code()),
        "{status}"
    );
    site.shop.gate.add_permits(1);
    let mut patient = get("slow");
    patient.set_timeout(Duration::from_secs(20));
    assert_eq!(told(&client.get(patient).await.unwrap()).0, "1");
    assert_eq!(site.shop.runs(), 1);
}

#[tokio::test]
async fn metadata_is_in_the_key_if_it_is_declared_and_credentials_pass_unless_they_are() {
    let policy = Policy::ttl(mins(1)).vary(["x-tenant"]);
    let site = Site::with(methods(policy)).await;
    let mut client = site.client().await;
    let with = |name: &'static str, value: &'static str| {
        let mut request = get("a");
        request
            .metadata_mut()
            .insert(name, MetadataValue::from_static(value));
        request
    };
    let mut runs = Vec::new();
    for (name, value) in [
        ("x-tenant", "a"),
        ("x-tenant", "b"),
        ("x-tenant", "a"),
        ("x-other", "a"),
        ("x-other", "b"),
        ("authorization", "Bearer a"),
        ("authorization", "Bearer a"),
    ] {
        runs.push(told(&client.get(with(name, value)).await.unwrap()).0);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(runs, ["1", "2", "1", "3", "3", "4", "5"]);

    let keyed = methods(Policy::ttl(mins(1)).vary(["authorization"]));
    let site = Site::with(keyed).await;
    let mut client = site.client().await;
    let mut runs = Vec::new();
    for value in ["Bearer a", "Bearer b", "Bearer a"] {
        runs.push(told(&client.get(with("authorization", value)).await.unwrap()).0);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(runs, ["1", "2", "1"]);
}

#[tokio::test]
async fn a_descriptor_set_says_which_methods_change_nothing() {
    let methods = GrpcMethods::new()
        .descriptor_set(DESCRIPTORS)
        .reads(Policy::ttl(mins(1)).tag("all"));
    let site = Site::with(methods).await;
    let mut client = site.client().await;
    until_kept(&mut client, "a").await;
    for run in 2..4 {
        assert_eq!(
            told(&client.put(put("a")).await.unwrap()).0,
            run.to_string()
        );
    }
    assert_eq!(site.larder.statistics().entries, 1);
}

#[test]
fn a_table_refuses_what_can_not_be() {
    let refused = |methods: GrpcMethods| methods.build().unwrap_err().to_string();
    let policy = || Policy::ttl(mins(1));
    let known = || GrpcMethods::new().descriptor_set(DESCRIPTORS);
    for (methods, says) in [
        (
            GrpcMethods::new().cache("ground.Items/Get", policy()),
            "/package.Service/Method",
        ),
        (
            GrpcMethods::new().cache("/Get", policy()),
            "/package.Service/Method",
        ),
        (
            known().cache("/ground.Items/Gat", policy()),
            "not in the descriptor set",
        ),
        (known().cache("/ground.Items/Watch", policy()), "streams"),
        (known().cache(GET, policy().tag("{nope}")), "id, delay_ms"),
        (
            GrpcMethods::new().cache(GET, policy().tag("{id}")),
            "no descriptor set",
        ),
        (known().cache(GET, policy()).cache(GET, policy()), "twice"),
        (known().cache(GET, policy().query(["page"])), "has no query"),
        (
            known().cache(GET, policy().negative_ttl(secs(2))),
            "leave `store_status` and `negative_ttl` out",
        ),
        (
            known().cache(GET, policy().store_status([http::StatusCode::GONE])),
            "has no statuses to store",
        ),
        (known().cache(GET, policy().jitter(2.0)), "jitter"),
        (
            known().on("/ground.Items/Put", larder::Invalidate::tags(["{nope}"])),
            "nope",
        ),
        (
            GrpcMethods::new().descriptor_set(b"\xff"),
            "descriptor set can not be read",
        ),
    ] {
        let told = refused(methods);
        assert!(told.contains(says), "{told}");
    }
}

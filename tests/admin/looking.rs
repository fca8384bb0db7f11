//! What the routes tell of what is stored.

use std::time::Duration;

use serde_json::{Value, json};

use crate::desk::Desk;

#[tokio::test]
async fn figures_are_those_of_the_requests() {
    let desk = Desk::new().await;
    for path in ["/items/1", "/items/1", "/items/2", "/plain"] {
        desk.visit("GET", path).await;
    }
    desk.visit("PUT", "/items/2").await;
    let stats = desk.look("/stats").await;
    for (outcome, count) in [("hit", 1), ("miss", 2), ("pass", 1), ("mutation", 1)] {
        assert_eq!(stats["total"]["requests"][outcome], count, "{outcome}");
        assert_eq!(
            stats["windows"]["1m"]["requests"][outcome], count,
            "{outcome}"
        );
    }
    assert_eq!(stats["windows"]["5m"]["hit_ratio"], 1.0 / 3.0);
    assert_eq!(stats["windows"]["1h"]["fill_seconds"]["measured"], 2);
    assert!(
        stats["windows"]["1h"]["fill_seconds"]["p99"]
            .as_f64()
            .unwrap()
            > 0.0
    );
    assert_eq!(stats["memory"]["entries"], 2);
    assert_eq!(stats["second_tier"], Value::Null);
    let routes = desk.look("/routes").await;
    let items = &routes["routes"][0];
    assert_eq!(
        (&items["route"], &items["policy"]),
        (&json!("/items/{id}"), &json!("declared"))
    );
    assert_eq!(items["requests"]["hit"], 1);
    assert_eq!(desk.look("/health").await["status"], "ok");
}

#[tokio::test]
async fn reads_of_values_are_counted_by_their_kind() {
    let desk = Desk::new().await;
    let (prices, stock) = (
        desk.larder.typed::<u64>("price"),
        desk.larder.typed::<u64>("stock"),
    );
    for id in ["1", "1", "2"] {
        let loaded = prices.get_or_load(id, |_| async { Ok::<_, std::io::Error>(Some(7)) });
        loaded.await.unwrap();
    }
    stock.insert("1", 3).await;
    stock.get("1").await;
    let stats = desk.look("/stats").await;
    let kind = |kind, hit, load| json!({"kind": kind, "hit": hit, "second_tier": 0, "stale": 0, "load": load});
    assert_eq!(
        stats["values"],
        json!([kind("price", 1, 2), kind("stock", 1, 0)])
    );
}

#[tokio::test]
async fn keys_are_listed_in_order_and_page_by_page() {
    let desk = Desk::new().await;
    for id in 0..7 {
        for _ in 0..=id {
            desk.visit("GET", &format!("/items/{id}")).await;
        }
    }
    desk.visit("GET", "/pages/a/b").await;
    let mut urls = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = desk
            .look(&format!("/keys?prefix=/items&sort=hits&limit=3{cursor}"))
            .await;
        assert_eq!(
            (&page["matches"], &page["complete"]),
            (&json!(7), &json!(true))
        );
        for key in page["keys"].as_array().unwrap() {
            urls.push(key["url"].as_str().unwrap().to_owned());
        }
        match page["cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    let wanted: Vec<_> = (0..7)
        .rev()
        .map(|id| format!("http://shop.test/items/{id}"))
        .collect();
    assert_eq!(urls, wanted);
    assert_eq!(desk.look("/keys?tag=item:3").await["matches"], 1);
    assert_eq!(
        desk.look("/keys?prefix=http://shop.test/pages").await["matches"],
        1
    );
    assert_eq!(
        desk.look("/keys?prefix=http://other.test/").await["matches"],
        0
    );
    let (status, _) = desk.ask("GET", "/keys?cursor=x", None).await;
    assert_eq!(status, 400);
}

#[tokio::test]
async fn one_response_is_told_with_its_fields_and_its_state() {
    let desk = Desk::new().await;
    desk.visit("GET", "/items/1").await;
    desk.visit("GET", "/items/1").await;
    let keys = desk.look("/keys").await;
    let id = keys["keys"][0]["id"].as_str().unwrap().to_owned();
    let key = desk.look(&format!("/keys/{id}")).await;
    assert_eq!(key["state"], "fresh");
    assert_eq!(
        (&key["hits"], &key["ttl"], &key["status"]),
        (&json!(1), &json!(300), &json!(200))
    );
    assert_eq!(key["tags"], json!(["item:1", "items"]));
    let headers = key["headers"].to_string();
    assert!(headers.contains("content-type"), "{headers}");
    desk.clock.advance(Duration::from_secs(310));
    assert_eq!(desk.look(&format!("/keys/{id}")).await["state"], "stale");
    desk.visit("PUT", "/items/1").await;
    assert_eq!(desk.look(&format!("/keys/{id}")).await["state"], "dead");
    assert_eq!(desk.ask("GET", "/keys/12ab", None).await.0, 404);
}

#[tokio::test]
async fn tags_are_counted_by_those_who_carry_them() {
    let desk = Desk::new().await;
    for id in 1..=3 {
        desk.visit("GET", &format!("/items/{id}")).await;
    }
    let tags = desk.look("/tags?limit=2").await;
    assert_eq!(tags["count"], 4);
    assert_eq!(
        tags["tags"][0],
        json!({ "tag": "items", "entries": 3, "bytes": 30 })
    );
    assert_eq!(tags["tags"].as_array().unwrap().len(), 2);
    assert_eq!(desk.look("/tags?prefix=item:").await["count"], 3);
}

#[tokio::test]
async fn who_killed_an_entry_is_told_without_running_the_handler() {
    let desk = Desk::new().await;
    let explain = "/explain?url=http%3A%2F%2Fshop.test%2Fitems%2F1";
    let miss = desk.look(explain).await;
    assert_eq!(miss["layers"][0]["outcome"], "miss");
    desk.visit("GET", "/items/1").await;
    let hit = desk.look(explain).await;
    assert_eq!(hit["layers"][0]["outcome"], "hit");
    assert_eq!(hit["layers"][0]["route"], "/items/{id}");
    assert_eq!(hit["layers"][0]["entry"]["url"], "http://shop.test/items/1");
    desk.visit("PUT", "/items/1").await;
    desk.clock.advance(Duration::from_secs(3));
    let dead = desk.look(explain).await;
    let layer = &dead["layers"][0];
    assert_eq!(
        (&layer["outcome"], &layer["entry"]["state"]),
        (&json!("miss"), &json!("dead"))
    );
    let trace = layer["trace"].to_string();
    assert!(
        trace.contains("tag item:1 stamped by PUT /items/1 3 s ago"),
        "{trace}"
    );
    let by = layer["invalidated_by"].as_array().unwrap();
    let tag = by.iter().find(|one| one["target"] == "tag item:1").unwrap();
    assert_eq!(tag["by"]["source"], "PUT /items/1");
    assert_eq!(tag["by"]["seconds_ago"], 3.0);
    assert_eq!(desk.runs(), 1);
    let all = desk.look("/invalidations").await;
    assert_eq!(all["invalidations"][0]["source"], "PUT /items/1");
}

#[tokio::test]
async fn an_administrators_purge_is_told_as_such() {
    let desk = Desk::new().await;
    desk.visit("GET", "/items/1").await;
    desk.change("/purge", json!({ "tag": "items", "soft": true }))
        .await;
    desk.clock.advance(Duration::from_secs(1));
    let explained = desk.look("/explain?url=http://shop.test/items/1").await;
    let layer = &explained["layers"][0];
    assert_eq!(
        (&layer["outcome"], &layer["entry"]["state"]),
        (&json!("stale"), &json!("soft-purged"))
    );
    let trace = layer["trace"].to_string();
    assert!(
        trace.contains("tag items soft-purged by an administrator 1 s ago"),
        "{trace}"
    );
}

#[tokio::test]
async fn why_a_request_takes_no_part_is_told() {
    let desk = Desk::new().await;
    let outcome = async |query: &str| {
        let told = desk.look(&format!("/explain?{query}")).await;
        let layer = &told["layers"][0];
        (
            layer["outcome"].as_str().unwrap().to_owned(),
            layer["trace"].to_string(),
        )
    };
    let (cookie, trace) = outcome("url=http://shop.test/items/1&header=cookie:sid%3D1").await;
    assert!(cookie == "bypass" && trace.contains("cookie"), "{trace}");
    let (plain, trace) = outcome("url=http://shop.test/plain").await;
    assert!(
        plain == "pass" && trace.contains("none declared"),
        "{trace}"
    );
    let (put, trace) = outcome("method=PUT&url=http://shop.test/items/7").await;
    assert!(put == "mutation" && trace.contains("tag item:7"), "{trace}");
    desk.change("/pause", json!({ "route": "/items/{id}" }))
        .await;
    let (paused, trace) = outcome("url=http://shop.test/items/1").await;
    assert!(paused == "bypass" && trace.contains("paused"), "{trace}");
    for query in [
        "",
        "url=%00",
        "url=/a&x=1",
        "url=/a&header=x",
        "url=/a&method=%20",
    ] {
        let (status, _) = desk.ask("GET", &format!("/explain?{query}"), None).await;
        assert_eq!(status, 400, "{query}");
    }
}

#[tokio::test]
async fn values_are_listed_by_their_names() {
    let desk = Desk::new().await;
    desk.visit("GET", "/items/1").await;
    desk.larder.typed::<u64>("price").insert("7", 1990).await;
    desk.larder.typed::<u64>("stock").insert("7", 3).await;
    assert_eq!(desk.look("/keys").await["matches"], 3);
    let prices = desk.look("/keys?prefix=price:").await;
    assert_eq!(prices["matches"], 1);
    let price = &prices["keys"][0];
    assert_eq!(price["value"], "price:7");
    assert_eq!(
        (&price["url"], &price["state"]),
        (&Value::Null, &json!("fresh"))
    );
    assert_eq!(price["tags"], json!(["price", "price:7"]));
    let item = &desk.look("/keys?prefix=/items").await["keys"][0];
    assert_eq!(item["value"], Value::Null);
}

//! What the routes change.

use serde_json::{Value, json};

use crate::desk::Desk;

async fn is_hit(desk: &Desk, path: &str) -> bool {
    desk.visit("GET", path).await.contains("; hit")
}

#[tokio::test]
async fn each_kind_of_purge_hits_what_it_names_and_nothing_else() {
    let desk = Desk::new().await;
    let purges = [
        json!({ "url": "/items/1" }),
        json!({ "url": "http://shop.test/items/1" }),
        json!({ "url": ["/x", "/items/1"] }),
        json!({ "tag": "item:1" }),
        json!({ "tag": ["item:1", "item:9"] }),
        json!({ "prefix": "/items/1" }),
    ];
    for (number, purge) in purges.into_iter().enumerate() {
        desk.visit("GET", "/items/1").await;
        desk.visit("GET", "/items/2").await;
        let answer = desk.change("/purge", purge.clone()).await;
        assert_eq!(
            (&answer["ack"], &answer["sequence"]),
            (&json!("global"), &json!(number + 1))
        );
        assert!(!is_hit(&desk, "/items/1").await, "{purge}");
        assert!(is_hit(&desk, "/items/2").await, "{purge}");
    }
    let wider = [
        json!({ "route": "/items/{id}" }),
        json!({ "prefix": "http://shop.test/items" }),
        json!({ "host": "shop.test" }),
        json!({ "all": true }),
    ];
    for purge in wider {
        desk.visit("GET", "/items/1").await;
        desk.change("/purge", purge.clone()).await;
        assert!(!is_hit(&desk, "/items/1").await, "{purge}");
    }
}

#[tokio::test]
async fn a_response_is_purged_by_its_id() {
    let desk = Desk::new().await;
    desk.visit("GET", "/items/1?a=1").await;
    desk.visit("GET", "/items/1?a=2").await;
    let keys = desk.look("/keys?prefix=http://shop.test/items/1?a=1").await;
    let answer = desk
        .change("/purge", json!({ "key": keys["keys"][0]["id"] }))
        .await;
    assert_eq!(answer["targets"], json!(["url shop.test/items/1?a=1"]));
    assert!(!is_hit(&desk, "/items/1?a=1").await);
    assert!(is_hit(&desk, "/items/1?a=2").await);
}

#[tokio::test]
async fn a_dry_run_tells_what_it_would_do_and_does_nothing() {
    let desk = Desk::new().await;
    desk.visit("GET", "/items/1").await;
    desk.visit("GET", "/items/2").await;
    let order = json!({ "tag": "items", "dry_run": true });
    let answer = desk.change("/purge", order.clone()).await;
    assert_eq!(
        (
            &answer["matches"],
            &answer["bytes"],
            &answer["complete"],
            &answer["sequence"]
        ),
        (&json!(2), &json!(20), &json!(true), &json!(0))
    );
    assert!(is_hit(&desk, "/items/1").await && is_hit(&desk, "/items/2").await);
    desk.change("/purge", json!({ "tag": "item:1" })).await;
    assert_eq!(desk.change("/purge", order).await["matches"], 1);
}

#[tokio::test]
async fn what_is_purged_softly_is_served_while_it_is_made_anew() {
    let desk = Desk::new().await;
    desk.visit("GET", "/items/1").await;
    desk.change("/purge", json!({ "tag": "items", "soft": true }))
        .await;
    assert!(is_hit(&desk, "/items/1").await);
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert_eq!(desk.runs(), 2);
}

#[tokio::test]
async fn what_is_refreshed_is_there_again_when_the_call_has_ended() {
    let desk = Desk::new().await;
    for id in 1..=3 {
        desk.visit("GET", &format!("/items/{id}")).await;
    }
    let answer = desk
        .change("/purge", json!({ "tag": "items", "refresh": true }))
        .await;
    assert_eq!(answer["refreshed"]["warmed"], 3);
    assert_eq!(answer["refreshed"]["failed"], 0);
    assert_eq!(desk.runs(), 6);
    assert!(is_hit(&desk, "/items/2").await);
    assert_eq!(desk.runs(), 6);
}

#[tokio::test]
async fn a_new_version_voids_a_route_or_everything() {
    let desk = Desk::new().await;
    for (order, page_stays) in [
        (json!({ "route": "/items/{id}" }), true),
        (json!({}), false),
    ] {
        desk.visit("GET", "/items/1").await;
        desk.visit("GET", "/pages/a").await;
        let answer = desk.change("/version", order).await;
        assert_eq!(answer["ack"], "global");
        assert!(!is_hit(&desk, "/items/1").await);
        assert_eq!(is_hit(&desk, "/pages/a").await, page_stays);
    }
}

#[tokio::test]
async fn pages_are_warmed_and_failures_are_listed() {
    let desk = Desk::new().await;
    let urls = [
        "/items/1",
        "http://shop.test/items/2",
        "/broken",
        "/plain",
        "no url",
    ];
    let order = json!({ "host": "shop.test", "urls": urls });
    let answer = desk.change("/warm", order).await;
    assert_eq!(
        (&answer["warmed"], &answer["not_stored"], &answer["failed"]),
        (&json!(3), &json!(1), &json!(2))
    );
    let failed: Vec<&Value> = answer["failures"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["url"])
        .collect();
    assert_eq!(failed, ["no url", "/broken"]);
    assert!(is_hit(&desk, "/items/1").await && is_hit(&desk, "/items/2").await);
    let many = vec!["/items/1"; 1001];
    assert_eq!(desk.refused("/warm", json!({ "urls": many })).await, 400);
}

#[tokio::test]
async fn a_paused_route_is_told_as_such_until_it_is_resumed() {
    let desk = Desk::new().await;
    desk.visit("GET", "/items/1").await;
    let order = json!({ "route": "/items/{id}" });
    desk.change("/pause", order.clone()).await;
    assert!(desk.visit("GET", "/items/1").await.contains("paused"));
    assert_eq!(desk.look("/routes").await["routes"][0]["paused"], true);
    desk.change("/resume", order).await;
    assert!(is_hit(&desk, "/items/1").await);
    assert_eq!(
        desk.refused("/pause", json!({ "route": "/nowhere" })).await,
        404
    );
    assert_eq!(
        desk.refused("/pause", json!({ "route": "other" })).await,
        409
    );
}

#[tokio::test]
async fn without_a_service_nothing_can_be_asked_for() {
    use axum::body::Body;
    use http::Request;
    use larder::{Larder, admin};
    use tower::ServiceExt;

    let larder = Larder::builder().build().await.unwrap();
    let routes = admin::router(&larder, admin::Auth::insecure());
    for (path, order) in [
        ("/warm", json!({ "urls": ["http://a.test/"] })),
        ("/purge", json!({ "all": true, "refresh": true })),
    ] {
        let request = Request::post(path)
            .header("x-larder-admin", "1")
            .header("content-type", "application/json")
            .body(Body::from(order.to_string()));
        let response = routes.clone().oneshot(request.unwrap()).await.unwrap();
        assert_eq!(response.status(), 409, "{path}");
    }
    assert_eq!(larder.statistics().invalidations(), 0);
}

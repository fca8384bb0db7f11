//! Handlers that fail while a stale page is at hand.

use std::time::Duration;

use axum::body::Body;
use http::{Response, StatusCode};
use larder::{CacheLayer, Policy, Routes, Target, hours, secs};
use tokio::time::{Instant, sleep};

use crate::app::{Answer, App, Failure, Gate, read, request, settle};

/// Fresh for 10 s, then for 60 s good enough if the handler fails.
fn page() -> Policy {
    Policy::ttl(secs(10))
        .stale_if_error(secs(60))
        .tag("page:{page}")
}

fn by_run(run: usize) -> Answer {
    Ok(Response::new(Body::from(format!("by run {run}"))))
}

fn status(code: u16) -> Answer {
    let mut response = Response::new(Body::from("no page"));
    *response.status_mut() = StatusCode::from_u16(code).unwrap();
    Ok(response)
}

/// An app whose first run answers and whose later ones end as `later` says.
async fn failing(
    policy: Policy,
    later: impl Fn() -> Answer + Clone + Send + Sync + 'static,
) -> App {
    App::new(policy, move |run, _| {
        let later = later.clone();
        async move { if run == 1 { by_run(1) } else { later() } }
    })
    .await
}

#[tokio::test]
async fn a_failing_handler_is_covered_by_the_stale_page_within_its_window() {
    for code in [500, 502, 503, 504] {
        let app = failing(page(), move || status(code)).await;
        app.get("/a").await;
        app.clock.advance(secs(69));
        let seen = app.get("/a").await;
        assert_eq!(
            (seen.status.as_u16(), seen.body.as_str()),
            (200, "by run 1")
        );
        assert_eq!(seen.headers["age"], "69");
        assert_eq!(app.runs(), 2);
        app.clock.advance(secs(1));
        assert_eq!(app.get("/a").await.status.as_u16(), code);
    }
}

#[tokio::test]
async fn an_error_of_the_service_is_covered_by_the_stale_page_within_its_window() {
    let app = failing(page(), || Err(Failure)).await;
    app.get("/a").await;
    app.clock.advance(secs(69));
    assert_eq!(app.get("/a").await.body, "by run 1");
    app.clock.advance(secs(1));
    assert_eq!(app.send(request("/a")).await.unwrap_err(), Failure);
}

#[tokio::test]
async fn a_panic_is_covered_by_the_stale_page_within_its_window() {
    let app = failing(page(), || panic!("the handler panics")).await;
    app.get("/a").await;
    app.clock.advance(secs(69));
    assert_eq!(app.get("/a").await.body, "by run 1");
    app.clock.advance(secs(1));
    assert!(
        tokio::spawn(app.send(request("/a")))
            .await
            .unwrap_err()
            .is_panic()
    );
}

#[tokio::test]
async fn other_statuses_are_answers_and_are_not_covered() {
    for code in [400, 401, 403, 404, 410, 501] {
        let app = failing(page(), move || status(code)).await;
        app.get("/a").await;
        app.clock.advance(secs(20));
        assert_eq!(app.get("/a").await.status.as_u16(), code);
    }
}

/// As `tower_http::timeout::TimeoutLayer` answers below the cache.
#[tokio::test]
async fn a_timeout_that_is_told_by_a_status_is_covered_by_the_stale_page() {
    let app = failing(page(), || status(408)).await;
    app.get("/a").await;
    app.clock.advance(secs(20));
    assert_eq!(app.get("/a").await.body, "by run 1");
}

#[tokio::test]
async fn a_refusal_of_one_request_pushes_out_no_page_and_holds_up_no_crowd() {
    for code in [400, 406, 413, 416, 429, 431] {
        let app = App::new(page(), move |run, _| async move {
            match run {
                2 => status(code),
                3 => status(500),
                run => by_run(run),
            }
        })
        .await;
        app.get("/a").await;
        app.clock.advance(secs(20));
        assert_eq!(app.get("/a").await.status, code);
        assert_eq!(app.get("/a").await.body, "by run 1", "{code}");
        app.clock.advance(secs(2));
        let seen = app.get("/a").await;
        assert_eq!(seen.body, "by run 4", "{code}");
        assert!(seen.told().starts_with("larder; fwd=stale; stored"));
    }
}

#[tokio::test]
async fn an_answer_that_the_page_is_gone_takes_its_place() {
    for code in [401, 403, 404, 410] {
        let policy = page().stale_while_revalidate(secs(30));
        let app = App::new(policy, move |run, _| async move {
            match run {
                2 => status(code),
                3 => status(500),
                run => by_run(run),
            }
        })
        .await;
        app.get("/a").await;
        app.clock.advance(secs(20));
        // The reader who starts the refresh can not know.
        assert_eq!(app.get("/a").await.body, "by run 1");
        settle().await;
        assert_eq!(app.runs(), 2);
        assert_eq!(app.get("/a").await.status, 500, "{code}");
        assert_eq!(app.get("/a").await.body, "by run 4");
        settle().await;
        assert_eq!(
            app.get("/a").await.told(),
            "larder; hit; ttl=10; detail=MEMORY"
        );
    }
}

#[tokio::test]
async fn a_failed_refresh_is_tried_again_after_one_second_doubling_to_thirty() {
    let swr = Policy::ttl(secs(10)).stale_while_revalidate(hours(1));
    let sie = Policy::ttl(secs(10)).stale_if_error(hours(1));
    for policy in [swr, sie] {
        let app = failing(policy, || status(503)).await;
        app.get("/a").await;
        app.clock.advance(secs(10));
        app.get("/a").await;
        settle().await;
        assert_eq!(app.runs(), 2);
        for (at, wait) in [1, 2, 4, 8, 16, 30, 30].into_iter().enumerate() {
            app.clock.advance(secs(wait) - Duration::from_millis(1));
            assert_eq!(app.get("/a").await.body, "by run 1");
            settle().await;
            assert_eq!(app.runs(), at + 2, "before {wait} s");
            app.clock.advance(Duration::from_millis(1));
            assert_eq!(app.get("/a").await.body, "by run 1");
            settle().await;
            assert_eq!(app.runs(), at + 3, "after {wait} s");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_longer_than_the_soft_timeout_while_a_stale_page_is_at_hand() {
    let gate = Gate::new();
    let inside = gate.clone();
    let policy = page().soft_timeout(Duration::from_millis(50));
    let app = App::new(policy, move |run, _| {
        let gate = inside.clone();
        async move {
            if run > 1 {
                gate.pass().await;
            }
            by_run(run)
        }
    })
    .await;
    app.get("/a").await;
    app.clock.advance(secs(20));
    let began = Instant::now();
    let ended = app.crowd("/a", 20).await.ended().await;
    assert!(
        began.elapsed() < Duration::from_millis(100),
        "{:?}",
        began.elapsed()
    );
    assert!(ended.answered.iter().all(|seen| seen.body == "by run 1"));
    assert_eq!(app.runs(), 2);
    gate.open();
    settle().await;
    assert_eq!(app.get("/a").await.body, "by run 2");
}

#[tokio::test(start_paused = true)]
async fn a_soft_timeout_without_a_window_of_the_policy_holds_for_that_of_the_answer() {
    for (own, expected) in [("max-age=10, stale-if-error=60", 1), ("max-age=10", 2)] {
        let policy = Policy::new().soft_timeout(Duration::from_millis(50));
        let app = App::new(policy, move |run, _| async move {
            if run > 1 {
                sleep(Duration::from_millis(200)).await;
            }
            let mut response = by_run(run)?;
            let value = http::HeaderValue::from_static(own);
            response.headers_mut().insert("cache-control", value);
            Ok(response)
        })
        .await;
        app.get("/a").await;
        app.clock.advance(secs(20));
        assert_eq!(app.get("/a").await.body, format!("by run {expected}"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_page_that_is_purged_before_the_soft_timeout_is_given_to_nobody() {
    let gates = [Gate::new(), Gate::new(), Gate::new()];
    gates[0].open();
    let inside = gates.clone();
    let policy = page().soft_timeout(Duration::from_millis(50));
    let app = App::new(policy, move |run, _| {
        let gate = inside[(run - 1).min(2)].clone();
        async move {
            gate.pass().await;
            by_run(run)
        }
    })
    .await;
    app.get("/a").await;
    app.clock.advance(secs(20));
    let leader = tokio::spawn(app.send(request("/a")));
    settle().await;
    let crowd = app.crowd("/a", 20).await;
    app.larder.invalidate([Target::url("/a")]).await;
    sleep(Duration::from_millis(100)).await;
    settle().await;
    assert_eq!(app.runs(), 3, "those who waited have one run of their own");
    gates[2].open();
    let ended = crowd.ended().await;
    assert_eq!(ended.answered.len(), 20);
    assert!(ended.answered.iter().all(|seen| seen.body == "by run 3"));
    gates[1].open();
    let seen = read(leader.await.unwrap().unwrap()).await;
    assert_eq!(seen.body, "by run 2");
}

#[tokio::test]
async fn a_hard_purged_page_never_covers_a_failure() {
    let app = failing(page(), || status(503)).await;
    app.get("/a").await;
    app.clock.advance(secs(20));
    app.larder.invalidate_tag("page:a").await;
    assert_eq!(app.get("/a").await.status, 503);
}

#[tokio::test]
async fn a_page_that_is_purged_while_the_handler_runs_never_covers_its_failure() {
    let gate = Gate::new();
    let inside = gate.clone();
    let app = App::new(page(), move |run, _| {
        let gate = inside.clone();
        async move {
            if run == 1 {
                return by_run(1);
            }
            gate.pass().await;
            status(503)
        }
    })
    .await;
    app.get("/a").await;
    app.clock.advance(secs(20));
    let crowd = app.crowd("/a", 20).await;
    app.larder.invalidate([Target::tag("page:a")]).await;
    gate.open();
    let ended = crowd.ended().await;
    assert!(ended.answered.iter().all(|seen| seen.status == 503));
}

#[tokio::test]
async fn a_soft_purged_page_covers_a_failure_within_its_window_from_the_purge() {
    let app = failing(Policy::ttl(hours(1)).stale_if_error(secs(60)), || {
        status(503)
    })
    .await;
    app.get("/a").await;
    app.clock.advance(secs(100));
    app.larder.invalidate_soft([Target::url("/a")]).await;
    app.clock.advance(secs(59));
    assert_eq!(app.get("/a").await.body, "by run 1");
    app.clock.advance(secs(1));
    assert_eq!(app.get("/a").await.status, 503);
}

#[tokio::test]
async fn followers_of_a_failed_run_get_the_stale_page_too() {
    let gate = Gate::new();
    let inside = gate.clone();
    let app = App::new(page(), move |run, _| {
        let gate = inside.clone();
        async move {
            if run == 1 {
                return by_run(1);
            }
            gate.pass().await;
            Err(Failure)
        }
    })
    .await;
    app.get("/a").await;
    app.clock.advance(secs(20));
    let crowd = app.crowd("/a", 20).await;
    gate.open();
    let ended = crowd.ended().await;
    assert_eq!(ended.answered.len(), 20);
    assert!(ended.answered.iter().all(|seen| seen.body == "by run 1"));
    assert_eq!(app.runs(), 2);
    let alone = app.send(request("/a")).await.unwrap();
    assert_eq!(read(alone).await.body, "by run 1");
    assert_eq!(app.runs(), 2, "the next try is put off");
}

/// With several variants at hand it can not be told which one a bare 304 confirms; the request has
/// gone to the handler and can not be sent again.
#[tokio::test]
async fn a_confirmation_of_nobody_knows_what_is_a_failure_and_the_next_one_asks_anew() {
    for (policy, covered) in [(Policy::ttl(secs(10)), false), (page(), true)] {
        let app = App::new(policy, |run, request: http::Request<Body>| async move {
            if request.headers().contains_key("if-none-match") {
                return status(304);
            }
            let mut response = by_run(run)?;
            let headers = response.headers_mut();
            headers.insert("vary", "x-a".parse().unwrap());
            headers.insert("etag", format!("\"{run}\"").parse().unwrap());
            Ok(response)
        })
        .await;
        let variant = |value: &'static str| {
            let mut request = request("/a");
            request.headers_mut().insert("x-a", value.parse().unwrap());
            let sent = app.send(request);
            async {
                let seen = read(sent.await.unwrap()).await;
                settle().await;
                seen
            }
        };
        variant("1").await;
        variant("2").await;
        app.clock.advance(secs(20));
        let seen = variant("1").await;
        if covered {
            assert_eq!(seen.body, "by run 1");
        } else {
            assert_eq!(seen.status, StatusCode::SERVICE_UNAVAILABLE);
            assert_eq!(seen.headers["retry-after"], "1");
        }
        assert_eq!(variant("1").await.body, "by run 4");
    }
}

#[tokio::test]
async fn the_lifetime_of_a_policy_is_not_one_for_failures_and_refusals_at_a_gateway_either() {
    for code in [400, 401, 403, 404, 500, 502, 503, 504] {
        let table = Routes::new().get("/{page}", page()).build().unwrap();
        let app = App::with(
            |larder| CacheLayer::gateway(larder).routes(table),
            move |run, _| async move { if run == 1 { status(code) } else { by_run(run) } },
        )
        .await;
        assert_eq!(app.get("/a").await.status, code);
        settle().await;
        assert_eq!(app.get("/a").await.body, "by run 2", "{code}");
    }
}

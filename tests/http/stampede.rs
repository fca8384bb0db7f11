//! Many requests for one page: how often the handler runs, and what each of them gets.

use std::{
    collections::HashSet,
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Waker},
    time::Duration,
};

use axum::body::Body;
use bytes::Bytes;
use http::{Response, StatusCode};
use http_body::Frame;
use http_body_util::BodyExt;
use larder::{Policy, Target, mins};
use tokio::time::{Instant, sleep, timeout};

use crate::app::{Answer, App, Failure, Frames, Gate, data, read, request, settle};

fn page() -> Policy {
    Policy::ttl(mins(1)).tag("page:{page}")
}

fn by_run(run: usize) -> Answer {
    Ok(Response::new(Body::from(format!("by run {run}"))))
}

/// An app whose runs wait at a gate and then answer with `answer`.
async fn gated<F>(answer: F) -> (App, Gate)
where
    F: Fn(usize) -> Answer + Clone + Send + Sync + 'static,
{
    let gate = Gate::new();
    let inside = gate.clone();
    let app = App::new(page(), move |run, _| {
        let (gate, answer) = (inside.clone(), answer.clone());
        async move {
            gate.pass().await;
            answer(run)
        }
    });
    (app.await, gate)
}

#[tokio::test]
async fn a_thousand_cold_requests_are_one_handler_run() {
    let (app, gate) = gated(by_run).await;
    let crowd = app.crowd("/a", 1000).await;
    gate.open();
    let ended = crowd.ended().await;
    assert_eq!(ended.answered.len(), 1000);
    assert!(ended.answered.iter().all(|seen| seen.body == "by run 1"));
    assert_eq!(app.runs(), 1);
}

#[tokio::test]
async fn a_client_that_leaves_takes_nobody_with_it() {
    let (app, gate) = gated(by_run).await;
    let leader = tokio::spawn(app.send(request("/a")));
    settle().await;
    let crowd = app.crowd("/a", 50).await;
    leader.abort();
    settle().await;
    gate.open();
    let ended = crowd.ended().await;
    assert_eq!(ended.answered.len(), 50);
    assert!(ended.answered.iter().all(|seen| seen.body == "by run 1"));
    assert_eq!(app.runs(), 1);
}

#[tokio::test]
async fn a_leader_that_is_never_polled_again_holds_nobody_up() {
    let (app, gate) = gated(by_run).await;
    let mut leader = Box::pin(app.send(request("/a")));
    let mut context = Context::from_waker(Waker::noop());
    assert!(leader.as_mut().poll(&mut context).is_pending());
    let crowd = app.crowd("/a", 20).await;
    gate.open();
    let ended = crowd.ended().await;
    assert!(ended.answered.iter().all(|seen| seen.body == "by run 1"));
    assert_eq!((ended.answered.len(), app.runs()), (20, 1));
    drop(leader);
}

#[tokio::test]
async fn five_impatient_clients_cost_one_run_and_fill_the_cache() {
    let (app, gate) = gated(by_run).await;
    for _ in 0..5 {
        let impatient = tokio::spawn(app.send(request("/a")));
        settle().await;
        impatient.abort();
        settle().await;
    }
    gate.open();
    settle().await;
    let seen = app.get("/a").await;
    assert_eq!(seen.told(), "larder; hit; ttl=60; detail=MEMORY");
    assert_eq!((seen.body.as_str(), app.runs()), ("by run 1", 1));
}

#[tokio::test(start_paused = true)]
async fn after_a_panic_one_waiter_runs_again_and_nobody_hangs() {
    let (app, gate) = gated(|run| {
        assert!(run > 1, "the first run panics");
        by_run(run)
    })
    .await;
    let crowd = app.crowd("/a", 100).await;
    gate.open();
    let ended = timeout(Duration::from_secs(1), crowd.ended())
        .await
        .unwrap();
    assert_eq!((ended.answered.len(), ended.panicked), (99, 1));
    assert!(ended.answered.iter().all(|seen| seen.body == "by run 2"));
    assert_eq!(app.runs(), 2);
}

#[tokio::test(start_paused = true)]
async fn where_every_run_panics_a_few_run_and_all_are_answered() {
    let (app, gate) = gated(|_| panic!("every run panics")).await;
    let crowd = app.crowd("/a", 1000).await;
    gate.open();
    let ended = timeout(Duration::from_secs(1), crowd.ended())
        .await
        .unwrap();
    assert_eq!(ended.answered.len() + ended.panicked, 1000);
    assert!(app.runs() <= 10, "{} runs", app.runs());
    for seen in ended.answered {
        assert_eq!(seen.status, StatusCode::SERVICE_UNAVAILABLE);
    }
}

#[tokio::test]
async fn a_failure_is_shared_by_those_who_wait_and_is_not_stored() {
    let (app, gate) = gated(|run| {
        let mut response = by_run(run)?;
        *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        Ok(response)
    })
    .await;
    let crowd = app.crowd("/a", 1000).await;
    gate.open();
    let ended = crowd.ended().await;
    assert_eq!(ended.answered.len(), 1000);
    assert!(ended.answered.iter().all(|seen| seen.status == 500));
    let runs = app.runs();
    assert!(runs <= 2, "{runs} runs");
    assert_eq!(app.get("/a").await.body, format!("by run {}", runs + 1));
}

#[tokio::test]
async fn a_failure_that_sets_a_cookie_is_not_shared() {
    let (app, gate) = gated(|run| {
        let mut response = by_run(run)?;
        *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        let cookie = format!("session={run}").parse().unwrap();
        response.headers_mut().insert("set-cookie", cookie);
        Ok(response)
    })
    .await;
    let crowd = app.crowd("/a", 20).await;
    gate.open();
    let ended = crowd.ended().await;
    let bodies: HashSet<_> = ended.answered.iter().map(|seen| &seen.body).collect();
    assert_eq!((bodies.len(), app.runs()), (20, 20));
}

#[tokio::test]
async fn those_who_wait_for_a_service_error_are_told_to_come_back() {
    let (app, gate) = gated(|_| Err(Failure)).await;
    let crowd = app.crowd("/a", 10).await;
    gate.open();
    let ended = crowd.ended().await;
    assert_eq!((ended.answered.len(), ended.failed), (9, 1));
    for seen in ended.answered {
        assert_eq!(seen.status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(seen.headers["retry-after"], "1");
        assert_eq!(seen.told(), "");
    }
    assert_eq!(app.runs(), 1);
}

#[tokio::test(start_paused = true)]
async fn waiters_of_an_answer_that_can_not_be_shared_run_side_by_side() {
    let app = App::new(page(), |run, _| async move {
        sleep(Duration::from_millis(100)).await;
        let mut response = by_run(run)?;
        let private = "private".parse().unwrap();
        response.headers_mut().insert("cache-control", private);
        Ok(response)
    })
    .await;
    let began = Instant::now();
    let ended = app.crowd("/a", 100).await.ended().await;
    assert_eq!(ended.answered.len(), 100);
    assert!(began.elapsed() < Duration::from_millis(300));
    // From now on they do not even wait for the first.
    let began = Instant::now();
    assert_eq!(app.crowd("/a", 100).await.ended().await.answered.len(), 100);
    assert!(began.elapsed() < Duration::from_millis(150));
    assert_eq!(app.runs(), 200);
}

#[tokio::test]
async fn a_cookie_that_is_found_late_goes_to_nobody_else() {
    let (app, gate) = gated(|run| {
        let mut response = by_run(run)?;
        let cookie = format!("session={run}").parse().unwrap();
        response.headers_mut().insert("set-cookie", cookie);
        Ok(response)
    })
    .await;
    let crowd = app.crowd("/a", 50).await;
    gate.open();
    let ended = crowd.ended().await;
    let cookies: HashSet<_> = ended
        .answered
        .iter()
        .map(|seen| seen.headers["set-cookie"].clone())
        .collect();
    assert_eq!(cookies.len(), 50);
}

#[tokio::test(start_paused = true)]
async fn a_run_that_hangs_is_waited_for_five_seconds_and_then_left() {
    let app = App::new(page(), |run, _| async move {
        if run == 1 {
            std::future::pending::<()>().await;
        }
        by_run(run)
    })
    .await;
    let hung = tokio::spawn(app.send(request("/a")));
    settle().await;
    let began = Instant::now();
    let seen = app.get("/a").await;
    assert_eq!(seen.body, "by run 2");
    let waited = began.elapsed();
    assert!(waited >= Duration::from_secs(5) && waited < Duration::from_secs(6));
    hung.abort();
}

#[tokio::test(start_paused = true)]
async fn those_who_have_waited_in_vain_run_eight_at_a_time() {
    let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (now, peak) = (Arc::clone(&running), Arc::clone(&most));
    let app = App::new(page(), move |run, _| {
        let (now, peak) = (Arc::clone(&now), Arc::clone(&peak));
        async move {
            if run == 1 {
                std::future::pending::<()>().await;
            }
            peak.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            sleep(Duration::from_millis(100)).await;
            now.fetch_sub(1, Ordering::SeqCst);
            by_run(run)
        }
    })
    .await;
    let hung = tokio::spawn(app.send(request("/a")));
    settle().await;
    let ended = app.crowd("/a", 40).await.ended().await;
    assert_eq!(ended.answered.len(), 40);
    assert_eq!(most.load(Ordering::SeqCst), 8);
    hung.abort();
}

#[tokio::test(start_paused = true)]
async fn one_who_has_waited_in_vain_serves_those_who_wait_for_its_place() {
    let app = App::new(page(), |run, _| async move {
        if run == 1 {
            std::future::pending::<()>().await;
        }
        sleep(Duration::from_millis(100)).await;
        by_run(run)
    })
    .await;
    let hung = tokio::spawn(app.send(request("/a")));
    settle().await;
    let began = Instant::now();
    let ended = app.crowd("/a", 1000).await.ended().await;
    assert_eq!(ended.answered.len(), 1000);
    assert_eq!(app.runs(), 1 + 8, "the one that hangs, and the first eight");
    let waited = began.elapsed();
    assert!(waited < Duration::from_millis(5500), "{waited:?}");
    hung.abort();
}

#[tokio::test(start_paused = true)]
async fn what_is_void_serves_nobody_who_waits_for_a_place() {
    let (app, gate) = gated(by_run).await;
    let hung = tokio::spawn(app.send(request("/a")));
    settle().await;
    let crowd = app.crowd("/a", 9).await;
    sleep(Duration::from_secs(6)).await;
    settle().await;
    assert_eq!(app.runs(), 1 + 8, "eight have left the flight and run");
    app.larder.invalidate([Target::tag("page:a")]).await;
    gate.open();
    let ended = crowd.ended().await;
    assert_eq!(ended.answered.len(), 9);
    assert_eq!(
        app.runs(),
        1 + 9,
        "what the eight brought is void for the ninth"
    );
    assert!(hung.await.unwrap().is_ok());
}

/// A body of which only the half comes.
fn broken(length: Option<u64>) -> Body {
    Body::new(Frames {
        frames: [data("half"), Err(Failure)].into(),
        length,
    })
}

#[tokio::test]
async fn a_body_that_breaks_off_is_not_stored() {
    for length in [Some(8), None] {
        let app = App::new(page(), move |run, _| async move {
            match run {
                1 => Ok(Response::new(broken(length))),
                _ => by_run(run),
            }
        })
        .await;
        let first = app.send(request("/a")).await.unwrap();
        assert!(first.into_body().collect().await.is_err(), "{length:?}");
        settle().await;
        let seen = app.get("/a").await;
        assert_eq!(seen.body, "by run 2", "{length:?}");
    }
}

#[tokio::test]
async fn a_body_that_is_shorter_than_announced_is_not_stored() {
    let app = App::new(page(), |run, _| async move {
        match run {
            1 => Ok(Response::new(Body::new(Frames {
                frames: [data("half")].into(),
                length: Some(8),
            }))),
            _ => by_run(run),
        }
    })
    .await;
    let first = app.send(request("/a")).await.unwrap();
    assert!(first.into_body().collect().await.is_err());
    settle().await;
    assert_eq!(app.get("/a").await.body, "by run 2");
}

#[tokio::test]
async fn those_who_wait_for_a_body_that_breaks_off_get_a_whole_one() {
    let gate = Gate::new();
    let inside = gate.clone();
    let app = App::new(page(), move |run, _| {
        let gate = inside.clone();
        async move {
            gate.pass().await;
            match run {
                1 => Ok(Response::new(broken(None))),
                _ => by_run(run),
            }
        }
    })
    .await;
    let first = tokio::spawn(app.send(request("/a")));
    settle().await;
    let crowd = app.crowd("/a", 20).await;
    gate.open();
    let ended = crowd.ended().await;
    assert_eq!(ended.answered.len(), 20);
    assert!(ended.answered.iter().all(|seen| seen.body == "by run 2"));
    assert!(first.await.unwrap().is_ok());
}

#[tokio::test]
async fn a_reader_that_does_not_read_holds_nobody_up() {
    let piece = "0123456789".repeat(100);
    let length = u64::try_from(piece.len() * 100).unwrap();
    for announced in [Some(length), None] {
        let piece = Bytes::from(piece.clone());
        let app = App::new(page(), move |_, _| {
            let frames =
                std::iter::repeat_n(piece.clone(), 100).map(|piece| Ok(Frame::data(piece)));
            let body = Frames {
                frames: frames.collect(),
                length: announced,
            };
            async move { Ok(Response::new(Body::new(body))) }
        })
        .await;
        let slow = app.send(request("/a")).await.unwrap();
        let ended = app.crowd("/a", 20).await.ended().await;
        let whole = |seen: &crate::app::Seen| seen.body == "0123456789".repeat(10_000);
        assert_eq!(ended.answered.len(), 20);
        assert!(ended.answered.iter().all(whole));
        assert!(whole(&read(slow).await));
        assert_eq!(app.runs(), 1);
    }
}

/// The validator is one that does not tell the old page from the new, as one made from a date may be.
#[tokio::test]
async fn what_was_purged_while_requests_waited_is_not_confirmed_for_those_who_come_after() {
    let gate = Gate::new();
    let inside = gate.clone();
    let app = App::new(page(), move |run, request| {
        let gate = inside.clone();
        async move {
            if run == 2 {
                gate.pass().await;
            }
            let mut response = by_run(run)?;
            if request.headers().contains_key("if-none-match") {
                *response.body_mut() = Body::empty();
                *response.status_mut() = StatusCode::NOT_MODIFIED;
            }
            let validator = "\"same\"".parse().unwrap();
            response.headers_mut().insert("etag", validator);
            Ok(response)
        }
    })
    .await;
    app.get("/a").await;
    app.clock.advance(mins(2));
    let leader = tokio::spawn(app.send(request("/a")));
    settle().await;
    let follower = tokio::spawn(app.send(request("/a")));
    settle().await;
    app.larder.invalidate([Target::tag("page:a")]).await;
    gate.open();

    let led = read(leader.await.unwrap().unwrap()).await;
    assert_eq!(led.body, "by run 1", "it came before the purge");
    let followed = read(follower.await.unwrap().unwrap()).await;
    assert_eq!(
        followed.body, "by run 3",
        "the handler was asked to confirm"
    );
    settle().await;
    assert_eq!(app.get("/a").await.body, "by run 3");
}

#[tokio::test]
async fn a_fill_that_an_invalidation_overtakes_is_void() {
    let gates = [Gate::new(), Gate::new()];
    let inside = gates.clone();
    let app = App::new(page(), move |run, _| {
        let gate = inside[(run - 1).min(1)].clone();
        async move {
            gate.pass().await;
            by_run(run)
        }
    })
    .await;
    let early = tokio::spawn(app.send(request("/a")));
    settle().await;
    app.larder.invalidate([Target::tag("page:a")]).await;
    let late = app.crowd("/a", 20).await;
    assert_eq!(app.runs(), 2, "nobody joins what began before");
    gates[1].open();
    let ended = late.ended().await;
    assert!(ended.answered.iter().all(|seen| seen.body == "by run 2"));
    gates[0].open();
    assert_eq!(read(early.await.unwrap().unwrap()).await.body, "by run 1");
    settle().await;
    let seen = app.get("/a").await;
    assert_eq!(seen.body, "by run 2", "the late fill pushed nothing out");
    assert_eq!(app.runs(), 2);
}

#[tokio::test]
async fn one_who_joined_before_an_invalidation_gets_a_newer_run() {
    let (app, gate) = gated(by_run).await;
    let leader = tokio::spawn(app.send(request("/a")));
    settle().await;
    let crowd = app.crowd("/a", 20).await;
    app.larder.invalidate([Target::url("/a")]).await;
    gate.open();
    let ended = crowd.ended().await;
    assert_eq!(ended.answered.len(), 20);
    assert!(ended.answered.iter().all(|seen| seen.body == "by run 2"));
    assert!(leader.await.unwrap().is_ok());
    assert_eq!(app.runs(), 2);
}

#[tokio::test]
async fn a_variation_that_is_found_late_is_one_run_for_each_variant() {
    let gate = Gate::new();
    let inside = gate.clone();
    let app = App::new(page(), move |_, request: http::Request<Body>| {
        let gate = inside.clone();
        async move {
            gate.pass().await;
            let language = request.headers()["accept-language"].clone();
            let body = Body::from(language.to_str().unwrap().to_owned());
            let mut response = Response::new(body);
            let name = "accept-language".parse().unwrap();
            response.headers_mut().insert("vary", name);
            Ok(response)
        }
    })
    .await;
    let languages = ["fr", "en", "de"];
    let asked: Vec<_> = (0..30)
        .map(|at| {
            let language = languages[at % 3];
            let mut request = request("/a");
            let value = language.parse().unwrap();
            request.headers_mut().insert("accept-language", value);
            (language, tokio::spawn(app.send(request)))
        })
        .collect();
    settle().await;
    gate.open();
    for (language, response) in asked {
        let seen = read(response.await.unwrap().unwrap()).await;
        assert_eq!(seen.body, language);
    }
    assert_eq!(app.runs(), 3);
}

/// A body whose pieces come one each second, and never end.
fn endless() -> Body {
    Body::from_stream(tokio_stream::StreamExt::then(
        tokio_stream::iter(0..),
        |_: u64| async {
            sleep(Duration::from_secs(1)).await;
            Ok::<_, Failure>(Bytes::from_static(b"piece"))
        },
    ))
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_longer_than_the_limit_for_a_body_without_an_end() {
    let app = App::new(page(), |_, _| async { Ok(Response::new(endless())) }).await;
    let mut clients = tokio::task::JoinSet::new();
    let began = Instant::now();
    for _ in 0..40 {
        let sent = app.send(request("/a"));
        clients.spawn(async move {
            let response = sent.await.unwrap();
            let waited = began.elapsed();
            let first = response.into_body().frame().await.unwrap().unwrap();
            assert_eq!(first.into_data().unwrap(), "piece");
            waited
        });
    }
    for waited in clients.join_all().await {
        assert!(waited < Duration::from_secs(6), "{waited:?}");
    }
    let began = Instant::now();
    assert!(app.send(request("/a")).await.is_ok());
    assert!(
        began.elapsed().is_zero(),
        "whoever comes later does not wait"
    );
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_for_a_place_is_served_by_the_run_that_was_late() {
    let app = App::new(page(), |run, _| async move {
        sleep(Duration::from_secs(if run == 1 { 6 } else { 20 })).await;
        by_run(run)
    })
    .await;
    let began = Instant::now();
    let mut clients = tokio::task::JoinSet::new();
    for _ in 0..40 {
        let sent = app.send(request("/a"));
        clients.spawn(async move {
            let seen = read(sent.await.unwrap()).await;
            (seen.body, began.elapsed())
        });
    }
    let all = clients.join_all().await;
    let early = all
        .iter()
        .filter(|(_, waited)| *waited < Duration::from_secs(7));
    assert_eq!(early.filter(|(body, _)| body == "by run 1").count(), 32);
    assert_eq!(app.runs(), 1 + 8);
}

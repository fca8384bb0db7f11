//! Warming a layered service.

use std::{
    fs,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::body::Body;
use http::{Request, Response, StatusCode};
use larder::{WarmList, WarmProgress, mins};

use crate::{
    app::{App, Gate, settle},
    folder::Folder,
};

fn answer(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::from("a page"));
    *response.status_mut() = status;
    response
}

async fn pages() -> App {
    App::new(
        larder::Policy::ttl(mins(5)),
        |_, request: Request<Body>| async move {
            match request.uri().path() {
                "/panics" => panic!("in a handler"),
                "/missing" => Ok(answer(StatusCode::NOT_FOUND)),
                "/fails" => Err(crate::app::Failure),
                "/hangs" => std::future::pending().await,
                _ => Ok(answer(StatusCode::OK)),
            }
        },
    )
    .await
}

fn urls(count: usize) -> WarmList {
    let paths = (0..count).map(|page| format!("/{page}"));
    WarmList::new().host("a.test").urls(paths)
}

#[tokio::test]
async fn what_was_warmed_is_a_hit_for_visitors() {
    let app = pages().await;
    let report = app
        .larder
        .warm(urls(50))
        .through(app.service.clone(), Body::empty)
        .await;
    assert_eq!(
        (report.warmed, report.not_stored, report.failed.len()),
        (50, 0, 0)
    );
    settle().await;
    assert!(app.get("/49").await.told().contains("hit"));
    assert_eq!(app.runs(), 50);
    // What is fresh is left alone.
    let again = app
        .larder
        .warm(urls(50))
        .through(app.service.clone(), Body::empty)
        .await;
    assert_eq!((again.warmed, app.runs()), (50, 50));
}

#[tokio::test(start_paused = true)]
async fn a_request_that_fails_stops_no_other_and_is_listed() {
    let app = pages().await;
    let list = urls(3)
        .urls(["/missing", "/fails", "/panics", "/hangs", "no url"])
        .urls(["/8", "/9"]);
    let warming = app.larder.warm(list).timeout(Duration::from_secs(1));
    let report = warming.through(app.service.clone(), Body::empty).await;
    assert_eq!(report.warmed, 5);
    let mut failed: Vec<String> = report.failed.iter().map(ToString::to_string).collect();
    failed.sort();
    assert_eq!(failed.len(), 5);
    for (told, words) in failed.iter().zip([
        "/fails: the service failed",
        "/hangs: took longer than 1s",
        "/missing: answered 404",
        "/panics: its handler panicked",
        "no url: is no URL",
    ]) {
        assert!(told.contains(words), "{told}");
    }
}

#[tokio::test]
async fn what_larder_does_not_store_is_told_apart() {
    let app = App::with(larder::CacheLayer::new, |_, _| async {
        Ok(answer(StatusCode::OK))
    })
    .await;
    let report = app
        .larder
        .warm(urls(4))
        .through(app.service.clone(), Body::empty)
        .await;
    assert_eq!((report.warmed, report.not_stored), (4, 4));
}

#[tokio::test]
async fn only_so_many_are_under_way_and_each_end_is_told() {
    let gate = Gate::new();
    let waiting = gate.clone();
    let most = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&most);
    let app = App::new(larder::Policy::ttl(mins(5)), move |run, _| {
        seen.fetch_max(run, Ordering::SeqCst);
        let gate = waiting.clone();
        async move {
            gate.pass().await;
            Ok(answer(StatusCode::OK))
        }
    })
    .await;
    let told = Arc::new(Mutex::new(Vec::<WarmProgress>::new()));
    let kept = Arc::clone(&told);
    let warming = app.larder.warm(urls(20)).concurrency(3);
    let warming = warming.on_progress(move |progress| kept.lock().unwrap().push(*progress));
    let warming = tokio::spawn(warming.through(app.service.clone(), Body::empty));
    settle().await;
    assert_eq!(most.load(Ordering::SeqCst), 3);
    gate.open();
    assert_eq!(warming.await.unwrap().warmed, 20);
    let told = told.lock().unwrap();
    assert_eq!(told.len(), 20);
    assert_eq!(
        (told[19].done, told[19].total, told[19].failed),
        (20, 20, 0)
    );
}

#[tokio::test]
async fn a_shutdown_ends_it_and_tells_what_was_not_sent() {
    let gate = Gate::new();
    let waiting = gate.clone();
    let app = App::new(larder::Policy::ttl(mins(5)), move |_, _| {
        let gate = waiting.clone();
        async move {
            gate.pass().await;
            Ok(answer(StatusCode::OK))
        }
    })
    .await;
    let warming = app.larder.warm(urls(20)).concurrency(3);
    let warming = tokio::spawn(warming.through(app.service.clone(), Body::empty));
    settle().await;
    app.larder.shutdown(Duration::ZERO).await;
    let report = warming.await.unwrap();
    assert_eq!(report.warmed + report.failed.len(), 20);
    assert!(
        report
            .failed
            .iter()
            .filter(|one| one.reason.contains("not sent"))
            .count()
            >= 17
    );
}

#[tokio::test(start_paused = true)]
async fn it_ends_in_the_time_that_it_was_given() {
    let app = App::new(larder::Policy::ttl(mins(5)), |_, _| std::future::pending()).await;
    let warming = app.larder.warm(urls(20)).concurrency(3);
    let warming = warming.within(Duration::from_secs(60));
    let report = warming.through(app.service.clone(), Body::empty).await;
    assert_eq!((report.warmed, report.failed.len()), (0, 20));
}

#[tokio::test]
async fn the_hottest_pages_of_a_run_are_warmed_in_the_next() {
    let folder = Folder::new("hottest");
    let file = folder.path().join("hottest.txt");
    let app = pages().await;
    for page in 0..10 {
        for _ in 0..=page {
            app.get(&format!("/{page}")).await;
        }
    }
    assert_eq!(app.larder.save_hottest(&file, 3).unwrap(), 3);
    let text = fs::read_to_string(&file).unwrap();
    let lines: Vec<&str> = text.lines().skip(1).collect();
    assert_eq!(
        lines,
        [
            "9 http://a.test/9",
            "8 http://a.test/8",
            "7 http://a.test/7"
        ]
    );
    let next = pages().await;
    let list = WarmList::new().hottest(&file).unwrap();
    let report = next
        .larder
        .warm(list)
        .through(next.service.clone(), Body::empty)
        .await;
    assert_eq!(report.warmed, 3);
    settle().await;
    assert!(next.get("/9").await.told().contains("hit"));
}

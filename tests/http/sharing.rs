//! What one request may get of another's handler run, and what is left of a run after an
//! invalidation.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use larder::{Cache, CacheBody, CacheLayer, Larder, Policy, RouteTable, Routes, secs};
use tokio::sync::Semaphore;
use tower::{Layer, Service, ServiceExt, service_fn, util::BoxCloneService};

type Answer = Response<Full<Bytes>>;
type Handler = BoxCloneService<Request<()>, Answer, Infallible>;

fn handler<F>(answer: impl Fn(Request<()>) -> F + Clone + Send + 'static) -> Handler
where
    F: Future<Output = Answer> + Send + 'static,
{
    let service = service_fn(move |request| {
        let answer = answer(request);
        async move { Ok(answer.await) }
    });
    BoxCloneService::new(service)
}

fn get(path: &str, fields: &[(&str, &str)]) -> Request<()> {
    let mut request = Request::builder().uri(path).header("host", "a.test");
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    request.body(()).unwrap()
}

async fn read<S>(service: &S, request: Request<()>) -> (Response<()>, String)
where
    S: Service<Request<()>, Response = Response<CacheBody<Full<Bytes>>>, Error = Infallible>
        + Clone,
{
    read_of(service.clone(), request).await
}

async fn read_of<S>(service: S, request: Request<()>) -> (Response<()>, String)
where
    S: Service<Request<()>, Response = Response<CacheBody<Full<Bytes>>>, Error = Infallible>,
{
    let response = service.oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let bytes = body.collect().await.unwrap().to_bytes();
    (
        Response::from_parts(parts, ()),
        String::from_utf8(bytes.to_vec()).unwrap(),
    )
}

fn answer(fields: &[(&str, &str)], body: impl Into<String>) -> Answer {
    let mut response = Response::builder();
    for (name, value) in fields {
        response = response.header(*name, *value);
    }
    response.body(Full::new(Bytes::from(body.into()))).unwrap()
}

async fn larder() -> Larder {
    Larder::builder().build().await.unwrap()
}

/// A handler whose runs wait until they are let go, and which tells each run's number.
#[derive(Clone)]
struct Gate {
    runs: Arc<AtomicUsize>,
    passes: Arc<Semaphore>,
}

impl Gate {
    fn new() -> Self {
        Self {
            runs: Arc::default(),
            passes: Arc::new(Semaphore::new(0)),
        }
    }

    fn handler(&self, fields: &'static [(&'static str, &'static str)], status: u16) -> Handler {
        let gate = self.clone();
        handler(move |_| {
            let gate = gate.clone();
            async move {
                let run = gate.runs.fetch_add(1, Ordering::SeqCst) + 1;
                gate.passes.acquire().await.unwrap().forget();
                let mut response = answer(fields, format!("run {run}"));
                *response.status_mut() = StatusCode::from_u16(status).unwrap();
                response
            }
        })
    }

    fn runs(&self) -> usize {
        self.runs.load(Ordering::SeqCst)
    }

    async fn wait_for_runs(&self, runs: usize) {
        while self.runs() < runs {
            tokio::task::yield_now().await;
        }
    }
}

fn spawn(
    service: &Cache<Handler>,
    request: Request<()>,
) -> tokio::task::JoinHandle<(Response<()>, String)> {
    tokio::spawn(read_of(service.clone(), request))
}

/// Starts two requests, the second while the handler runs for the first, and returns what each got.
async fn two(service: &Cache<Handler>, gate: &Gate, fields: &[(&str, &str)]) -> [String; 2] {
    let first = spawn(service, get("/a", fields));
    gate.wait_for_runs(1).await;
    let second = spawn(service, get("/a", fields));
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    gate.passes.add_permits(2);
    [first.await.unwrap().1, second.await.unwrap().1]
}

fn table(policy: Policy) -> RouteTable {
    Routes::new().get("/a", policy).build().unwrap()
}

#[tokio::test]
async fn an_outer_layer_does_not_keep_what_an_inner_one_has_just_fetched() {
    let larder = larder().await;
    let runs = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&runs);
    let inner = handler(move |_| {
        let run = counted.fetch_add(1, Ordering::SeqCst) + 1;
        async move { answer(&[("cache-control", "max-age=60")], format!("run {run}")) }
    });
    let inner = larder.route(Policy::ttl(secs(60)).tag("a")).layer(inner);
    let outer = CacheLayer::new(&larder).layer(inner);
    let ask = || async {
        let response = outer.clone().oneshot(get("/a", &[])).await.unwrap();
        response.into_body().collect().await.unwrap().to_bytes()
    };

    assert_eq!(ask().await, "run 1");
    assert_eq!(ask().await, "run 1");
    larder.invalidate_tag("a").await;

    assert_eq!(ask().await, "run 2");
}

#[tokio::test]
async fn what_must_be_confirmed_before_each_use_is_not_given_to_those_who_wait() {
    let larder = larder().await;
    let gate = Gate::new();
    let fields = &[("cache-control", "no-cache, max-age=60"), ("etag", "\"1\"")];
    let service = CacheLayer::new(&larder)
        .routes(table(Policy::ttl(secs(60))))
        .layer(gate.handler(fields, 200));

    assert_eq!(two(&service, &gate, &[]).await, ["run 1", "run 2"]);
}

#[tokio::test]
async fn what_is_stale_as_it_comes_is_not_given_to_those_who_wait() {
    let larder = larder().await;
    let gate = Gate::new();
    let service = CacheLayer::new(&larder)
        .routes(table(Policy::ttl(secs(60))))
        .layer(gate.handler(&[("cache-control", "max-age=0")], 200));

    assert_eq!(two(&service, &gate, &[]).await, ["run 1", "run 2"]);
}

#[tokio::test]
async fn a_failure_that_must_not_be_stored_or_is_to_one_user_is_not_given_to_those_who_wait() {
    let larder = larder().await;
    let gate = Gate::new();
    let service = CacheLayer::new(&larder)
        .routes(table(Policy::ttl(secs(60))))
        .layer(gate.handler(&[("cache-control", "no-store")], 500));
    assert_eq!(two(&service, &gate, &[]).await, ["run 1", "run 2"]);

    let gate = Gate::new();
    let service = CacheLayer::gateway(&larder).layer(gate.handler(&[], 500));
    let bearer = [("authorization", "Bearer x")];
    assert_eq!(two(&service, &gate, &bearer).await, ["run 1", "run 2"]);
}

#[tokio::test]
async fn a_plain_answer_and_a_plain_failure_are_given_to_those_who_wait() {
    for status in [200, 500] {
        let larder = larder().await;
        let gate = Gate::new();
        let service = CacheLayer::new(&larder)
            .routes(table(Policy::ttl(secs(60))))
            .layer(gate.handler(&[], status));
        assert_eq!(two(&service, &gate, &[]).await, ["run 1", "run 1"]);
    }
}

#[tokio::test]
async fn a_request_after_a_soft_purge_does_not_join_a_run_from_before_it() {
    let larder = larder().await;
    let gate = Gate::new();
    let service = CacheLayer::new(&larder)
        .routes(table(Policy::ttl(secs(60)).tag("a")))
        .layer(gate.handler(&[], 200));
    let first = spawn(&service, get("/a", &[]));
    gate.wait_for_runs(1).await;
    larder.invalidate_soft([larder::Target::tag("a")]).await;

    let second = spawn(&service, get("/a", &[]));
    gate.wait_for_runs(2).await;
    gate.passes.add_permits(2);

    assert_eq!(first.await.unwrap().1, "run 1");
    assert_eq!(second.await.unwrap().1, "run 2");
}

#[tokio::test]
async fn a_confirmation_that_may_not_be_stored_still_brings_the_whole_answer() {
    let clock = larder::TestClock::new();
    let larder = Larder::builder()
        .clock(clock.clone())
        .build()
        .await
        .unwrap();
    let handler = handler(|request| async move {
        if request.headers().contains_key("if-none-match") {
            let fields = [("etag", "\"1\""), ("set-cookie", "sid=1")];
            let mut confirmed = answer(&fields, "");
            *confirmed.status_mut() = StatusCode::NOT_MODIFIED;
            return confirmed;
        }
        answer(&[("etag", "\"1\"")], "whole")
    });
    let service = CacheLayer::new(&larder)
        .routes(table(Policy::ttl(secs(60))))
        .layer(handler);
    assert_eq!(read(&service, get("/a", &[])).await.1, "whole");
    clock.advance(secs(61));

    let (response, body) = read(&service, get("/a", &[])).await;

    assert_eq!(
        (response.status(), body.as_str()),
        (StatusCode::OK, "whole")
    );
    assert_eq!(response.headers()["set-cookie"], "sid=1");
    let (response, _) = read(&service, get("/a", &[])).await;
    assert!(
        !response.headers().contains_key("set-cookie"),
        "one user's cookie was kept for others"
    );
}

#[tokio::test]
async fn what_one_client_asks_does_not_mark_the_key_for_others() {
    let fields = &[("cache-control", "max-age=60"), ("vary", "accept-language")];
    let long = "x".repeat(2000);
    for (gateway, asked) in [
        (true, ("authorization", "Bearer x")),
        (true, ("cache-control", "no-store")),
        (false, ("accept-language", long.as_str())),
    ] {
        let larder = larder().await;
        let gate = Gate::new();
        let layer = if gateway {
            CacheLayer::gateway(&larder)
        } else {
            CacheLayer::new(&larder).routes(table(Policy::ttl(secs(60))))
        };
        let service = layer.layer(gate.handler(fields, 200));
        gate.passes.add_permits(1);
        read(&service, get("/a", &[asked])).await;

        let [one, other] = two(&service, &gate, &[]).await;

        assert_eq!(one, other, "they share a run after {}", asked.0);
    }
}

#[tokio::test]
async fn a_body_shorter_than_its_content_length_is_not_stored() {
    let larder = larder().await;
    let runs = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&runs);
    let service = service_fn(move |_: Request<()>| {
        counted.fetch_add(1, Ordering::SeqCst);
        let (mut sender, body) = http_body_util::channel::Channel::<Bytes, Infallible>::new(1);
        sender
            .try_send(http_body::Frame::data(Bytes::from("short")))
            .unwrap();
        let response = Response::builder().header("content-length", "10");
        std::future::ready(Ok::<_, Infallible>(response.body(body).unwrap()))
    });
    let service = CacheLayer::new(&larder)
        .routes(table(Policy::ttl(secs(60))))
        .layer(service);
    for _ in 0..2 {
        let response = service.clone().oneshot(get("/a", &[])).await.unwrap();
        assert!(response.into_body().collect().await.is_err());
    }
    assert_eq!(runs.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_body_that_is_known_to_have_another_length_than_it_announces_is_not_stored() {
    for announced in ["3", "10", "5, 6", "five"] {
        let larder = larder().await;
        let fields = [("content-length", announced)];
        let handler = handler(move |_| std::future::ready(answer(&fields, "whole")));
        let service = CacheLayer::new(&larder)
            .routes(table(Policy::ttl(secs(60))))
            .layer(handler);
        let (_, body) = read(&service, get("/a", &[])).await;
        assert_eq!(body, "whole");
        assert_eq!(larder.statistics().entries, 0, "{announced}");
    }
}

/// RFC 9110 §8.6.
#[tokio::test]
async fn a_stored_answer_without_content_has_no_length_for_a_head_either() {
    let larder = larder().await;
    let handler = handler(|_| {
        let mut response = answer(&[], "");
        *response.status_mut() = StatusCode::NO_CONTENT;
        std::future::ready(response)
    });
    let policy = Policy::ttl(secs(60)).store_status([StatusCode::NO_CONTENT]);
    let service = CacheLayer::new(&larder)
        .routes(table(policy))
        .layer(handler);
    read(&service, get("/a", &[])).await;
    for method in ["GET", "HEAD"] {
        let mut again = get("/a", &[]);
        *again.method_mut() = method.parse().unwrap();
        let (response, _) = read(&service, again).await;
        assert!(
            !response.headers().contains_key("content-length"),
            "{method}"
        );
        assert!(response.headers().contains_key("age"), "{method} is a hit");
    }
}

#[tokio::test]
async fn whoever_is_named_by_a_field_shares_nothing_unless_the_policy_says_whose_it_is() {
    fn user(request: &http::request::Parts) -> Option<String> {
        Some(request.headers.get("x-user-id")?.to_str().ok()?.to_owned())
    }
    let page = || Policy::ttl(secs(60));
    for (policy, stored) in [
        (page(), 0),
        (page().vary(["x-user-id"]), 2),
        (page().key_by_identity(user), 2),
    ] {
        let larder = larder().await;
        let handler = handler(|request| {
            let user = request.headers()["x-user-id"].to_str().unwrap().to_owned();
            std::future::ready(answer(&[], user))
        });
        let service = CacheLayer::new(&larder)
            .routes(table(policy))
            .layer(handler);
        for user in ["alice", "bob", "alice", "bob"] {
            let (_, body) = read(&service, get("/a", &[("x-user-id", user)])).await;
            assert_eq!(body, user);
        }
        assert_eq!(larder.statistics().entries, stored);
    }
}

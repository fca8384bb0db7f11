//! The layer among other layers, services, bodies and clients.

use std::{
    cell::Cell,
    convert::Infallible,
    future::IntoFuture,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use axum::{Extension, Router, body::Body, routing::get};
use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode, header::CONTENT_TYPE};
use http_body::Frame;
use http_body_util::{BodyExt, Channel, Full};
use hyper_util::{
    client::legacy::Client,
    rt::{TokioExecutor, TokioIo},
    service::TowerToHyperService,
};
use larder::{CacheLayer, Invalidate, Larder, Policy, RouteTable, Routes, mins};
use tokio::{net::TcpListener, time::timeout};
use tower::{Layer, Service, ServiceBuilder, ServiceExt};
use tower_http::{
    catch_panic::CatchPanicLayer, compression::CompressionLayer, cors::CorsLayer,
    limit::RequestBodyLimitLayer, timeout::TimeoutLayer, trace::TraceLayer,
};

use crate::app::{App, Frames, Gate, data, read, request, settle};

fn table() -> RouteTable {
    Routes::new()
        .get("/{*page}", Policy::ttl(mins(1)))
        .build()
        .unwrap()
}

async fn larder() -> Larder {
    Larder::builder().build().await.unwrap()
}

/// A handler that answers with the number of its run.
fn counted() -> impl Fn() -> std::future::Ready<String> + Clone + Send + Sync + 'static {
    let runs = Arc::new(AtomicUsize::new(0));
    move || {
        std::future::ready(format!(
            "by run {}",
            runs.fetch_add(1, Ordering::SeqCst) + 1
        ))
    }
}

/// Asks twice and expects the second answer out of the store.
async fn expect_hit<S, B>(mut service: S, path: &str)
where
    S: Service<Request<Body>, Response = Response<B>>,
    S::Error: std::fmt::Debug,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<axum::BoxError>,
{
    for told in [
        "larder; fwd=uri-miss; stored; ttl=60",
        "larder; hit; ttl=60; detail=MEMORY",
    ] {
        let response = service
            .ready()
            .await
            .unwrap()
            .call(request(path))
            .await
            .unwrap();
        let seen = read(response.map(Body::new)).await;
        assert_eq!((seen.body.as_str(), seen.told()), ("by run 1", told));
        settle().await;
    }
}

#[tokio::test]
async fn it_caches_wherever_axum_takes_a_layer() {
    let larder = larder().await;
    let policy = || Policy::ttl(mins(1));
    let table = ["/a", "/b", "/c"].into_iter();
    let table = table.fold(Routes::new(), |table, page| table.get(page, policy()));
    let layer = CacheLayer::new(&larder).routes(table.build().unwrap());
    let mounted = [
        Router::new()
            .route("/a", get(counted()))
            .layer(layer.clone()),
        Router::new()
            .route("/b", get(counted()))
            .route_layer(layer.clone()),
        Router::new().route("/c", get(counted()).layer(layer)),
        Router::new().route("/d", get(counted()).layer(larder.route(policy()))),
    ];
    for (app, path) in mounted.into_iter().zip(["/a", "/b", "/c", "/d"]) {
        expect_hit(app, path).await;
    }
}

#[tokio::test]
async fn it_caches_under_the_usual_layers() {
    let service = ServiceBuilder::new()
        .layer(TraceLayer::new_for_http())
        .layer(CatchPanicLayer::new())
        .layer(CorsLayer::permissive())
        .layer(TimeoutLayer::with_status_code(
            StatusCode::GATEWAY_TIMEOUT,
            Duration::from_secs(5),
        ))
        .layer(CompressionLayer::new())
        .layer(RequestBodyLimitLayer::new(1024))
        .layer(CacheLayer::new(&larder().await).routes(table()))
        .service(Router::new().route("/a", get(counted())));
    expect_hit(service, "/a").await;
}

#[tokio::test]
async fn it_caches_over_the_usual_layers() {
    let service = ServiceBuilder::new()
        .layer(CacheLayer::new(&larder().await).routes(table()))
        .layer(TraceLayer::new_for_http())
        .layer(CatchPanicLayer::new())
        .layer(CorsLayer::new())
        .layer(TimeoutLayer::with_status_code(
            StatusCode::GATEWAY_TIMEOUT,
            Duration::from_secs(5),
        ))
        .layer(CompressionLayer::new())
        .layer(RequestBodyLimitLayer::new(1024))
        .service(Router::new().route("/a", get(counted())));
    expect_hit(service, "/a").await;
}

#[tokio::test]
async fn a_limit_of_one_call_below_neither_blocks_nor_panics() {
    let layer = CacheLayer::new(&larder().await).routes(table());
    let origin = || {
        ServiceBuilder::new().concurrency_limit(1).service(
            Router::new()
                .route("/a", get(counted()))
                .route("/b", get(counted())),
        )
    };
    let mut service = layer.layer(origin());
    let all = async {
        for path in ["/a", "/a", "/b", "/none", "/none"] {
            let ready = ServiceExt::<Request<Body>>::ready(&mut service).await;
            let answer = ready.unwrap().call(request(path));
            drop(answer.await.unwrap().into_body().collect().await);
        }
        let service = layer.layer(origin());
        for path in ["/a", "/a", "/b", "/none", "/none"] {
            let answer = service.clone().oneshot(request(path));
            drop(answer.await.unwrap().into_body().collect().await);
        }
    };
    timeout(Duration::from_secs(5), all).await.unwrap();
}

#[tokio::test]
async fn a_hit_is_answered_while_the_handlers_are_saturated() {
    let gate = Gate::new();
    let inside = gate.clone();
    let slow = move || {
        let gate = inside.clone();
        async move {
            gate.pass().await;
            "slow"
        }
    };
    let origin = Router::new()
        .route("/a", get(counted()))
        .route("/b", get(slow));
    let origin = ServiceBuilder::new().concurrency_limit(1).service(origin);
    let service = CacheLayer::new(&larder().await)
        .routes(table())
        .layer(origin);
    drop(service.clone().oneshot(request("/a")).await.unwrap());
    settle().await;
    let waiting = tokio::spawn(service.clone().oneshot(request("/b")));
    settle().await;
    let hit = timeout(Duration::from_secs(5), service.oneshot(request("/a")));
    let hit = hit.await.unwrap().unwrap();
    let told = hit.headers()["cache-status"].to_str().unwrap();
    assert!(told.contains("hit"), "{told}");
    gate.open();
    assert!(waiting.await.unwrap().is_ok());
}

#[tokio::test]
async fn the_size_of_a_body_is_told_exactly_only_where_no_trailers_follow() {
    for (with_trailers, exact) in [(true, None), (false, Some(1))] {
        let app = App::new(Policy::ttl(mins(1)), move |_, _| async move {
            let trailers = HeaderMap::from_iter([("x-sum".parse().unwrap(), "7".parse().unwrap())]);
            let mut frames = std::collections::VecDeque::from([data("a")]);
            frames.extend(with_trailers.then(|| Ok(Frame::trailers(trailers))));
            let body = Frames {
                frames,
                length: None,
            };
            Ok(Response::new(Body::new(body)))
        })
        .await;
        app.get("/a").await;
        settle().await;
        let hit = app.send(request("/a")).await.unwrap();
        assert_eq!(http_body::Body::size_hint(hit.body()).exact(), exact);
    }
}

#[tokio::test]
async fn pages_of_nested_routers_are_told_apart() {
    let larder = larder().await;
    let inner = |body: &'static str| {
        let page = get(move || async move { body }).layer(larder.route(Policy::ttl(mins(1))));
        Router::new().route("/a", page)
    };
    let app = Router::new()
        .nest("/one", inner("one"))
        .nest("/two", inner("two"));
    for _ in 0..2 {
        for (path, body) in [("/one/a", "one"), ("/two/a", "two")] {
            let seen = read(app.clone().oneshot(request(path)).await.unwrap()).await;
            assert_eq!(seen.body, body);
        }
    }
    assert_eq!(larder.statistics().entries, 2);
}

/// A service that must be made ready before each call, and whose clones are not.
#[derive(Default)]
struct Strict(bool);

impl Clone for Strict {
    fn clone(&self) -> Self {
        Self(false)
    }
}

impl Service<Request<Body>> for Strict {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = std::future::Ready<Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.0 = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<Body>) -> Self::Future {
        assert!(
            std::mem::take(&mut self.0),
            "called although it was not ready"
        );
        std::future::ready(Ok(Response::new(Body::from("a"))))
    }
}

#[tokio::test]
async fn the_inner_service_is_made_ready_before_each_call() {
    let routes = Routes::new()
        .get("/a", Policy::ttl(mins(1)))
        .build()
        .unwrap();
    let mut service = CacheLayer::new(&larder().await)
        .routes(routes)
        .layer(Strict::default());
    for method in ["GET", "HEAD", "OPTIONS", "POST", "DELETE"] {
        for path in ["/a", "/not-cached"] {
            for _ in 0..2 {
                let mut asked = request(path);
                *asked.method_mut() = method.parse().unwrap();
                let answer = service.ready().await.unwrap().call(asked).await.unwrap();
                assert_eq!(answer.status(), StatusCode::OK);
            }
        }
    }
}

#[tokio::test]
async fn trailers_arrive_on_a_pass_a_miss_and_a_hit() {
    for policy in [Policy::ttl(mins(1)), Policy::new().no_store()] {
        let app = App::new(policy, |_, _| async {
            let trailers = HeaderMap::from_iter([("x-sum".parse().unwrap(), "7".parse().unwrap())]);
            let frames = [data("a"), Ok(Frame::trailers(trailers))].into();
            let body = Frames {
                frames,
                length: None,
            };
            Ok(Response::new(Body::new(body)))
        })
        .await;
        for _ in 0..2 {
            let response = app.send(request("/a")).await.unwrap();
            let collected = response.into_body().collect().await.unwrap();
            assert_eq!(collected.trailers().unwrap()["x-sum"], "7");
            assert_eq!(collected.to_bytes(), "a");
            settle().await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_head_and_each_event_of_a_stream_arrive_at_once() {
    let app = App::new(Policy::ttl(mins(1)), |_, _| async {
        let (mut events, body) = Channel::<Bytes, Infallible>::new(1);
        tokio::spawn(async move {
            drop(events.send_data(Bytes::from_static(b"data: 1\n\n")).await);
            std::future::pending::<()>().await;
        });
        let mut response = Response::new(Body::new(body));
        let events = "text/event-stream".parse().unwrap();
        response.headers_mut().insert(CONTENT_TYPE, events);
        Ok(response)
    })
    .await;
    for _ in 0..2 {
        let asked = timeout(Duration::from_millis(1), app.send(request("/a")));
        let mut body = asked.await.unwrap().unwrap().into_body();
        let event = timeout(Duration::from_millis(1), body.frame())
            .await
            .unwrap();
        assert_eq!(event.unwrap().unwrap().into_data().unwrap(), "data: 1\n\n");
    }
    assert_eq!(app.runs(), 2);
}

#[tokio::test]
async fn a_body_over_the_limit_arrives_whole_and_is_not_stored() {
    for announced in [true, false] {
        let app = App::new(Policy::ttl(mins(1)).max_body(5), move |_, _| async move {
            let frames = [data("0123"), data("4567"), data("89")].into();
            let length = announced.then_some(10);
            Ok(Response::new(Body::new(Frames { frames, length })))
        })
        .await;
        for run in 1..3 {
            assert_eq!(app.get("/a").await.body, "0123456789");
            settle().await;
            assert_eq!(app.runs(), run);
        }
    }
}

#[tokio::test]
async fn extensions_of_a_request_reach_its_handler() {
    let app = Router::new()
        .route(
            "/a",
            get(|Extension(user): Extension<&'static str>| async move { user }),
        )
        .layer(CacheLayer::new(&larder().await).routes(table()))
        .layer(Extension("somebody"));
    let page = Router::new().route(
        "/a",
        get(|Extension(user): Extension<&'static str>| async move { user }),
    );
    let near = page
        .layer(larder().await.route(Policy::ttl(mins(1))))
        .layer(Extension("somebody"));
    for app in [app, near] {
        let seen = read(app.oneshot(request("/a")).await.unwrap()).await;
        assert_eq!(seen.body, "somebody");
    }
}

/// A body that can not be shared between threads.
struct Unshared(Cell<Option<Bytes>>);

impl http_body::Body for Unshared {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.take().map(|bytes| Ok(Frame::data(bytes))))
    }
}

#[tokio::test]
async fn bodies_need_not_be_sync() {
    let origin = tower::service_fn(|_: Request<Unshared>| async {
        let body = Unshared(Cell::new(Some(Bytes::from_static(b"a"))));
        Ok::<_, Infallible>(Response::new(body))
    });
    let service = CacheLayer::new(&larder().await)
        .routes(table())
        .layer(origin);
    for _ in 0..2 {
        let asked = request("/a").map(|_| Unshared(Cell::new(None)));
        let response = service.clone().oneshot(asked).await.unwrap();
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(bytes, "a");
    }
}

/// Serves a cached page over a socket of the machine's own, and returns where.
async fn served() -> std::net::SocketAddr {
    let layer = CacheLayer::new(&larder().await).routes(table());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let page = counted();
    let origin = tower::service_fn(move |_: Request<hyper::body::Incoming>| {
        let body = page().into_inner();
        async move { Ok::<_, Infallible>(Response::new(Full::new(Bytes::from(body)))) }
    });
    let service = layer.layer(origin);
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let service = TowerToHyperService::new(service.clone());
            let server = hyper::server::conn::http1::Builder::new();
            tokio::spawn(server.serve_connection(TokioIo::new(socket), service));
        }
    });
    address
}

#[tokio::test]
async fn it_serves_over_a_bare_hyper_server_and_caches_before_a_client() {
    let address = served().await;
    let client = Client::builder(TokioExecutor::new()).build_http::<Body>();
    let asked = || {
        let uri = format!("http://{address}/a");
        Request::builder().uri(uri).body(Body::empty()).unwrap()
    };
    let told = |response: &Response<_>| response.headers()["cache-status"].clone();
    let direct = client.request(asked()).await.unwrap();
    assert_eq!(
        told(&direct.map(drop)),
        "larder; fwd=uri-miss; stored; ttl=60"
    );
    let direct = client.request(asked()).await.unwrap();
    assert_eq!(direct.headers()["content-length"], "8");
    assert_eq!(
        told(&direct.map(drop)),
        "larder; hit; ttl=60; detail=MEMORY"
    );
    let named = Larder::builder().name("client").build().await.unwrap();
    let cached = CacheLayer::new(&named).routes(table()).layer(client);
    for last in [
        "client; fwd=uri-miss; stored; ttl=60",
        "client; hit; ttl=60; detail=MEMORY",
    ] {
        let response = cached.clone().oneshot(asked()).await.unwrap();
        let status = response.headers().get_all("cache-status");
        let all: Vec<_> = status.iter().map(|value| value.to_str().unwrap()).collect();
        let all = all.join(", ");
        assert!(all.ends_with(last), "{all}");
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(bytes, "by run 1");
        settle().await;
    }
}

#[tokio::test]
async fn around_a_finished_router_over_a_socket() {
    let larder = larder().await;
    let routes = Routes::new()
        .get("/shop/items/{id}", Policy::ttl(mins(1)).tag("item:{id}"))
        .on("PUT /shop/items/{id}", Invalidate::tags(["item:{id}"]))
        .build()
        .unwrap();
    let items = Router::new().route("/items/{id}", get(counted()).put(|| async {}));
    let router = Router::new().nest("/shop", items);
    let app = CacheLayer::new(&larder).routes(routes).around(router);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let host = listener.local_addr().unwrap().to_string();
    let serving = axum::serve(
        listener,
        axum::ServiceExt::<Request<Body>>::into_make_service(app),
    );
    let serving = tokio::spawn(serving.into_future());
    let client = Client::builder(TokioExecutor::new()).build_http();
    let ask = async |method: &str, path: &str| {
        let request = Request::builder()
            .method(method)
            .uri(format!("http://{host}{path}"))
            .body(Body::empty())
            .unwrap();
        let response: Response<_> = client.request(request).await.unwrap();
        let status = response.status();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    };
    let found = |text: &str| (StatusCode::OK, text.to_owned());
    assert_eq!(ask("GET", "/shop/items/1").await, found("by run 1"));
    assert_eq!(ask("GET", "/shop/items/1").await, found("by run 1"));
    assert_eq!(ask("GET", "/shop/items/2").await, found("by run 2"));
    assert_eq!(ask("PUT", "/shop/items/1").await, found(""));
    assert_eq!(ask("GET", "/shop/items/1").await, found("by run 3"));
    assert_eq!(ask("GET", "/shop/items/2").await, found("by run 2"));
    assert_eq!(ask("GET", "/nothing").await.0, StatusCode::NOT_FOUND);
    serving.abort();
}

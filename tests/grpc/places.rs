//! The layer around one service, inside an axum router, under the layer of its pages and behind the
//! translation for browsers.

use axum::{
    Router,
    body::Body,
    extract::{Path, State},
    routing::get as page,
};
use bytes::Bytes;
use http::{Request, header::CONTENT_TYPE};
use http_body_util::{BodyExt, Full};
use larder::{CacheLayer, GrpcCacheLayer, Invalidate, Larder, Policy, Routes, mins, secs};
use tokio::net::TcpListener;
use tonic::{
    Status,
    service::{LayerExt, interceptor::InterceptedService},
    transport::Server,
};
use tonic_web::GrpcWebLayer;
use tower::ServiceExt;

use crate::{
    ground::GetRequest,
    raw::frame,
    shop::{GET, Shop, client, get, incoming, larder, methods, put, told, until_kept},
};

fn layer(larder: &Larder) -> GrpcCacheLayer {
    let methods = methods(Policy::ttl(mins(1)).tag("items"));
    GrpcCacheLayer::new(larder).methods(methods.build().unwrap())
}

#[tokio::test]
async fn around_one_service_with_an_interceptor() {
    let ((larder, _), shop, (address, incoming)) = (larder().await, Shop::new(), incoming().await);
    let checked =
        InterceptedService::new(shop.service(), |request: tonic::Request<()>| match request
            .metadata()
            .get("x-banned")
        {
            None => Ok(request),
            Some(_) => Err(Status::permission_denied("banned")),
        });
    let cached = layer(&larder).named_layer(checked);
    let server = Server::builder()
        .add_service(cached)
        .serve_with_incoming(incoming);
    tokio::spawn(server);
    let mut client = client(address).await;
    assert_eq!(told(&until_kept(&mut client, "a").await).0, "1");
    let mut banned = get("b");
    banned
        .metadata_mut()
        .insert("x-banned", "1".parse().unwrap());
    let refused = client.get(banned).await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::PermissionDenied);
    assert_eq!(told(&client.get(get("b")).await.unwrap()).0, "2");
}

async fn show(State(shop): State<Shop>, Path(id): Path<String>) -> String {
    format!("{} by run {}", shop.version(&id), shop.begin())
}

async fn change(State(shop): State<Shop>, Path(id): Path<String>) -> String {
    shop.begin();
    shop.write(&id).to_string()
}

/// Pages and methods of one shop in one router, the layers in either order.
async fn mixed(pages_outside: bool) -> (Shop, std::net::SocketAddr, Router) {
    let ((larder, _), shop) = (larder().await, Shop::new());
    let routes = Routes::new()
        .get("/items/{id}", Policy::ttl(mins(1)).tag("item:{id}"))
        .on("PUT /items/{id}", Invalidate::tags(["item:{id}"]))
        .build()
        .unwrap();
    let router = tonic::service::Routes::new(shop.service())
        .into_axum_router()
        .merge(
            Router::new()
                .route("/items/{id}", page(show).put(change))
                .with_state(shop.clone()),
        );
    let pages = CacheLayer::new(&larder).routes(routes);
    let router = if pages_outside {
        router.layer(layer(&larder)).layer(pages)
    } else {
        router.layer(pages).layer(layer(&larder))
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let served = router.clone();
    tokio::spawn(async move { axum::serve(listener, served).await });
    (shop, address, router)
}

async fn ask(router: &Router, method: &str, path: &str) -> String {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", "a.test")
        .body(Body::empty())
        .unwrap();
    let response = router.clone().oneshot(request).await.unwrap();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    String::from_utf8(body.to_vec()).unwrap()
}

#[tokio::test]
async fn in_one_router_with_pages_each_invalidates_the_other() {
    for pages_outside in [true, false] {
        let (shop, address, router) = mixed(pages_outside).await;
        let mut client = client(address).await;
        // A call is a POST, which to the layer of pages may change its own path; it does not.
        for _ in 0..3 {
            assert_eq!(
                told(&until_kept(&mut client, "a").await).0,
                "1",
                "{pages_outside}"
            );
        }
        for _ in 0..2 {
            assert_eq!(ask(&router, "GET", "/items/a").await, "0 by run 2");
        }
        client.put(put("a")).await.unwrap();
        assert_eq!(ask(&router, "GET", "/items/a").await, "1 by run 4");
        assert_eq!(client.get(get("a")).await.unwrap().get_ref().version, 1);
        until_kept(&mut client, "a").await;
        assert_eq!(ask(&router, "PUT", "/items/a").await, "2");
        assert_eq!(client.get(get("a")).await.unwrap().get_ref().version, 2);
        assert!(ask(&router, "GET", "/items/a").await.starts_with("2 "));
        assert_eq!(shop.runs(), 8, "{pages_outside}");
    }
}

#[tokio::test]
async fn behind_the_translation_browsers_and_others_share() {
    let ((larder, _), shop, (address, incoming)) = (larder().await, Shop::new(), incoming().await);
    let server = Server::builder()
        .accept_http1(true)
        .layer(GrpcWebLayer::new())
        .layer(layer(&larder))
        .add_service(shop.service())
        .serve_with_incoming(incoming);
    tokio::spawn(server);
    let mut native = client(address).await;
    assert_eq!(told(&until_kept(&mut native, "a").await).0, "1");
    let browser = hyper_util::client::legacy::Client::builder(hyper_util::rt::TokioExecutor::new())
        .build_http::<Full<Bytes>>();
    let message = prost::Message::encode_to_vec(&GetRequest {
        id: "a".into(),
        delay_ms: 0,
    });
    for _ in 0..2 {
        let request = Request::post(format!("http://{address}{GET}"))
            .header(CONTENT_TYPE, "application/grpc-web+proto")
            .header("x-grpc-web", "1")
            .body(Full::new(frame(&message)))
            .unwrap();
        let answer = tokio::time::timeout(secs(10), browser.request(request));
        let response = answer.await.unwrap().unwrap();
        assert_eq!(response.headers()["x-run"], "1");
        assert_eq!(
            response.headers()[CONTENT_TYPE],
            "application/grpc-web+proto"
        );
        let body = response.into_body().collect().await.unwrap().to_bytes();
        // The message, and the trailers as the last frame of the body.
        let text = String::from_utf8_lossy(&body);
        assert!(text.contains("grpc-status:0"), "{text:?}");
    }
    assert_eq!(told(&native.get(get("a")).await.unwrap()).0, "1");
    assert_eq!(shop.runs(), 1);
}

//! Pages that are made of values die with them.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use axum::{Router, body::Body, extract::Path, routing::get};
use http::{Request, header};
use http_body_util::BodyExt;
use larder::{CacheLayer, Larder, Policy, Routes, Typed, mins};
use tokio::sync::{Notify, watch};
use tokio_stream::StreamExt;
use tower::ServiceExt;

use super::larder;

#[derive(Clone)]
struct Shop {
    prices: Typed<u64>,
    truth: Arc<AtomicU64>,
}

impl Shop {
    async fn price(&self, id: &str) -> u64 {
        let truth = Arc::clone(&self.truth);
        let price = self.prices.get_or_load(id, move |_| async move {
            Ok::<_, io::Error>(Some(truth.load(Ordering::SeqCst)))
        });
        *price.await.unwrap().unwrap()
    }

    async fn app(&self, larder: &Larder, declared: bool) -> Router {
        let [direct, spawned, missing, streamed] = [(); 4].map(|()| self.clone());
        let router = Router::new()
            .route(
                "/direct/{id}",
                get(|Path(id): Path<String>| async move {
                    (
                        [(header::CACHE_CONTROL, "max-age=60")],
                        direct.price(&id).await.to_string(),
                    )
                }),
            )
            .route(
                "/spawned/{id}",
                get(|Path(id): Path<String>| async move {
                    let read = larder::inherit(async move { spawned.price(&id).await });
                    let price = tokio::spawn(read).await.unwrap();
                    ([(header::CACHE_CONTROL, "max-age=60")], price.to_string())
                }),
            )
            .route(
                "/streamed/{id}",
                get(|Path(id): Path<String>| async move {
                    // The head is out before anything is read.
                    let body = Body::from_stream(tokio_stream::once(()).then(move |()| {
                        let (shop, id) = (streamed.clone(), id.clone());
                        async move { Ok::<_, io::Error>(shop.price(&id).await.to_string()) }
                    }));
                    (
                        [
                            (header::CACHE_CONTROL, "max-age=60"),
                            (header::CONTENT_LENGTH, "1"),
                        ],
                        body,
                    )
                }),
            )
            .route(
                "/missing/{id}",
                get(|Path(id): Path<String>| async move {
                    let text = match missing.prices.get(&id).await {
                        Some(price) => price.to_string(),
                        None => "none".into(),
                    };
                    ([(header::CACHE_CONTROL, "max-age=60")], text)
                }),
            );
        let layer = CacheLayer::new(larder);
        if !declared {
            return router.layer(layer);
        }
        let kinds = ["direct", "spawned", "missing", "streamed"];
        let table = kinds.into_iter().fold(Routes::new(), |routes, kind| {
            routes.get(&format!("/{kind}/{{id}}"), Policy::ttl(mins(1)))
        });
        let table = table.build().unwrap();
        router.layer(layer.routes(table))
    }
}

async fn body(app: &Router, path: &str) -> String {
    let request = Request::get(path).header(header::HOST, "a.test");
    let response = app
        .clone()
        .oneshot(request.body(Body::empty()).unwrap())
        .await
        .unwrap();
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(bytes.into()).unwrap()
}

#[tokio::test]
async fn a_page_is_void_when_a_value_is_that_its_handler_read() {
    for declared in [true, false] {
        for path in ["/direct/7", "/spawned/7", "/streamed/7"] {
            let (larder, _) = larder().await;
            let shop = Shop {
                prices: larder.typed("price"),
                truth: Arc::new(AtomicU64::new(1)),
            };
            let app = shop.app(&larder, declared).await;
            assert_eq!(body(&app, path).await, "1", "{path}");
            shop.truth.store(2, Ordering::SeqCst);
            assert_eq!(body(&app, path).await, "1", "{path} is a hit");
            shop.prices.remove("7").await;
            assert_eq!(body(&app, path).await, "2", "{path}, declared: {declared}");
        }
    }
}

#[tokio::test]
async fn whoever_comes_after_a_value_became_void_is_not_given_a_body_that_had_read_it() {
    let (larder, _) = larder().await;
    let shop = Shop {
        prices: larder.typed("price"),
        truth: Arc::new(AtomicU64::new(1)),
    };
    let (open, gate) = watch::channel(false);
    let has_read = Arc::new(Notify::new());
    let (handler_shop, noted) = (shop.clone(), Arc::clone(&has_read));
    let handler = move || {
        let (shop, gate, noted) = (handler_shop.clone(), gate.clone(), Arc::clone(&noted));
        let parts = tokio_stream::iter([true, false]).then(move |is_first| {
            let (shop, mut gate, noted) = (shop.clone(), gate.clone(), Arc::clone(&noted));
            async move {
                if is_first {
                    let price = shop.price("7").await.to_string();
                    noted.notify_one();
                    return Ok::<_, io::Error>(price);
                }
                gate.wait_for(|open| *open).await.unwrap();
                Ok("!".to_owned())
            }
        });
        async { ([(header::CONTENT_LENGTH, "2")], Body::from_stream(parts)) }
    };
    let table = Routes::new()
        .get("/", Policy::ttl(mins(1)))
        .build()
        .unwrap();
    let app = Router::new()
        .route("/", get(handler))
        .layer(CacheLayer::new(&larder).routes(table));
    let ask = |app: &Router| {
        let app = app.clone();
        tokio::spawn(async move { body(&app, "/").await })
    };
    let before = ask(&app);
    has_read.notified().await;
    shop.truth.store(2, Ordering::SeqCst);
    shop.prices.remove("7").await;
    let after = ask(&app);
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
    open.send(true).unwrap();
    assert_eq!(before.await.unwrap(), "1!");
    assert_eq!(after.await.unwrap(), "2!");
    assert_eq!(body(&app, "/").await, "2!");
}

#[tokio::test]
async fn a_page_whose_body_reads_more_values_than_it_may_have_tags_is_not_stored() {
    for (values, is_stored) in [(60, true), (70, false)] {
        let (larder, _) = larder().await;
        let all = larder.typed::<u64>("value");
        let runs = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&runs);
        let body_of_values = move || {
            counted.fetch_add(1, Ordering::SeqCst);
            let all = all.clone();
            let body = tokio_stream::iter(0..values).then(move |id| {
                let all = all.clone();
                async move {
                    all.get(&id.to_string()).await;
                    Ok::<_, io::Error>("x")
                }
            });
            async { Body::from_stream(body) }
        };
        let table = Routes::new()
            .get("/", Policy::ttl(mins(1)))
            .build()
            .unwrap();
        let app = Router::new()
            .route("/", get(body_of_values))
            .layer(CacheLayer::new(&larder).routes(table));
        for _ in 0..2 {
            assert_eq!(body(&app, "/").await.len(), values);
        }
        let expected = if is_stored { 1 } else { 2 };
        assert_eq!(runs.load(Ordering::SeqCst), expected, "{values} values");
    }
}

#[tokio::test]
async fn a_page_inherits_also_from_a_value_that_was_stored_already() {
    let (larder, _) = larder().await;
    let shop = Shop {
        prices: larder.typed("price"),
        truth: Arc::new(AtomicU64::new(1)),
    };
    assert_eq!(shop.price("7").await, 1);
    let app = shop.app(&larder, true).await;
    assert_eq!(body(&app, "/direct/7").await, "1");
    shop.truth.store(2, Ordering::SeqCst);
    larder.invalidate_tag("price:7").await;
    assert_eq!(body(&app, "/direct/7").await, "2");
}

#[tokio::test]
async fn a_page_that_was_made_of_the_lack_of_a_value_is_void_when_it_is_written() {
    let (larder, _) = larder().await;
    let shop = Shop {
        prices: larder.typed("price"),
        truth: Arc::default(),
    };
    let app = shop.app(&larder, true).await;
    assert_eq!(body(&app, "/missing/7").await, "none");
    let written = shop
        .prices
        .write_through("7", 3, async { Ok::<_, io::Error>(()) });
    assert!(written.await.unwrap().stored);
    assert_eq!(body(&app, "/missing/7").await, "3");
}

#[tokio::test]
async fn a_value_that_is_made_of_values_is_void_with_them() {
    let (larder, _) = larder().await;
    let (parts, sums) = (larder.typed::<u64>("part"), larder.typed::<u64>("sum"));
    parts.insert("1", 1).await;
    let sum = || {
        let parts = parts.clone();
        sums.get_or_load("all", move |_| async move {
            let part = parts.get("1").await.map_or(0, |part| *part);
            Ok::<_, io::Error>(Some(10 + part))
        })
    };
    assert_eq!(sum().await.unwrap().as_deref(), Some(&11));
    parts.remove("1").await;
    assert_eq!(sum().await.unwrap().as_deref(), Some(&10));
}

/// Nobody has named a kind of values before the first page is made of one.
#[tokio::test]
async fn a_page_whose_own_handler_first_names_a_kind_of_values_dies_with_them() {
    let (larder, _) = larder().await;
    let truth = Arc::new(AtomicU64::new(1));
    let (cache, price) = (larder.clone(), Arc::clone(&truth));
    let handler = move |Path(id): Path<String>| async move {
        let prices = cache.typed::<u64>("price");
        let load = prices.get_or_load(&id, move |_| async move {
            Ok::<_, io::Error>(Some(price.load(Ordering::SeqCst)))
        });
        load.await.unwrap().unwrap().to_string()
    };
    let table = Routes::new().get("/{id}", Policy::ttl(mins(1)));
    let app = Router::new()
        .route("/{id}", get(handler))
        .layer(CacheLayer::new(&larder).routes(table.build().unwrap()));
    assert_eq!(body(&app, "/7").await, "1");
    truth.store(2, Ordering::SeqCst);
    assert_eq!(body(&app, "/7").await, "1", "it is a hit");
    larder.invalidate([larder::Target::tag("price:7")]).await;
    assert_eq!(body(&app, "/7").await, "2");
}

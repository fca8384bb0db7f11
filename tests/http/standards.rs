//! What the standards ask of a cache as a whole, where no single room of the source can show it.

use axum::body::Body;
use http::{Method, Request, Response, StatusCode};
use larder::{CacheLayer, Larder, Policy, Routes, mins, secs};
use tower::Layer;

use crate::app::{App, Origin, Seen, read, request, settle};

/// A cache inside an application, with a lifetime of ten seconds for all pages.
fn pages(larder: &Larder) -> CacheLayer {
    let policy = Policy::ttl(secs(10));
    CacheLayer::new(larder).routes(Routes::new().get("/{page}", policy).build().unwrap())
}

/// A page with these fields, which says by which run it was made.
fn page(run: usize, fields: &[(&'static str, &'static str)]) -> Response<Body> {
    let mut response = Response::new(Body::from(format!("by run {run}")));
    for (name, value) in fields {
        response.headers_mut().append(*name, value.parse().unwrap());
    }
    response
}

fn asked(method: Method, path: &str, fields: &[(&'static str, &'static str)]) -> Request<Body> {
    let mut asked = request(path);
    *asked.method_mut() = method;
    for (name, value) in fields {
        asked.headers_mut().append(*name, value.parse().unwrap());
    }
    asked
}

async fn send(app: &App, request: Request<Body>) -> Seen {
    let seen = read(app.send(request).await.unwrap()).await;
    settle().await;
    seen
}

async fn get(app: &App, path: &str) -> Seen {
    send(app, request(path)).await
}

/// An app behind `layer`, whose pages have these fields.
async fn with<L>(layer: impl FnOnce(&Larder) -> L, fields: &'static [(&str, &str)]) -> App
where
    L: Layer<Origin, Service = larder::Cache<Origin>>,
{
    App::with(layer, move |run, _| async move { Ok(page(run, fields)) }).await
}

// RFC 9111 §4.1
#[tokio::test]
async fn of_several_suitable_responses_the_most_recent_is_used() {
    let app = App::with(pages, |run, request: Request<Body>| async move {
        let varies = if request.headers().contains_key("x-b") {
            "x-a, x-b"
        } else {
            "x-a"
        };
        Ok(page(run, &[("vary", varies)]))
    })
    .await;
    let older = send(&app, asked(Method::GET, "/a", &[("x-a", "1")])).await;
    assert_eq!(older.body, "by run 1");
    let both = [("x-a", "1"), ("x-b", "1")];
    // What is stored for `x-a` alone suits this one too; so the newer one is made by asking anew.
    assert_eq!(
        send(&app, asked(Method::GET, "/a", &both)).await.body,
        "by run 1"
    );
    app.larder
        .invalidate_soft([larder::Target::url("/a")])
        .await;
    assert_eq!(
        send(&app, asked(Method::GET, "/a", &both)).await.body,
        "by run 2"
    );
    assert_eq!(
        send(&app, asked(Method::GET, "/a", &both)).await.body,
        "by run 2"
    );
}

// RFC 9111 §4.3.3
#[tokio::test]
async fn a_full_response_to_a_validation_takes_the_place_of_the_stored_one() {
    let app = with(pages, &[("etag", "\"1\"")]).await;
    get(&app, "/a").await;
    app.clock.advance(secs(11));
    let seen = get(&app, "/a").await;
    assert_eq!(seen.body, "by run 2");
    assert_eq!(seen.told(), "larder; fwd=stale; stored; ttl=10");
    assert_eq!(
        get(&app, "/a").await.told(),
        "larder; hit; ttl=10; detail=MEMORY"
    );
}

// RFC 9111 §4.3.4
#[tokio::test]
async fn a_confirmation_makes_fields_and_lifetime_new_and_keeps_the_body() {
    let app = App::with(pages, |run, request: Request<Body>| async move {
        let fields: &[_] = if run == 1 {
            &[("etag", "\"1\""), ("x-a", "old"), ("x-b", "kept")]
        } else {
            &[("etag", "\"1\""), ("x-a", "new"), ("content-length", "0")]
        };
        let mut response = page(run, fields);
        if request.headers().contains_key("if-none-match") {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            *response.body_mut() = Body::empty();
        }
        Ok(response)
    })
    .await;
    get(&app, "/a").await;
    app.clock.advance(secs(11));
    for told in [
        "larder; fwd=stale; fwd-status=304; stored; ttl=10",
        "larder; hit; ttl=10; detail=MEMORY",
    ] {
        let seen = get(&app, "/a").await;
        assert_eq!((seen.body.as_str(), seen.told()), ("by run 1", told));
        assert_eq!(
            (&seen.headers["x-a"], &seen.headers["x-b"]),
            (&"new".parse().unwrap(), &"kept".parse().unwrap())
        );
    }
}

// RFC 9111 §4.3.5
#[tokio::test]
async fn the_answer_to_a_head_makes_a_stored_page_new_or_void() {
    for (tag, body) in [("\"1\"", "by run 1"), ("\"2\"", "by run 3")] {
        let app = App::with(pages, move |run, request: Request<Body>| async move {
            if *request.method() == Method::HEAD {
                let mut response = page(run, &[("etag", tag)]);
                *response.body_mut() = Body::empty();
                return Ok(response);
            }
            Ok(page(run, &[("etag", "\"1\"")]))
        })
        .await;
        get(&app, "/a").await;
        app.clock.advance(secs(11));
        let head = send(&app, asked(Method::HEAD, "/a", &[])).await;
        assert_eq!((head.body.as_str(), app.runs()), ("", 2));
        assert_eq!(get(&app, "/a").await.body, body, "{tag}");
    }
}

/// A body can not be confirmed by an answer that names nothing to tell it by.
#[tokio::test]
async fn a_head_that_names_no_validator_makes_no_old_body_new() {
    let app = App::with(pages, |run, request: Request<Body>| async move {
        let mut response = page(run, &[("content-length", "8")]);
        if *request.method() == Method::HEAD {
            *response.body_mut() = Body::empty();
        }
        Ok(response)
    })
    .await;
    assert_eq!(get(&app, "/a").await.body, "by run 1");
    app.clock.advance(secs(11));
    send(&app, asked(Method::HEAD, "/a", &[])).await;
    assert_eq!(get(&app, "/a").await.body, "by run 3");
    app.larder
        .invalidate_soft([larder::Target::url("/a")])
        .await;
    send(&app, asked(Method::HEAD, "/a", &[])).await;
    assert_eq!(get(&app, "/a").await.body, "by run 5");
}

// RFC 9111 §4.4
#[tokio::test]
async fn a_change_makes_all_variants_and_queries_of_its_page_void() {
    let app = with(pages, &[("vary", "x-a")]).await;
    let variants = || {
        ["1", "2"].into_iter().flat_map(|value| {
            ["/a", "/a?b"].map(|path| asked(Method::GET, path, &[("x-a", value)]))
        })
    };
    for variant in variants() {
        send(&app, variant).await;
    }
    for variant in variants() {
        assert!(send(&app, variant).await.told().contains("hit"));
    }
    send(&app, asked(Method::PUT, "/a", &[])).await;
    for variant in variants() {
        assert!(send(&app, variant).await.told().contains("fwd=miss"));
    }
}

// RFC 9111 §4.4
#[tokio::test]
async fn a_change_counts_whatever_it_says_of_storing_and_a_refused_one_does_not() {
    let app = App::with(pages, |run, request: Request<Body>| async move {
        let mut response = page(run, &[]);
        if request.headers().contains_key("x-refuse") {
            *response.status_mut() = StatusCode::CONFLICT;
        }
        Ok(response)
    })
    .await;
    get(&app, "/a").await;
    send(&app, asked(Method::PUT, "/a", &[("x-refuse", "1")])).await;
    assert_eq!(get(&app, "/a").await.body, "by run 1");
    send(
        &app,
        asked(Method::PUT, "/a", &[("cache-control", "no-store")]),
    )
    .await;
    assert_eq!(get(&app, "/a").await.body, "by run 4");
}

// RFC 9111 §4.4
#[tokio::test]
async fn an_unknown_method_is_a_change_and_a_safe_one_is_not() {
    let app = with(pages, &[]).await;
    get(&app, "/a").await;
    // QUERY is safe; its answer depends on its body, so it is neither stored nor looked up.
    for (method, body) in [
        ("QUERY", "by run 1"),
        ("OPTIONS", "by run 1"),
        ("FROB", "by run 5"),
    ] {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let seen = send(&app, asked(method.clone(), "/a", &[])).await;
        assert_ne!(seen.body, "by run 1", "{method}");
        assert_eq!(get(&app, "/a").await.body, body, "{method}");
    }
}

// RFC 5861 §3
#[tokio::test]
async fn a_stale_answer_goes_on_ageing_and_says_for_how_long_it_has_been_stale() {
    let layer = |larder: &Larder| {
        let policy = Policy::ttl(secs(10)).stale_while_revalidate(mins(1));
        CacheLayer::new(larder).routes(Routes::new().get("/{page}", policy).build().unwrap())
    };
    let app = App::with(layer, |run, _| async move {
        if run > 1 {
            std::future::pending::<()>().await;
        }
        Ok(page(run, &[]))
    })
    .await;
    get(&app, "/a").await;
    for (age, ttl) in [("12", "-2"), ("15", "-5")] {
        app.clock.advance(secs(if age == "12" { 12 } else { 3 }));
        let seen = get(&app, "/a").await;
        assert_eq!(seen.headers["age"], age);
        assert_eq!(
            seen.told(),
            format!("larder; hit; ttl={ttl}; detail=MEMORY")
        );
    }
}

// RFC 9211 §2
#[tokio::test]
async fn our_word_is_added_after_that_of_caches_nearer_to_the_origin_and_never_stored() {
    let app = with(pages, &[("cache-status", "near; hit")]).await;
    let lines = |seen: &Seen| {
        let lines = seen.headers.get_all("cache-status").iter();
        let lines: Vec<_> = lines.map(|line| line.to_str().unwrap()).collect();
        lines.join(", ")
    };
    let first = get(&app, "/a").await;
    assert_eq!(
        lines(&first),
        "near; hit, larder; fwd=uri-miss; stored; ttl=10"
    );
    for _ in 0..2 {
        let again = get(&app, "/a").await;
        assert_eq!(
            lines(&again),
            "near; hit, larder; hit; ttl=10; detail=MEMORY"
        );
    }
}

// RFC 9211 §2
#[tokio::test]
async fn what_the_cache_itself_refuses_carries_no_word_of_it() {
    let app = with(CacheLayer::gateway, &[]).await;
    let only = [("cache-control", "only-if-cached")];
    let seen = send(&app, asked(Method::GET, "/a", &only)).await;
    assert_eq!(
        (seen.status, seen.told()),
        (StatusCode::GATEWAY_TIMEOUT, "")
    );
    assert_eq!(app.runs(), 0);
}

// RFC 9211 §2
#[tokio::test]
async fn the_field_can_be_switched_off() {
    let larder = Larder::builder().cache_status(false).build().await.unwrap();
    let handler = tower::service_fn(|_| async { Ok::<_, std::convert::Infallible>(page(1, &[])) });
    let service = pages(&larder).layer(handler);
    for _ in 0..2 {
        let seen = tower::ServiceExt::oneshot(service.clone(), request("/a"));
        assert!(!seen.await.unwrap().headers().contains_key("cache-status"));
        settle().await;
    }
    assert_eq!(larder.statistics().stored(), 1);
}

// RFC 9875 §2
#[tokio::test]
async fn a_group_is_void_on_its_own_origin_alone_and_does_not_reach_further() {
    let app = App::with(pages, |run, request: Request<Body>| async move {
        Ok(match request.uri().path() {
            "/change" => page(run, &[("cache-group-invalidation", "\"one\"")]),
            "/a" => page(run, &[("cache-groups", "\"one\", \"two\"")]),
            _ => page(run, &[("cache-groups", "\"two\"")]),
        })
    })
    .await;
    let elsewhere = || {
        let mut request = request("/a");
        request
            .headers_mut()
            .insert("host", "b.test".parse().unwrap());
        request
    };
    get(&app, "/a").await;
    get(&app, "/b").await;
    send(&app, elsewhere()).await;
    // Only a change may say so.
    get(&app, "/change").await;
    assert_eq!(get(&app, "/a").await.body, "by run 1");
    send(&app, asked(Method::POST, "/change", &[])).await;
    assert_eq!(get(&app, "/a").await.body, "by run 6");
    assert_eq!(get(&app, "/b").await.body, "by run 2");
    assert_eq!(send(&app, elsewhere()).await.body, "by run 3");
}

// No-Vary-Search, draft 05, §5
#[tokio::test]
async fn a_change_reaches_what_other_queries_of_its_page_are_answered_from() {
    let layer = |larder: &Larder| {
        let policy = Policy::ttl(secs(10)).no_vary_search(true);
        CacheLayer::new(larder).routes(Routes::new().get("/{page}", policy).build().unwrap())
    };
    let fields = &[("no-vary-search", "params=(\"utm\")"), ("vary", "x-a")];
    let app = with(layer, fields).await;
    get(&app, "/a?utm=1").await;
    assert_eq!(get(&app, "/a?utm=2").await.body, "by run 1");
    // The other rules hold after the match.
    let varied = asked(Method::GET, "/a?utm=2", &[("x-a", "1")]);
    assert_eq!(send(&app, varied).await.body, "by run 2");
    send(&app, asked(Method::PUT, "/a?utm=3", &[])).await;
    assert_eq!(get(&app, "/a?utm=2").await.body, "by run 4");
}

// RFC 9530 §2, RFC 8586 §2
#[tokio::test]
async fn digests_of_the_bytes_sent_are_left_out_of_a_part_and_unknown_fields_are_kept() {
    let fields = &[
        ("content-digest", "sha-256=:a:"),
        ("repr-digest", "sha-256=:b:"),
        ("etag", "\"1\""),
        ("x-unknown", "kept"),
    ];
    let app = App::with(pages, move |run, request: Request<Body>| async move {
        assert_eq!(request.headers()["cdn-loop"], "a.test");
        Ok(page(run, fields))
    })
    .await;
    let looped = ("cdn-loop", "a.test");
    send(&app, asked(Method::GET, "/a", &[looped])).await;
    let part = asked(Method::GET, "/a", &[looped, ("range", "bytes=0-1")]);
    let seen = send(&app, part).await;
    assert_eq!(
        (seen.status, seen.body.as_str()),
        (StatusCode::PARTIAL_CONTENT, "by")
    );
    assert!(!seen.headers.contains_key("content-digest"));
    assert_eq!(seen.headers["repr-digest"], "sha-256=:b:");
    assert_eq!(seen.headers["x-unknown"], "kept");
}

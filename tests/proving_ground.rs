//! The proving ground does what its page says, so that what other suites see is the cache.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test may panic, and measures time"
)]

#[allow(dead_code, reason = "each suite uses its part")]
mod support;

use std::{
    env, fs,
    io::Read,
    path::Path,
    time::{Duration, Instant},
};

use flate2::read::GzDecoder;

use self::support::{
    ask::ctl,
    folder::Folder,
    message::{Answer, Request},
    process::Ground,
    script::is_alphabet,
    wire::Wire,
};

fn server() -> (Ground, [Wire; 2]) {
    let ground = Ground::start(&[]);
    let wires = Wire::both(ground.address()).unwrap();
    (ground, wires)
}

fn get(wire: &Wire, target: &str) -> Answer {
    wire.send(&Request::get(target)).unwrap()
}

fn ask(wire: &Wire, method: &str, target: &str) -> Answer {
    wire.send(&Request::new(method, target)).unwrap()
}

#[test]
fn an_environment_that_can_not_be_read_is_refused() {
    for (name, value) in [
        ("TTL", "abc"),
        ("SWR", "-1"),
        ("SIE", "1.5"),
        ("PRESET", "foo"),
        ("MEMORY_BYTES", "64MB"),
        ("WORKERS", "0"),
        ("ADMIN_TOKEN", ""),
        ("LOCK", "yes"),
        ("CONSISTENCY", "eventual"),
    ] {
        let (exit, words) = Ground::refuse(&[(name, value)]);
        assert!(!exit.success(), "{name}={value} was accepted");
        assert!(words.contains(name), "{words}");
    }
    let (exit, words) = Ground::refuse(&[("REDIS_URL", "http://:secret@127.0.0.1:1")]);
    assert!(!exit.success(), "such a Redis was accepted");
    assert!(words.contains("address of redis"), "{words}");
    assert!(!words.contains("secret"), "{words}");
}

#[test]
fn the_signal_to_stop_ends_it_in_order_while_a_stream_is_open() {
    let (ground, [wire, _]) = server();
    let (head, _stream) = wire.begin(&Request::get("/sse")).unwrap();
    assert_eq!(head.field("content-type").unwrap(), "text/event-stream");
    let asked = Instant::now();
    assert!(ground.terminate().unwrap().success());
    assert!(asked.elapsed() < Duration::from_secs(5));
}

#[test]
fn ctl_answers_what_the_query_asks_for() {
    let (_ground, wires) = server();
    for wire in &wires {
        let lines = [
            ("h", "X-A:1"),
            ("h", "X-B:2"),
            ("h", "X-A:3"),
            ("status", "418"),
        ];
        let answer = get(wire, &ctl(&lines));
        assert_eq!(answer.status, 418);
        assert_eq!(answer.body, b"ok");
        assert_eq!(answer.field("x-a").unwrap(), "1, 3");
        assert_eq!(answer.field("x-b").unwrap(), "2");
        assert_eq!(get(wire, &ctl(&[("body", "a b&c")])).text(), "a b&c");
        let sized = get(wire, &ctl(&[("size", "200000")]));
        assert!(is_alphabet(&sized.body, 200_000));
        assert_eq!(sized.field("content-length").unwrap(), "200000");
        let pieces = get(
            wire,
            &ctl(&[("size", "100"), ("chunks", "7"), ("gap", "5")]),
        );
        assert!(is_alphabet(&pieces.body, 100) && pieces.whole);
        assert_eq!(pieces.field("content-length"), None);
        let echo = Request::get(&ctl(&[("echo", "X-Me")])).with("X-Me", "you");
        assert_eq!(wire.send(&echo).unwrap().text(), "you");
        assert_eq!(
            ask(wire, "DELETE", &ctl(&[("body", "gone")])).text(),
            "gone"
        );
        for status in ["204", "304"] {
            let bare = get(wire, &ctl(&[("status", status), ("body", "text")]));
            assert!(bare.body.is_empty() && bare.whole);
        }
        let trailing = [
            ("trailer", "X-T:1"),
            ("trailer", "X-T:2"),
            ("h", "Trailer:X-T"),
        ];
        let request = Request::get(&ctl(&trailing)).with("TE", "trailers");
        let trailers = wire.send(&request).unwrap().trailers;
        assert_eq!(
            trailers,
            [("x-t".into(), "1".into()), ("x-t".into(), "2".into())]
        );
    }
}

#[test]
fn ctl_fails_as_the_query_asks_for() {
    let (_ground, wires) = server();
    for (version, wire) in wires.iter().enumerate() {
        for orders in [
            &[("fail", "1")][..],
            &[("fail", "1"), ("chunks", "3"), ("size", "9")],
        ] {
            let cut = get(wire, &ctl(orders));
            assert_eq!(cut.status, 200);
            assert!(!cut.whole && !cut.body.is_empty(), "{cut:?}");
        }
        let case = version.to_string();
        let panics = |orders: &[(&str, &str)]| {
            // On a connection of its own: over HTTP/1.1 a panic ends it.
            wire.another().unwrap().send(&Request::get(&ctl(orders)))
        };
        assert!(panics(&[("panic", "1")]).is_err());
        let once = [("once", "panic"), ("case", &case)];
        assert!(panics(&once).is_err());
        assert_eq!(panics(&once).unwrap().status, 200);
        let once = [("once", "500"), ("case", &case)];
        assert_eq!(get(wire, &ctl(&once)).status, 500);
        assert_eq!(get(wire, &ctl(&once)).status, 200);
        let once = ctl(&[("once", "hang"), ("case", &case)]);
        let hanging = wire.hold(&[Request::get(&once)]).unwrap();
        wait_for_run(wire, &once);
        assert_eq!(get(wire, &once).status, 200);
        drop(hanging);
        let slow = Instant::now();
        get(wire, &ctl(&[("delay", "100")]));
        assert!(slow.elapsed() >= Duration::from_millis(100));
    }
}

/// Waits until the handler was run for `target`.
fn wait_for_run(wire: &Wire, target: &str) {
    let asked = Instant::now();
    while !get(wire, "/runs").text().contains(target) {
        assert!(
            asked.elapsed() < Duration::from_secs(10),
            "{target} did not run"
        );
    }
}

#[test]
fn ctl_validates_and_compresses_as_the_query_asks_for() {
    let (_ground, wires) = server();
    let date = "Sun, 06 Nov 1994 08:49:37 GMT";
    let modified = format!("Last-Modified:{date}");
    let tagged = ctl(&[("cond", "1"), ("h", "ETag:\"a\""), ("h", modified.as_str())]);
    for wire in &wires {
        for (name, value, status) in [
            ("If-None-Match", "\"b\", W/\"a\"", 304),
            ("If-None-Match", "*", 304),
            ("If-None-Match", "\"b\"", 200),
            ("If-Modified-Since", date, 304),
            ("If-Modified-Since", "Sun, 06 Nov 1994 08:49:36 GMT", 200),
        ] {
            let answer = wire.send(&Request::get(&tagged).with(name, value)).unwrap();
            assert_eq!(answer.status, status, "{name}: {value}");
            assert_eq!(answer.field("etag").unwrap(), "\"a\"");
        }
        let target = ctl(&[("gzip", "1"), ("size", "5000")]);
        let request = Request::get(&target).with("Accept-Encoding", "gzip");
        let packed = wire.send(&request).unwrap();
        assert_eq!(packed.field("content-encoding").unwrap(), "gzip");
        assert_eq!(packed.field("vary").unwrap(), "Accept-Encoding");
        let mut body = Vec::new();
        GzDecoder::new(packed.body.as_slice())
            .read_to_end(&mut body)
            .unwrap();
        assert!(is_alphabet(&body, 5000));
        for refused in ["gzip;q=0", "br", "*;q=0.0"] {
            let request = Request::get(&target).with("Accept-Encoding", refused);
            assert!(
                is_alphabet(&wire.send(&request).unwrap().body, 5000),
                "{refused}"
            );
        }
    }
}

#[test]
fn items_have_versions_that_are_read_before_the_wait() {
    let (_ground, [wire, _]) = server();
    let text = |method, target: &str| ask(&wire, method, target).text();
    assert_eq!(
        text("GET", "/items/a?1"),
        r#"{"id":"a","v":0,"crc":3039074000}"#
    );
    assert_eq!(text("PUT", "/items/a"), r#"{"id":"a","v":1}"#);
    assert_eq!(text("DELETE", "/items/a"), r#"{"id":"a","v":2}"#);
    assert_eq!(ask(&wire, "PUT", "/items/a?status=409").status, 409);
    assert_eq!(ask(&wire, "PUT", "/items/a?after=503").status, 503);
    assert!(text("GET", "/items/a?2").contains(r#""v":3,"#));
    assert_eq!(text("PUT", "/items/b?wait=10"), r#"{"id":"b","v":1}"#);
    assert_eq!(text("GET", "/items?1"), r#"{"count":2,"sum":4}"#);
    // One read that began before a write, and waits by query or by field until after it.
    for (target, wait) in [("/items/a?d=500", "0"), ("/items/a?3", "500")] {
        let before = text("PUT", "/items/a");
        std::thread::scope(|scope| {
            let slow = || {
                wire.send(&Request::get(target).with("X-Wait", wait))
                    .unwrap()
                    .text()
            };
            let slow = scope.spawn(slow);
            wait_for_run(&wire, target);
            // The run is counted just before it reads; a few reads later it surely has.
            (0..10).for_each(|look| drop(text("GET", &format!("/items/c?{target}{look}"))));
            text("PUT", "/items/a");
            let version = before
                .trim_start_matches(r#"{"id":"a","#)
                .trim_end_matches('}');
            assert!(slow.join().unwrap().contains(version), "not {version}");
        });
    }
    assert_eq!(
        text("POST", "/mode?status=503&delay=10"),
        "status=503 delay=10"
    );
    assert_eq!(ask(&wire, "GET", "/items/a?4").status, 503);
    assert_eq!(ask(&wire, "GET", "/items?2").status, 503);
    ask(&wire, "POST", "/mode?status=200&delay=0");
    assert_eq!(ask(&wire, "GET", "/items/a?5").status, 200);
}

#[test]
fn two_processes_share_one_truth() {
    let folder = Folder::new("shared");
    let path = folder.path().join("truth.sqlite");
    let database = path.to_str().unwrap();
    let servers = [0, 1].map(|_| Ground::start(&[("DATABASE", database)]));
    let [one, two] = servers.each_ref().map(|server| Wire::One(server.address()));
    ask(&one, "PUT", "/items/a");
    assert_eq!(ask(&two, "PUT", "/items/a").text(), r#"{"id":"a","v":2}"#);
    let node = |wire| get(wire, "/items/a").field("x-node").unwrap();
    assert_eq!(node(&one), servers[0].pid().to_string());
    assert_ne!(node(&one), node(&two));
}

#[test]
fn a_server_that_is_killed_leaves_nothing_behind() {
    let ground = Ground::start(&[]);
    let folder = ground.folder().to_owned();
    let is_database = |entry: &fs::DirEntry| entry.file_name().to_string_lossy().contains("sqlite");
    let databases = |folder: &Path| {
        let entries = fs::read_dir(folder).unwrap();
        entries.map(Result::unwrap).filter(is_database).count()
    };
    assert!(databases(&folder) > 0, "its truth is elsewhere");
    let name = format!("larder-ground-{}-", ground.pid());
    drop(ground);
    assert!(!folder.exists());
    let elsewhere = fs::read_dir(env::temp_dir()).unwrap();
    let left = elsewhere.flatten().map(|entry| entry.file_name());
    let left: Vec<_> = left
        .filter(|left| left.to_string_lossy().starts_with(&name))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn the_small_routes_answer_as_listed() {
    let (_ground, wires) = server();
    for wire in &wires {
        let at = |target| wire.send(&Request::get(target).at("small.test")).unwrap();
        assert_eq!(at("/me").text(), "user=none");
        let cookie = Request::get("/me").with("Cookie", "a=b; sid=alice");
        assert_eq!(wire.send(&cookie).unwrap().text(), "user=alice");
        let token = Request::get("/me-public").with("Authorization", "Bearer bob");
        assert_eq!(wire.send(&token).unwrap().text(), "user=Bearer bob");
        assert_eq!(at("/host").text(), "small.test");
        assert_eq!(at("/echo-url?a=%62").text(), "/echo-url?a=%62");
        assert_eq!(at("/q?b=1&a=%20").text(), r#"[["b","1"],["a"," "]]"#);
        assert_eq!(at("/files/a%2fb/../c").text(), "/files/a%2fb/../c");
        assert_eq!(
            at("/public").field("cache-control").unwrap(),
            "public, max-age=60"
        );
        assert_eq!(at("/v1/thing/7").text(), "v1 7");
        assert_eq!(at("/v2/thing/7").text(), "v2 7");
        assert_eq!(at("/ping").text(), "pong");
        let upload = Request::new("POST", "/upload").body("12345");
        assert_eq!(wire.send(&upload).unwrap().text(), "bytes=5");
        assert_eq!(at("/nothing").status, 404);
        assert!(at("/nothing").run().is_some());
        assert!(at("/runs").text().contains(r#""GET /q?b=1&a=%20":"#));
    }
}

//! Whatever listens where Redis should: it costs neither answers nor memory.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener},
    thread,
    time::{Duration, Instant},
};

use crate::{
    scene::{Scene, version},
    support::{
        message::Request,
        process::Ground,
        redis::{Redis, url},
        wire::Wire,
    },
};

/// How much a liar sends on one connection: the client buffers what a server it was told to trust says
/// is one answer, for as long as it waits for it, so that the network is the bound of that.
const MOST: usize = 16 << 20;

/// How long a liar is silent then.
const SILENCE: Duration = Duration::from_secs(60);

/// Listens, and answers whatever is asked with `start`, and then with `more` without end.
fn listen(start: &'static [u8], more: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            thread::spawn(move || {
                let mut asked = [0; 4096];
                while stream.read(&mut asked).is_ok_and(|count| count > 0) {
                    if stream.write_all(start).is_err() {
                        return;
                    }
                    let pieces = MOST.checked_div(more.len()).unwrap_or_default();
                    for _ in 0..pieces {
                        if stream.write_all(more).is_err() {
                            return;
                        }
                    }
                    // The rest never comes.
                    thread::sleep(SILENCE);
                }
            });
        }
    });
    address
}

#[test]
fn a_liar_in_the_place_of_redis_costs_nothing() {
    const MORE: &[u8] = &[b'x'; 64 << 10];
    let lies: [(&[u8], &[u8]); 8] = [
        (b"", b""),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", b""),
        (b"$-5\r\n", b""),
        (b"*1000000000\r\n", b""),
        (b"*1000000000\r\n", b"*1000000000\r\n"),
        (b"$536870912\r\n", MORE),
        (b"+", MORE),
        (b"%999999999\r\n", b":1\r\n"),
    ];
    for (start, more) in lies {
        let redis = url(listen(start, more));
        let ground = Ground::start(&[("REDIS_URL", &redis)]);
        let wire = Wire::One(ground.address());
        let before = ground.resident_bytes();
        let begun = Instant::now();
        for number in 0..20 {
            let request = Request::get(&format!("/single/{number}"));
            assert_eq!(version(&wire.send(&request).unwrap()), 0);
        }
        let written = wire.send(&Request::new("PUT", "/single/0")).unwrap();
        let acknowledged = written.field("x-ack");
        assert_eq!(acknowledged.as_deref(), Some("local"), "{start:?}");
        assert_eq!(version(&wire.send(&Request::get("/single/0")).unwrap()), 1);
        let took = begun.elapsed();
        let lie = String::from_utf8_lossy(start).into_owned();
        assert!(took < Duration::from_secs(8), "{lie:?}: {took:?}");
        thread::sleep(Duration::from_millis(500));
        let grown = ground.resident_bytes().saturating_sub(before);
        assert!(grown < 128 << 20, "{lie:?}: {grown} bytes more");
        assert!(!ground.log().contains("panicked"), "{}", ground.log());
    }
}

#[test]
fn a_server_in_cluster_mode_under_a_single_address_is_a_redis_that_is_away() {
    let scene = Scene::on(Redis::with(&[("cluster-enabled", "yes")]), 1, &[]);
    scene.goes_on_without_redis();
    scene.is_quiet();
}

//! What breaks servers and connections here really breaks them.

use std::{
    io::ErrorKind,
    time::{Duration, Instant},
};

use crate::support::{
    proxy::{Lane, Proxy},
    redis::Redis,
    resp::{Client, Reply},
};

fn ask(client: &mut Client, words: &[&str]) -> String {
    client.ask(words).unwrap().text()
}

#[test]
fn a_server_starts_with_nothing_and_with_its_settings() {
    let redis = Redis::with(&[("maxmemory", "5mb"), ("requirepass", "secret")]);
    assert_eq!(redis.ask(&["DBSIZE"]), Reply::Number(0));
    let memory = redis.ask(&["CONFIG", "GET", "maxmemory"]).list();
    assert_eq!(memory[1].number(), 5 << 20);
    let mut stranger = Client::open(redis.address()).unwrap();
    assert!(stranger.ask(&["DBSIZE"]).unwrap().is_error("NOAUTH"));
}

#[test]
fn a_killed_server_forgets_and_one_with_a_snapshot_remembers() {
    let mut redis = Redis::start();
    redis.ask(&["SET", "a", "1"]);
    let old = redis.snapshot();
    redis.ask(&["SET", "a", "2"]);
    redis.restart();
    assert_eq!(redis.ask(&["GET", "a"]).text(), "1", "the file of the save");
    redis.restart_empty();
    assert_eq!(redis.ask(&["GET", "a"]), Reply::Nothing);
    redis.restart_from(&old);
    assert_eq!(redis.ask(&["GET", "a"]).text(), "1");
}

#[test]
fn a_server_that_is_down_refuses_and_comes_back_at_its_port() {
    let mut redis = Redis::down(&[]);
    let refused = Client::open(redis.address()).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    redis.begin();
    let run = redis.info("process_id");
    redis.stop();
    assert!(Client::open(redis.address()).is_err());
    redis.begin();
    assert_ne!(redis.info("process_id"), run);
}

#[test]
fn a_frozen_server_takes_connections_and_is_silent() {
    let redis = Redis::start();
    redis.freeze();
    let mut client = Client::open(redis.address()).unwrap();
    client.send(&[b"PING"]).unwrap();
    redis.thaw();
    assert_eq!(client.read().unwrap().text(), "PONG");
}

#[test]
fn calls_of_commands_are_counted() {
    let redis = Redis::start();
    redis.ask(&["CONFIG", "RESETSTAT"]);
    redis.ask(&["GET", "a"]);
    redis.ask(&["GET", "a"]);
    assert_eq!(redis.calls("GET"), 2);
    assert_eq!(redis.calls("SET"), 0);
}

#[test]
fn a_proxy_delays_drips_and_holds_each_way() {
    let redis = Redis::start();
    let proxy = Proxy::before(redis.address());
    let mut client = Client::open(proxy.address()).unwrap();
    assert_eq!(ask(&mut client, &["PING"]), "PONG");
    let timed = |client: &mut Client| {
        let asked = Instant::now();
        assert_eq!(ask(client, &["PING"]), "PONG");
        asked.elapsed()
    };
    proxy.set(|faults| faults.requests.delay = Duration::from_millis(60));
    assert!(timed(&mut client) >= Duration::from_millis(60));
    proxy.mend();
    proxy.set(|faults| faults.replies.drip = Some((1, Duration::from_millis(10))));
    assert!(timed(&mut client) >= Duration::from_millis(60), "7 bytes");
    proxy.mend();
    // Held replies: the command has been done all the same.
    proxy.set(|faults| faults.replies.hold = true);
    client.send(&[b"INCR", b"n"]).unwrap();
    wait_until(|| redis.ask(&["GET", "n"]).text() == "1");
    proxy.mend();
    assert_eq!(client.read().unwrap(), Reply::Number(1));
    // Held requests: it has not, and is done late.
    proxy.set(|faults| faults.requests.hold = true);
    client.send(&[b"INCR", b"n"]).unwrap();
    assert_eq!(redis.ask(&["GET", "n"]).text(), "1");
    proxy.mend();
    assert_eq!(client.read().unwrap(), Reply::Number(2));
}

#[test]
fn a_proxy_resets_refuses_and_cuts_in_the_middle() {
    let redis = Redis::start();
    let proxy = Proxy::before(redis.address());
    let mut client = Client::open(proxy.address()).unwrap();
    ask(&mut client, &["SET", "a", &"x".repeat(1000)]);
    proxy.set(|faults| faults.reset_after = Some(500));
    let cut = client.ask(&["GET", "a"]).unwrap_err();
    assert_eq!(cut.kind(), ErrorKind::ConnectionReset);
    proxy.mend();
    let mut client = Client::open(proxy.address()).unwrap();
    assert_eq!(ask(&mut client, &["GET", "a"]).len(), 1000);
    proxy.cut();
    assert!(client.ask(&["PING"]).is_err());
    let refused = Client::open(proxy.address()).and_then(|mut client| client.ask(&["PING"]));
    assert!(refused.is_err());
    proxy.mend();
    let mut client = Client::open(proxy.address()).unwrap();
    assert_eq!(ask(&mut client, &["PING"]), "PONG");
    assert_eq!(proxy.accepted(), 4);
}

#[test]
fn a_proxy_tells_the_log_from_commands() {
    let redis = Redis::start();
    let proxy = Proxy::before(redis.address());
    let [mut commands, mut log] = [(); 2].map(|()| Client::open(proxy.address()).unwrap());
    let read = ["XREAD", "BLOCK", "1", "STREAMS", "log", "$"];
    assert_eq!(log.ask(&read).unwrap(), Reply::Nothing);
    proxy.set(|faults| {
        faults.only = Some(Lane::Log);
        faults.replies.hold = true;
    });
    assert_eq!(ask(&mut commands, &["PING"]), "PONG");
    log.send(&[b"INCR", b"n"]).unwrap();
    wait_until(|| redis.ask(&["GET", "n"]).text() == "1");
    proxy.mend();
    assert_eq!(log.read().unwrap(), Reply::Number(1));
}

#[test]
fn a_proxy_flips_bits_of_entries_alone() {
    let redis = Redis::start();
    let proxy = Proxy::before(redis.address());
    proxy.set(|faults| faults.flip = Some(2));
    let mut client = Client::open(proxy.address()).unwrap();
    let [entry, other] = [format!("lrdr{}", "e".repeat(400)), "o".repeat(400)];
    ask(&mut client, &["MSET", "entry", &entry, "other", &other]);
    let mut wrong = 0;
    for _ in 0..10 {
        assert_eq!(ask(&mut client, &["GET", "other"]), other);
        let Reply::Text(read) = client.ask(&["GET", "entry"]).unwrap() else {
            panic!("no entry");
        };
        let pairs = read.iter().zip(entry.as_bytes());
        let bits: u32 = pairs.map(|(one, two)| (one ^ two).count_ones()).sum();
        assert!(bits <= 1);
        wrong += bits;
    }
    assert_eq!((wrong, proxy.flipped()), (5, 5));
}

fn wait_until(condition: impl Fn() -> bool) {
    let asked = Instant::now();
    while !condition() {
        assert!(asked.elapsed() < Duration::from_secs(20), "it did not come");
        std::thread::sleep(Duration::from_millis(2));
    }
}

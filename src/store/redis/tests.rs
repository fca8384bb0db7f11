//! Connections to a real server that is killed, frozen and started again.

#[cfg(feature = "redis-cluster")]
mod cluster;
mod entries;
mod registry;
pub(crate) mod server;

use std::{sync::Arc, time::Duration};

use redis::aio::ConnectionLike;
use tokio::time::Instant;

use self::server::Server;
use super::{breaker::State, connections::Unavailable, *};
use crate::clock::SystemClock;

/// What the budget of 25 ms may be exceeded by on a machine that does other things too.
const SLACK: Duration = Duration::from_millis(250);

/// Within this time after a server is back it is asked again.
const RECOVERY: Duration = Duration::from_secs(2);

fn connections(server: &Server) -> Connections {
    connected(&server.url()).unwrap()
}

fn connected(url: &str) -> Result<Connections, crate::error::Error> {
    let clock = Arc::new(SystemClock::new());
    Connections::new(url, Layout::new("test"), Settings::default(), clock)
}

async fn ping(connections: &Connections) -> Result<Vec<redis::Value>, Unavailable> {
    let budget = connections.settings().request_budget;
    connections.run(redis::pipe().cmd("PING"), budget).await
}

/// Asks until the breaker is open, and checks that nobody waits longer than his budget.
async fn until_open(connections: &Connections) {
    let mut failures = 0;
    loop {
        let asked = Instant::now();
        let failed = ping(connections).await.unwrap_err();
        let waited = asked.elapsed();
        let most = connections.settings().request_budget + SLACK;
        assert!(waited < most, "waited {waited:?}");
        if failed == Unavailable::Open {
            return;
        }
        failures += 1;
        assert!(failures <= 5, "the breaker does not open");
    }
}

/// Waits until the server is asked again, and returns how long that took.
async fn until_closed(connections: &Connections) -> Duration {
    let began = Instant::now();
    while connections.health().state == State::Open {
        assert!(began.elapsed() < 10 * RECOVERY, "the breaker stays open");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    began.elapsed()
}

#[tokio::test]
async fn many_callers_share_two_connections() {
    let server = Server::start();
    let connections = connections(&server);
    let callers: Vec<_> = (0..500)
        .map(|number: i64| {
            let connections = connections.clone();
            tokio::spawn(async move {
                let mut pipeline = redis::pipe();
                pipeline.cmd("ECHO").arg(number);
                connections.run(&pipeline, Duration::from_secs(5)).await
            })
        })
        .collect();
    for (number, caller) in callers.into_iter().enumerate() {
        let echo = redis::Value::BulkString(number.to_string().into_bytes());
        assert_eq!(caller.await.unwrap(), Ok(vec![echo]));
    }
    let clients = server.ask(&["CLIENT", "LIST", "TYPE", "normal"]);
    let own = clients.lines().filter(|line| line.contains("cmd=")).count();
    // One more writes, and one is the one that asks.
    assert!(own <= 4, "{clients}");
}

#[tokio::test]
async fn while_one_lane_waits_for_an_answer_the_others_questions_go_by_the_other_one() {
    let server = Server::start();
    let connections = connections(&server);
    eventually(|| connections.are_made()).await;
    let waiting = connections.clone();
    let waiting = tokio::spawn(async move {
        let mut pipeline = redis::pipe();
        pipeline.cmd("BLPOP").arg("nothing").arg(0);
        waiting.run(&pipeline, Duration::from_secs(60)).await
    });
    let clients = || server.ask(&["INFO", "clients"]);
    eventually(|| clients().contains("blocked_clients:1")).await;
    for _ in 0..20 {
        let mut pipeline = redis::pipe();
        pipeline.cmd("PING");
        let answered = connections.run(&pipeline, Duration::from_secs(5)).await;
        assert!(answered.is_ok(), "it stood behind the one that waits");
    }
    server.ask(&["LPUSH", "nothing", "x"]);
    assert!(waiting.await.unwrap().is_ok());
}

async fn eventually(holds: impl Fn() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < Duration::from_secs(10), "it never came");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_is_asked_for_at_once_goes_out_together() {
    let server = Server::start();
    let connections = connections(&server);
    eventually(|| connections.are_made()).await;
    server.ask(&["CONFIG", "RESETSTAT"]);
    // From a task, so that all of them are there before the first one runs.
    let asking = tokio::spawn(async move {
        let ask = |_| {
            let connections = connections.clone();
            tokio::spawn(async move {
                let deadline = Instant::now() + Duration::from_secs(5);
                let mut get = redis::cmd("GET");
                connections.ask(get.arg("nothing"), deadline).await
            })
        };
        (0..200).map(ask).collect::<Vec<_>>()
    });
    for asked in asking.await.unwrap() {
        assert_eq!(asked.await.unwrap(), Ok(redis::Value::Nil));
    }
    let told = server.ask(&["INFO", "stats"]);
    let mut lines = told.lines();
    let reads = lines.find_map(|line| line.strip_prefix("total_reads_processed:"));
    let reads: u32 = reads.unwrap().parse().unwrap();
    assert!(reads < 50, "read in {reads} pieces");
}

#[tokio::test]
async fn connections_end_with_their_owner_though_an_answer_is_on_its_way() {
    let server = Server::start();
    let connections = connections(&server);
    eventually(|| connections.are_made()).await;
    let mut pop = redis::cmd("BLPOP");
    let soon = Instant::now() + Duration::from_millis(20);
    let late = connections.ask(pop.arg("nothing").arg(0), soon).await;
    assert_eq!(late, Err(Unavailable::TimedOut));
    assert!(
        server
            .ask(&["INFO", "clients"])
            .contains("blocked_clients:1")
    );
    drop(connections);
    // One is the one that asks.
    let clients = || server.ask(&["INFO", "clients"]);
    eventually(|| clients().contains("connected_clients:1\r\n")).await;
}

#[tokio::test]
async fn a_killed_server_costs_five_calls_and_is_found_again() {
    let mut server = Server::start();
    let connections = connections(&server);
    ping(&connections).await.unwrap();
    for _ in 0..2 {
        server.kill();
        until_open(&connections).await;
        server.restart();
        let took = until_closed(&connections).await;
        assert!(took < RECOVERY, "it took {took:?}");
        ping(&connections).await.unwrap();
    }
}

#[tokio::test]
async fn a_frozen_server_costs_five_budgets_and_is_found_again() {
    let server = Server::start();
    let connections = connections(&server);
    ping(&connections).await.unwrap();
    server.freeze();
    until_open(&connections).await;
    assert!(connections.health().last_error.is_some());
    // The probe has met the frozen server too and leaves the breaker as it is.
    tokio::time::sleep(Duration::from_millis(1200)).await;
    assert_eq!(ping(&connections).await, Err(Unavailable::Open));
    server.thaw();
    let took = until_closed(&connections).await;
    assert!(took < RECOVERY, "it took {took:?}");
    ping(&connections).await.unwrap();
}

#[tokio::test]
async fn a_server_that_is_not_there_yet_is_found_when_it_comes() {
    let mut server = Server::start();
    server.kill();
    let connections = connections(&server);
    until_open(&connections).await;
    let cause = connections.health().last_error.unwrap();
    assert!(cause.contains("refused"), "{cause}");
    server.restart();
    let took = until_closed(&connections).await;
    assert!(took < RECOVERY, "it took {took:?}");
}

#[tokio::test]
async fn a_missing_password_is_told_in_the_words_of_the_server() {
    let server = Server::start();
    server.ask(&["CONFIG", "SET", "requirepass", "secret"]);
    let connections = connections(&server);
    until_open(&connections).await;
    let cause = connections.health().last_error.unwrap();
    assert!(cause.to_lowercase().contains("auth"), "{cause}");
}

#[tokio::test]
async fn a_slow_command_fails_its_caller_and_nobody_else() {
    let server = Server::start();
    let connections = connections(&server);
    ping(&connections).await.unwrap();
    let mut slow = redis::pipe();
    // Blocks its own connection, not the server.
    slow.cmd("BLPOP").arg("nothing").arg("0.2");
    let budget = connections.settings().request_budget;
    let late = connections.run(&slow, budget).await;
    assert_eq!(late, Err(Unavailable::TimedOut));
    tokio::time::sleep(Duration::from_millis(300)).await;
    ping(&connections).await.unwrap();
    assert_eq!(connections.health().state, State::Closed);
}

#[tokio::test]
async fn a_refused_write_is_an_answer_and_not_an_outage() {
    let server = Server::start();
    let connections = connections(&server);
    server.ask(&["CONFIG", "SET", "maxmemory", "1"]);
    for _ in 0..20 {
        let mut pipeline = redis::pipe();
        pipeline
            .cmd("SET")
            .arg("key")
            .arg("value")
            .cmd("GET")
            .arg("key");
        let answers = connections.run(&pipeline, SLACK).await.unwrap();
        assert!(
            matches!(&answers[..], [redis::Value::ServerError(error), redis::Value::Nil] if error.code() == "OOM"),
            "{answers:?}"
        );
    }
    assert_eq!(connections.health().state, State::Closed);
}

#[tokio::test]
async fn a_script_is_sent_in_full_where_it_is_not_known() {
    let server = Server::start();
    let connections = connections(&server);
    let script = Script::new("return {KEYS[1], ARGV[1]}");
    for _ in 0..3 {
        let answer = connections.script(&script, &["k"], &[b"a"], SLACK).await;
        let bulk = |text: &str| redis::Value::BulkString(text.into());
        let expected = redis::Value::Array(vec![bulk("k"), bulk("a")]);
        assert_eq!(answer, Ok(expected));
        server.ask(&["SCRIPT", "FLUSH"]);
    }
    // Each lane is greeted with a script too, whenever it is made.
}

#[tokio::test]
async fn a_transaction_has_one_answer() {
    let server = Server::start();
    let connections = connections(&server);
    let mut pipeline = redis::pipe();
    pipeline.atomic().cmd("INCR").arg("n").cmd("INCR").arg("n");
    let answers = connections.run(&pipeline, SLACK).await.unwrap();
    let counts = redis::Value::Array(vec![redis::Value::Int(1), redis::Value::Int(2)]);
    assert_eq!(answers, [counts]);
}

#[tokio::test]
async fn a_dedicated_connection_hears_what_is_published_and_notices_its_end() {
    let mut server = Server::start();
    let connections = connections(&server);
    let dedicated = connections.dedicated().await.unwrap();
    let (mut link, mut dedicated) = dedicated.into_parts();
    let mut subscription = redis::cmd("SUBSCRIBE");
    subscription.arg("news");
    link.req_packed_command(&subscription).await.unwrap();
    assert!(
        matches!(dedicated.next().await, Some(push) if push.kind == redis::PushKind::Subscribe)
    );
    server.ask(&["PUBLISH", "news", "hello"]);
    let push = dedicated.next().await.unwrap();
    assert_eq!(push.kind, redis::PushKind::Message);
    assert_eq!(push.data[1], redis::Value::BulkString(b"hello".to_vec()));
    server.kill();
    loop {
        match dedicated.next().await {
            None => break,
            Some(push) if push.kind == redis::PushKind::Disconnection => break,
            Some(_) => {}
        }
    }
}

#[test]
fn outside_of_a_runtime_there_are_no_connections() {
    let refused = connected("redis://127.0.0.1");
    assert!(refused.unwrap_err().to_string().contains("tokio"));
}

#[tokio::test]
async fn a_password_is_not_shown() {
    let url = "redis://user:hunter2@127.0.0.1:1";
    let connections = connected(url).unwrap();
    assert!(!format!("{connections:?}").contains("hunter2"));
}

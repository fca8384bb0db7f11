//! The shop, from outside: every pattern over HTTP, on one node and on two.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test may panic, and measures time"
)]

#[path = "support/mod.rs"]
#[allow(dead_code, unused_imports, reason = "each suite uses its part")]
mod support;

use std::{
    env,
    io::{BufRead, BufReader},
    net::SocketAddr,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use self::support::{
    folder::Folder,
    http1::Connection,
    message::{Answer, Request},
    redis::Redis,
};

/// How long what happens behind the answers may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// A node of the shop, ended with its handle.
struct Node {
    child: Child,
    address: SocketAddr,
}

impl Node {
    fn start(files: &Folder, redis: Option<&Redis>) -> Self {
        let tests = env::current_exe().unwrap();
        let program = tests
            .parent()
            .unwrap()
            .parent()
            .unwrap()
            .join("examples/shop");
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("LISTEN", "127.0.0.1:0")
            .env("DATABASE", files.path().join("shop.sqlite"))
            .env("QUEUE", files.path().join("queue.redb"))
            .env("ADMIN_TOKEN", "token")
            .stdout(Stdio::piped());
        if let Some(redis) = redis {
            command.env("REDIS_URL", redis.url());
        }
        let mut child = command
            .spawn()
            .expect("build the examples first: `cargo build --all-features --examples`");
        let output = BufReader::new(child.stdout.take().unwrap());
        let address = output.lines().find_map(|line| {
            line.ok()?
                .strip_prefix("listening on http://")?
                .parse()
                .ok()
        });
        Self {
            child,
            address: address.expect("the shop listens"),
        }
    }

    fn ask(&self, request: &Request) -> Answer {
        let mut connection = Connection::open(self.address).unwrap();
        connection.exchange(request).unwrap()
    }

    fn get(&self, target: &str) -> (String, Value) {
        let answer = self.ask(&Request::get(target));
        assert_eq!(answer.status, 200, "GET {target}");
        let status = answer.field("cache-status").unwrap_or_default();
        (status, serde_json::from_slice(&answer.body).unwrap())
    }

    fn post(&self, target: &str, visitor: &str) {
        let request = Request::new("POST", target)
            .with("Visitor", visitor)
            .body("");
        assert_eq!(self.ask(&request).status, 202, "POST {target}");
    }

    fn set_price(&self, id: u32, price: u32) {
        let request = Request::new("PUT", &format!("/products/{id}")).body(&price.to_string());
        assert_eq!(self.ask(&request).status, 204);
    }

    fn price(&self, id: u32) -> u64 {
        self.get(&format!("/products/{id}")).1["price"]
            .as_u64()
            .unwrap()
    }

    fn terminate(mut self) {
        let pid = self.child.id().to_string();
        Command::new("kill").args(["-TERM", &pid]).status().unwrap();
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // Fails when the process has ended before, which is as well.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Waits until `reached` holds.
fn until(what: &str, reached: impl Fn() -> bool) {
    let began = Instant::now();
    while !reached() {
        assert!(began.elapsed() < PATIENCE, "{what} does not come");
        thread::sleep(Duration::from_millis(10));
    }
}

/// Visits `one`, and looks at the outcome on `other`: the same node, or the second of two.
fn every_pattern(one: &Node, other: &Node) {
    // Responses, made of values that were warm from the start.
    assert_eq!(one.get("/products").1.as_array().unwrap().len(), 3);
    assert_eq!(one.price(1), 1990);
    assert!(one.get("/products/1").0.contains("hit"));
    assert_eq!(other.price(1), 1990);
    let missing = one.ask(&Request::get("/products/99"));
    assert_eq!(missing.status, 404);

    // A write makes the value and the pages void that were made of it.
    one.set_price(1, 1750);
    assert_eq!(one.price(1), 1750);
    assert_eq!(one.get("/products").1[0]["price"], 1750);
    until("the new price", || other.price(1) == 1750);
    until("the new list", || {
        other.get("/products").1[0]["price"] == 1750
    });

    // Views come to the database later, and the page of views then.
    assert_eq!(one.get("/products/1/views").1, json!({ "views": 0 }));
    for visitor in ["ann", "bob", "ann"] {
        one.post("/products/1/view", visitor);
    }
    one.post("/products/2/view", "ann");
    until("the views", || {
        one.get("/products/1/views").1 == json!({ "views": 3 })
    });

    // Structures.
    assert_eq!(other.get("/visitors").1, json!({ "visitors": 2 }));
    let recent = other.ask(&Request::get("/recent").with("Visitor", "ann"));
    assert_eq!(String::from_utf8(recent.body).unwrap(), "[2,1,1]");
    for (product, times) in [(1, 1), (2, 3)] {
        for _ in 0..times {
            one.post(&format!("/products/{product}/buy"), "ann");
        }
    }
    assert_eq!(
        other.get("/bestsellers").1,
        json!([["pan", 3.0], ["kettle", 1.0]])
    );
    // And all of it can be looked into, by whoever has the token.
    let stats = Request::get("/admin/cache/stats");
    assert_eq!(one.ask(&stats).status, 401);
    assert_eq!(
        one.ask(&stats.with("Authorization", "Bearer token")).status,
        200
    );
    let rank = json!({ "rank": 1, "around": [["pan", 3.0], ["kettle", 1.0]] });
    assert_eq!(other.get("/products/1/rank").1, rank);
}

#[test]
fn one_node_uses_every_pattern_and_ends_in_order() {
    let files = Folder::new("shop");
    let node = Node::start(&files, None);
    every_pattern(&node, &node);
    node.terminate();
    let again = Node::start(&files, None);
    assert_eq!(again.price(1), 1750);
    assert_eq!(again.get("/products/1/views").1, json!({ "views": 3 }));
}

#[test]
fn two_nodes_on_one_redis_are_one_shop() {
    let (files, redis) = (Folder::new("shop"), Redis::start());
    let (one, other) = (
        Node::start(&files, Some(&redis)),
        Node::start(&files, Some(&redis)),
    );
    every_pattern(&one, &other);
    other.set_price(3, 333);
    until("the price of the other node", || one.price(3) == 333);
}

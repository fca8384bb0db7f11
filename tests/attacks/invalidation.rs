//! Invalidation by those who may not: refused writes, other hosts, foreign methods, odd tags.

use std::{
    thread,
    time::{Duration, Instant},
};

use crate::{
    row::Row,
    support::{
        ask::{ctl, get, shared, stored},
        message::Request,
        script::{Bench, Check, Step, Verdict},
    },
};

/// What lets an administrator in.
pub(crate) const ADMIN_TOKEN: &str = "nobody-guesses-this";

/// Writes in a row that name one broad tag.
const BURST: usize = 200;

pub(crate) fn rows() -> Vec<Row> {
    vec![
        Row::steps(
            "E1",
            "`PURGE` and `BAN`, and the admin routes without their token",
            foreign_methods(),
        ),
        Row::steps(
            "E2",
            "what another site can make an administrator's browser send",
            forged_changes(),
        ),
        Row::steps("E3", "patterns in a prefix to purge", globs()),
        Row::steps(
            "E4",
            "commas, spaces, line ends, NUL and length in a tag",
            odd_tags(),
        ),
        Row::drive(
            "E5",
            "a write that was refused, and one that may have happened",
            refused_writes,
        ),
        Row::steps(
            "E6",
            "another host's page named by `Location`",
            other_hosts(),
        ),
        Row::drive("E7", "200 writes in a row that name a broad tag", broad_tag),
    ]
}

fn foreign_methods() -> Vec<Step> {
    let mut steps = stored("/public");
    for method in ["PURGE", "BAN", "REFRESH", "DELETE"] {
        steps.push(Step::new(method, "/public").status(405).fresh());
        steps.push(get("/public").reused());
    }
    let all = r#"{"all":true}"#;
    for token in ["", "Bearer", "Bearer wrong", "Basic YTpi"] {
        let call = Step::new("POST", "/admin/cache/purge").with("x-larder-admin", "1");
        let call = call.with("content-type", "application/json");
        steps.push(call.with("authorization", token).sending(all).status(401));
        let look = Step::new("GET", "/admin/cache/keys");
        steps.push(look.with("authorization", token).status(401));
        steps.push(get("/public").reused());
    }
    steps
}

/// A change by an administrator.
fn purge(order: &str) -> Step {
    Step::new("POST", "/admin/cache/purge")
        .with("authorization", &format!("Bearer {ADMIN_TOKEN}"))
        .with("x-larder-admin", "1")
        .with("content-type", "application/json")
        .sending(order)
}

fn forged_changes() -> Vec<Step> {
    let call = |method, target: &str| {
        Step::new(method, target).with("authorization", &format!("Bearer {ADMIN_TOKEN}"))
    };
    let all = r#"{"all":true}"#;
    let mut steps = stored("/public");
    // A link, a form, and a script without leave to send a field of its own.
    for target in ["/purge?all=true", "/version", "/pause", "/resume", "/warm"] {
        steps.push(call("GET", &format!("/admin/cache{target}")).status(405));
    }
    for kind in [
        "application/x-www-form-urlencoded",
        "text/plain",
        "application/json",
    ] {
        let forged = call("POST", "/admin/cache/purge").with("content-type", kind);
        steps.push(forged.sending(all).status(403));
    }
    let untyped = call("POST", "/admin/cache/purge").with("x-larder-admin", "1");
    steps.push(untyped.sending(all).status(415));
    steps.push(get("/public").reused());
    // What is meant works, so that the rows above could have.
    steps.extend([
        purge(r#"{"host":"e2.test"}"#).status(200),
        get("/public").fresh(),
    ]);
    steps
}

fn globs() -> Vec<Step> {
    let mut steps = stored("/public");
    for prefix in ["*", "?ublic", "[a-z]*", r"\\", "{}", ""] {
        steps.push(purge(&format!(r#"{{"prefix":"{prefix}"}}"#)).status(400));
    }
    for prefix in ["/*", "/p*", "/[a-z]ublic", "/publi", "http://e3.test/*"] {
        steps.push(purge(&format!(r#"{{"prefix":"{prefix}"}}"#)).status(200));
        steps.push(get("/public").reused());
    }
    steps.extend([
        purge(r#"{"prefix":"http://e3.test/public"}"#).status(200),
        get("/public").fresh(),
    ]);
    steps
}

fn odd_tags() -> Vec<Step> {
    let long = format!("/items/{}", "e".repeat(1000));
    let targets = [
        "/items/e4,items",
        "/items/e4%20x",
        "/items/e4%0d%0aX:1",
        "/items/e4%00",
        "/items/e4%2a",
        long.as_str(),
    ];
    let mut steps = stored("/public");
    for target in targets {
        steps.push(get(target).fresh());
        steps.push(get(target).reused());
        steps.push(Step::new("PUT", target).status(200));
        steps.push(get(target).status(200).fresh());
    }
    for tag in [r"e4\r\nX:1", r"e4\u0000", r"\u0001e4.test\u0001group", ""] {
        steps.push(purge(&format!(r#"{{"tag":"{tag}"}}"#)).status(400));
    }
    // Nothing that the odd names spell was invalidated besides.
    steps.push(get("/public").reused());
    steps
}

fn refused_writes(bench: &Bench<'_>) -> Verdict {
    let put = |query: &str, status| Step::new("PUT", &format!("/items/e5{query}")).status(status);
    let read = || get("/items/e5");
    let mut steps = stored("/items/e5");
    for status in [400, 401, 403, 404] {
        steps.extend([put(&format!("?status={status}"), status), read().reused()]);
    }
    for status in [500, 503] {
        steps.extend([
            put(&format!("?after={status}"), status),
            read().fresh(),
            read().reused(),
        ]);
    }
    steps.extend([
        put("?status=500", 500),
        read().fresh(),
        put("", 200),
        read().fresh(),
    ]);
    bench.play(&steps)?;
    // By RFC 9111 alone, which the gateway keeps to, an error says that nothing changed.
    let gateway = [
        stored("/items/e5"),
        vec![put("?after=500", 500), read().reused()],
    ]
    .concat();
    bench.play_over(bench.gateway, &gateway)?;
    abandoned_write(bench)
}

/// A client that leaves while its write is under way may have changed the item.
fn abandoned_write(bench: &Bench<'_>) -> Verdict {
    let read = bench.place(&Request::get("/items/e5-left"));
    bench.play(&stored(&read.target))?;
    let write = bench.place(&Request::new("PUT", "/items/e5-left?wait=60000"));
    let error = |error: std::io::Error| error.to_string();
    let held = bench
        .wire
        .hold(std::slice::from_ref(&write))
        .map_err(error)?;
    // The commit comes before the wait; each look at it has a key of its own.
    let asked = Instant::now();
    let late = || asked.elapsed() > Duration::from_secs(5);
    for look in 0.. {
        let seen = bench.send(&Request::get(&format!("/items/e5-left?look={look}")))?;
        if seen.text().contains(r#""v":1"#) {
            break;
        }
        if late() {
            return Err("the write did not commit".to_owned());
        }
    }
    drop(held);
    while !bench.send(&read)?.text().contains(r#""v":1"#) {
        if late() {
            return Err("a write whose client left did not invalidate".to_owned());
        }
        thread::yield_now();
    }
    Ok(())
}

fn other_hosts() -> Vec<Step> {
    let victim = || get("/public").at("victim.e6.test");
    let own = || get("/public").at("e6.test");
    let put = |field: &str| {
        Step::new("PUT", &ctl(&[("h", field)]))
            .at("e6.test")
            .status(200)
    };
    vec![
        victim().fresh(),
        own().fresh(),
        put("Location:http://victim.e6.test/public"),
        put("Content-Location:http://victim.e6.test/public"),
        put("Location://victim.e6.test/public"),
        victim().reused(),
        own().reused(),
        put("Location:/public"),
        own().fresh(),
        put("Content-Location:http://e6.test/public"),
        own().fresh(),
        victim().reused(),
    ]
}

fn broad_tag(bench: &Bench<'_>) -> Verdict {
    let bystander = shared(&[]);
    bench.play(&[stored(&bystander), stored("/items")].concat())?;
    let writes: Vec<Request> = (0..BURST)
        .map(|number| Request::new("PUT", &format!("/items/e7-{number}")))
        .collect();
    for answer in bench.send_all(&writes)? {
        Check::Status(200).judge(&answer, &[])?;
        Check::Field("x-ack", "global".to_owned()).judge(&answer, &[])?;
    }
    let total = bench.send(&Request::get("/items"))?;
    Check::Fresh.judge(&total, &[])?;
    let unharmed = bench.send(&Request::get(&bystander))?;
    if unharmed.is_hit() {
        Ok(())
    } else {
        Err("a bystander was invalidated".to_owned())
    }
}

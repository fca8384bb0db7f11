//! Deception: a private page under an address that looks like a shared one, and look-alike paths.

use std::time::{Duration, Instant};

use crate::{
    row::Row,
    support::{
        ask::{get, never_stored, shared, stored},
        message::Request,
        script::{Bench, Check, Step, Verdict, summary},
        wire::Wire,
    },
};

pub(crate) fn rows() -> Vec<Row> {
    vec![
        Row::steps(
            "C1",
            "a private page with a file's ending",
            private_under(&["/me/x.css", "/me.css", "/me%2fx.css"]),
        ),
        Row::steps(
            "C2",
            "a private page behind a delimiter",
            private_under(&[
                "/me;x.css",
                "/me%3fx.css",
                "/me%23x.css",
                "/me%00x.css",
                "/me%0ax.css",
                "/me!x.css",
                "/me,x.css",
            ]),
        ),
        Row::steps("C3", "dot segments", dot_segments()),
        Row::steps(
            "C4",
            "double slashes and backslashes",
            private_under(&["//me", "/\\me", "/me//", "/me/"]),
        ),
        Row::steps("C5", "dots inside a wildcard", wildcard()),
        Row::steps("C6", "an error page of an unknown path", unknown_paths()),
        Row::drive(
            "C7",
            "a fragment, and the absolute form of a target",
            forms_of_a_target,
        )
        .first_only("HTTP/2 has no other form of target"),
        Row::steps(
            "C8",
            "methods in lower case, and unknown ones",
            look_alike_methods(),
        ),
        Row::drive(
            "C9",
            "upgrades, tunnels and endless streams",
            upgrades_and_streams,
        ),
        Row::steps(
            "C10",
            "two nested routers with one inner path",
            nested_routers(),
        ),
    ]
}

fn private_under(targets: &[&str]) -> Vec<Step> {
    let ask = |target: &&str| {
        let alice = get(target).with("Cookie", "sid=alice").fresh();
        [vec![alice], never_stored(target)].concat()
    };
    targets.iter().flat_map(ask).collect()
}

fn dot_segments() -> Vec<Step> {
    let private = [
        "/static/..%2fme",
        "/static/../me",
        "/static/%2e%2e/me",
        "/static/./me",
    ];
    let own = |target: &str| get(target).body(target);
    let paths = [
        "/files/../me",
        "/files/%2e%2e/me",
        "/files/me",
        "/files/./me",
    ];
    let first = paths.iter().map(|path| own(path).fresh());
    let again = paths.iter().map(|path| own(path).reused());
    private_under(&private)
        .into_iter()
        .chain(first)
        .chain(again)
        .collect()
}

fn wildcard() -> Vec<Step> {
    let paths = ["/files/..%2f..%2fme", "/files/../../me", "/files/me"];
    let first = paths.iter().map(|path| get(path).body(path).fresh());
    first
        .chain(paths.iter().map(|path| get(path).body(path).reused()))
        .collect()
}

fn unknown_paths() -> Vec<Step> {
    let mut steps = [never_stored("/nothing"), never_stored("/items/c6/nothing")].concat();
    for status in ["404", "410"] {
        steps.extend(never_stored(&shared(&[("status", status)])));
    }
    steps
}

fn forms_of_a_target(bench: &Bench<'_>) -> Verdict {
    let host = &bench.authority;
    let ask = |target: &str, host: &str| {
        bench.raw(&format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n"))
    };
    // The fragment is no part of the target, so both are one page.
    let fragment = ask("/me-public#/x.css", host)?;
    let plain = ask("/me-public", host)?;
    Check::Body("user=none".to_owned()).judge(&fragment, &[])?;
    Check::Reused.judge(&plain, &[fragment])?;
    // The authority of an absolute target counts, and one that contradicts Host is left alone.
    let absolute = ask(&format!("http://{host}/host"), host)?;
    Check::Body(host.clone()).judge(&absolute, &[])?;
    let contradicting = ask(&format!("http://{host}/host"), "evil.test")?;
    Check::Bypassed.judge(&contradicting, &[absolute])?;
    for _ in 0..2 {
        Check::Body(host.clone()).judge(&ask("/host", host)?, &[])?;
        Check::Body("evil.test".to_owned()).judge(&ask("/host", "evil.test")?, &[])?;
    }
    Ok(())
}

fn look_alike_methods() -> Vec<Step> {
    let mut steps = stored("/public");
    for method in ["get", "Get", "GETX", "TRACE", "OPTIONS"] {
        steps.push(Step::new(method, "/public").status(405).fresh());
        steps.push(get("/public").reused());
    }
    steps
}

fn upgrades_and_streams(bench: &Bench<'_>) -> Verdict {
    let target = shared(&[]);
    let stream = || get(&target).with("Accept", "text/event-stream").bypassed();
    let mut steps = vec![stream(), stream()];
    if let Wire::One(_) = bench.wire {
        let upgrade = || {
            get(&target)
                .with("Connection", "Upgrade")
                .with("Upgrade", "websocket")
        };
        steps.extend([upgrade().bypassed(), upgrade().bypassed()]);
    }
    bench.play(&[steps, stored(&target)].concat())?;
    if let Wire::One(_) = bench.wire {
        let host = &bench.authority;
        let tunnel = bench.raw(&format!(
            "CONNECT {host}:443 HTTP/1.1\r\nHost: {host}\r\n\r\n"
        ))?;
        if tunnel.status < 400 {
            return Err(format!("a tunnel was opened: {}", summary(&tunnel)));
        }
    }
    for _ in 0..2 {
        let asked = Instant::now();
        let begun = bench.wire.begin(&bench.place(&Request::get("/sse")));
        let (head, mut events) = begun.map_err(|error| error.to_string())?;
        Check::Fresh.judge(&head, &[])?;
        events.some().map_err(|error| error.to_string())?;
        if asked.elapsed() > Duration::from_secs(2) {
            return Err(format!("the first event took {:?}", asked.elapsed()));
        }
    }
    Ok(())
}

fn nested_routers() -> Vec<Step> {
    let ask = |version: &str| get(&format!("/{version}/thing/c10")).body(&format!("{version} c10"));
    vec![
        ask("v1").fresh(),
        ask("v2").fresh(),
        ask("v1").reused(),
        ask("v2").reused(),
    ]
}

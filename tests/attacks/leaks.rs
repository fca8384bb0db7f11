//! Who may be served what: one user's answer must not reach another.

use std::collections::HashSet;

use crate::{
    row::Row,
    support::{
        ask::{ctl, get, guarded, never_stored, shared, stored},
        message::{Answer, Request},
        script::{Bench, Check, Step, Verdict, summary},
        wire::Wire,
    },
};

/// Clients that ask at once where a row asks at once.
const CROWD: usize = 50;

pub(crate) fn rows() -> Vec<Row> {
    [rows_of_users(), rows_of_hosts_and_heads()]
        .into_iter()
        .flatten()
        .collect()
}

fn rows_of_users() -> Vec<Row> {
    vec![
        Row::steps(
            "A1",
            "one user's answer by token, given to another",
            users("/me", "Authorization", "Bearer "),
        ),
        Row::steps("A2", "the same where the answer says `public`", tokens()),
        Row::steps(
            "A3",
            "one user's answer by cookie, given to another",
            cookies(),
        ),
        Row::steps("A4", "`Set-Cookie` replayed", set_cookie()),
        Row::steps(
            "A5",
            "`private`, `no-store`, `no-cache` in every spelling",
            private(),
        ),
        Row::steps(
            "A6",
            "`Vary` on Cookie or Authorization",
            vary_on_identity(),
        ),
        Row::steps("A7", "`Vary: *`, alone and in a list", vary_on_everything()),
        Row::steps(
            "A8",
            "`Vary` on a field that no setting names",
            crossed("X-A"),
        ),
        Row::drive(
            "A9",
            "50 users at once, by cookie and by token",
            crowd_of_users,
        ),
        Row::drive(
            "A10",
            "50 visitors at once, each given a cookie",
            crowd_of_visitors,
        ),
        Row::steps("A11", "API keys and proxy credentials", other_credentials()),
    ]
}

fn rows_of_hosts_and_heads() -> Vec<Row> {
    vec![
        Row::steps("A12", "two hosts, one path", two_hosts()),
        Row::steps(
            "A13",
            "`X-Forwarded-Proto` in a redirect loop",
            forwarded_scheme(),
        ),
        Row::drive(
            "A14",
            "no, empty, double, broken or contradicting host",
            broken_hosts,
        ),
        Row::drive("A15", "spellings of one host", spellings_of_a_host),
        Row::steps("A16", "a redirect with user data", redirect()),
        Row::steps(
            "A17",
            "the empty answer to HEAD, given to GET",
            head_before_get(),
        ),
        Row::steps(
            "A18",
            "a reflected `Origin` without `Vary`",
            reflected_origin(),
        ),
        Row::steps("A19", "forged `Age` and `Date`", forged_age()),
        Row::steps("A20", "keys and tags told to clients", talkative()),
    ]
}

/// Whose answer it is, and by which field, between visitors without one.
fn users(target: &str, field: &str, prefix: &str) -> Vec<Step> {
    let user = |name: &str| {
        let name = format!("{prefix}{name}");
        let shown = name.trim_start_matches("sid=");
        get(target)
            .with(field, &name)
            .body(&format!("user={shown}"))
    };
    let nobody = || get(target).body("user=none");
    vec![
        user("alice").fresh(),
        nobody().fresh(),
        user("bob").fresh(),
        nobody(),
        user("alice").fresh(),
    ]
}

fn public_page(field: &str, value: &str) -> Vec<Step> {
    let target = "/me-public";
    vec![
        get(target).body("user=none").reused(),
        get(target).with(field, value).bypassed(),
        get(target).body("user=none").reused(),
    ]
}

fn tokens() -> Vec<Step> {
    let by_token = users("/me-public", "Authorization", "Bearer ");
    [by_token, public_page("Authorization", "Bearer alice")].concat()
}

fn cookies() -> Vec<Step> {
    let by_cookie = |target| users(target, "Cookie", "sid=");
    let public = public_page("Cookie", "sid=alice");
    [by_cookie("/me"), by_cookie("/me-public"), public].concat()
}

fn set_cookie() -> Vec<Step> {
    [
        never_stored(&shared(&[("h", "Set-Cookie:sid=1")])),
        never_stored(&shared(&[("h", "Set-Cookie2:sid=1")])),
        stored(&shared(&[("h", "X-Set-Cookie:sid=1")])),
    ]
    .concat()
}

fn private() -> Vec<Step> {
    let mut steps = Vec::new();
    for directives in [
        "private",
        "PRIVATE",
        "max-age=60, private",
        "private , max-age=60",
        "max-age=60,\tPrivate",
        "no-store",
        "No-Store, max-age=60",
        "no-cache, max-age=60",
        "max-age=60, NO-CACHE",
        "max-age=60, private, public",
    ] {
        steps.extend(never_stored(&ctl(&[(
            "h",
            &format!("Cache-Control:{directives}"),
        )])));
    }
    for second in ["private", "no-store", "no-cache"] {
        steps.extend(never_stored(&shared(&[(
            "h",
            &format!("Cache-Control:{second}"),
        )])));
    }
    let qualified = ctl(&[
        ("h", "Cache-Control:max-age=60, private=\"x-user\""),
        ("h", "X-User:alice"),
    ]);
    steps.push(get(&qualified).fresh());
    steps.push(get(&qualified).is(Check::NotReplayed("x-user")));
    steps.extend(stored(&ctl(&[(
        "h",
        "Cache-Control:max-age=60, x=\"private\"",
    )])));
    steps
}

fn vary_on_identity() -> Vec<Step> {
    let mut steps = Vec::new();
    for (field, name) in [("Cookie", "sid=alice"), ("Authorization", "alice")] {
        let target = shared(&[("h", &format!("Vary:{field}")), ("echo", field)]);
        steps.extend(never_stored(&target));
        steps.push(get(&target).with(field, name).body(name).bypassed());
        steps.push(get(&target).with(field, "bob").body("bob").bypassed());
        steps.push(get(&target).body("").fresh());
    }
    steps
}

fn vary_on_everything() -> Vec<Step> {
    let lists = ["*", "Accept, *", "Accept , * , X-A"];
    let target = |list: &str| shared(&[("h", &format!("Vary:{list}"))]);
    let single = lists.iter().flat_map(|list| never_stored(&target(list)));
    let lines = shared(&[("h", "Vary:Accept"), ("h", "Vary:*")]);
    single
        .chain(never_stored(&lines))
        .chain(stored(&target("Accept")))
        .collect()
}

/// Asks with two values of a field that the answer varies on, and without it.
pub(crate) fn crossed(field: &str) -> Vec<Step> {
    let target = shared(&[("h", &format!("Vary:{field}")), ("echo", field)]);
    let ask = |value: &str| get(&target).with(field, value).body(value);
    vec![
        ask("first").fresh(),
        ask("second").fresh(),
        get(&target).body("").fresh(),
        ask("first").reused(),
        ask("second").reused(),
        get(&target).body("").reused(),
    ]
}

fn crowd_of_users(bench: &Bench<'_>) -> Verdict {
    for field in ["Cookie", "Authorization"] {
        let echo = shared(&[("echo", field), ("delay", "50")]);
        for (target, prefix) in [("/me", "user="), (echo.as_str(), "")] {
            let names = (0..CROWD).map(|number| match field {
                "Cookie" => format!("sid={number}"),
                _ => format!("Bearer {number}"),
            });
            let names: Vec<String> = names.collect();
            let ask = |name: &String| Request::get(target).with(field, name);
            let answers = bench.send_all(&names.iter().map(ask).collect::<Vec<_>>())?;
            runs_are_distinct(&answers)?;
            for (name, answer) in names.iter().zip(&answers) {
                let shown = if target == "/me" {
                    name.trim_start_matches("sid=")
                } else {
                    name
                };
                Check::Body(format!("{prefix}{shown}")).judge(answer, &[])?;
            }
        }
    }
    Ok(())
}

fn crowd_of_visitors(bench: &Bench<'_>) -> Verdict {
    let target = shared(&[("h", "Set-Cookie:sid=1"), ("delay", "50")]);
    let crowd = vec![Request::get(&target); CROWD];
    let answers = [bench.send_all(&crowd)?, bench.send_all(&crowd)?].concat();
    runs_are_distinct(&answers)
}

fn runs_are_distinct(answers: &[Answer]) -> Verdict {
    let runs: HashSet<u64> = answers.iter().filter_map(Answer::run).collect();
    let count = answers.len();
    if runs.len() == count {
        Ok(())
    } else {
        Err(format!("{} runs for {count} users", runs.len()))
    }
}

fn other_credentials() -> Vec<Step> {
    let around = |field| guarded(&shared(&[("echo", field)]), (field, "alice"), "alice", "");
    let fields = [
        "X-Api-Key",
        "Proxy-Authorization",
        "X-Auth-Token",
        "X-User-Id",
        "X-Forwarded-User",
        "Remote-User",
    ];
    fields.into_iter().flat_map(around).collect()
}

fn two_hosts() -> Vec<Step> {
    let ask = |host: &str| get("/host").at(host).body(host);
    vec![
        ask("one.a12.test").fresh(),
        ask("two.a12.test").fresh(),
        ask("one.a12.test").reused(),
        ask("two.a12.test").reused(),
    ]
}

fn forwarded_scheme() -> Vec<Step> {
    let field = "X-Forwarded-Proto";
    let redirect = shared(&[("status", "301"), ("echo", field), ("h", "Location:/")]);
    guarded(&redirect, (field, "http"), "http", "")
}

fn broken_hosts(bench: &Bench<'_>) -> Verdict {
    let target = shared(&[]);
    if let Wire::Two(_) = bench.wire {
        let contradicting = || get(&target).with("Host", "other.test").bypassed();
        return bench.play(&[contradicting(), contradicting()]);
    }
    for host in [
        "",
        "Host:\r\n",
        "Host: a14.test\r\nHost: other.test\r\n",
        "Host: a14.test\r\nHost: a14.test\r\n",
        "Host: a14.test/x?y@z\r\n",
        "Host: user@a14.test\r\n",
    ] {
        let mut earlier = Vec::new();
        for _ in 0..2 {
            let answer = bench.raw(&format!("GET {target} HTTP/1.1\r\n{host}\r\n"))?;
            if answer.status != 400 {
                let judged = Check::Bypassed.judge(&answer, &earlier);
                judged.map_err(|fault| format!("`{}`: {fault}", host.escape_debug()))?;
            }
            earlier.push(answer);
        }
    }
    Ok(())
}

fn spellings_of_a_host(bench: &Bench<'_>) -> Verdict {
    let spellings = [
        "a15.test",
        "A15.TEST",
        "a15.test.",
        "a15.test:80",
        "a15.test:8080",
    ];
    for host in spellings
        .iter()
        .chain(["b.a15.test"].iter())
        .chain(&spellings)
    {
        let answer = bench.send(&Request::get("/host").at(host))?;
        let told = answer.text().to_ascii_lowercase();
        let plain = |host: &str| {
            host.to_ascii_lowercase()
                .replace(":80", "")
                .replace('.', "")
        };
        let same = plain(&told) == plain(host) && told.contains("8080") == host.contains("8080");
        if !same {
            return Err(format!("{host} was given {}", summary(&answer)));
        }
    }
    Ok(())
}

fn redirect() -> Vec<Step> {
    let target = shared(&[("status", "302"), ("h", "Location:/u/alice")]);
    let alice = get(&target)
        .with("Cookie", "sid=alice")
        .status(302)
        .bypassed();
    let plain = never_stored(&target);
    [vec![alice], plain].concat()
}

fn head_before_get() -> Vec<Step> {
    let target = shared(&[("body", "the page")]);
    let head = || Step::new("HEAD", &target).status(200).body("");
    let length = Check::Field("content-length", "8".to_owned());
    vec![
        head().fresh(),
        get(&target).body("the page").fresh(),
        get(&target).body("the page").reused(),
        head().reused().is(length),
        get(&target).body("the page").reused(),
    ]
}

fn reflected_origin() -> Vec<Step> {
    let [evil, good] = ["https://evil.test", "https://good.test"];
    let allowed = format!("Access-Control-Allow-Origin:{evil}");
    let hidden = shared(&[("h", &allowed)]);
    let told = shared(&[("h", &allowed), ("h", "Vary:Origin")]);
    let from = |target: &str, origin: &str| get(target).with("Origin", origin);
    vec![
        from(&hidden, evil).fresh(),
        from(&hidden, good).fresh(),
        get(&hidden).fresh(),
        from(&told, evil).fresh(),
        from(&told, good).fresh(),
        get(&told).fresh(),
        from(&told, evil).reused(),
        from(&told, good).reused(),
        get(&told).reused(),
    ]
}

fn forged_age() -> Vec<Step> {
    let mut steps = Vec::new();
    for field in [
        "Age:-1",
        "Age:1e12",
        "Age:x",
        "Age:0, 70",
        "Date:yesterday",
        "Date:Sat, 01 Jan 2000 00:00:00 GMT",
    ] {
        let target = shared(&[("h", field)]);
        steps.push(get(&target).status(200).fresh());
        steps.push(get(&target).status(200).is(Check::AgeIsSane));
    }
    for age in ["61", "4294967296", "99999999999999999999"] {
        steps.extend(never_stored(&shared(&[("h", &format!("Age:{age}"))])));
    }
    steps.extend(stored(&shared(&[("h", "Age:5")])));
    steps
}

fn talkative() -> Vec<Step> {
    let quiet = |step: Step| {
        let secrets = ["key=", "item:", "cache-tag", "surrogate"];
        secrets
            .into_iter()
            .fold(step, |step, text| step.is(Check::Lacks(text)))
    };
    stored("/items/a20").into_iter().map(quiet).collect()
}

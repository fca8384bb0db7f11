//! Poisoning by what is not in the key: the next visitor must not get the attacker's answer.

use std::io::Read;

use flate2::read::GzDecoder;

use crate::{
    leaks::crossed,
    row::Row,
    support::{
        ask::{SHARED, ctl, get, guarded, never_stored, shared},
        message::{Answer, Request},
        script::{Bench, Check, Step, Verdict, is_alphabet, summary},
        wire::Wire,
    },
};

/// Fields by which a request says that it is another one.
const OVERRIDES: [&str; 10] = [
    "X-Host",
    "X-HTTP-Host-Override",
    "X-Original-Host",
    "X-Forwarded-Host",
    "X-Forwarded-Server",
    "X-Forwarded-Port",
    "X-Forwarded-Prefix",
    "X-Forwarded-Scheme",
    "X-Forwarded-Proto",
    "Forwarded",
];

pub(crate) fn rows() -> Vec<Row> {
    [rows_of_fields(), rows_of_keys_and_codings()]
        .into_iter()
        .flatten()
        .collect()
}

fn rows_of_fields() -> Vec<Row> {
    vec![
        Row::steps(
            "B1",
            "`X-Forwarded-Host`",
            forwarded_host("X-Forwarded-Host", "evil.test"),
        ),
        Row::steps(
            "B2",
            "`Forwarded: host=`",
            forwarded_host("Forwarded", "host=evil.test"),
        ),
        Row::steps(
            "B3",
            "every other forwarding field, alone and in pairs",
            overrides(),
        ),
        Row::steps("B4", "`X-Original-URL`, `X-Rewrite-URL`", other_urls()),
        Row::steps(
            "B5",
            "method overrides, and the errors they provoke",
            other_methods(),
        ),
        Row::steps(
            "B6",
            "any field that the handler reads, once `Vary` names it",
            crossed("X-Anything"),
        ),
        Row::drive("B7", "a GET with a body", fat_get),
    ]
}

fn rows_of_keys_and_codings() -> Vec<Row> {
    vec![
        Row::steps("B8", "a parameter hidden behind `;`", cloaked_parameter()),
        Row::steps(
            "B9",
            "duplicate parameters in two orders",
            own_answers("/q?", &["p=1&p=2", "p=2&p=1", "p=1", "p=2"]),
        ),
        Row::steps(
            "B10",
            "encoded names and values",
            own_answers(
                "/echo-url?",
                &["%70=b", "p=b", "p=%62", "p=+", "p=%20", "P=b"],
            ),
        ),
        Row::steps(
            "B11",
            "a reflected parameter",
            own_answers("/echo-url", &["?utm_content=%27%3E%3Cscript%3E", "", "?"]),
        ),
        Row::steps(
            "B12",
            "separators of a key inside path, query and host",
            ambiguous_keys(),
        ),
        Row::steps(
            "B13",
            "separators of a key inside varying fields",
            ambiguous_variants(),
        ),
        Row::steps(
            "B14",
            "an encoded slash",
            own_answers("/files/b14/", &["1%2fb", "1%2Fb", "1/b", "1%252fb"]),
        ),
        Row::drive("B15", "codings that the next client can not read", codings),
        Row::steps("B16", "a varying value above 1 KiB", swollen_language()),
        Row::steps(
            "B17",
            "a reflected `User-Agent`, once `Vary` names it",
            crossed("User-Agent"),
        ),
        Row::steps("B18", "line ends in a stored field", split_response()),
        Row::drive("B19", "trailers and interim answers", trailers),
    ]
}

fn forwarded_host(field: &'static str, value: &str) -> Vec<Step> {
    let host = format!("{}.b.test", field.to_ascii_lowercase());
    let steps = guarded("/host", (field, value), "evil.test", &host);
    steps.into_iter().map(|step| step.at(&host)).collect()
}

fn overrides() -> Vec<Step> {
    let echoed = |field, case| shared(&[("echo", field), ("case", case)]);
    let mut steps = Vec::new();
    for field in OVERRIDES {
        steps.extend(guarded(&echoed(field, field), (field, "evil"), "evil", ""));
    }
    for pair in OVERRIDES.windows(2) {
        let target = echoed(pair[0], "pair");
        let attack = get(&target).with(pair[0], "evil").with(pair[1], "evil");
        steps.push(attack.body("evil").bypassed());
        steps.push(get(&target).body(""));
    }
    steps
}

fn other_urls() -> Vec<Step> {
    let fields = ["X-Original-URL", "X-Rewrite-URL"];
    let around = |field| guarded(&shared(&[("echo", field)]), (field, "/admin"), "/admin", "");
    fields.into_iter().flat_map(around).collect()
}

fn other_methods() -> Vec<Step> {
    let mut steps = Vec::new();
    for field in [
        "X-HTTP-Method-Override",
        "X-HTTP-Method",
        "X-Method-Override",
    ] {
        steps.extend(guarded(
            &shared(&[("echo", field)]),
            (field, "DELETE"),
            "DELETE",
            "",
        ));
        steps.push(get("/items/b5").with(field, "DELETE").bypassed());
    }
    steps.extend(never_stored(&shared(&[("status", "405")])));
    steps
}

fn fat_get(bench: &Bench<'_>) -> Verdict {
    let fat = |target| get(target).sending("p=evil");
    let plain = |target| get(target).body(r#"[["p","1"]]"#);
    let target = "/q?p=1";
    bench.play(&[
        fat(target).fresh(),
        plain(target).fresh(),
        fat(target).bypassed(),
        plain(target).reused(),
    ])?;
    if let Wire::One(_) = bench.wire {
        let host = &bench.authority;
        let chunked = format!(
            "GET {target} HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\n\r\n\
             6\r\np=evil\r\n0\r\n\r\n"
        );
        Check::Bypassed.judge(&bench.raw(&chunked)?, &[])?;
    }
    Ok(())
}

fn cloaked_parameter() -> Vec<Step> {
    let cloaked = "/q?p=1&utm_content=x;p=evil";
    let seen = r#"[["p","1"],["utm_content","x;p=evil"]]"#;
    let plain = || get("/q?p=1").body(r#"[["p","1"]]"#);
    vec![
        get(cloaked).body(seen).fresh(),
        plain().fresh(),
        get("/q?p=1;p=evil").body(r#"[["p","1;p=evil"]]"#).fresh(),
        plain().reused(),
        get(cloaked).body(seen).reused(),
    ]
}

/// Asks for each of these targets twice: all are stored, and none is another's.
fn own_answers(prefix: &str, endings: &[&str]) -> Vec<Step> {
    let ask = |ending: &&str| get(&format!("{prefix}{ending}"));
    let first = endings.iter().map(|ending| ask(ending).fresh());
    first
        .chain(endings.iter().map(|ending| ask(ending).reused()))
        .collect()
}

fn ambiguous_keys() -> Vec<Step> {
    let hosts = ["b12.test", "b12.test:80", "b12.test.x"];
    let targets = [
        "/files/x",
        "/files/x?",
        "/files/x??",
        "/files/x%3f",
        "/files/x%00",
        "/files/x%00X-A=1",
        "/files/x%7cX-A=1",
        "/files/x__X-A=1",
        "/files/x%0d%0aX-A:1",
        "/files/x/",
        "/files/x//",
        "/files//x",
        "/files/x?a=b&c=d",
        "/files/x?a=b%26c=d",
        "/files/x?a=b&c=d&",
    ];
    let all = || {
        hosts
            .iter()
            .flat_map(|host| targets.iter().map(|target| get(target).at(host)))
    };
    // A default port may be left out of the key: one host in two spellings is one tenant.
    let other_host = |step: &Step| step.request.authority != "b12.test:80";
    let first = all().filter(other_host).map(Step::fresh);
    let again = all().map(|step| {
        let path = step
            .request
            .target
            .split('?')
            .next()
            .unwrap_or_default()
            .to_owned();
        step.body(&path)
    });
    first.chain(again).collect()
}

fn ambiguous_variants() -> Vec<Step> {
    let target = shared(&[("h", "Vary:X-A, X-B"), ("echo", "X-A")]);
    let combinations: [&[(&str, &str)]; 8] = [
        &[],
        &[("X-A", "")],
        &[("X-B", "")],
        &[("X-A", "a, X-B=b")],
        &[("X-A", "a"), ("X-B", "b")],
        &[("X-A", "ab")],
        &[("X-A", "a"), ("X-B", "")],
        &[("X-B", "a")],
    ];
    let ask = |fields: &&[(&str, &str)]| {
        let sent = fields.iter().find(|(name, _)| *name == "X-A");
        let step = get(&target).body(sent.map_or("", |(_, value)| value));
        fields
            .iter()
            .fold(step, |step, (name, value)| step.with(name, value))
    };
    let first = combinations.iter().map(|fields| ask(fields).fresh());
    first
        .chain(combinations.iter().map(|fields| ask(fields).reused()))
        .collect()
}

/// Asks with one coding after the other, so that each client comes after one who read another.
fn codings(bench: &Bench<'_>) -> Verdict {
    const SIZE: usize = 4096;
    let text = ("h", "Content-Type:text/plain");
    let size = ("size", "4096");
    let by_handler = ctl(&[SHARED, text, size, ("gzip", "1")]);
    let by_larder = ctl(&[SHARED, text, size]);
    let endless = format!("{}gzip", "x-other;q=0.5, ".repeat(540));
    let accepts = [
        (Some("gzip"), true),
        (Some("identity;q=1, *;q=0"), false),
        (None, false),
        (Some("gzip;q=0"), false),
        (Some("GZIP"), true),
        (Some(""), false),
        (Some("*"), true),
        (Some("br"), false),
        (Some("gzip;q=0, *"), false),
        (Some(endless.as_str()), true),
    ];
    for target in [&by_handler, &by_larder] {
        for (accepted, takes_gzip) in accepts.iter().chain(&accepts) {
            let mut request = Request::get(target);
            if let Some(list) = accepted {
                request = request.with("Accept-Encoding", list);
            }
            let answer = bench.send(&request)?;
            let shown = accepted.map(|list| &list[..list.len().min(40)]);
            let readable = readable(&answer, *takes_gzip);
            if !readable.is_some_and(|body| is_alphabet(&body, SIZE)) {
                return Err(format!("{target} with {shown:?}: {}", summary(&answer)));
            }
            if !varies_on_coding(&answer) {
                return Err(format!("{target} with {shown:?}: no Vary: Accept-Encoding"));
            }
        }
    }
    Ok(())
}

/// Returns the body as this client reads it, if it can and if its length was told rightly.
fn readable(answer: &Answer, takes_gzip: bool) -> Option<Vec<u8>> {
    let told = answer
        .field("content-length")
        .map(|text| text.parse() == Ok(answer.body.len()));
    if !answer.whole || told == Some(false) {
        return None;
    }
    match answer.field("content-encoding").as_deref() {
        None => Some(answer.body.clone()),
        Some("gzip") if takes_gzip => {
            let mut body = Vec::new();
            GzDecoder::new(answer.body.as_slice())
                .read_to_end(&mut body)
                .ok()?;
            Some(body)
        }
        Some(_) => None,
    }
}

fn varies_on_coding(answer: &Answer) -> bool {
    let vary = answer.field("vary").unwrap_or_default();
    vary.split(',')
        .any(|name| name.trim().eq_ignore_ascii_case("accept-encoding"))
}

fn swollen_language() -> Vec<Step> {
    let target = shared(&[("h", "Vary:Accept-Language")]);
    let swollen = "xx-yy;q=0.1, ".repeat(900);
    let ask = |languages: &str| get(&target).with("Accept-Language", languages);
    vec![
        ask(&swollen).fresh(),
        ask(&swollen).fresh(),
        ask("en").fresh(),
        ask("en").reused(),
        ask(&swollen).fresh(),
    ]
}

fn split_response() -> Vec<Step> {
    let mut steps = Vec::new();
    for line in [
        "X-A:a\r\nX-B:b",
        "X-A:a\nX-B:b",
        "X-A:a\rX-B:b",
        "X-A:a\0",
        "X\r\nX-B:b",
    ] {
        let ask = get(&shared(&[("h", line)]))
            .status(400)
            .is(Check::NoField("x-b"));
        steps.push(ask.clone().fresh());
        steps.push(ask.fresh());
    }
    steps
}

fn trailers(bench: &Bench<'_>) -> Verdict {
    let target = shared(&[
        ("trailer", "X-Sum:7"),
        ("h", "Trailer:X-Sum"),
        ("body", "text"),
    ]);
    let mut earlier = Vec::new();
    for _ in 0..3 {
        let answer = bench.send(&Request::get(&target).with("TE", "trailers"))?;
        Check::Body("text".to_owned()).judge(&answer, &earlier)?;
        Check::NoField("x-sum").judge(&answer, &earlier)?;
        if answer.trailers != [("x-sum".to_owned(), "7".to_owned())] {
            return Err(format!(
                "trailers {:?}: {}",
                answer.trailers,
                summary(&answer)
            ));
        }
        earlier.push(answer);
    }
    // An interim status as the final one can not be sent; it must not be stored on the way either.
    let interim = Request::get(&shared(&[("status", "103")]));
    for _ in 0..2 {
        let hit = bench
            .wire
            .another()
            .and_then(|wire| wire.send(&bench.place(&interim)));
        if hit.is_ok_and(|answer| answer.is_hit()) {
            return Err("a 103 was stored".to_owned());
        }
    }
    Ok(())
}

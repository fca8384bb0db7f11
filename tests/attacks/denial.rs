//! Denial of service by what is stored: errors, empty and partial answers, sizes of every kind.

use std::time::{Duration, Instant};

use crate::{
    row::Row,
    smuggling,
    support::{
        ask::{SHARED, ctl, get, never_stored, shared, stored},
        message::Request,
        script::{Bench, Check, Step, Verdict, is_alphabet, summary},
        wire::Wire,
    },
};

/// The largest body that is stored, in bytes.
const LARGEST: usize = 8 << 20;

pub(crate) fn rows() -> Vec<Row> {
    let raw_only = "HTTP/2 has no such framing";
    vec![
        Row::steps(
            "D1",
            "errors provoked by an oversize field",
            provoked_errors(),
        ),
        Row::drive("D2", "control characters in a field", control_characters)
            .first_only("an HTTP/2 client refuses to send them"),
        Row::steps(
            "D3",
            "an empty 204",
            never_stored(&shared(&[("status", "204")])),
        ),
        Row::steps("D4", "a part of an answer, given as the whole", parts()),
        Row::steps("D5", "a field of 2,000 ranges", many_ranges()),
        Row::steps(
            "D6",
            "a 304, given to who holds nothing",
            not_modified_first(),
        ),
        Row::drive(
            "D7",
            "`Expect` and a body that never comes",
            smuggling::body_that_never_comes,
        )
        .first_only(raw_only),
        Row::drive(
            "D8",
            "a request hidden in the body of a hit",
            smuggling::hidden_request,
        )
        .first_only(raw_only),
        Row::drive(
            "D9",
            "contradicting framings",
            smuggling::contradicting_framings,
        )
        .first_only(raw_only),
        Row::steps(
            "D13",
            "clients that ask for a fresh answer",
            demanding_clients(),
        ),
        Row::drive("D14", "`only-if-cached`", only_if_cached),
        Row::steps("D15", "directives without sense or bound", odd_directives()),
        Row::drive(
            "D16",
            "bodies at the limit, above it, and without end",
            large_bodies,
        ),
        Row::drive("D17", "a handler that drips", dripping_handler),
        Row::drive("D18", "a compression bomb", bomb),
        Row::drive("D20", "200 handlers that never answer", squatters),
    ]
}

fn provoked_errors() -> Vec<Step> {
    let oversize = "a".repeat(12_000);
    let statuses = [
        "400", "401", "403", "405", "407", "413", "414", "429", "431", "500", "501", "502", "503",
        "504",
    ];
    let ask = |status: &&str| {
        let target = shared(&[("status", status)]);
        let attack = get(&target).with("X-Big", &oversize).fresh();
        [vec![attack], never_stored(&target)].concat()
    };
    statuses.iter().flat_map(ask).collect()
}

fn control_characters(bench: &Bench<'_>) -> Verdict {
    let host = &bench.authority;
    for bad in ["\u{7}", "\0", "\u{1b}[", "\r x", "\n folded"] {
        let attack = format!("GET /public HTTP/1.1\r\nHost: {host}\r\nX-A: a{bad}b\r\n\r\n");
        let answer = bench.raw(&attack)?;
        if answer.status != 400 {
            return Err(format!("`{}`: {}", bad.escape_debug(), summary(&answer)));
        }
    }
    bench.play(
        &[
            vec![get("/public").body("hello").fresh()],
            vec![get("/public").reused()],
        ]
        .concat(),
    )
}

fn parts() -> Vec<Step> {
    let whole = "0123456789";
    let target = shared(&[("body", whole), ("h", "ETag:\"d4\"")]);
    let part = |range: &str| get(&target).with("Range", range);
    let told = |text: &str| Check::Field("content-range", text.to_owned());
    let partial = shared(&[
        ("status", "206"),
        ("h", "Content-Range:bytes 0-0/10"),
        ("body", "0"),
    ]);
    vec![
        part("bytes=0-0").fresh(),
        get(&target).status(200).body(whole).fresh(),
        get(&target).status(200).body(whole).reused(),
        part("bytes=2-4")
            .status(206)
            .body("234")
            .is(told("bytes 2-4/10"))
            .reused(),
        part("bytes=-2")
            .status(206)
            .body("89")
            .is(told("bytes 8-9/10"))
            .reused(),
        part("bytes=10-").status(416).is(told("bytes */10")),
        get(&target).status(200).body(whole).reused(),
        get(&partial).with("Range", "bytes=0-0").status(206).fresh(),
        get(&partial).fresh(),
        get(&partial).fresh(),
    ]
}

fn many_ranges() -> Vec<Step> {
    let target = shared(&[("size", "5000")]);
    let ranges = format!("bytes={}0-1", "0-1,".repeat(2000));
    let whole = Check::Alphabet(5000);
    vec![
        get(&target).is(whole.clone()).fresh(),
        get(&target)
            .with("Range", &ranges)
            .status(200)
            .is(whole.clone())
            .reused(),
        get(&target).is(whole).reused(),
    ]
}

fn not_modified_first() -> Vec<Step> {
    let target = shared(&[("h", "ETag:\"x\""), ("cond", "1"), ("body", "full")]);
    let held = || {
        get(&target)
            .with("If-None-Match", "\"x\"")
            .status(304)
            .body("")
    };
    vec![
        held().is(Check::Fresh),
        get(&target).status(200).body("full"),
        get(&target).status(200).body("full").reused(),
        held(),
        get(&target).status(200).body("full").reused(),
    ]
}

fn demanding_clients() -> Vec<Step> {
    let target = shared(&[]);
    let mut steps = stored(&target);
    for (name, value) in [
        ("Cache-Control", "no-cache"),
        ("Cache-Control", "max-age=0"),
        ("Cache-Control", "min-fresh=1000"),
        ("Pragma", "no-cache"),
    ] {
        steps.push(get(&target).with(name, value).reused());
    }
    // Asking not to be stored is honoured; what others share stays.
    steps.push(get(&target).with("Cache-Control", "no-store").bypassed());
    steps.push(get(&target).reused());
    steps
}

fn only_if_cached(bench: &Bench<'_>) -> Verdict {
    let target = shared(&[]);
    let only = || get(&target).with("Cache-Control", "only-if-cached");
    // Ignored by the application preset, as every wish of a client for the store is.
    bench.play(&[only().status(200).fresh(), only().status(200).reused()])?;
    let cold = only().status(504).is(Check::NoField("x-run"));
    let warm = only().status(200).reused();
    bench.play_over(
        bench.gateway,
        &[vec![cold], stored(&target), vec![warm]].concat(),
    )
}

fn odd_directives() -> Vec<Step> {
    let target = |value: &str| ctl(&[("h", &format!("Cache-Control:{value}"))]);
    let mut steps = stored(&target("max-age=99999999999999999999"));
    for stale in [
        "max-age=0",
        "max-age=-1",
        "max-age=1.5",
        "max-age=",
        "max-age",
        "max-age=60s",
        "max-age= 60",
        "s-maxage=x, max-age=60",
    ] {
        steps.extend(never_stored(&target(stale)));
    }
    for either in [
        "max-age=\"60\"",
        "max-age=60, max-age=0",
        "max-age=0, max-age=60",
        ",,,max-age=60,,",
        "=60, max-age=60",
        "\"",
        "max-age=\"60",
    ] {
        steps.push(get(&target(either)).status(200).fresh());
        steps.push(get(&target(either)).status(200));
    }
    let long = format!("{}max-age=60", "x-unknown=1, ".repeat(400));
    steps.extend(stored(&target(&long)));
    steps
}

fn large_bodies(bench: &Bench<'_>) -> Verdict {
    let sized = |size: usize| shared(&[("size", &size.to_string())]);
    let chunked = shared(&[
        ("size", &(LARGEST + (1 << 20)).to_string()),
        ("chunks", "9"),
    ]);
    let whole = |size| Check::Alphabet(size);
    bench.play(&[
        get(&sized(LARGEST)).is(whole(LARGEST)).fresh(),
        get(&sized(LARGEST)).is(whole(LARGEST)).reused(),
        get(&sized(LARGEST + 1)).is(whole(LARGEST + 1)).fresh(),
        get(&sized(LARGEST + 1)).is(whole(LARGEST + 1)).fresh(),
        get(&chunked).is(whole(LARGEST + (1 << 20))).fresh(),
        get(&chunked).is(whole(LARGEST + (1 << 20))).fresh(),
    ])?;
    let before = bench.ground.resident_bytes();
    for orders in [
        &[SHARED, ("size", "1000000000000")][..],
        &[SHARED, ("size", "1000000000000"), ("chunks", "1")],
    ] {
        let request = bench.place(&Request::get(&ctl(orders)));
        let (_, mut body) = bench
            .wire
            .begin(&request)
            .map_err(|error| error.to_string())?;
        let mut read = 0;
        while read < 3 * LARGEST {
            let some = body.some().map_err(|error| error.to_string())?;
            read += some.ok_or("an endless body ended")?.len();
        }
    }
    // Leaving a tail of each body in flight, but nothing near what was read.
    grown_by_at_most(bench, before, LARGEST as u64 * 2)?;
    bench.play(&[get("/ping").body("pong")])
}

/// Checks that the server's memory did not grow by more than `limit` bytes since `before`.
pub(crate) fn grown_by_at_most(bench: &Bench<'_>, before: u64, limit: u64) -> Verdict {
    let grown = bench.ground.resident_bytes().saturating_sub(before);
    if grown <= limit {
        Ok(())
    } else {
        Err(format!("memory grew by {grown} bytes, of {limit}"))
    }
}

fn dripping_handler(bench: &Bench<'_>) -> Verdict {
    let target = shared(&[("size", "26"), ("chunks", "26"), ("gap", "50")]);
    let asked = Instant::now();
    let begun = bench.wire.begin(&bench.place(&Request::get(&target)));
    let (head, mut body) = begun.map_err(|error| error.to_string())?;
    Check::Fresh.judge(&head, &[])?;
    body.some().map_err(|error| error.to_string())?;
    if asked.elapsed() > Duration::from_millis(800) {
        return Err(format!("the first byte took {:?}", asked.elapsed()));
    }
    // Others are not held up, and nobody is given a part.
    let other = bench.send(&Request::get(&target))?;
    Check::Alphabet(26).judge(&other, &[])
}

fn bomb(bench: &Bench<'_>) -> Verdict {
    const SIZE: usize = 16 << 20;
    let false_gzip = shared(&[("h", "Content-Encoding:gzip"), ("body", "no gzip at all")]);
    let verbatim = || get(&false_gzip).body("no gzip at all");
    bench.play(&[verbatim().fresh(), verbatim()])?;
    let target = shared(&[("size", &SIZE.to_string()), ("gzip", "1")]);
    let before = bench.ground.resident_bytes();
    for _ in 0..3 {
        let packed = bench.send(&Request::get(&target).with("Accept-Encoding", "gzip"))?;
        if packed.body.len() > SIZE / 64 || !packed.whole {
            return Err(format!("inflated on the way: {}", summary(&packed)));
        }
    }
    grown_by_at_most(bench, before, SIZE as u64 / 2)?;
    let plain = bench.send(&Request::get(&target))?;
    if is_alphabet(&plain.body, SIZE) {
        Ok(())
    } else {
        Err(summary(&plain))
    }
}

fn squatters(bench: &Bench<'_>) -> Verdict {
    let error = |error: std::io::Error| error.to_string();
    bench.play(&stored(&shared(&[])))?;
    let squat = |number: usize| shared(&[("hang", "1"), ("key", &number.to_string())]);
    let requests: Vec<Request> = (0..200)
        .map(|number| Request::get(&squat(number)))
        .collect();
    let placed: Vec<Request> = requests
        .iter()
        .map(|request| bench.place(request))
        .collect();
    let squatting = bench.wire.another().map_err(error)?;
    let held = squatting.hold(&placed).map_err(error)?;
    let asked = Instant::now();
    let mut steps = stored(&shared(&[("case", "beside")]));
    steps.push(get("/ping").body("pong"));
    bench.play(&steps)?;
    if asked.elapsed() > Duration::from_secs(1) {
        return Err(format!(
            "three requests took {:?} beside them",
            asked.elapsed()
        ));
    }
    drop(held);
    if let Wire::Two(_) = squatting {
        drop(squatting);
    }
    bench.play(&stored(&shared(&[("case", "after")])))
}

//! Floods: a great many keys, variants, long names and errors against a small store.

use std::time::{Duration, Instant};

use crate::{
    row::Row,
    support::{
        ask::{SHARED, ctl, shared, stored},
        message::Request,
        process::Ground,
        script::{Bench, Check, Verdict},
        wire::Wire,
    },
};

/// What the flooded server may keep, in bytes: small, so that a flood soon exceeds it.
const BOUND: u64 = 4 << 20;

/// What its memory may grow by during a flood, in bytes: the bound once more, for the allocator,
/// the counters of the server itself, and the store that was not full when the count began.
const ALLOWANCE: u64 = 2 * BOUND;

pub(crate) fn rows() -> Vec<Row> {
    vec![
        Row::drive("D10", "very long URLs, each of them new", long_urls),
        Row::drive(
            "D11",
            "very long varying fields, each of them new",
            long_fields,
        ),
        Row::drive("D12", "4,000 new URLs", new_urls),
        Row::drive(
            "D19",
            "4,000 keys of one shape, all looked up again",
            one_shape,
        ),
        Row::drive("D21", "4,000 unknown names", unknown_names),
    ]
}

/// Starts a server with a small store and plays `flood` on it, over the wire of the row.
fn on_a_small_server(bench: &Bench<'_>, flood: fn(&Bench<'_>) -> Verdict) -> Verdict {
    let ground = Ground::start(&[("MEMORY_BYTES", &BOUND.to_string())]);
    let wires = Wire::both(ground.address()).map_err(|error| error.to_string())?;
    let [one, two] = &wires;
    let wire = if let Wire::One(_) = bench.wire {
        one
    } else {
        two
    };
    flood(&Bench {
        ground: &ground,
        wire,
        gateway: bench.gateway,
        authority: bench.authority.clone(),
    })
}

/// Sends `count` requests, the first quarter to settle; memory may not grow over the rest.
fn settle_and_flood(
    bench: &Bench<'_>,
    count: usize,
    check: &Check,
    request: impl Fn(usize) -> Request,
) -> Verdict {
    let mut settled = 0;
    for number in 0..count {
        if number == count / 4 {
            settled = bench.ground.resident_bytes();
        }
        let answer = bench.send(&request(number))?;
        check
            .judge(&answer, &[])
            .map_err(|fault| format!("request {number}: {fault}"))?;
    }
    let grown = bench.ground.resident_bytes().saturating_sub(settled);
    if grown > ALLOWANCE {
        return Err(format!("{count} requests made it grow by {grown} bytes"));
    }
    Ok(())
}

/// HTTP/2 servers refuse a head above 16 KiB, so there the longest that passes is sent.
fn longest(bench: &Bench<'_>, first: usize) -> usize {
    if let Wire::One(_) = bench.wire {
        first
    } else {
        12_000
    }
}

fn long_urls(bench: &Bench<'_>) -> Verdict {
    on_a_small_server(bench, |bench| {
        let length = longest(bench, 60_000);
        let filler = "x".repeat(length);
        let count = 60_000_000 / length;
        bench.play(&stored("/public"))?;
        settle_and_flood(bench, count.min(1_500), &Check::Bypassed, |number| {
            Request::get(&format!("/public?{filler}{number}"))
        })
    })
}

fn long_fields(bench: &Bench<'_>) -> Verdict {
    on_a_small_server(bench, |bench| {
        let filler = "x".repeat(longest(bench, 300_000));
        let target = shared(&[("h", "Vary:X-Big")]);
        settle_and_flood(bench, 200, &Check::Fresh, |number| {
            Request::get(&target).with("X-Big", &format!("{filler}{number}"))
        })
    })
}

fn new_urls(bench: &Bench<'_>) -> Verdict {
    on_a_small_server(bench, |bench| {
        settle_and_flood(bench, 4_000, &Check::Fresh, |number| {
            Request::get(&shared(&[("size", "8000"), ("r", &number.to_string())]))
        })
    })
}

fn unknown_names(bench: &Bench<'_>) -> Verdict {
    on_a_small_server(bench, |bench| {
        settle_and_flood(bench, 4_000, &Check::Fresh, |number| {
            let orders = [
                SHARED,
                ("status", "404"),
                ("size", "8000"),
                ("id", &number.to_string()),
            ];
            Request::get(&ctl(&orders))
        })
    })
}

/// The time for the first and the last of many keys of one shape may not fall apart.
fn one_shape(bench: &Bench<'_>) -> Verdict {
    const KEYS: usize = 4_000;
    const PART: usize = KEYS / 8;
    let ask = |number: usize| bench.send(&Request::get(&format!("/files/{:032x}", number << 20)));
    let timed = |numbers: std::ops::Range<usize>| -> Result<Duration, String> {
        let begun = Instant::now();
        for number in numbers {
            ask(number)?;
        }
        Ok(begun.elapsed())
    };
    let first = timed(0..PART)?;
    timed(PART..KEYS - PART)?;
    let last = timed(KEYS - PART..KEYS)?;
    let again = timed(0..PART)?;
    if last.max(again) > first * 4 {
        return Err(format!(
            "{PART} keys took {first:?} at first, {last:?} and {again:?} at last"
        ));
    }
    Ok(())
}

//! Poisoning by calls of gRPC: of another type, or with a message that is none.

use crate::{
    row::Row,
    support::{
        message::{Answer, Request},
        script::{Bench, Verdict, summary},
    },
};

const GET: &str = "/ground.Items/Get";

pub(crate) fn rows() -> Vec<Row> {
    vec![
        Row::drive(
            "B20",
            "a call answered to gRPC, gRPC-Web and JSON alike",
            types,
        ),
        Row::drive(
            "B21",
            "a call with 4 MiB, a compressed, two or half a message",
            messages,
        ),
    ]
}

/// Returns a frame around the request for an item.
fn frame(flag: u8, id: &str) -> Vec<u8> {
    let field = [&[0x0a], varint(id.len()).as_slice(), id.as_bytes()].concat();
    let length = u32::try_from(field.len()).unwrap();
    [&[flag], length.to_be_bytes().as_slice(), &field].concat()
}

fn varint(mut number: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number > 0x7f {
        bytes.push(u8::try_from(number & 0x7f).unwrap() | 0x80);
        number >>= 7;
    }
    bytes.push(u8::try_from(number).unwrap());
    bytes
}

fn call(kind: &str, body: &[u8]) -> Request {
    let mut request = Request::new("POST", GET)
        .with("Content-Type", kind)
        .with("TE", "trailers");
    request.body = Some(body.to_vec());
    request
}

/// Sends a call twice, and says whether the second answer is the first one.
fn is_shared(bench: &Bench<'_>, request: &Request) -> Result<(bool, Answer), String> {
    let first = bench.send(request)?;
    let second = bench.send(request)?;
    if first.run().is_none() {
        return Err(format!("no run: {}", summary(&first)));
    }
    let shared = first.run() == second.run();
    Ok((shared, second))
}

fn types(bench: &Bench<'_>) -> Verdict {
    let body = frame(0, "b20");
    let (shared, native) = is_shared(bench, &call("application/grpc", &body))?;
    if !shared {
        return Err(format!("equal calls are not shared: {}", summary(&native)));
    }
    for kind in [
        "application/grpc-web+proto",
        "application/json",
        "application/grpc+json",
    ] {
        let (shared, other) = is_shared(bench, &call(kind, &body))?;
        let is_own_family = kind == "application/grpc+json";
        if other.run() == native.run() || shared && !is_own_family {
            return Err(format!("{kind}: {}", summary(&other)));
        }
    }
    Ok(())
}

fn messages(bench: &Bench<'_>) -> Verdict {
    let two = [frame(0, "b21"), frame(0, "b21")].concat();
    let half = frame(0, "b21")[..6].to_vec();
    let long = frame(0, &"x".repeat((4 << 20) + 1));
    let bodies = [
        frame(1, "b21"),
        two,
        half,
        long,
        frame(0, &"x".repeat(66_000)),
        Vec::new(),
    ];
    for body in bodies {
        let length = body.len();
        let (shared, answer) = is_shared(bench, &call("application/grpc", &body))?;
        if shared || answer.is_hit() {
            return Err(format!("{length} bytes: {}", summary(&answer)));
        }
    }
    Ok(())
}

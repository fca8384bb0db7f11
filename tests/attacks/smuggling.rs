//! Framing tricks of HTTP/1.1 against an answer that comes from the store.

use std::io;

use crate::support::{
    ask::get,
    http1::Connection,
    message::{Answer, Request},
    script::{Bench, Check, Verdict, summary},
};

/// Stores `/public` for the row's host and opens a connection.
fn before_a_hit(bench: &Bench<'_>) -> Result<Connection, String> {
    bench.play(&[get("/public"), get("/public").body("hello")])?;
    let stored = bench.send(&Request::get("/public"))?;
    if !stored.is_hit() {
        return Err(format!("no hit to begin with: {}", summary(&stored)));
    }
    open(bench)
}

fn sent(connection: &mut Connection, bytes: &str) -> Verdict {
    connection
        .send(bytes.as_bytes())
        .map_err(|error| error.to_string())
}

/// The body is announced, the server is asked whether to send it, and it is never sent.
pub(crate) fn body_that_never_comes(bench: &Bench<'_>) -> Verdict {
    let mut connection = before_a_hit(bench)?;
    let host = &bench.authority;
    let lines = "Expect: 100-continue\r\nContent-Length: 5\r\n";
    sent(
        &mut connection,
        &format!("GET /public HTTP/1.1\r\nHost: {host}\r\n{lines}\r\n"),
    )?;
    let answer = connection
        .answer("GET")
        .map_err(|error| error.to_string())?;
    Check::Body("hello".to_owned()).judge(&answer, &[])?;
    if !connection.is_closed() {
        return Err("the connection stayed open for a body that does not come".to_owned());
    }
    Ok(())
}

/// The body of the first request is a request; the second is a true one.
pub(crate) fn hidden_request(bench: &Bench<'_>) -> Verdict {
    let host = &bench.authority;
    for framing in ["length", "chunks"] {
        let mut connection = before_a_hit(bench)?;
        let hidden = format!("GET /ctl?smuggled={framing} HTTP/1.1\r\nHost: {host}\r\n\r\n");
        let length = hidden.len();
        let first = match framing {
            "length" => format!("Content-Length: {length}\r\n\r\n{hidden}"),
            _ => format!("Transfer-Encoding: chunked\r\n\r\n{length:x}\r\n{hidden}\r\n0\r\n\r\n"),
        };
        let second =
            format!("GET /files/second HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        let head = format!("GET /public HTTP/1.1\r\nHost: {host}\r\n");
        sent(&mut connection, &format!("{head}{first}{second}"))?;
        let mut answers = Vec::new();
        while let Ok(answer) = connection.answer("GET") {
            answers.push(answer);
        }
        expect_two(&answers).map_err(|fault| format!("by {framing}: {fault}"))?;
    }
    never_ran(bench, "smuggled")
}

fn open(bench: &Bench<'_>) -> Result<Connection, String> {
    Connection::open(bench.ground.address()).map_err(|error| error.to_string())
}

fn expect_two(answers: &[Answer]) -> Verdict {
    let bodies: Vec<String> = answers.iter().map(Answer::text).collect();
    match bodies.as_slice() {
        [first, second] if first == "hello" && second == "/files/second" => Ok(()),
        _ => Err(format!("answers {bodies:?}")),
    }
}

/// No handler run saw a request with `mark` in its target.
fn never_ran(bench: &Bench<'_>, mark: &str) -> Verdict {
    let runs = bench.send(&Request::get("/runs"))?;
    if runs.text().contains(mark) {
        Err(format!("a request with `{mark}` was run"))
    } else {
        Ok(())
    }
}

/// Two framings, of which another server might believe the other one.
pub(crate) fn contradicting_framings(bench: &Bench<'_>) -> Verdict {
    before_a_hit(bench)?;
    let host = &bench.authority;
    let hidden = format!("GET /ctl?contradicted HTTP/1.1\r\nHost: {host}\r\n\r\n");
    let length = hidden.len();
    for lines in [
        format!("Content-Length: 0\r\nContent-Length: {length}\r\n"),
        format!("Content-Length: {length}\r\nContent-Length: 0\r\n"),
        format!("Content-Length: +{length}\r\n"),
        "Transfer-Encoding: xchunked\r\n".to_owned(),
        "Transfer-Encoding: chunked, identity\r\n".to_owned(),
        "Transfer-Encoding : chunked\r\n".to_owned(),
        format!("Transfer-Encoding: chunked\r\nContent-Length: {length}\r\n"),
        format!("Content-Length: {length}\r\nTransfer-Encoding: chunked\r\n"),
    ] {
        let mut connection = open(bench)?;
        let head = format!("GET /public HTTP/1.1\r\nHost: {host}\r\n{lines}\r\n");
        sent(&mut connection, &format!("{head}0\r\n\r\n{hidden}"))?;
        let judged = at_most_one(connection.answer("GET"), &mut connection);
        judged.map_err(|fault| format!("`{}`: {fault}", lines.escape_debug()))?;
    }
    never_ran(bench, "contradicted")?;
    Check::Body("hello".to_owned()).judge(&bench.send(&Request::get("/public"))?, &[])
}

fn at_most_one(first: io::Result<Answer>, connection: &mut Connection) -> Verdict {
    match first {
        Ok(answer) if connection.is_closed() => match answer.status {
            200 | 400 => Ok(()),
            _ => Err(summary(&answer)),
        },
        Ok(answer) => Err(format!("went on after {}", summary(&answer))),
        Err(error) if error.kind() == io::ErrorKind::TimedOut => Err(error.to_string()),
        // Closed without an answer.
        Err(_) => Ok(()),
    }
}

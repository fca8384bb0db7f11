//! Requests in order, and what must be true of each answer.

use std::io;

use super::{
    http1::Connection,
    message::{Answer, Request},
    process::Ground,
    wire::Wire,
};

/// Nothing, or what went wrong.
pub(crate) type Verdict = Result<(), String>;

/// One request and what must be true of its answer.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub(crate) request: Request,
    checks: Vec<Check>,
}

/// One thing that must be true of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Check {
    Status(u16),
    Body(String),
    /// The body is the alphabet over and over, so many bytes of it.
    Alphabet(usize),
    /// A handler run of its own, in this row.
    Fresh,
    /// As [`Check::Fresh`], and larder says that it stood aside.
    Bypassed,
    /// The answer of an earlier run of this row, from the store.
    Reused,
    /// A field has exactly this value over all its lines.
    Field(&'static str, String),
    /// A field is not there.
    NoField(&'static str),
    /// No name and no value of the head contains this text.
    Lacks(&'static str),
    /// A field may be there on a fresh answer, never on a reused one.
    NotReplayed(&'static str),
    /// `Age` is absent, or one number that a signed 32-bit integer holds.
    AgeIsSane,
}

/// Where a row is played: a server, a wire to it, and a host that is the row's own.
pub(crate) struct Bench<'a> {
    pub(crate) ground: &'a Ground,
    pub(crate) wire: &'a Wire,
    /// A wire to a server with the gateway preset.
    pub(crate) gateway: &'a Wire,
    pub(crate) authority: String,
}

impl Bench<'_> {
    /// Returns a request to the row's own host, unless it names another.
    pub(crate) fn place(&self, request: &Request) -> Request {
        let named = request.authority != Request::get("/").authority;
        let authority = if named {
            &request.authority
        } else {
            &self.authority
        };
        request.clone().at(authority)
    }

    pub(crate) fn send(&self, request: &Request) -> Result<Answer, String> {
        self.send_over(self.wire, request)
    }

    /// Sends to another server than the row's, as the same host.
    pub(crate) fn send_over(&self, wire: &Wire, request: &Request) -> Result<Answer, String> {
        let request = self.place(request);
        let sent = wire.send(&request);
        sent.map_err(|error| format!("{}: {error}", shown(&request)))
    }

    /// Sends all at once; none may fail.
    pub(crate) fn send_all(&self, requests: &[Request]) -> Result<Vec<Answer>, String> {
        let placed: Vec<Request> = requests.iter().map(|request| self.place(request)).collect();
        let answers: io::Result<Vec<Answer>> = self.wire.send_all(&placed).into_iter().collect();
        answers.map_err(|error| format!("{} of {}: {error}", shown(&placed[0]), placed.len()))
    }

    /// Sends these bytes over HTTP/1.1 on a connection of their own and reads one answer.
    pub(crate) fn raw(&self, bytes: &str) -> Result<Answer, String> {
        let exchange = || {
            let mut connection = Connection::open(self.ground.address())?;
            connection.send(bytes.as_bytes())?;
            connection.answer("GET")
        };
        exchange().map_err(|error| format!("{:.80}: {error}", bytes.escape_debug().to_string()))
    }

    pub(crate) fn play(&self, steps: &[Step]) -> Verdict {
        self.play_over(self.wire, steps)
    }

    pub(crate) fn play_over(&self, wire: &Wire, steps: &[Step]) -> Verdict {
        let mut earlier = Vec::new();
        for (number, step) in steps.iter().enumerate() {
            let answer = self.send_over(wire, &step.request)?;
            for check in &step.checks {
                check.judge(&answer, &earlier).map_err(|fault| {
                    let request = shown(&step.request);
                    format!("request {}, {request}: {fault}", number + 1)
                })?;
            }
            earlier.push(answer);
        }
        Ok(())
    }
}

impl Step {
    pub(crate) fn new(method: &str, target: &str) -> Self {
        Self {
            request: Request::new(method, target),
            checks: Vec::new(),
        }
    }

    pub(crate) fn at(mut self, authority: &str) -> Self {
        self.request = self.request.at(authority);
        self
    }

    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.request = self.request.with(name, value);
        self
    }

    pub(crate) fn sending(mut self, body: &str) -> Self {
        self.request = self.request.body(body);
        self
    }

    pub(crate) fn is(mut self, check: Check) -> Self {
        self.checks.push(check);
        self
    }

    pub(crate) fn body(self, body: &str) -> Self {
        self.is(Check::Body(body.to_owned()))
    }

    pub(crate) fn status(self, status: u16) -> Self {
        self.is(Check::Status(status))
    }

    pub(crate) fn fresh(self) -> Self {
        self.is(Check::Fresh)
    }

    pub(crate) fn bypassed(self) -> Self {
        self.is(Check::Bypassed)
    }

    pub(crate) fn reused(self) -> Self {
        self.is(Check::Reused)
    }
}

impl Check {
    pub(crate) fn judge(&self, answer: &Answer, earlier: &[Answer]) -> Verdict {
        let known = answer.run().is_some() && earlier.iter().any(|one| one.run() == answer.run());
        let good = match self {
            Self::Status(status) => answer.status == *status,
            Self::Body(body) => answer.whole && answer.body == body.as_bytes(),
            Self::Alphabet(length) => answer.whole && is_alphabet(&answer.body, *length),
            Self::Fresh => answer.run().is_some() && !known && !answer.is_hit(),
            Self::Bypassed => answer.run().is_some() && !known && answer.is_bypass(),
            Self::Reused => known && answer.is_hit(),
            Self::Field(name, value) => answer.field(name).as_deref() == Some(value),
            Self::NoField(name) => answer.field(name).is_none(),
            Self::Lacks(text) => {
                let mut lines = answer.fields.iter();
                lines.all(|(name, value)| !name.contains(text) && !value.contains(text))
            }
            Self::NotReplayed(name) => !known || answer.field(name).is_none(),
            Self::AgeIsSane => {
                let age = answer.field("age");
                age.is_none_or(|age| age.parse::<u64>().is_ok_and(|age| age <= 1 << 31))
            }
        };
        if good {
            Ok(())
        } else {
            Err(format!("not {self:?}: {}", summary(answer)))
        }
    }
}

/// Returns whether `body` is so many bytes of the alphabet over and over.
pub(crate) fn is_alphabet(body: &[u8], length: usize) -> bool {
    body.len() == length
        && body
            .iter()
            .zip((b'a'..=b'z').cycle())
            .all(|(byte, letter)| *byte == letter)
}

/// Returns an answer in one line.
pub(crate) fn summary(answer: &Answer) -> String {
    let status = answer.field("cache-status").unwrap_or_default();
    let run = answer
        .run()
        .map_or("no run".to_owned(), |run| format!("run {run}"));
    let text = answer.text();
    let start: String = text.chars().take(60).collect();
    let whole = if answer.whole { "" } else { ", cut off" };
    format!(
        "{} by {run}, Cache-Status `{status}`, {} bytes{whole}: `{start}`",
        answer.status,
        answer.body.len()
    )
}

fn shown(request: &Request) -> String {
    let mut line = format!("{} {}", request.method, request.target);
    for (name, value) in &request.fields {
        line += &format!(" [{name}: {value}]");
    }
    line.chars().take(160).collect()
}

//! `/ctl`: answers exactly what the query asks for.

use std::{
    collections::HashSet,
    future,
    io::Write,
    str::{self, FromStr},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::any,
};
use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use tokio::time;

use crate::{
    answer::{decoded, refused},
    body::{Content, Manner, ScriptedBody},
};

/// Distinct queries whose first run is remembered for `once`.
const REMEMBERED: usize = 100_000;

/// The queries that already had their first run.
type Seen = Arc<Mutex<HashSet<String>>>;

/// Returns the route.
pub(crate) fn routes() -> Router {
    Router::new()
        .route("/ctl", any(answer))
        .with_state(Seen::default())
}

async fn answer(State(seen): State<Seen>, request: Request) -> Response {
    let query = request.uri().query().unwrap_or_default();
    let orders = match Orders::read(query) {
        Ok(orders) => orders,
        Err(why) => return refused(&why),
    };
    let first = orders.once.filter(|_| is_first(&seen, query));
    time::sleep(orders.delay).await;
    if let Some(mishap) = first.or(orders.always) {
        match mishap {
            Mishap::Panic => give_up(),
            Mishap::Hang => future::pending().await,
            Mishap::Fault => return StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        }
    }
    orders.carry_out(request.headers())
}

fn is_first(seen: &Seen, query: &str) -> bool {
    let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
    seen.len() < REMEMBERED && seen.insert(query.to_owned())
}

#[expect(clippy::panic, reason = "the request asks for a panic")]
fn give_up() {
    panic!("the request asked for a panic")
}

/// What a run does instead of answering.
#[derive(Clone, Copy, Debug)]
enum Mishap {
    Panic,
    Fault,
    Hang,
}

/// Everything that a query can ask for.
#[derive(Debug)]
struct Orders {
    status: StatusCode,
    headers: HeaderMap,
    content: Content,
    manner: Manner,
    delay: Duration,
    echo: Option<HeaderName>,
    conditional: bool,
    gzip: bool,
    /// What every run does instead of answering, and what the first one does.
    always: Option<Mishap>,
    once: Option<Mishap>,
}

impl Orders {
    fn read(query: &str) -> Result<Self, String> {
        let mut orders = Self {
            status: StatusCode::OK,
            headers: HeaderMap::new(),
            content: Content::Text(Bytes::from_static(b"ok")),
            manner: Manner::default(),
            delay: Duration::ZERO,
            echo: None,
            conditional: false,
            gzip: false,
            always: None,
            once: None,
        };
        for pair in query.split('&') {
            let (name, raw) = pair.split_once('=').unwrap_or((pair, ""));
            orders.take(name, decoded(raw))?;
        }
        Ok(orders)
    }

    /// Takes one parameter; one without a meaning here only makes the query unlike others.
    fn take(&mut self, name: &str, value: Vec<u8>) -> Result<(), String> {
        match name {
            "status" => self.status = parsed(name, &value)?,
            "h" => append(&mut self.headers, &value)?,
            "body" => self.content = Content::Text(value.into()),
            "size" => self.content = Content::Alphabet(parsed(name, &value)?),
            "chunks" => self.manner.pieces = Some(parsed(name, &value)?),
            "gap" => self.manner.gap = Duration::from_millis(parsed(name, &value)?),
            "delay" => self.delay = Duration::from_millis(parsed(name, &value)?),
            "echo" => self.echo = Some(parsed(name, &value)?),
            "trailer" => append(&mut self.manner.trailers, &value)?,
            "fail" => self.manner.fails = value == b"1",
            "cond" => self.conditional = value == b"1",
            "gzip" => self.gzip = value == b"1",
            "panic" if value == b"1" => self.always = Some(Mishap::Panic),
            "hang" if value == b"1" => self.always = Some(Mishap::Hang),
            "once" => self.once = Some(parsed(name, &value)?),
            _ => {}
        }
        Ok(())
    }

    fn carry_out(mut self, request: &HeaderMap) -> Response {
        if let Some(name) = &self.echo {
            let sent = request
                .get(name)
                .map(HeaderValue::as_bytes)
                .unwrap_or_default();
            self.content = Content::Text(Bytes::copy_from_slice(sent));
        }
        if self.gzip {
            self.compress(request);
        }
        if self.conditional && is_unchanged(request, &self.headers) {
            self.status = StatusCode::NOT_MODIFIED;
        }
        let bare = [StatusCode::NO_CONTENT, StatusCode::NOT_MODIFIED].contains(&self.status);
        let body = if bare {
            Body::empty()
        } else {
            Body::new(ScriptedBody::new(self.content, self.manner))
        };
        let mut response = Response::new(body);
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers;
        response
    }

    fn compress(&mut self, request: &HeaderMap) {
        let vary = HeaderValue::from_static("Accept-Encoding");
        self.headers.append(header::VARY, vary);
        if !accepts_gzip(request) {
            return;
        }
        self.content = Content::Text(compressed(&self.content));
        let coding = HeaderValue::from_static("gzip");
        self.headers.insert(header::CONTENT_ENCODING, coding);
    }
}

impl FromStr for Mishap {
    type Err = ();

    fn from_str(name: &str) -> Result<Self, ()> {
        match name {
            "panic" => Ok(Self::Panic),
            "500" => Ok(Self::Fault),
            "hang" => Ok(Self::Hang),
            _ => Err(()),
        }
    }
}

fn parsed<T: FromStr>(name: &str, value: &[u8]) -> Result<T, String> {
    let text = str::from_utf8(value).ok();
    let parsed = text.and_then(|text| text.parse().ok());
    parsed.ok_or_else(|| format!("{name}={} can not be read", value.escape_ascii()))
}

/// Appends a line `Name:Value`, unless the `http` crate refuses it.
fn append(headers: &mut HeaderMap, line: &[u8]) -> Result<(), String> {
    let refusal = || format!("`{}` is no header line", line.escape_ascii());
    let mut parts = line.splitn(2, |byte| *byte == b':');
    let name = HeaderName::from_bytes(parts.next().unwrap_or_default());
    let value = HeaderValue::from_bytes(parts.next().ok_or_else(refusal)?.trim_ascii());
    headers.append(name.map_err(|_| refusal())?, value.map_err(|_| refusal())?);
    Ok(())
}

/// Whether the request holds what the answer would bring: If-None-Match decides before
/// If-Modified-Since.
fn is_unchanged(request: &HeaderMap, answer: &HeaderMap) -> bool {
    let text = |headers: &HeaderMap, name| -> Option<String> {
        Some(headers.get(name)?.to_str().ok()?.to_owned())
    };
    if request.contains_key(header::IF_NONE_MATCH) {
        let Some(mine) = text(answer, header::ETAG) else {
            return false;
        };
        let lines = request.get_all(header::IF_NONE_MATCH).iter();
        let mut theirs = lines
            .filter_map(|line| line.to_str().ok())
            .flat_map(|line| line.split(','));
        let opaque = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
        return theirs.any(|tag| tag.trim() == "*" || opaque(tag) == opaque(&mine));
    }
    let date = |headers, name| -> Option<SystemTime> {
        httpdate::parse_http_date(&text(headers, name)?).ok()
    };
    let since = date(request, header::IF_MODIFIED_SINCE);
    date(answer, header::LAST_MODIFIED).is_some_and(|changed| since >= Some(changed))
}

/// Whether a list of codings names gzip (or all of them) without a weight of zero.
fn accepts_gzip(request: &HeaderMap) -> bool {
    let lines = request.get_all(header::ACCEPT_ENCODING).iter();
    let codings = lines
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(','));
    let mut by_name = None;
    let mut by_star = None;
    for coding in codings {
        let (name, parameters) = coding.split_once(';').unwrap_or((coding, ""));
        let weight = parameters.trim().strip_prefix("q=");
        let accepted =
            weight.is_none_or(|weight| weight.parse().is_ok_and(|weight: f32| weight > 0.0));
        match name.trim().to_ascii_lowercase().as_str() {
            "gzip" | "x-gzip" => by_name = Some(accepted),
            "*" => by_star = Some(accepted),
            _ => {}
        }
    }
    by_name.or(by_star).unwrap_or(false)
}

fn compressed(content: &Content) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    let mut offset = 0;
    while offset < content.len() {
        let frame = content.frame(offset, content.len());
        offset += frame.len() as u64;
        if encoder.write_all(&frame).is_err() {
            break;
        }
    }
    // Writing into memory does not fail.
    encoder.finish().unwrap_or_default().into()
}

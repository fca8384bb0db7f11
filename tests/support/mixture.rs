//! Requests of every kind at once, while pages change: nobody gets anything from before a change that
//! was acknowledged for all before he asked.

use std::{
    collections::hash_map::RandomState,
    convert::Infallible,
    hash::BuildHasher,
    panic::resume_unwind,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use http_body_util::BodyExt;
use larder::{Ack, Cache, CacheLayer, Invalidate, Larder, Policy, Routes, Target};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};
use tokio_stream::StreamExt;
use tower::{Layer, ServiceExt, util::BoxCloneService};

const PAGES: usize = 4;

/// What is on each page besides its version, in bytes: enough to be compressed.
const FILLER: usize = 3000;

/// Numbers that look like drawn ones.
#[derive(Clone)]
struct Chance(u64);

impl Chance {
    fn new() -> Self {
        Self(RandomState::new().hash_one(0) | 1)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }

    fn one_in(&mut self, count: u64) -> bool {
        self.below(count) == 0
    }
}

/// The truth about the pages, and what of it was acknowledged.
#[derive(Default)]
pub(crate) struct Truth {
    versions: [AtomicU64; PAGES],
    acknowledged: [AtomicU64; PAGES],
}

type Service = BoxCloneService<Request<Body>, Response<Body>, Infallible>;

fn of(path: &str) -> usize {
    path.trim_start_matches('/').parse().unwrap()
}

fn text(version: u64) -> String {
    format!("{version:>8}{}", "x".repeat(FILLER))
}

/// Adds one to a version; now and then nobody is told.
async fn write(version: &AtomicU64, mut chance: Chance) -> Result<Response<Body>, Infallible> {
    sleep(Duration::from_millis(chance.below(3))).await;
    let version = version.fetch_add(1, Ordering::SeqCst) + 1;
    if chance.one_in(5) {
        resume_unwind(Box::new("after the commit"));
    }
    sleep(Duration::from_millis(chance.below(3))).await;
    let response = Response::builder().header("x-version", version);
    Ok(response.body(Body::empty()).unwrap())
}

/// Reads the version first, and answers later: whole or in pieces, with or without a tag, and now and
/// then not at all.
async fn page(truth: Arc<Truth>, request: Request<Body>) -> Result<Response<Body>, Infallible> {
    let at = of(request.uri().path());
    let mut chance = Chance::new();
    if *request.method() == Method::PUT {
        return write(&truth.versions[at], chance).await;
    }
    let version = truth.versions[at].load(Ordering::SeqCst);
    sleep(Duration::from_millis(chance.below(8))).await;
    let tag = format!("\"{version}\"");
    let mut response = Response::builder()
        .header("x-version", version)
        .header(header::CONTENT_TYPE, "text/plain");
    let has_tag = at.is_multiple_of(2);
    if has_tag {
        response = response.header(header::ETAG, &tag);
    }
    if at == 3 {
        response = response.header(header::VARY, "accept-language");
    }
    match chance.below(12) {
        0 => response = response.status(StatusCode::INTERNAL_SERVER_ERROR),
        1 => response = response.header(header::CACHE_CONTROL, "private"),
        2 => resume_unwind(Box::new("while it is read")),
        _ => {}
    }
    let asked = request.headers().get(header::IF_NONE_MATCH);
    if has_tag && asked.is_some_and(|asked| asked.to_str().unwrap().contains(&tag)) {
        return Ok(response
            .status(StatusCode::NOT_MODIFIED)
            .body(Body::empty())
            .unwrap());
    }
    if *request.method() == Method::HEAD {
        response = response.header(header::CONTENT_LENGTH, text(version).len());
        return Ok(response.body(Body::empty()).unwrap());
    }
    if chance.one_in(2) {
        return Ok(response.body(Body::from(text(version))).unwrap());
    }
    if chance.one_in(2) {
        response = response.header(header::CONTENT_LENGTH, text(version).len());
    }
    Ok(response.body(in_pieces(&text(version))).unwrap())
}

fn in_pieces(text: &str) -> Body {
    let pieces = text.as_bytes().chunks(700).map(Bytes::copy_from_slice);
    let pieces = tokio_stream::iter(pieces.collect::<Vec<_>>()).then(|piece| async move {
        sleep(Duration::from_micros(300)).await;
        Ok::<_, Infallible>(piece)
    });
    Body::from_stream(pieces)
}

/// Asks for a page in some way or other.
fn ask(chance: &mut Chance, at: usize, floor: u64) -> Request<Body> {
    let mut request = Request::builder()
        .uri(format!("/{at}"))
        .header("host", "a.test");
    if chance.one_in(4) {
        request = request.method(Method::HEAD);
    }
    if chance.one_in(4) {
        let version = floor + chance.below(2);
        request = request.header(header::IF_NONE_MATCH, format!("\"{version}\""));
    }
    if chance.one_in(4) {
        request = request.header(header::RANGE, "bytes=0-7");
    }
    if chance.one_in(2) {
        request = request.header(header::ACCEPT_ENCODING, "gzip");
    }
    let languages = ["de", "en", "fr"];
    let language = languages[usize::try_from(chance.below(3)).unwrap()];
    request = request.header(header::ACCEPT_LANGUAGE, language);
    request.body(Body::empty()).unwrap()
}

/// The version that a body says it is of, if there is one.
fn said(headers: &HeaderMap, bytes: &[u8]) -> Option<u64> {
    if bytes.is_empty() {
        return None;
    }
    let mut plain = Vec::new();
    let bytes = if headers.contains_key(header::CONTENT_ENCODING) {
        let mut reader = flate2::read::GzDecoder::new(bytes);
        std::io::Read::read_to_end(&mut reader, &mut plain).unwrap();
        &plain
    } else {
        bytes
    };
    let text = std::str::from_utf8(bytes.get(..8)?).unwrap();
    Some(text.trim().parse().unwrap())
}

/// Asks until the end, and tells how many answers had a version.
async fn read(service: Service, truth: Arc<Truth>, mut chance: Chance, end: Instant) -> u64 {
    let mut reads = 0;
    while Instant::now() < end {
        let at = usize::try_from(chance.below(PAGES as u64)).unwrap();
        let floor = truth.acknowledged[at].load(Ordering::SeqCst);
        let request = ask(&mut chance, at, floor);
        let told = format!("{request:?}");
        if chance.one_in(10) {
            let wait = Duration::from_micros(chance.below(4000));
            let leaving = tokio::spawn(service.clone().oneshot(request));
            sleep(wait).await;
            leaving.abort();
            continue;
        }
        let run = tokio::spawn(service.clone().oneshot(request));
        let Ok(Ok(response)) = tokio::time::timeout(Duration::from_secs(10), run)
            .await
            .expect("it hangs")
        else {
            continue;
        };
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        let told = format!("{told}\n{parts:?}");
        if let Some(version) = parts.headers.get("x-version") {
            let version: u64 = version.to_str().unwrap().parse().unwrap();
            assert!(version >= floor, "{version} after {floor}: {told}");
            if let Some(said) = said(&parts.headers, &bytes) {
                assert_eq!(said, version, "{told}");
            }
            reads += 1;
        }
    }
    reads
}

/// Changes pages until the end, by a request or from code.
async fn change(
    larder: Larder,
    service: Service,
    truth: Arc<Truth>,
    mut chance: Chance,
    end: Instant,
) {
    while Instant::now() < end {
        sleep(Duration::from_millis(chance.below(12))).await;
        let at = usize::try_from(chance.below(PAGES as u64)).unwrap();
        let version = if chance.one_in(2) {
            let put = Request::put(format!("/{at}")).header("host", "a.test");
            let put = put.body(Body::empty()).unwrap();
            let run = tokio::spawn(service.clone().oneshot(put));
            let Ok(Ok(response)) = run.await else {
                continue;
            };
            if response.extensions().get() == Some(&Ack::Global) {
                let version = response.headers()["x-version"].to_str().unwrap();
                let version = version.parse().unwrap();
                truth.acknowledged[at].fetch_max(version, Ordering::SeqCst);
            }
            continue;
        } else {
            truth.versions[at].fetch_add(1, Ordering::SeqCst) + 1
        };
        let target = match chance.below(5) {
            0 => Target::url(&format!("/{at}")),
            1 => Target::tag(&format!("page:{at}")),
            2 => Target::route("/{page}"),
            3 => Target::prefix(None, "/"),
            _ => Target::host("a.test"),
        };
        if chance.one_in(3) {
            larder.invalidate_soft([target.clone()]).await;
        }
        if larder.invalidate([target]).await == Ack::Global {
            truth.acknowledged[at].fetch_max(version, Ordering::SeqCst);
        }
    }
}

/// A node: its handle, and the pages behind its layer.
pub(crate) type Node = (Larder, Service);

/// Returns nodes with the same pages, each with this policy, behind a layer of each handle.
pub(crate) fn nodes(layers: Vec<(Larder, CacheLayer)>, policy: &Policy) -> (Arc<Truth>, Vec<Node>) {
    let truth = Arc::new(Truth::default());
    let table = Routes::new()
        .get("/{page}", policy.clone().tag("page:{page}"))
        .on("PUT /{page}", Invalidate::tags(["page:{page}"]))
        .build()
        .unwrap();
    let node = |(larder, layer): (Larder, CacheLayer)| {
        let handler = Arc::clone(&truth);
        let inner = tower::service_fn(move |request| page(Arc::clone(&handler), request));
        let cache: Cache<_> = layer.routes(table.clone()).layer(inner);
        let service = Service::new(cache.map_response(|response| response.map(Body::new)));
        (larder, service)
    };
    let nodes = layers.into_iter().map(node).collect();
    (truth, nodes)
}

/// Lets many ask at once, while two change pages, and returns how often they got an answer that tells
/// its version.
pub(crate) async fn played(truth: &Arc<Truth>, nodes: &[Node], time: Duration) -> u64 {
    let end = Instant::now() + time;
    let (mut readers, mut writers) = (JoinSet::new(), JoinSet::new());
    for (number, (larder, service)) in nodes.iter().cycle().take(24).enumerate() {
        readers.spawn(read(service.clone(), Arc::clone(truth), Chance::new(), end));
        if number < 2 {
            let (larder, service) = (larder.clone(), service.clone());
            writers.spawn(change(
                larder,
                service,
                Arc::clone(truth),
                Chance::new(),
                end,
            ));
        }
    }
    writers.join_all().await;
    readers.join_all().await.into_iter().sum()
}

/// Short enough for all of it to happen.
pub(crate) fn windows() -> Policy {
    let millis = Duration::from_millis;
    Policy::ttl(millis(10))
        .stale_while_revalidate(millis(10))
        .stale_if_error(millis(40))
}

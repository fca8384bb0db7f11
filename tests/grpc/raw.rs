//! Calls and answers that no well-behaved client or service makes.

use std::convert::Infallible;

use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderMap, Request, Response, StatusCode, header::CONTENT_TYPE};
use http_body::Frame;
use http_body_util::{BodyExt, Channel, Full};
use larder::{GrpcBody, GrpcCacheLayer, GrpcMethods, Larder, Policy, mins};
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};
use tower::{Layer, ServiceExt, service_fn};

pub(crate) fn frame(message: &[u8]) -> Bytes {
    let mut frame = BytesMut::new();
    frame.put_u8(0);
    frame.put_u32(u32::try_from(message.len()).unwrap());
    frame.put_slice(message);
    frame.freeze()
}

pub(crate) fn request(path: &str, body: Bytes) -> Request<Full<Bytes>> {
    Request::post(format!("http://a.test{path}"))
        .header(CONTENT_TYPE, "application/grpc")
        .body(Full::new(body))
        .unwrap()
}

/// What a service answers: pieces of a body, then trailers, or none and an error.
#[derive(Clone, Debug, Default)]
struct Script {
    head: Vec<(&'static str, &'static str)>,
    pieces: Vec<Bytes>,
    trailers: Option<Vec<(&'static str, &'static str)>>,
}

type Answer = Response<Channel<Bytes, &'static str>>;

async fn scripted(script: Script) -> Result<Answer, Infallible> {
    let (mut sender, body) = Channel::new(16);
    tokio::spawn(async move {
        for piece in script.pieces {
            sender.send_data(piece).await.unwrap();
        }
        match script.trailers {
            Some(trailers) => {
                let trailers: HeaderMap = trailers
                    .into_iter()
                    .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
                    .collect();
                sender.send(Frame::trailers(trailers)).await.unwrap();
            }
            None => sender.abort("reset"),
        }
    });
    let mut response = Response::new(body);
    response
        .headers_mut()
        .insert(CONTENT_TYPE, "application/grpc".parse().unwrap());
    for (name, value) in script.head {
        response.headers_mut().insert(name, value.parse().unwrap());
    }
    Ok(response)
}

/// Sends each request and returns how often the service ran, with the last answer as it was read.
async fn play(
    script: Script,
    requests: Vec<Request<Full<Bytes>>>,
) -> (usize, Option<(HeaderMap, Bytes, HeaderMap)>) {
    let larder = Larder::builder().build().await.unwrap();
    let methods = GrpcMethods::new().cache("/a.B/Get", Policy::ttl(mins(1)));
    let layer = GrpcCacheLayer::new(&larder).methods(methods.build().unwrap());
    let runs = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&runs);
    let service = layer.layer(service_fn(
        move |request: Request<GrpcBody<Full<Bytes>>>| {
            counted.fetch_add(1, Ordering::SeqCst);
            let script = script.clone();
            async move {
                request.into_body().collect().await.unwrap();
                scripted(script).await
            }
        },
    ));
    let mut last = None;
    for request in requests {
        let response = service.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        let (parts, body) = response.into_parts();
        last = body.collect().await.ok().map(|body| {
            let trailers = body.trailers().cloned().unwrap_or_default();
            (parts.headers, body.to_bytes(), trailers)
        });
        for _ in 0..50 {
            tokio::task::yield_now().await;
        }
    }
    (runs.load(Ordering::SeqCst), last)
}

fn thrice(body: &Bytes) -> Vec<Request<Full<Bytes>>> {
    (0..3).map(|_| request("/a.B/Get", body.clone())).collect()
}

fn good() -> Script {
    Script {
        head: vec![("x-head", "1")],
        pieces: vec![frame(b"answer")],
        trailers: Some(vec![("grpc-status", "0"), ("x-trailer", "2")]),
    }
}

#[tokio::test]
async fn a_kept_answer_is_the_same_in_head_message_and_trailers() {
    let (runs, last) = play(good(), thrice(&frame(b"ask"))).await;
    let (head, message, trailers) = last.unwrap();
    assert_eq!(runs, 1);
    assert_eq!(head["x-head"], "1");
    assert!(!head.contains_key("larder-call"));
    assert_eq!(message, frame(b"answer"));
    assert_eq!(
        (&trailers["grpc-status"], &trailers["x-trailer"]),
        (&"0".parse().unwrap(), &"2".parse().unwrap())
    );
}

/// Answers that are not one message with a code of 0 behind it, each with what is wrong with it.
fn bad_answers() -> Vec<(&'static str, Script)> {
    let ended = |trailers| Script {
        trailers: Some(trailers),
        ..good()
    };
    let of = |pieces| Script { pieces, ..good() };
    let head_alone = |code| Script {
        head: vec![("grpc-status", code)],
        pieces: vec![],
        trailers: Some(vec![]),
    };
    let flagged = |head| Script {
        head,
        ..of(vec![Bytes::from_static(b"\x01\0\0\0\x04junk")])
    };
    let with = |name, value| Script {
        head: vec![(name, value)],
        ..good()
    };
    let joined = Bytes::from([frame(b"one"), frame(b"two")].concat());
    let broken = Script {
        trailers: None,
        ..good()
    };
    vec![
        ("a code in the trailers", ended(vec![("grpc-status", "13")])),
        (
            "a code that is no number",
            ended(vec![("grpc-status", "fine")]),
        ),
        ("no trailers", ended(vec![])),
        ("a code in the head", head_alone("7")),
        ("a code in the head and nothing else", head_alone("0")),
        ("two messages", of(vec![frame(b"one"), frame(b"two")])),
        ("two messages in one piece", of(vec![joined])),
        ("no message", of(vec![])),
        ("half a message", of(vec![frame(b"answer").slice(..8)])),
        ("a broken body", broken),
        (
            "gzip that is none",
            flagged(vec![("grpc-encoding", "gzip")]),
        ),
        ("packed, and nobody says how", flagged(vec![])),
        ("another type", with("content-type", "text/html")),
        ("private", with("cache-control", "private")),
    ]
}

#[tokio::test]
async fn what_is_no_good_answer_of_one_message_is_never_kept() {
    for (row, script) in bad_answers() {
        let wanted = script.clone();
        let (runs, last) = play(script, thrice(&frame(b"ask"))).await;
        assert_eq!(runs, 3, "{row}");
        match (last, wanted.trailers) {
            (Some((_, message, trailers)), Some(sent)) => {
                assert_eq!(message, wanted.pieces.concat(), "{row}");
                assert_eq!(trailers.len(), sent.len(), "{row}");
            }
            (None, None) => {}
            (last, _) => panic!("{row}: {last:?}"),
        }
    }
}

#[tokio::test]
async fn a_call_that_is_not_one_plain_message_passes() {
    let two = Bytes::from([frame(b"one"), frame(b"two")].concat());
    for (row, body) in [
        ("two frames", two),
        ("no frame", Bytes::new()),
        ("half a frame", frame(b"ask").slice(..6)),
        ("a flagged frame", Bytes::from_static(b"\x01\0\0\0\x01a")),
        ("4 MiB and one byte", frame(&vec![0; (4 << 20) + 1])),
        ("one byte above 64 KiB", frame(&vec![0; (64 << 10) + 1])),
    ] {
        assert_eq!(play(good(), thrice(&body)).await.0, 3, "{row}");
    }
    assert_eq!(play(good(), thrice(&frame(&vec![0; 64 << 10]))).await.0, 1);
}

#[tokio::test]
async fn calls_of_other_formats_never_share() {
    let requests = || {
        [
            "application/grpc",
            "application/grpc+json",
            "application/grpc-web",
            "application/json",
        ]
        .map(|kind| {
            let mut request = request("/a.B/Get", frame(b"ask"));
            request
                .headers_mut()
                .insert(CONTENT_TYPE, kind.parse().unwrap());
            request
        })
    };
    let twice = requests().into_iter().chain(requests()).collect();
    // One run for each of the first two, and one for each request of the others.
    assert_eq!(play(good(), twice).await.0, 2 + 4);
    let get = |method| {
        let mut request = request("/a.B/Get", frame(b"ask"));
        *request.method_mut() = method;
        request
    };
    let methods = vec![
        get(http::Method::GET),
        get(http::Method::PUT),
        get(http::Method::GET),
    ];
    assert_eq!(play(good(), methods).await.0, 3);
}

#[tokio::test]
async fn fields_of_http_make_no_difference() {
    let mut requests = thrice(&frame(b"ask"));
    for (request, (name, value)) in requests.iter_mut().zip([
        ("content-length", "8"),
        ("if-none-match", "*"),
        ("range", "bytes=0-1"),
    ]) {
        request.headers_mut().insert(name, value.parse().unwrap());
    }
    let (runs, last) = play(good(), requests).await;
    assert_eq!((runs, last.unwrap().1), (1, frame(b"answer")));
}

/// Answers each piece of a call as it comes.
async fn echo(
    request: Request<GrpcBody<Channel<Bytes>>>,
) -> Result<Response<Channel<Bytes>>, Infallible> {
    let (mut sender, body) = Channel::new(1);
    let mut asked = request.into_body();
    tokio::spawn(async move {
        while let Some(Ok(piece)) = asked.frame().await {
            sender.send(piece).await.unwrap();
        }
    });
    let mut response = Response::new(body);
    let kind = "application/grpc".parse().unwrap();
    response.headers_mut().insert(CONTENT_TYPE, kind);
    Ok(response)
}

#[tokio::test]
async fn both_directions_of_a_call_go_on_at_one_time() {
    let larder = Larder::builder().build().await.unwrap();
    let methods = GrpcMethods::new().cache("/a.B/Get", Policy::ttl(mins(1)));
    let layer = GrpcCacheLayer::new(&larder).methods(methods.build().unwrap());
    let (mut sender, body) = Channel::new(1);
    let call = Request::post("http://a.test/a.B/Chat").header(CONTENT_TYPE, "application/grpc");
    let service = layer.layer(service_fn(echo));
    // The head comes before a single piece was sent.
    let response = service.oneshot(call.body(body).unwrap()).await.unwrap();
    let mut answers = response.into_body();
    for said in [frame(b"one"), frame(b"two"), frame(b"three")] {
        sender.send_data(said.clone()).await.unwrap();
        let heard = answers.frame().await.unwrap().unwrap();
        assert_eq!(heard.into_data().unwrap(), said);
    }
    drop(sender);
    assert!(answers.frame().await.is_none());
}

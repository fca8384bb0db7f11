//! Answers to calls, frame by frame, as no library makes them.

use axum::{
    body::Body,
    extract::Request,
    http::{HeaderMap, HeaderValue, header, request::Parts},
    response::Response,
};
use bytes::{BufMut, Bytes, BytesMut};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use prost::Message;

use crate::{
    answer::refused,
    body::Broken,
    calls::ground::{FailRequest, GetRequest, Item},
};

/// The longest call that is looked into, in bytes; a longer one goes to the service as it is.
const LONGEST: u64 = 1 << 20;

/// How an answer goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    /// A message, then this code.
    Late(u32),
    /// A message, and the stream is reset.
    Reset,
    /// Two messages, and all is well.
    Twice,
    /// A message that says it is gzip, and is not.
    BadGzip,
}

impl Manner {
    /// Returns how a call asks to be answered wrongly, with the id that it is about.
    pub(crate) fn of(path: &str, message: &[u8]) -> Option<(Self, String)> {
        if path == "/ground.Items/Fail" {
            let asked = FailRequest::decode(message).ok()?;
            let late = asked.after_message && asked.code != 0;
            return late.then(|| (Self::Late(asked.code), "fail".to_owned()));
        }
        let id = GetRequest::decode(message).ok()?.id;
        let wish = id.strip_prefix("x:")?.split('#').next()?;
        let manner = match wish.split_once('=').unwrap_or((wish, "")) {
            ("late", code) => Self::Late(code.parse().ok()?),
            ("rst", "") => Self::Reset,
            ("two", "") => Self::Twice,
            ("badgzip", "") => Self::BadGzip,
            _ => return None,
        };
        (path == "/ground.Items/Get").then_some((manner, id))
    }
}

type Read = (Parts, Option<Bytes>, Body);

/// Reads a call of one plain message. What was read is in the body again.
pub(crate) async fn read(request: Request) -> Result<Read, Response> {
    let (parts, body) = request.into_parts();
    let looked_into = ["/ground.Items/Get", "/ground.Items/Fail"].contains(&parts.uri.path());
    let length = parts.headers.get(header::CONTENT_LENGTH);
    let length = length.and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if !looked_into || length.is_some_and(|length| length > LONGEST) {
        return Ok((parts, None, body));
    }
    let bytes = match body.collect().await {
        Ok(collected) => collected.to_bytes(),
        Err(error) => return Err(refused(&error.to_string())),
    };
    let message = match bytes.split_first_chunk::<5>() {
        Some(([0, ..], message)) => Some(bytes.slice_ref(message)),
        _ => None,
    };
    Ok((parts, message, Body::from(bytes)))
}

/// Answers with `item` in a wrong manner.
pub(crate) fn answer(item: &Item, manner: Manner) -> Response {
    let message = match manner {
        Manner::BadGzip => framed(1, b"this is no gzip"),
        _ => framed(0, &item.encode_to_vec()),
    };
    let mut frames: Vec<Result<Frame<Bytes>, Broken>> = vec![Ok(Frame::data(message.clone()))];
    match manner {
        Manner::Late(code) => frames.push(Ok(ending(code))),
        Manner::Reset => frames.push(Err(Broken)),
        Manner::Twice => frames.extend([Ok(Frame::data(message)), Ok(ending(0))]),
        Manner::BadGzip => frames.push(Ok(ending(0))),
    }
    let mut response = Response::new(Body::new(StreamBody::new(tokio_stream::iter(frames))));
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/grpc"),
    );
    if manner == Manner::BadGzip {
        headers.insert("grpc-encoding", HeaderValue::from_static("gzip"));
    }
    response
}

fn framed(flag: u8, message: &[u8]) -> Bytes {
    let mut frame = BytesMut::with_capacity(5 + message.len());
    frame.put_u8(flag);
    frame.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
    frame.put_slice(message);
    frame.freeze()
}

fn ending(code: u32) -> Frame<Bytes> {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from(code));
    Frame::trailers(trailers)
}

//! HTTP/2 with prior knowledge, over one connection whose requests are streams of it.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use http::HeaderMap;
use http_body_util::{BodyExt, Full};
use hyper::{
    body::Incoming,
    client::conn::http2::{SendRequest, handshake},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{net::TcpStream, runtime::Runtime, task::JoinSet, time};

use super::message::{Answer, Request};

/// How long an answer may take before it counts as hung.
const PATIENCE: Duration = Duration::from_secs(20);

/// One connection and the runtime that drives it.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    address: SocketAddr,
    runtime: Arc<Runtime>,
    sender: SendRequest<Full<Bytes>>,
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> io::Result<Self> {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        let runtime = builder.worker_threads(1).enable_all().build()?;
        let sender = runtime.block_on(async {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            let shake = handshake(TokioExecutor::new(), TokioIo::new(stream));
            let (sender, connection) = shake.await.map_err(io::Error::other)?;
            tokio::spawn(connection);
            Ok::<_, io::Error>(sender)
        })?;
        let runtime = Arc::new(runtime);
        Ok(Self {
            address,
            runtime,
            sender,
        })
    }

    pub(crate) fn exchange(&self, request: &Request) -> io::Result<Answer> {
        let whole = exchange(self.sender.clone(), request.clone());
        self.runtime.block_on(patiently(whole))
    }

    /// Sends all requests at once and returns their answers in order.
    pub(crate) fn exchange_all(&self, requests: &[Request]) -> Vec<io::Result<Answer>> {
        self.runtime.block_on(async {
            let mut streams = JoinSet::new();
            for (place, request) in requests.iter().cloned().enumerate() {
                let sender = self.sender.clone();
                streams.spawn(async move { (place, patiently(exchange(sender, request)).await) });
            }
            let mut answers = streams.join_all().await;
            answers.sort_by_key(|(place, _)| *place);
            answers.into_iter().map(|(_, answer)| answer).collect()
        })
    }

    /// Sends a request and returns its head, with the body still to come.
    pub(crate) fn begin(&self, request: &Request) -> io::Result<(Answer, Stream)> {
        let head = head(self.sender.clone(), request.clone());
        let (answer, body) = self.runtime.block_on(patiently(head))?;
        let runtime = Arc::clone(&self.runtime);
        Ok((answer, Stream { runtime, body }))
    }

    /// Sends requests whose streams are reset when the result is dropped.
    pub(crate) fn hold(&self, requests: &[Request]) -> JoinSet<io::Result<Answer>> {
        let _entered = self.runtime.enter();
        let mut streams = JoinSet::new();
        for request in requests {
            streams.spawn(exchange(self.sender.clone(), request.clone()));
        }
        streams
    }

    /// Connects once more to the same server.
    pub(crate) fn another(&self) -> io::Result<Self> {
        Self::connect(self.address)
    }
}

/// The body of an answer, as it comes.
#[derive(Debug)]
pub(crate) struct Stream {
    runtime: Arc<Runtime>,
    body: Incoming,
}

impl Stream {
    /// Returns body bytes as they come; none at the end of the body.
    pub(crate) fn some(&mut self) -> io::Result<Option<Vec<u8>>> {
        let body = &mut self.body;
        self.runtime.block_on(patiently(async {
            while let Some(frame) = body.frame().await {
                let frame = frame.map_err(io::Error::other)?;
                if let Ok(data) = frame.into_data() {
                    return Ok(Some(data.to_vec()));
                }
            }
            Ok(None)
        }))
    }
}

async fn patiently<T>(work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    let limited = time::timeout(PATIENCE, work).await;
    limited.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

async fn head(
    mut sender: SendRequest<Full<Bytes>>,
    request: Request,
) -> io::Result<(Answer, Incoming)> {
    let mut builder = http::Request::builder()
        .method(request.method.as_bytes())
        .uri(format!("http://{}{}", request.authority, request.target));
    for (name, value) in &request.fields {
        builder = builder.header(name, value);
    }
    let body = Full::from(request.body.unwrap_or_default());
    let request = builder.body(body).map_err(io::Error::other)?;
    sender.ready().await.map_err(io::Error::other)?;
    let response = sender
        .send_request(request)
        .await
        .map_err(io::Error::other)?;
    let (head, body) = response.into_parts();
    let answer = Answer {
        status: head.status.as_u16(),
        fields: lines(&head.headers),
        ..Answer::default()
    };
    Ok((answer, body))
}

async fn exchange(sender: SendRequest<Full<Bytes>>, request: Request) -> io::Result<Answer> {
    let (mut answer, mut body) = head(sender, request).await?;
    answer.whole = loop {
        match body.frame().await {
            None => break true,
            Some(Err(_)) => break false,
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) => answer.body.extend_from_slice(&data),
                Err(frame) => answer.trailers = frame.trailers_ref().map(lines).unwrap_or_default(),
            },
        }
    };
    Ok(answer)
}

fn lines(fields: &HeaderMap) -> Vec<(String, String)> {
    let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let lines = fields.iter();
    lines
        .map(|(name, value)| (name.as_str().to_owned(), text(value)))
        .collect()
}

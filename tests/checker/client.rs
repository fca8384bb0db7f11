//! Clients: they read and write at random, on random nodes, and note what came back.

use std::{
    io::Read as _,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use flate2::read::GzDecoder;
use http::{Request, Response};
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, time};

use crate::{
    chance::Chance,
    cluster::{Cluster, HOSTS, KEYS, NAMESPACE, target},
    journal::{Begun, Failure, From, Journal, Moment, Place, Read, Write},
    plan::Plan,
};

/// How long an answer may take before its client gives up.
const PATIENCE: Duration = Duration::from_secs(15);

/// The longest wait that a handler is asked for, in milliseconds.
pub(crate) const LONGEST_WAIT: usize = 300;

/// What all clients of a run share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) plan: Plan,
    pub(crate) cluster: Cluster,
    pub(crate) journal: Journal,
    /// Clients end.
    pub(crate) stop: AtomicBool,
    /// Nothing more is broken.
    pub(crate) calm: AtomicBool,
}

/// One client: a page of the journal, and a connection to each node.
struct Client {
    number: usize,
    shared: Arc<Shared>,
    chance: Chance,
    connections: Vec<Option<SendRequest<Empty<Bytes>>>>,
}

/// An answer read to its end.
struct Answer {
    status: u16,
    from: From,
    global: bool,
    body: Vec<u8>,
}

/// Asks until the run stops.
pub(crate) async fn run(number: usize, shared: Arc<Shared>) {
    let mut client = Client {
        number,
        chance: Chance::new(shared.plan.seed, number as u64 + 1),
        connections: (0..shared.plan.nodes).map(|_| None).collect(),
        shared,
    };
    while !client.shared.stop.load(Ordering::Relaxed) {
        client.act().await;
        let pause = client.chance.milliseconds(0, client.shared.plan.pause);
        time::sleep(pause).await;
    }
}

/// Asks each node for what no cache touches, and notes when that takes long: the machine is then
/// busy with other things, and answers that are late say nothing about larder.
pub(crate) async fn watch(node: usize, shared: Arc<Shared>) {
    let address = shared.cluster.nodes[node].address;
    let mut connection = None;
    while !shared.stop.load(Ordering::Relaxed) {
        let from = shared.journal.now();
        let request = Request::get("/ping").header("host", HOSTS[0]);
        let request = request.body(Empty::new()).unwrap();
        let answer = time::timeout(PATIENCE, exchange(&mut connection, address, request)).await;
        let to = shared.journal.now();
        if !matches!(answer, Ok(Ok(_))) {
            connection = None;
        }
        if to - from > LATE {
            shared.journal.disturbed(node, from, to + LATE);
        }
        time::sleep(Duration::from_millis(50)).await;
    }
}

/// Above this, in nanoseconds, a bare answer is late.
const LATE: Moment = 200_000_000;

impl Client {
    async fn act(&mut self) {
        let key = self.key();
        match self.chance.below(100) {
            0..5 => self.write(key).await,
            5 if self.shared.plan.redis => self.purge(key).await,
            _ => self.read(key).await,
        }
    }

    /// Few keys are asked for often, most seldom (Zipf).
    fn key(&mut self) -> usize {
        let sum: f64 = (1..=KEYS).map(|rank| 1.0 / rank as f64).sum();
        let mut left = (self.chance.next() >> 11) as f64 / (1_u64 << 53) as f64 * sum;
        for rank in 1..=KEYS {
            left -= 1.0 / rank as f64;
            if left <= 0.0 {
                return rank - 1;
            }
        }
        KEYS - 1
    }

    async fn read(&mut self, key: usize) {
        let node = self.chance.below(self.connections.len());
        let host = self.chance.below(HOSTS.len());
        let mut request = Request::get(target(key)).header("host", HOSTS[host]);
        if self.chance.percent(15) {
            request = request.header("x-wait", self.chance.below(LONGEST_WAIT + 1));
        }
        if self.chance.percent(30) {
            request = request.header("accept-encoding", "gzip");
        }
        let (start, before) = (self.shared.journal.now(), self.life(node));
        let answer = self.send(node, request.body(Empty::new()).unwrap()).await;
        let at = self.place(node, before);
        let seen = answer.and_then(|answer| Ok((answer.item(key, HOSTS[host])?, answer.from)));
        self.note(start, node, seen, |end, (version, from), batch| {
            batch.reads.push(Read {
                start,
                end,
                key,
                host,
                version,
                at,
                from,
            });
        });
    }

    async fn write(&mut self, key: usize) {
        let node = self.chance.below(self.connections.len());
        let method = self.chance.pick(&["PUT", "PUT", "DELETE"]);
        let request = Request::builder().method(method).uri(target(key));
        let request = request.header("host", HOSTS[0]);
        let start = self.begin(key, true);
        let before = self.life(node);
        let answer = self.send(node, request.body(Empty::new()).unwrap()).await;
        let at = self.place(node, before);
        let seen = answer.and_then(|answer| Ok((answer.version()?, answer.global)));
        self.note(start, node, seen, |end, (version, global), batch| {
            batch.writes.push(Write {
                start,
                end,
                key,
                version,
                at,
                global,
            });
        });
    }

    /// Invalidates as another program would, by a message; nobody acknowledges that.
    async fn purge(&mut self, key: usize) {
        let start = self.begin(key, false);
        let message = format!(
            r#"{{"id":"{}-{start}","tags":["single:{key}"]}}"#,
            self.number
        );
        let shared = Arc::clone(&self.shared);
        let published = tokio::task::spawn_blocking(move || {
            let address = shared.cluster.redis_address();
            let channel = format!("larder:{{{NAMESPACE}}}:invalidate");
            let mut client = crate::support::resp::Client::open(address)?;
            client.ask(&["PUBLISH", &channel, &message])
        });
        // A server that is down takes no messages; that is known of messages.
        drop(published.await);
    }

    fn begin(&self, key: usize, is_write: bool) -> Moment {
        self.shared.journal.note(self.number, |batch, start| {
            batch.begun.push(Begun {
                start,
                key,
                is_write,
            });
            start
        })
    }

    fn note<T>(
        &self,
        start: Moment,
        node: usize,
        seen: Result<T, Fault>,
        good: impl FnOnce(Moment, T, &mut crate::journal::Batch),
    ) {
        self.shared
            .journal
            .note(self.number, |batch, end| match seen {
                Ok(seen) => good(end, seen, batch),
                Err(fault) => batch.failures.push(Failure {
                    start,
                    end,
                    node,
                    wrong: fault.wrong,
                    what: fault.what,
                }),
            });
    }

    async fn send(&mut self, node: usize, request: Request<Empty<Bytes>>) -> Result<Answer, Fault> {
        let address = self.shared.cluster.nodes[node].address;
        let connection = &mut self.connections[node];
        let sent = time::timeout(PATIENCE, exchange(connection, address, request)).await;
        let answer = match sent {
            Ok(Ok(answer)) => answer,
            Ok(Err(why)) => {
                self.connections[node] = None;
                // Nobody is there: not to be asked again at once.
                time::sleep(Duration::from_millis(20)).await;
                return Err(Fault::missing(why.to_string()));
            }
            Err(_) => {
                self.connections[node] = None;
                return Err(Fault::missing(format!("no answer within {PATIENCE:?}")));
            }
        };
        if answer.status == 200 {
            Ok(answer)
        } else {
            let text = String::from_utf8_lossy(&answer.body).into_owned();
            Err(Fault::missing(format!("{}: {text:.200}", answer.status)))
        }
    }

    fn life(&self, node: usize) -> u64 {
        self.shared.cluster.nodes[node].life()
    }

    fn place(&self, node: usize, before: u64) -> Place {
        let life = (before == self.life(node) && before.is_multiple_of(2)).then_some(before);
        Place { node, life }
    }
}

/// Why an answer is none.
#[derive(Debug)]
struct Fault {
    /// It came, and says what can not be.
    wrong: bool,
    what: String,
}

impl Fault {
    fn missing(what: String) -> Self {
        Self { wrong: false, what }
    }

    fn wrong(what: String) -> Self {
        Self { wrong: true, what }
    }
}

impl Answer {
    /// Returns the version of an item, if all of the body belongs together and to `key` and `host`.
    fn item(&self, key: usize, host: &str) -> Result<u64, Fault> {
        let item = self.json()?;
        let [id, from, padding] = ["id", "host", "pad"].map(|name| item[name].as_str());
        let (Some(version), Some(padding)) = (item["v"].as_u64(), padding) else {
            return Err(Fault::wrong(format!("not an item: {item:.200}")));
        };
        let checksum = crc32fast::hash(format!("{key}:{host}:{version}:{padding}").as_bytes());
        let fits = id == Some(&key.to_string()) && from == Some(host);
        if !fits || item["crc"].as_u64() != Some(checksum.into()) {
            return Err(Fault::wrong(format!(
                "asked for {key} of {host}, got {id:?} of {from:?} with version {version}"
            )));
        }
        Ok(version)
    }

    /// Returns the version that a write says it made.
    fn version(&self) -> Result<u64, Fault> {
        let version = self.json()?["v"].as_u64();
        version.ok_or_else(|| Fault::wrong("a write without a version".to_owned()))
    }

    fn json(&self) -> Result<serde_json::Value, Fault> {
        serde_json::from_slice(&self.body)
            .map_err(|error| Fault::wrong(format!("{} bytes, {error}", self.body.len())))
    }
}

async fn exchange(
    connection: &mut Option<SendRequest<Empty<Bytes>>>,
    address: SocketAddr,
    request: Request<Empty<Bytes>>,
) -> Result<Answer, Box<dyn std::error::Error + Send + Sync>> {
    let mut sender = match connection.take() {
        Some(sender) if !sender.is_closed() => sender,
        _ => connect(address).await?,
    };
    sender.ready().await?;
    let (head, body) = sender.send_request(request).await?.into_parts();
    let mut body = body.collect().await?.to_bytes().to_vec();
    *connection = Some(sender);
    let head = Response::from_parts(head, ());
    let field = |name: &str| {
        let value = head.headers().get(name);
        value
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    };
    if field("content-encoding") == "gzip" {
        let mut plain = Vec::new();
        GzDecoder::new(&*body).read_to_end(&mut plain)?;
        body = plain;
    }
    let status = field("cache-status");
    let from = match status {
        _ if !status.contains("hit") => From::Handler,
        _ if status.contains("detail=REDIS") => From::Redis,
        _ => From::Memory,
    };
    Ok(Answer {
        status: head.status().as_u16(),
        from,
        global: field("x-ack") == "global",
        body,
    })
}

async fn connect(address: SocketAddr) -> std::io::Result<SendRequest<Empty<Bytes>>> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let shaken = handshake(TokioIo::new(stream)).await;
    let (sender, connection) = shaken.map_err(std::io::Error::other)?;
    tokio::spawn(connection);
    Ok(sender)
}

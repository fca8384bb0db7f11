//! A service whose answers a test scripts, and the server around it.

use std::{
    collections::HashMap,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use larder::{GrpcCacheLayer, GrpcMethods, Invalidate, Larder, Policy, TestClock, mins};
use tokio::{net::TcpListener, sync::Semaphore};
use tokio_stream::{Stream, StreamExt};
use tonic::{
    Request, Response, Status,
    codec::CompressionEncoding,
    transport::{Channel, Server, server::TcpIncoming},
};

use crate::ground::{
    FailRequest, GetRequest, Item, PutRequest,
    items_client::ItemsClient,
    items_server::{Items, ItemsServer},
};

pub(crate) const DESCRIPTORS: &[u8] = include_bytes!("../../examples/proto/ground.bin");
pub(crate) const GET: &str = "/ground.Items/Get";
pub(crate) const PUT: &str = "/ground.Items/Put";

/// The service: items with versions. What an id begins with says how it is answered.
#[derive(Clone, Debug)]
pub(crate) struct Shop {
    runs: Arc<AtomicUsize>,
    versions: Arc<Mutex<HashMap<String, u64>>>,
    /// Answers with `fail` once this is closed.
    pub(crate) broken: Arc<Semaphore>,
    /// `slow` waits for a permit.
    pub(crate) gate: Arc<Semaphore>,
}

impl Shop {
    pub(crate) fn new() -> Self {
        Self {
            runs: Arc::default(),
            versions: Arc::default(),
            broken: Arc::new(Semaphore::new(0)),
            gate: Arc::new(Semaphore::new(0)),
        }
    }

    /// Another node of the same shop, with runs of its own.
    pub(crate) fn beside(&self) -> Self {
        Self {
            runs: Arc::default(),
            ..self.clone()
        }
    }

    /// How often the handlers have run.
    pub(crate) fn runs(&self) -> usize {
        self.runs.load(Ordering::SeqCst)
    }

    pub(crate) fn begin(&self) -> usize {
        self.runs.fetch_add(1, Ordering::SeqCst) + 1
    }

    pub(crate) fn version(&self, id: &str) -> u64 {
        self.versions.lock().unwrap().get(id).copied().unwrap_or(0)
    }

    pub(crate) fn write(&self, id: &str) -> u64 {
        let mut versions = self.versions.lock().unwrap();
        let version = versions.entry(id.to_owned()).or_default();
        *version += 1;
        *version
    }

    pub(crate) fn service(&self) -> ItemsServer<Self> {
        ItemsServer::new(self.clone())
            .send_compressed(CompressionEncoding::Gzip)
            .accept_compressed(CompressionEncoding::Gzip)
    }
}

/// An answer with the run that made it.
pub(crate) fn item(shop: &Shop, id: &str, run: usize) -> Response<Item> {
    let mut response = Response::new(Item {
        id: id.to_owned(),
        version: shop.version(id),
    });
    let run = run.to_string().parse().unwrap();
    response.metadata_mut().insert("x-run", run);
    response
}

pub(crate) type Watching = Pin<Box<dyn Stream<Item = Result<Item, Status>> + Send>>;

#[tonic::async_trait]
impl Items for Shop {
    type WatchStream = Watching;

    async fn get(&self, request: Request<GetRequest>) -> Result<Response<Item>, Status> {
        let run = self.begin();
        let id = request.into_inner().id;
        if id.starts_with("slow") {
            self.gate.acquire().await.unwrap().forget();
        }
        if id.starts_with("panic") && run == 1 {
            panic!("in a handler");
        }
        if id.starts_with("gone") || self.broken.is_closed() {
            let mut status = Status::unavailable("no such luck");
            status
                .metadata_mut()
                .insert("x-run", run.to_string().parse().unwrap());
            return Err(status);
        }
        if id.starts_with("missing") {
            return Err(Status::not_found("nothing"));
        }
        Ok(item(self, &id, run))
    }

    async fn put(&self, request: Request<PutRequest>) -> Result<Response<Item>, Status> {
        let run = self.begin();
        let id = request.into_inner().id;
        match id.split_once('!') {
            Some((_, "refuse")) => return Err(Status::failed_precondition("no")),
            Some((id, "fail")) => {
                self.write(id);
                return Err(Status::internal("after the commit"));
            }
            Some((id, "wait")) => {
                self.write(id);
                self.gate.acquire().await.unwrap().forget();
            }
            _ => {}
        }
        self.write(&id);
        Ok(item(self, &id, run))
    }

    async fn watch(&self, request: Request<GetRequest>) -> Result<Response<Watching>, Status> {
        self.begin();
        let (id, gate) = (request.into_inner().id, Arc::clone(&self.gate));
        let numbers = tokio_stream::iter(0_u64..);
        let items = numbers.then(move |version| {
            let (id, gate) = (id.clone(), Arc::clone(&gate));
            async move {
                if version > 0 {
                    gate.acquire().await.unwrap().forget();
                }
                Ok(Item { id, version })
            }
        });
        Ok(Response::new(Box::pin(items)))
    }

    async fn fail(&self, request: Request<FailRequest>) -> Result<Response<Item>, Status> {
        let run = self.begin();
        let code = i32::try_from(request.into_inner().code).unwrap();
        if code == 0 {
            return Ok(item(self, "fail", run));
        }
        Err(Status::new(code.into(), "as asked"))
    }
}

/// What the shop declares in a table.
pub(crate) fn methods(policy: Policy) -> GrpcMethods {
    GrpcMethods::new()
        .descriptor_set(DESCRIPTORS)
        .cache(GET, policy.tag("item:{id}"))
        .on(PUT, Invalidate::tags(["item:{id}", "items"]))
}

/// A shop on a port, behind the layer.
pub(crate) struct Site {
    pub(crate) shop: Shop,
    pub(crate) larder: Larder,
    pub(crate) clock: TestClock,
    pub(crate) address: SocketAddr,
}

pub(crate) async fn larder() -> (Larder, TestClock) {
    let clock = TestClock::new();
    let larder = Larder::builder()
        .clock(clock.clone())
        .build()
        .await
        .unwrap();
    (larder, clock)
}

/// Returns a bound port, and what comes in on it.
pub(crate) async fn incoming() -> (SocketAddr, TcpIncoming) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    (listener.local_addr().unwrap(), TcpIncoming::from(listener))
}

impl Site {
    pub(crate) async fn new() -> Self {
        Self::with(methods(Policy::ttl(mins(1)))).await
    }

    pub(crate) async fn with(methods: GrpcMethods) -> Self {
        let (larder, clock) = larder().await;
        let layer = GrpcCacheLayer::new(&larder).methods(methods.build().unwrap());
        let (shop, (address, incoming)) = (Shop::new(), incoming().await);
        let server = Server::builder()
            .layer(layer)
            .add_service(shop.service())
            .serve_with_incoming(incoming);
        tokio::spawn(server);
        Self {
            shop,
            larder,
            clock,
            address,
        }
    }

    pub(crate) async fn client(&self) -> ItemsClient<Channel> {
        client(self.address).await
    }
}

pub(crate) async fn client(address: SocketAddr) -> ItemsClient<Channel> {
    ItemsClient::connect(format!("http://{address}"))
        .await
        .unwrap()
}

pub(crate) fn get(id: &str) -> Request<GetRequest> {
    Request::new(GetRequest {
        id: id.to_owned(),
        delay_ms: 0,
    })
}

pub(crate) fn put(id: &str) -> Request<PutRequest> {
    Request::new(PutRequest { id: id.to_owned() })
}

/// Returns by which run of a handler an answer was made, and what was done for it.
pub(crate) fn told<T>(response: &Response<T>) -> (String, String) {
    let text = |name| {
        let value = response.metadata().get(name);
        value.map_or(String::new(), |value| value.to_str().unwrap().to_owned())
    };
    (text("x-run"), text("cache-status"))
}

/// Asks until the answer comes out of the store, which it does as soon as it is there.
pub(crate) async fn until_kept(client: &mut ItemsClient<Channel>, id: &str) -> Response<Item> {
    for _ in 0..200 {
        let response = client.get(get(id)).await.unwrap();
        if told(&response).1.contains("hit") {
            return response;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("`{id}` is never kept");
}

//! The same items over gRPC, on the same port and of the same truth.

use std::{
    collections::HashSet,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{
    Router,
    extract::{Request, State},
    middleware::{self, Next},
    response::Response,
};
use tokio::time;
use tokio_stream::{Stream, StreamExt};
use tonic::{Code, Status};

use self::ground::{
    FailRequest, GetRequest, Item, PutRequest,
    items_server::{Items, ItemsServer},
};
use crate::{database::Database, rawcall};

/// What was made of `ground.proto`.
#[allow(
    clippy::all,
    clippy::pedantic,
    clippy::allow_attributes_without_reason,
    dead_code,
    unreachable_pub,
    rust_2018_idioms,
    reason = "written by a program"
)]
pub(crate) mod ground {
    include!("../proto/ground.rs");
}

/// What the compiler of protocol buffers says of it.
pub(crate) const DESCRIPTORS: &[u8] = include_bytes!("../proto/ground.bin");

/// How far apart the items of `Watch` come.
const PAUSE: Duration = Duration::from_millis(100);

/// The service.
#[derive(Clone, Debug)]
pub(crate) struct Calls {
    database: Database,
    /// The ids that have been answered well once, of those that ask for that.
    answered: Arc<Mutex<HashSet<String>>>,
}

impl Calls {
    /// Returns the routes of the service over `database`.
    pub(crate) fn routes(database: Database) -> Router {
        let calls = Self {
            database,
            answered: Arc::default(),
        };
        Router::new()
            .route_service("/ground.Items/{*method}", ItemsServer::new(calls.clone()))
            .layer(middleware::from_fn_with_state(calls, misbehave))
    }

    pub(crate) async fn item(&self, id: String) -> Result<Item, Status> {
        let version = self.database.version(id.clone()).await;
        let version = version.map_err(|failure| Status::internal(failure.to_string()))?;
        Ok(Item { id, version })
    }

    /// Returns whether this is the first time that `id` is asked for.
    fn is_first(&self, id: &str) -> bool {
        let mut answered = self.answered.lock().unwrap_or_else(PoisonError::into_inner);
        answered.insert(id.to_owned())
    }
}

type Answer<T> = Result<tonic::Response<T>, Status>;

#[tonic::async_trait]
impl Items for Calls {
    type WatchStream = Pin<Box<dyn Stream<Item = Result<Item, Status>> + Send>>;

    /// Reads the version before it waits, so that a slow answer really is an old one.
    async fn get(&self, request: tonic::Request<GetRequest>) -> Answer<Item> {
        let GetRequest { id, delay_ms } = request.into_inner();
        let wish = id
            .strip_prefix("x:")
            .map(|wish| wish.split('#').next().unwrap_or(wish));
        if let Some((what, code)) = wish.and_then(|wish| wish.split_once('=')) {
            let code = Code::from(code.parse::<i32>().unwrap_or(3));
            if what == "status" || what == "then" && !self.is_first(&id) {
                return Err(Status::new(code, "as asked"));
            }
        }
        let item = self.item(id).await?;
        time::sleep(Duration::from_millis(delay_ms.into())).await;
        Ok(tonic::Response::new(item))
    }

    async fn put(&self, request: tonic::Request<PutRequest>) -> Answer<Item> {
        let id = request.into_inner().id;
        let version = self.database.write(id.clone()).await;
        let version = version.map_err(|failure| Status::internal(failure.to_string()))?;
        Ok(tonic::Response::new(Item { id, version }))
    }

    async fn watch(&self, request: tonic::Request<GetRequest>) -> Answer<Self::WatchStream> {
        let (calls, id) = (self.clone(), request.into_inner().id);
        let ticks = tokio_stream::wrappers::IntervalStream::new(time::interval(PAUSE));
        let items = ticks.then(move |_| {
            let (calls, id) = (calls.clone(), id.clone());
            async move { calls.item(id).await }
        });
        Ok(tonic::Response::new(Box::pin(items)))
    }

    async fn fail(&self, request: tonic::Request<FailRequest>) -> Answer<Item> {
        let code = i32::try_from(request.into_inner().code).unwrap_or(2);
        match Code::from(code) {
            Code::Ok => self.item("fail".to_owned()).await.map(tonic::Response::new),
            code => Err(Status::new(code, "as asked")),
        }
    }
}

/// Answers by hand what no service of tonic would: messages before a failure, two of them, a reset.
async fn misbehave(State(calls): State<Calls>, request: Request, next: Next) -> Response {
    let (parts, message, body) = match rawcall::read(request).await {
        Ok(read) => read,
        Err(response) => return response,
    };
    let manner = message.and_then(|message| rawcall::Manner::of(parts.uri.path(), &message));
    match manner {
        Some((manner, id)) => match calls.item(id).await {
            Ok(item) => rawcall::answer(&item, manner),
            Err(status) => status.into_http(),
        },
        None => next.run(Request::from_parts(parts, body)).await,
    }
}

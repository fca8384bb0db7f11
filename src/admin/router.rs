//! The routes, and the door before them.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::{DefaultBodyLimit, Request, State},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use http::{HeaderName, HeaderValue, Method, StatusCode, header};
use tower_service::Service;

use super::{Auth, answer::Refusal, control, events, explain, keys, purge, stats};
use crate::{Larder, WarmList, WarmReport, clock::Timestamp, handle::Core, observe::Happening};

/// What a call that changes something has to carry. A browser sends no field of that name to another
/// site without asking it first.
const CHANGE: HeaderName = HeaderName::from_static("x-larder-admin");

/// The longest body of a call, in bytes: a thousand URLs.
const LONGEST_CALL: usize = 256 << 10;

/// How long one call warms at the most: what clients and proxies wait for an answer.
const LONGEST_WARMING: Duration = Duration::from_secs(30);

/// Returns the admin routes of `larder`, for those that `auth` lets in.
///
/// To be mounted with `nest`, after the cache's own layer, so that they are not behind it. Warming
/// and `refresh` need a service to ask: see [`Admin`].
///
/// ```
/// use larder::{Larder, admin::{self, Auth}};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), larder::Error> {
/// # let larder = Larder::builder().build().await?;
/// let routes: axum::Router = admin::router(&larder, Auth::bearer("a long random text"));
/// # drop(routes);
/// # Ok(())
/// # }
/// ```
pub fn router(larder: &Larder, auth: Auth) -> Router {
    Admin::new(larder, auth).router()
}

/// The admin routes, before they are built: for those who set more than who is let in.
///
/// ```
/// use axum::{Router, routing::get};
/// use larder::{CacheLayer, Larder, admin::{Admin, Auth}};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), larder::Error> {
/// let larder = Larder::builder().build().await?;
/// let app: Router = Router::new()
///     .route("/", get(|| async { "hello" }))
///     .layer(CacheLayer::new(&larder));
/// let admin = Admin::new(&larder, Auth::bearer("a long random text")).through(app.clone());
/// let app = app.nest("/admin/cache", admin.router());
/// # drop(app);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Admin {
    desk: Desk,
}

/// What the routes work with.
#[derive(Clone, Debug)]
pub(super) struct Desk {
    pub(super) larder: Larder,
    auth: Auth,
    origin: Option<Origin>,
}

/// Warms a list through the service that visitors reach.
type Warm = dyn Fn(&Larder, WarmList, usize) -> BoxFuture + Send + Sync;
type BoxFuture = std::pin::Pin<Box<dyn Future<Output = WarmReport> + Send>>;

#[derive(Clone)]
pub(super) struct Origin(Arc<Warm>);

impl std::fmt::Debug for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Origin")
    }
}

impl Origin {
    pub(super) fn warm(&self, larder: &Larder, list: WarmList, concurrency: usize) -> BoxFuture {
        (self.0)(larder, list, concurrency)
    }
}

impl Admin {
    /// Returns the routes of `larder`, for those that `auth` lets in.
    pub fn new(larder: &Larder, auth: Auth) -> Self {
        Self {
            desk: Desk {
                larder: larder.clone(),
                auth,
                origin: None,
            },
        }
    }

    /// Sets the service that warming and `refresh` ask: the one that visitors reach, with the layer
    /// inside. Default: none, and such calls are answered 409.
    pub fn through<S>(mut self, service: S) -> Self
    where
        S: Service<http::Request<Body>, Response = http::Response<Body>, Error = Infallible>
            + Clone
            + Send
            + Sync
            + 'static,
        S::Future: Send + 'static,
    {
        let warm = move |larder: &Larder, list: WarmList, concurrency: usize| {
            let warming = larder
                .warm(list)
                .concurrency(concurrency)
                .within(LONGEST_WARMING);
            let warmed = warming.through(service.clone(), Body::empty);
            Box::pin(warmed) as BoxFuture
        };
        self.desk.origin = Some(Origin(Arc::new(warm)));
        self
    }

    /// Builds the routes.
    pub fn router(self) -> Router {
        let desk = Arc::new(self.desk);
        Router::new()
            .route("/stats", get(stats::stats))
            .route("/routes", get(stats::routes))
            .route("/health", get(stats::health))
            .route("/openapi.json", get(stats::document))
            .route("/keys", get(keys::keys))
            .route("/keys/{id}", get(keys::key))
            .route("/tags", get(keys::tags))
            .route("/explain", get(explain::explain))
            .route("/invalidations", get(explain::invalidations))
            .route("/events", get(events::events))
            .route("/purge", post(purge::purge))
            .route("/version", post(purge::version))
            .route("/warm", post(control::warm))
            .route("/pause", post(control::pause))
            .route("/resume", post(control::resume))
            .fallback(nothing)
            .layer(DefaultBodyLimit::max(LONGEST_CALL))
            .layer(middleware::from_fn_with_state(Arc::clone(&desk), door))
            .with_state(desk)
    }
}

impl Desk {
    pub(super) fn core(&self) -> &Arc<Core> {
        self.larder.core()
    }

    pub(super) fn now(&self) -> Timestamp {
        self.core().clock.now()
    }

    pub(super) fn origin(&self) -> Result<&Origin, Refusal> {
        self.origin.as_ref().ok_or_else(|| {
            Refusal::new(
                StatusCode::CONFLICT,
                "there is no service to ask; build the routes with `Admin::new(..).through(app)`",
            )
        })
    }

    /// Writes down that an administrator changed something.
    pub(super) fn audit(&self, action: &'static str, detail: &str) {
        note(action, detail);
        let tail = &self.core().insight.tail;
        if tail.is_heard() {
            tail.tell(&Happening::Change {
                at: self.now(),
                action,
                detail: detail.to_owned(),
            });
        }
    }
}

#[cfg(feature = "tracing")]
fn note(action: &str, detail: &str) {
    tracing::info!(target: "larder::admin", action, detail, "an administrator changed the cache");
}

#[cfg(not(feature = "tracing"))]
fn note(_: &str, _: &str) {}

async fn nothing() -> Refusal {
    Refusal::not_found("no such route; see openapi.json")
}

/// Lets in who may come in, and keeps the answers out of every cache.
async fn door(State(desk): State<Arc<Desk>>, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let changes = parts.method != Method::GET && parts.method != Method::HEAD;
    let meant = parts.headers.get(CHANGE).is_some_and(|value| value == "1");
    let mut response = if !desk.auth.lets_in(&parts) {
        if changes {
            desk.audit("refused", parts.uri.path());
        }
        Refusal::unauthorized()
    } else if changes && !meant {
        desk.audit("refused", parts.uri.path());
        let message = "a change has to be meant; send `X-Larder-Admin: 1`";
        Refusal::new(StatusCode::FORBIDDEN, message).into_response()
    } else {
        next.run(Request::from_parts(parts, body)).await
    };
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    response
}

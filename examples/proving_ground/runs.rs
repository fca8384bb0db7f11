//! Counts handler runs, so that a reused answer can be told from a fresh one.

use std::{
    collections::BTreeMap,
    process,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use axum::{
    Router,
    extract::{OriginalUri, Request, State},
    http::{HeaderValue, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
};

/// Distinct requests counted by name; later ones are counted together.
const NAMED: usize = 50_000;

/// A longer request line (in bytes) is counted among the nameless, so that a flood of long ones
/// fills the cache under attack and not this counter.
const LONGEST_NAME: usize = 8 << 10;

/// The counters of this process.
#[derive(Clone, Debug, Default)]
pub(crate) struct Runs {
    total: Arc<AtomicU64>,
    by_request: Arc<Mutex<BTreeMap<String, u64>>>,
}

impl Runs {
    /// Puts the counter around the handlers of `router`, inside every cache.
    pub(crate) fn counting(&self, router: Router) -> Router {
        router.layer(middleware::from_fn_with_state(self.clone(), count))
    }

    fn begin(&self, request: &Request) -> u64 {
        let name = name_of(request);
        let mut by_request = self.by_request();
        let full = by_request.len() >= NAMED && !by_request.contains_key(&name);
        let name = if full || name.len() > LONGEST_NAME {
            "other".to_owned()
        } else {
            name
        };
        *by_request.entry(name).or_default() += 1;
        self.total.fetch_add(1, Ordering::Relaxed) + 1
    }

    fn by_request(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, u64>> {
        self.by_request
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// Numbers the run when it begins, and writes number and process on its answer.
async fn count(State(runs): State<Runs>, request: Request, next: Next) -> Response {
    let run = runs.begin(&request);
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert("x-run", HeaderValue::from(run));
    headers.insert("x-node", HeaderValue::from(process::id()));
    response
}

/// `METHOD path?query`, un-nested, as the handler sees it.
fn name_of(request: &Request) -> String {
    let original = request.extensions().get::<OriginalUri>();
    let uri = original.map_or(request.uri(), |original| &original.0);
    let target = uri.path_and_query().map_or("/", |target| target.as_str());
    format!("{} {target}", request.method())
}

/// `GET /runs`: how often each request reached its handler.
pub(crate) async fn show(State(runs): State<Runs>) -> Response {
    let counted: BTreeMap<String, u64> = runs.by_request().clone();
    let json = serde_json::Value::from_iter(counted).to_string();
    let fields = [
        (header::CONTENT_TYPE, "application/json"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    (fields, json).into_response()
}

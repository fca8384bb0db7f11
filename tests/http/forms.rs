//! The three forms of a policy: in the table, next to the route, on the handler. One meaning.

use std::{
    fmt::Write,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use axum::{
    Router,
    extract::{Path, State},
    response::{IntoResponse, Response},
    routing::get,
};
use http::{
    HeaderMap, Method, StatusCode, Uri,
    header::{CACHE_CONTROL, SET_COOKIE},
};
use larder::{CacheHint, CacheLayer, Invalidate, Larder, Policy, Routes, TestClock, mins, secs};
use tower::ServiceExt;

use crate::app::{read, request, settle};

/// Where the policy stands.
#[derive(Clone, Copy, Debug)]
enum Form {
    Table,
    Route,
    Attribute,
}

type Runs = State<Arc<AtomicUsize>>;

/// Answers as the page is named.
fn page(runs: &AtomicUsize, name: &str, uri: &Uri, headers: &HeaderMap) -> Response {
    let run = runs.fetch_add(1, Ordering::SeqCst) + 1;
    let tenant = headers
        .get("x-tenant")
        .map_or("", |name| name.to_str().unwrap());
    let body = format!("{uri} {tenant}#{run}");
    match name {
        "short" => ([(CACHE_CONTROL, "max-age=5")], body).into_response(),
        "private" => ([(CACHE_CONTROL, "private")], body).into_response(),
        "hint" => (
            CacheHint::ttl(secs(7)),
            [(CACHE_CONTROL, "max-age=5")],
            body,
        )
            .into_response(),
        "never" => (CacheHint::no_store(), body).into_response(),
        "cookie" => ([(SET_COOKIE, "sid=1")], body).into_response(),
        "missing" => (StatusCode::NOT_FOUND, body).into_response(),
        "moved" => (StatusCode::MOVED_PERMANENTLY, body).into_response(),
        "broken" if run > 1 => (StatusCode::BAD_GATEWAY, body).into_response(),
        _ => body.into_response(),
    }
}

async fn plain(
    State(runs): Runs,
    Path(name): Path<String>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    page(&runs, &name, &uri, &headers)
}

#[larder::cache(
    ttl = "1m",
    swr = "30s",
    sie = "1h",
    tags("page:{name}", "pages"),
    query("page", "sort"),
    vary("x-tenant")
)]
async fn attributed(
    State(runs): Runs,
    Path(name): Path<String>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    page(&runs, &name, &uri, &headers)
}

async fn change() -> &'static str {
    "changed"
}

async fn saying() -> impl IntoResponse {
    (Invalidate::tags(["page:{name}"]), "changed")
}

#[larder::invalidates("page:{name}")]
async fn noting() -> &'static str {
    "changed"
}

/// One site in one form.
struct Site {
    larder: Larder,
    clock: TestClock,
    app: Router,
    runs: Arc<AtomicUsize>,
}

impl Site {
    /// A site that has answered once already, on a page of its own, so that the form in which that
    /// makes a difference is no longer different.
    async fn new(form: Form) -> Self {
        let clock = TestClock::new();
        let larder = Larder::builder()
            .clock(clock.clone())
            .build()
            .await
            .unwrap();
        let policy = Policy::ttl(mins(1))
            .stale_while_revalidate(secs(30))
            .stale_if_error(mins(60))
            .tags(["page:{name}", "pages"])
            .query(["page", "sort"])
            .vary(["x-tenant"]);
        let layer = CacheLayer::new(&larder);
        let pages = "/pages/{name}";
        let table = Routes::new()
            .get(pages, policy.clone())
            .on("PUT /pages/{name}", Invalidate::tags(["page:{name}"]))
            .build()
            .unwrap();
        let (route, layer) = match form {
            Form::Table => (get(plain).put(change), layer.routes(table)),
            Form::Route => (get(plain).put(saying).layer(larder.route(policy)), layer),
            Form::Attribute => (get(attributed).put(noting), layer),
        };
        let runs = Arc::<AtomicUsize>::default();
        let app = Router::new()
            .route(pages, route)
            .with_state(Arc::clone(&runs))
            .layer(layer);
        let site = Self {
            larder,
            clock,
            app,
            runs,
        };
        site.ask("/pages/first", "").await;
        site.runs.store(0, Ordering::SeqCst);
        site
    }

    async fn ask(&self, path: &str, tenant: &'static str) -> String {
        let mut request = request(path);
        if !tenant.is_empty() {
            request
                .headers_mut()
                .insert("x-tenant", tenant.parse().unwrap());
        }
        let seen = read(self.app.clone().oneshot(request).await.unwrap()).await;
        settle().await;
        let told = seen.told().trim_start_matches("larder; ");
        let told = told.split("; detail=").next().unwrap_or_default();
        format!("{} {} [{told}]\n", seen.status.as_u16(), seen.body)
    }

    async fn change(&self, path: &str) {
        let mut request = request(path);
        *request.method_mut() = Method::PUT;
        let response = self.app.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
    }
}

/// What is done to a site, one line each: `path`, `path @tenant`, `+seconds`, `purge tag`, `put path`.
async fn played(form: Form, script: &str) -> String {
    let site = Site::new(form).await;
    let mut told = String::new();
    for line in script
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
    {
        match line.split_once(' ').unwrap_or((line, "")) {
            ("purge", tag) => drop(site.larder.invalidate_tag(tag).await),
            ("put", path) => site.change(path).await,
            (wait, "") if wait.starts_with('+') => {
                site.clock.advance(secs(wait[1..].parse().unwrap()))
            }
            (path, tenant) => {
                let tenant = if tenant.is_empty() { "" } else { "a" };
                write!(told, "{}", site.ask(path, tenant).await).unwrap();
            }
        }
    }
    told
}

/// What is done, and what is seen of it.
const SCENES: &[(&str, &str, &str)] = &[
    (
        "a lifetime",
        "/pages/a
         /pages/a
         +61
         +30
         /pages/a",
        "200 /pages/a #1 [fwd=uri-miss; stored; ttl=60]
         200 /pages/a #1 [hit; ttl=60]
         200 /pages/a #2 [fwd=stale; stored; ttl=60]",
    ),
    (
        "stale while it is fetched anew",
        "/pages/a
         +70
         /pages/a
         /pages/a",
        "200 /pages/a #1 [fwd=uri-miss; stored; ttl=60]
         200 /pages/a #1 [hit; ttl=-10]
         200 /pages/a #2 [hit; ttl=60]",
    ),
    (
        "stale while the handler fails",
        "/pages/broken
         +100
         /pages/broken",
        "200 /pages/broken #1 [fwd=uri-miss; stored; ttl=60]
         200 /pages/broken #1 [fwd=stale; ttl=-40]",
    ),
    (
        "listed parameters",
        "/pages/a?page=1&x=1
         /pages/a?x=2&page=1
         /pages/a?page=2&x=3",
        "200 /pages/a?page=1 #1 [fwd=uri-miss; stored; ttl=60]
         200 /pages/a?page=1 #1 [hit; ttl=60]
         200 /pages/a?page=2 #2 [fwd=uri-miss; stored; ttl=60]",
    ),
    (
        "a keyed field",
        "/pages/a @a
         /pages/a
         /pages/a @a",
        "200 /pages/a a#1 [fwd=uri-miss; stored; ttl=60]
         200 /pages/a #2 [fwd=uri-miss; stored; ttl=60]
         200 /pages/a a#1 [hit; ttl=60]",
    ),
    (
        "a tag with a parameter, decoded",
        "/pages/%61b
         purge page:a
         /pages/%61b
         purge page:ab
         /pages/%61b",
        "200 /pages/%61b #1 [fwd=uri-miss; stored; ttl=60]
         200 /pages/%61b #1 [hit; ttl=60]
         200 /pages/%61b #2 [fwd=miss; stored; ttl=60]",
    ),
    (
        "a plain tag",
        "/pages/a
         purge pages
         /pages/a",
        "200 /pages/a #1 [fwd=uri-miss; stored; ttl=60]
         200 /pages/a #2 [fwd=miss; stored; ttl=60]",
    ),
    (
        "a change",
        "/pages/a
         /pages/b
         put /pages/%61
         /pages/a
         /pages/b",
        "200 /pages/a #1 [fwd=uri-miss; stored; ttl=60]
         200 /pages/b #2 [fwd=uri-miss; stored; ttl=60]
         200 /pages/a #3 [fwd=miss; stored; ttl=60]
         200 /pages/b #2 [hit; ttl=60]",
    ),
    (
        "the response's own lifetime wins",
        "/pages/short
         /pages/short",
        "200 /pages/short #1 [fwd=uri-miss; stored; ttl=5]
         200 /pages/short #1 [hit; ttl=5]",
    ),
    (
        "a hint wins over both",
        "/pages/hint
         /pages/hint",
        "200 /pages/hint #1 [fwd=uri-miss; stored; ttl=7]
         200 /pages/hint #1 [hit; ttl=7]",
    ),
    (
        "a redirect is kept",
        "/pages/moved
         /pages/moved",
        "301 /pages/moved #1 [fwd=uri-miss; stored; ttl=60]
         301 /pages/moved #1 [hit; ttl=60]",
    ),
    (
        "what is one's own is not kept",
        "/pages/private
         /pages/private
         /pages/never
         /pages/never
         /pages/cookie
         /pages/cookie",
        "200 /pages/private #1 [fwd=uri-miss]
         200 /pages/private #2 []
         200 /pages/never #3 [fwd=uri-miss]
         200 /pages/never #4 []
         200 /pages/cookie #5 [fwd=uri-miss]
         200 /pages/cookie #6 []",
    ),
    (
        "nor is an error",
        "/pages/missing
         /pages/missing",
        "404 /pages/missing #1 [fwd=uri-miss]
         404 /pages/missing #2 []",
    ),
];

#[tokio::test(start_paused = true)]
async fn each_form_of_a_policy_means_the_same() {
    for (scene, script, wanted) in SCENES {
        for form in [Form::Table, Form::Route, Form::Attribute] {
            let told = played(form, script).await;
            let told: Vec<_> = told.lines().collect();
            let wanted: Vec<_> = wanted.lines().map(str::trim).collect();
            assert_eq!(told, wanted, "{scene}, {form:?}");
        }
    }
}

#[larder::cache(ttl = "30s", tags("handler"), query("handler", "x"))]
async fn short() -> &'static str {
    "a"
}

async fn bare() -> &'static str {
    "a"
}

/// Nearest to the route first: the layer on it, the table, the handler. A layer's default lies under
/// all of them and declares nothing by itself.
#[tokio::test(start_paused = true)]
async fn of_several_forms_the_nearest_to_the_route_counts() {
    let rows = [
        ([true, true, true], Some(10)),
        ([true, true, false], Some(10)),
        ([true, false, true], Some(10)),
        ([true, false, false], Some(10)),
        ([false, true, true], Some(20)),
        ([false, true, false], Some(20)),
        ([false, false, true], Some(30)),
        ([false, false, false], None),
    ];
    for (forms, ttl) in rows {
        let [on_route, in_table, on_handler] = forms;
        let larder = Larder::builder().build().await.unwrap();
        let mut route = if on_handler { get(short) } else { get(bare) };
        if on_route {
            route = route.layer(larder.route(Policy::ttl(secs(10)).tag("route")));
        }
        let mut layer = CacheLayer::new(&larder).policy(&Policy::ttl(secs(40)));
        if in_table {
            let policy = Policy::ttl(secs(20)).tag("table");
            layer = layer.routes(Routes::new().get("/a", policy).build().unwrap());
        }
        let app: Router = Router::new().route("/a", route).layer(layer);
        let mut told = String::new();
        for _ in 0..3 {
            let seen = read(app.clone().oneshot(request("/a")).await.unwrap()).await;
            settle().await;
            told = seen.told().to_owned();
        }
        let wanted = ttl.map(|ttl| format!("larder; hit; ttl={ttl}; detail=MEMORY"));
        assert_eq!(told, wanted.unwrap_or_default(), "{forms:?}");
        // The tags of all forms that took part count.
        let nearest = [
            ("route", on_route),
            ("table", in_table && !on_route),
            ("handler", on_handler),
        ];
        for (tag, _) in nearest.iter().filter(|(_, takes_part)| *takes_part) {
            assert_eq!(larder.statistics().entries, 1, "{forms:?}");
            larder.invalidate_tag(tag).await;
            let seen = read(app.clone().oneshot(request("/a")).await.unwrap()).await;
            settle().await;
            assert!(
                !seen.told().contains("hit"),
                "{forms:?}, {tag}: {}",
                seen.told()
            );
        }
    }
}

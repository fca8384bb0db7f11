//! Handlers of every kind, with both attributes.

use std::collections::HashMap;

use axum::{
    Form, Json, Router,
    body::Bytes,
    extract::{FromRef, FromRequestParts, Path, Query, Request, State},
    http::StatusCode,
    response::{Html, IntoResponse, Redirect, Response},
    routing::{get, post, put},
};

#[derive(Clone)]
struct App;

#[derive(serde::Deserialize)]
struct Product {
    shop: u64,
    id: u64,
}

type Answer<T> = Result<T, (StatusCode, &'static str)>;

#[larder::cache(ttl = "5m", swr = "30s", sie = "1h", tags("product:{id}"), query("page", "sort"), vary("accept-language"))]
async fn all(State(_): State<App>, Path(id): Path<u64>, Query(_): Query<HashMap<String, String>>) -> Json<u64> {
    Json(id)
}

#[larder::cache(ttl = "1h30m",)]
async fn nothing() {}

#[larder::cache(tags("list"))]
async fn opaque() -> impl IntoResponse {
    [("x-a", "b")]
}

#[larder::cache(ttl = "500ms", query())]
async fn result(Path((shop, id)): Path<(u64, u64)>) -> Result<Html<String>, StatusCode> {
    if shop == 0 {
        return Err(StatusCode::NOT_FOUND);
    }
    let id = u8::try_from(id).map_err(|_| StatusCode::BAD_REQUEST)?;
    Ok(Html(id.to_string()))
}

#[larder::cache(ttl = "5m", tags("product:{shop}:{id}"))]
async fn alias(Path(Product { shop, id }): Path<Product>) -> Answer<String> {
    let sum = shop.checked_add(id).ok_or((StatusCode::BAD_REQUEST, "too much"))?;
    Ok(sum.to_string())
}

#[larder::cache(ttl = "5m", tags("{anything}"))]
async fn untold(Path(all): Path<HashMap<String, String>>) -> Result<impl IntoResponse, Redirect> {
    if all.is_empty() { Err(Redirect::to("/")) } else { Ok("a") }
}

#[larder::cache(ttl = "5m")]
async fn coerced(choice: Query<Vec<(String, String)>>) -> Box<dyn std::fmt::Display + Send>
where
    Box<dyn std::fmt::Display + Send>: Sized,
{
    if choice.is_empty() {
        return Box::new(1);
    }
    Box::new("many")
}

#[larder::cache(ttl = "5m")]
async fn generic<S: Send + Sync + 'static, T>(State(_): State<S>, _: T) -> Response
where
    T: Send + 'static,
{
    "a".into_response()
}

struct Api;

impl Api {
    #[larder::cache(ttl = "5m")]
    async fn associated(State(_): State<App>) -> &'static str {
        Self::name()
    }

    #[larder::invalidates("all")]
    async fn cleared(State(_): State<App>) -> &'static str {
        Self::name()
    }

    fn name() -> &'static str {
        "api"
    }
}

#[larder::cache(ttl = "5m", tags("product:{id}"))]
#[axum::debug_handler]
async fn checked_below(State(_): State<App>, Path(id): Path<u64>) -> Result<Json<u64>, StatusCode> {
    Ok(Json(id))
}

#[axum::debug_handler]
#[larder::cache(ttl = "5m", tags("product:{id}"))]
async fn checked_above(Path(id): Path<u64>) -> impl IntoResponse {
    Json(id)
}

#[larder::invalidates("product:{id}", "products")]
async fn update(Path(id): Path<u64>, Json(_): Json<Vec<u64>>) -> Answer<String> {
    Ok(id.to_string())
}

#[larder::invalidates("products")]
async fn body(body: Bytes) -> Result<(), StatusCode> {
    (!body.is_empty()).then_some(()).ok_or(StatusCode::BAD_REQUEST)
}

#[larder::invalidates("products")]
async fn whole(mut request: Request) -> StatusCode {
    request.headers_mut().clear();
    StatusCode::OK
}

#[larder::invalidates("products")]
async fn none() -> StatusCode {
    StatusCode::OK
}

#[larder::invalidates("products")]
#[axum::debug_handler]
async fn none_checked() -> StatusCode {
    StatusCode::OK
}

#[larder::invalidates("products")]
#[axum::debug_handler]
async fn changed_below(State(_): State<App>, Form(_): Form<HashMap<String, String>>) -> StatusCode {
    StatusCode::OK
}

#[axum::debug_handler(state = App)]
#[larder::invalidates("products")]
async fn changed_above(State(_): State<App>, Form(_): Form<HashMap<String, String>>) -> StatusCode {
    StatusCode::OK
}

#[larder::cache(ttl = "1m")]
#[larder::invalidates("products")]
async fn both(Path(_id): Path<u64>) -> &'static str {
    "both"
}

#[larder::invalidates("products")]
async fn generic_change<S, T>(_: T, State(_): State<S>, _: Option<Path<u64>>) -> StatusCode
where
    S: Send + Sync + 'static,
    T: FromRequestParts<S> + Send + 'static,
{
    StatusCode::OK
}

fn displayed(answer: larder::attributes::Answer<Box<dyn std::fmt::Display + Send>>) {
    let _ = answer;
}

struct Part;

impl FromRef<App> for Part {
    fn from_ref(_: &App) -> Self {
        Self
    }
}

fn main() {
    let _: Router = Router::new()
        .route("/all/{id}", get(all).put(update))
        .route("/nothing", get(nothing).post(body))
        .route("/opaque", get(opaque).post(whole))
        .route("/result/{shop}/{id}", get(result))
        .route("/alias/{shop}/{id}", get(alias))
        .route("/untold/{anything}", get(untold))
        .route("/generic", get(generic::<Part, axum::http::Method>))
        .route("/associated", get(Api::associated).post(Api::cleared))
        .route("/checked/{id}", get(checked_below).put(both))
        .route("/checked-too/{id}", get(checked_above))
        .route("/none", post(none).put(none_checked))
        .route("/changed", post(changed_below).put(changed_above))
        .route("/change", put(generic_change::<App, axum::http::Method>))
        .with_state(App);
    let _ = async { displayed(coerced(Query(Vec::new())).await) };
}

//! What the shop shows, and how it is cached.

use axum::{
    Json, Router,
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use larder::{
    CacheLayer, Policy, Routes,
    admin::{self, Auth},
    mins, secs,
};
use serde_json::json;

use super::{BoxError, cache::Shop, visits};

/// Any failure below a handler: the cache may then serve what is stale.
pub(crate) struct Failure(BoxError);

impl<E: Into<BoxError>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        (StatusCode::INTERNAL_SERVER_ERROR, self.0.to_string()).into_response()
    }
}

pub(crate) fn app(shop: &Shop) -> Result<Router, larder::Error> {
    let page = || {
        Policy::ttl(mins(5))
            .stale_while_revalidate(secs(30))
            .stale_if_error(mins(60))
    };
    let routes = Routes::new()
        .get("/products", page().tag("products"))
        // Its tags come from what its handler reads: the product.
        .get("/products/{id}", page())
        .get("/products/{id}/views", page().tag("views:{id}"))
        .build()?;
    Ok(Router::new()
        .route("/products", get(list))
        .route("/products/{id}", get(show).put(update))
        .route("/products/{id}/views", get(visits::views))
        .route("/products/{id}/view", post(visits::view))
        .route("/products/{id}/buy", post(visits::buy))
        .route("/products/{id}/rank", get(visits::rank))
        .route("/bestsellers", get(visits::bestsellers))
        .route("/recent", get(visits::recent))
        .route("/visitors", get(visits::visitors))
        .layer(CacheLayer::new(&shop.larder).routes(routes))
        .with_state(shop.clone()))
}

/// Mounts the routes by which the cache is looked into and steered, behind a token.
pub(crate) fn with_admin(app: Router, shop: &Shop, token: &str) -> Router {
    app.nest(
        "/admin/cache",
        admin::router(&shop.larder, Auth::bearer(token)),
    )
}

async fn list(State(shop): State<Shop>) -> Result<Response, Failure> {
    let products = shop.all().await?;
    let products: Vec<_> = products.iter().map(|product| &**product).collect();
    Ok(Json(json!(products)).into_response())
}

async fn show(State(shop): State<Shop>, Path(id): Path<u32>) -> Result<Response, Failure> {
    Ok(match shop.product(id).await? {
        Some(product) => Json(&*product).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    })
}

async fn update(
    State(shop): State<Shop>,
    Path(id): Path<u32>,
    price: String,
) -> Result<Response, Failure> {
    let Ok(price) = price.trim().parse() else {
        return Ok((StatusCode::BAD_REQUEST, "the body is a price in cents").into_response());
    };
    Ok(if shop.set_price(id, price).await? {
        StatusCode::NO_CONTENT.into_response()
    } else {
        StatusCode::NOT_FOUND.into_response()
    })
}

//! What visitors do, counted and listed.

use axum::{
    Json,
    extract::{Path, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use serde_json::json;

use super::{cache::Shop, pages::Failure};

/// How many products the list of bestsellers has.
const BEST: u64 = 10;

/// How many neighbours a place in the list is shown with.
const NEIGHBOURS: u64 = 1;

/// Returns who asks; a real shop would know by a session.
fn visitor(headers: &HeaderMap) -> Option<&str> {
    headers.get("visitor")?.to_str().ok()
}

/// Notes a view. It is kept when this returns, and comes to the database later.
pub(crate) async fn view(
    State(shop): State<Shop>,
    Path(id): Path<u32>,
    headers: HeaderMap,
) -> Result<StatusCode, Failure> {
    shop.views.add(&id.to_string(), &1).await?;
    if let Some(visitor) = visitor(&headers) {
        let seen = shop.seen_by(visitor)?;
        let batch = shop.larder.batch().push(&seen, &id);
        batch.join(&shop.visitors, [visitor]).run().await?;
    }
    Ok(StatusCode::ACCEPTED)
}

pub(crate) async fn views(
    State(shop): State<Shop>,
    Path(id): Path<u32>,
) -> Result<Response, Failure> {
    Ok(Json(json!({ "views": shop.database.views(id)? })).into_response())
}

pub(crate) async fn buy(
    State(shop): State<Shop>,
    Path(id): Path<u32>,
) -> Result<Response, Failure> {
    let Some(product) = shop.product(id).await? else {
        return Ok(StatusCode::NOT_FOUND.into_response());
    };
    let batch = shop.larder.batch().raise(&shop.sold, &product.name, 1.0);
    let batch = batch.count_field(&shop.stock, &id.to_string(), -1);
    batch.run().await?;
    Ok(StatusCode::ACCEPTED.into_response())
}

pub(crate) async fn bestsellers(State(shop): State<Shop>) -> Result<Response, Failure> {
    Ok(Json(shop.sold.top(BEST).await?).into_response())
}

pub(crate) async fn rank(
    State(shop): State<Shop>,
    Path(id): Path<u32>,
) -> Result<Response, Failure> {
    let Some(product) = shop.product(id).await? else {
        return Ok(StatusCode::NOT_FOUND.into_response());
    };
    let rank = shop.sold.rank(&product.name).await?;
    let around = shop.sold.around(&product.name, NEIGHBOURS).await?;
    Ok(Json(json!({ "rank": rank, "around": around })).into_response())
}

pub(crate) async fn recent(
    State(shop): State<Shop>,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let Some(visitor) = visitor(&headers) else {
        return Ok((StatusCode::BAD_REQUEST, "who asks is in `Visitor`").into_response());
    };
    Ok(Json(shop.seen_by(visitor)?.recent(BEST).await?).into_response())
}

pub(crate) async fn visitors(State(shop): State<Shop>) -> Result<Response, Failure> {
    Ok(Json(json!({ "visitors": shop.visitors.count().await? })).into_response())
}

//! A finished router of axum with a cache around it.
//!
//! `Router::layer` boxes the layer's service and its body once for every route, and matches the route
//! before the cache is asked. Around the whole router a hit pays for neither.

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use axum::{Router, body::Body};
use http::{Request, Response};
use pin_project::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use super::{Cache, CacheLayer, ResponseFuture, SwrLayer};

/// A finished router with a cache around it. See [`CacheLayer::around`].
#[derive(Clone, Debug)]
pub struct CachedRouter {
    cache: Cache<Router>,
}

/// The future of a response of a [`CachedRouter`].
#[pin_project]
#[derive(Debug)]
pub struct RouterFuture {
    #[pin]
    response: ResponseFuture<<Router as Service<Request<Body>>>::Future, Body, Infallible>,
}

impl Service<Request<Body>> for CachedRouter {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = RouterFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    #[inline]
    fn call(&mut self, request: Request<Body>) -> RouterFuture {
        RouterFuture {
            response: self.cache.call(request),
        }
    }
}

impl Future for RouterFuture {
    type Output = Result<Response<Body>, Infallible>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let response = ready!(self.project().response.poll(context));
        Poll::Ready(response.map(|response| response.map(Body::new)))
    }
}

impl CacheLayer {
    /// Puts the cache around a finished router: the mount by which a hit costs least.
    ///
    /// The result is a service with axum's body, which `axum::serve` takes through
    /// [`axum::ServiceExt`]. What the layer does is the same as by `Router::layer`, but for this: it
    /// stands before the router has matched a route, so patterns are those of its
    /// [table](CacheLayer::routes) alone; what an attribute says of tags and queries needs the table
    /// to name the pattern ([routes](crate::_docs::routes)). How much less a hit costs is in
    /// [performance](crate::_docs::performance).
    ///
    /// ```no_run
    /// use axum::{Router, ServiceExt, extract::Request, routing::get};
    /// use larder::{CacheLayer, Larder, Policy, Routes, mins};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let larder = Larder::builder().build().await?;
    /// let routes = Routes::new().get("/products/{id}", Policy::ttl(mins(5))).build()?;
    /// let router = Router::new().route("/products/{id}", get(|| async { "a product" }));
    /// let app = CacheLayer::new(&larder).routes(routes).around(router);
    ///
    /// let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    /// axum::serve(listener, ServiceExt::<Request>::into_make_service(app)).await?;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn around(&self, router: Router) -> CachedRouter {
        CachedRouter {
            cache: self.layer(router),
        }
    }
}

impl SwrLayer {
    /// Puts the cache around a finished router. See [`CacheLayer::around`].
    #[must_use]
    pub fn around(&self, router: Router) -> CachedRouter {
        CachedRouter {
            cache: self.layer(router),
        }
    }
}

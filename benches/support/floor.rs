//! The least that could serve a page from memory: a store, a look-up by path, ready fields, ready bytes.
//!
//! It obeys no rule of HTTP and forgets nothing. What larder does beyond it is what is measured.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    hash::RandomState,
    sync::Arc,
    task::{Context, Poll},
};

use axum::body::Body;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use quick_cache::{
    UnitWeighter,
    sync::{Cache, DefaultLifecycle},
};
use tower::{Layer, Service};

use super::Page;

type Store = Cache<String, Arc<Page>, UnitWeighter, RandomState>;

/// Serves stored pages, and knows no other ones.
#[derive(Clone, Debug)]
pub(crate) struct Floor {
    store: Arc<Store>,
}

impl Floor {
    /// Returns a floor that holds `page` at each of `paths`.
    pub(crate) fn new<'a>(page: &Page, paths: impl IntoIterator<Item = &'a str>) -> Self {
        let store = Store::with(
            100_000,
            100_000,
            UnitWeighter,
            RandomState::new(),
            DefaultLifecycle::default(),
        );
        for path in paths {
            store.insert(path.to_owned(), Arc::new(page.clone()));
        }
        Self {
            store: Arc::new(store),
        }
    }
}

impl Service<Request<Body>> for Floor {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let page = self.store.get(request.uri().path()).unwrap();
        ready(Ok(page.response()))
    }
}

/// Puts a floor before a service, to be mounted as larder's layer is.
#[derive(Clone, Debug)]
pub(crate) struct FloorLayer(pub(crate) Floor);

impl<S> Layer<S> for FloorLayer {
    type Service = Floor;

    fn layer(&self, _: S) -> Floor {
        self.0.clone()
    }
}

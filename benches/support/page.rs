//! The page, and the handler that answers with it.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    task::{Context, Poll},
};

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, header};
use tower::Service;

/// A page with a body at hand: the fastest handler that there can be.
#[derive(Clone, Debug)]
pub(crate) struct Page {
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Page {
    /// Returns a page whose body no coding makes shorter, so that it is kept as it is.
    pub(crate) fn of(length: usize) -> Self {
        Self::with("image/webp", length)
    }

    /// Returns a page that is kept compressed.
    pub(crate) fn of_text(length: usize) -> Self {
        Self::with("application/json", length)
    }

    /// Returns a page that must not be kept.
    pub(crate) fn private(length: usize) -> Self {
        let mut page = Self::of(length);
        page.headers.remove(header::CACHE_CONTROL);
        page.headers
            .insert(header::SERVER, HeaderValue::from_static("shop"));
        page
    }

    fn with(content_type: &'static str, length: usize) -> Self {
        let text = br#"{"id":42,"name":"a product","price":"12.90"},"#;
        let body: Vec<u8> = text.iter().copied().cycle().take(length).collect();
        let made = |text: &str| HeaderValue::from_str(text).unwrap();
        // The first two are written in the program, the others depend on the page.
        let headers = [
            (header::CONTENT_TYPE, HeaderValue::from_static(content_type)),
            (
                header::CACHE_CONTROL,
                HeaderValue::from_static("public, max-age=300"),
            ),
            (header::ETAG, made("\"5f3a-42\"")),
            (header::LAST_MODIFIED, made("Thu, 01 Jan 2026 00:00:00 GMT")),
        ];
        Self {
            headers: headers.into_iter().collect(),
            body: body.into(),
        }
    }

    pub(crate) fn response<B: From<Bytes>>(&self) -> Response<B> {
        let mut response = Response::new(B::from(self.body.clone()));
        *response.headers_mut() = self.headers.clone();
        response
    }
}

impl Service<Request<Body>> for Page {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<Body>) -> Self::Future {
        ready(Ok(self.response()))
    }
}

//! What traces show. A process of its own: which spans are of interest is remembered for all threads.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::{
    fmt::Write,
    sync::{Arc, Mutex},
};

use axum::{Router, body::Body, routing::get};
use http::Request;
use larder::{CacheLayer, Larder, Policy, Routes, mins};
use tower::ServiceExt;
use tracing::{
    Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
};
use tracing_subscriber::{
    Layer,
    layer::{Context, SubscriberExt},
    registry::LookupSpan,
};

/// Writes down the spans of larder, with their fields and their parents.
#[derive(Clone, Default)]
struct Spans(Arc<Mutex<Vec<String>>>);

struct Fields(String);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        write!(self.0, " {field}={value:?}").unwrap();
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Spans {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let span = context.span(id).unwrap();
        let mut line = Fields(span.name().to_owned());
        attributes.record(&mut line);
        if let Some(parent) = span.parent() {
            line.0 += &format!(" in {}", parent.name());
        }
        self.0.lock().unwrap().push(line.0);
    }

    fn on_record(&self, _: &Id, values: &Record<'_>, _: Context<'_, S>) {
        let mut line = Fields("decided".to_owned());
        values.record(&mut line);
        self.0.lock().unwrap().push(line.0);
    }
}

#[tokio::test]
async fn look_ups_fills_and_invalidations_are_spans() {
    let spans = Spans::default();
    let subscriber = tracing_subscriber::registry().with(spans.clone());
    let _guard = tracing::subscriber::set_default(subscriber);
    let larder = Larder::builder().build().await.unwrap();
    let policy = Policy::ttl(mins(5)).tag("pages");
    let routes = Routes::new().get("/{page}", policy).build().unwrap();
    let app = Router::new()
        .route("/{page}", get(|| async { "a page" }))
        .layer(CacheLayer::new(&larder).routes(routes));
    let ask = || {
        let request = Request::get("/a").header("host", "a.test");
        app.clone().oneshot(request.body(Body::empty()).unwrap())
    };
    let request = tracing::info_span!("request");
    let fill = tracing::Instrument::instrument(ask(), request);
    axum::body::to_bytes(fill.await.unwrap().into_body(), 100)
        .await
        .unwrap();
    while larder.statistics().stored() == 0 {
        tokio::task::yield_now().await;
    }
    ask().await.unwrap();
    larder.invalidate_tag("pages").await;
    let spans = spans.0.lock().unwrap();
    let spans: Vec<&str> = spans.iter().map(String::as_str).collect();
    assert_eq!(
        spans,
        [
            "request",
            "larder.lookup route=\"/{page}\" in request",
            "decided decision=\"fetch\"",
            "larder.fill route=\"/{page}\" reason=\"uri-miss\" in request",
            "larder.lookup route=\"/{page}\"",
            "decided decision=\"serve\"",
            "larder.invalidate source=the application targets=1",
        ]
    );
}

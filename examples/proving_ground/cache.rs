//! The one place that knows larder: which layers this server wears, and how they are set.

use std::{error::Error, time::Duration};

use axum::{
    Router,
    extract::Request,
    http::HeaderValue,
    middleware::{self, Next},
    response::Response,
};
use larder::{
    Ack, CacheLayer, Consistency, GrpcCacheLayer, GrpcMethods, Invalidate, Larder, Policy, Routes,
    admin::{Admin, Auth},
    secs,
};

use crate::{
    calls::DESCRIPTORS,
    settings::{Preset, Settings},
};

/// How long background work may go on once the server ends.
const LAST_REFRESHES: Duration = Duration::from_secs(2);

/// The largest body that is stored, in bytes; less where the memory asked for could not hold it.
const LARGEST_BODY: u64 = 8 << 20;

/// The cache of this server.
#[derive(Debug)]
pub(crate) struct Cache {
    larder: Larder,
    layer: CacheLayer,
    calls: GrpcCacheLayer,
    admin_token: Option<String>,
}

impl Cache {
    pub(crate) async fn open(settings: &Settings) -> Result<Self, Box<dyn Error + Send + Sync>> {
        let larder = Larder::builder()
            .memory_bytes(settings.memory_bytes)
            .max_body(LARGEST_BODY.min(settings.memory_bytes / 2))
            .namespace(&settings.namespace);
        let larder = match &settings.redis {
            None => larder,
            Some(url) => larder
                .redis(url.as_str())
                .flight_lock(settings.lock)
                .consistency(if settings.strict {
                    Consistency::Strict
                } else {
                    Consistency::Bounded
                }),
        };
        let larder = larder.build().await?;
        let lifetimes = lifetimes(settings);
        let items = lifetimes.clone().tag("items");
        let written = || Invalidate::tags(["item:{id}", "items"]);
        let written_alone = || Invalidate::tags(["single:{id}"]);
        let routes = Routes::new()
            .get("/items/{id}", items.clone().tag("item:{id}"))
            .get("/items", items)
            .on("PUT /items/{id}", written())
            .on("DELETE /items/{id}", written())
            .get("/single/{id}", lifetimes.clone().tag("single:{id}"))
            .on("PUT /single/{id}", written_alone())
            .on("DELETE /single/{id}", written_alone())
            .build()?;
        let methods = GrpcMethods::new()
            .descriptor_set(DESCRIPTORS)
            .cache("/ground.Items/Get", lifetimes.tag("item:{id}"))
            .on("/ground.Items/Put", written())
            .build()?;
        let calls = GrpcCacheLayer::new(&larder).methods(methods);
        let layer = match settings.preset {
            Preset::Application => CacheLayer::new(&larder),
            Preset::Gateway => CacheLayer::gateway(&larder),
        };
        let layer = layer.routes(routes);
        Ok(Self {
            larder,
            layer,
            calls,
            admin_token: settings.admin_token.clone(),
        })
    }

    /// Puts the outer layer around all routes, and around that the one that shows acknowledgements.
    ///
    /// The admin routes are beside it: what they answer is no matter of the cache.
    pub(crate) fn around(&self, app: Router) -> Router {
        let app = app
            .layer(self.layer.clone())
            .layer(middleware::from_fn(show_acknowledgement));
        let Some(token) = &self.admin_token else {
            return app;
        };
        let admin = Admin::new(&self.larder, Auth::bearer(token)).through(app.clone());
        app.nest("/admin/cache", admin.router())
    }

    /// Puts the layer for calls around the routes of a service.
    pub(crate) fn of_calls(&self, service: Router) -> Router {
        service.layer(self.calls.clone())
    }

    /// Puts a layer of its own around a router that will be nested.
    pub(crate) fn inside(&self, nested: Router) -> Router {
        nested.layer(self.larder.route(Policy::ttl(secs(60))))
    }

    pub(crate) async fn close(self) {
        self.larder.shutdown(LAST_REFRESHES).await;
    }
}

/// What all pages of items share; a window of zero is one that is not there.
fn lifetimes(settings: &Settings) -> Policy {
    let policy = Policy::ttl(settings.ttl);
    let policy = match settings.stale_while_revalidate {
        Duration::ZERO => policy,
        window => policy.stale_while_revalidate(window),
    };
    match settings.stale_if_error {
        Duration::ZERO => policy,
        window => policy.stale_if_error(window),
    }
}

/// Writes what a mutating request was acknowledged as into `X-Ack`.
async fn show_acknowledgement(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let word = response.extensions().get::<Ack>().map(|ack| match ack {
        Ack::Global => "global",
        _ => "local",
    });
    if let Some(word) = word {
        response
            .headers_mut()
            .insert("x-ack", HeaderValue::from_static(word));
    }
    response
}

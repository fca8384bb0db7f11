//! A cache that serves stale responses while it fetches new ones, without being told.

use tower_layer::Layer;

use super::{Cache, CacheLayer};
use crate::{
    Larder,
    policy::{Policy, RouteTable, hours, secs},
};

/// The share of a lifetime after which a reader starts the refresh.
const REFRESH_AHEAD: f64 = 0.9;

/// A [`CacheLayer`] whose readers do not wait for a refresh.
///
/// The same engine with other defaults: `stale-while-revalidate` of 10 s, `stale-if-error` of an
/// hour, refresh ahead at nine tenths of the lifetime. What a route, a layer or a response says
/// itself wins over these.
///
/// ```
/// use axum::{Router, routing::get};
/// use larder::{Larder, Policy, Routes, SwrLayer, mins};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), larder::Error> {
/// let larder = Larder::builder().build().await?;
/// let routes = Routes::new().get("/news", Policy::ttl(mins(1))).build()?;
/// let app: Router = Router::new()
///     .route("/news", get(|| async { "news" }))
///     .layer(SwrLayer::new(&larder).routes(routes));
/// # drop(app);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct SwrLayer {
    layer: CacheLayer,
}

impl SwrLayer {
    /// Returns a layer with the safe settings for a cache inside an application.
    pub fn new(larder: &Larder) -> Self {
        Self {
            layer: CacheLayer::new(larder).policy(&defaults()),
        }
    }

    /// Sets which routes have which policy. See [`CacheLayer::routes`].
    pub fn routes(self, table: RouteTable) -> Self {
        Self {
            layer: self.layer.routes(table),
        }
    }

    /// Lays `policy` under those of the routes. See [`CacheLayer::policy`].
    pub fn policy(self, policy: &Policy) -> Self {
        Self {
            layer: self.layer.policy(policy),
        }
    }

    /// Trusts and keys by header fields of a proxy. See [`CacheLayer::trust_proxy_headers`].
    pub fn trust_proxy_headers<T: AsRef<str>>(self, names: impl IntoIterator<Item = T>) -> Self {
        Self {
            layer: self.layer.trust_proxy_headers(names),
        }
    }

    /// Sets the scheme that stands in keys. See [`CacheLayer::scheme`].
    pub fn scheme(self, scheme: &str) -> Self {
        Self {
            layer: self.layer.scheme(scheme),
        }
    }
}

fn defaults() -> Policy {
    Policy::new()
        .stale_while_revalidate(secs(10))
        .stale_if_error(hours(1))
        .refresh_ahead(REFRESH_AHEAD)
}

impl<S> Layer<S> for SwrLayer {
    type Service = Cache<S>;

    fn layer(&self, inner: S) -> Cache<S> {
        self.layer.layer(inner)
    }
}

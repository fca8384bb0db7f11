//! The settings of a second tier in Redis.

use std::{fmt, num::NonZeroU32, sync::Arc, time::Duration};

use super::Core;
#[cfg(feature = "redis-tls")]
use crate::store::redis::ClientCertificate;
use crate::{
    clock::Clock,
    error::Error,
    store::{
        SecondTier,
        redis::{Address, Connections, Layout, Settings, Writer},
    },
};

/// A second tier in Redis 6 or newer, or Valkey, that all nodes of a namespace share.
///
/// An address alone will do wherever this is asked for.
///
/// No request ever waits for Redis longer than [`budget`](Self::budget), and when Redis has failed a
/// few times in a row none waits at all until a probe in the background has had an answer.
#[derive(Clone)]
#[must_use]
pub struct Redis {
    address: Address,
    settings: Settings,
}

impl Redis {
    /// Returns the second tier at `url`.
    ///
    /// | address | what it leads to |
    /// | --- | --- |
    /// | `redis://[user:password@]host[:port][/database]` | one server |
    /// | `rediss://..` | the same over TLS, with the feature `redis-tls` |
    /// | `unix:///path` | one server, by a socket in the file system |
    /// | `redis-cluster://host:port,host:port` | a cluster, with the feature `redis-cluster` |
    /// | `redis-sentinel://host:port,host:port/service` | the primary of a service, with the feature `redis-sentinel` |
    /// | `rediss-cluster://..`, `rediss-sentinel://..` | the same, all of them over TLS |
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            address: Address::from(&url.into()),
            settings: Settings::default(),
        }
    }

    /// Lets the connections that requests share be made by the manager of the application's own
    /// pool, with its credentials and settings. Default: they are made from the address.
    ///
    /// They do not count for the size of that pool, and none is taken out of it: larder shares each
    /// among many requests at a time, and replaces it when it breaks, which the manager can not tell.
    /// The address is still needed: what is heard of other nodes has a connection that the manager
    /// can not make. Both have to lead to the same server.
    pub fn pool(mut self, pool: bb8::Pool<bb8_redis::RedisConnectionManager>) -> Self {
        self.address.pool = Some(pool);
        self
    }

    /// Lets these authorities alone vouch for the servers, and no other. Default: all that the system
    /// knows, or those in the file that the variable `SSL_CERT_FILE` names.
    ///
    /// `pem` is the text of a PEM file with one certificate or several. It is for every server that the
    /// address leads to: one, the nodes of a cluster, or sentinels and what they name.
    ///
    /// # Errors
    ///
    /// [`build`](crate::LarderBuilder::build) fails if no certificate can be read in it, or if the
    /// address is one without TLS.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let issued = rcgen::generate_simple_self_signed(["cache.internal".to_owned()])?;
    /// # let (authority, certificate) = (issued.cert.pem(), issued.cert.pem());
    /// # let key = issued.signing_key.serialize_pem();
    /// use larder::{Larder, Redis};
    ///
    /// // Texts of PEM files, as `std::fs::read` returns them.
    /// let redis = Redis::new("rediss://cache.internal:6380")
    ///     .root_certificates(authority)
    ///     .client_certificate(certificate, key);
    /// let larder = Larder::builder().redis(redis).build().await?;
    /// # drop(larder);
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(feature = "redis-tls")]
    pub fn root_certificates(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.address.certificates.roots = Some(pem.into());
        self
    }

    /// Shows this certificate to servers that ask for one (`tls-auth-clients yes`). Default: none.
    ///
    /// Both are texts of PEM files: the certificate, followed by those that vouch for it if the server
    /// does not know them, and its key. An example is at
    /// [`root_certificates`](Self::root_certificates).
    ///
    /// # Errors
    ///
    /// [`build`](crate::LarderBuilder::build) fails if one of them can not be read, if they do not go
    /// together, or if the address is one without TLS.
    #[cfg(feature = "redis-tls")]
    pub fn client_certificate(mut self, pem: impl Into<Vec<u8>>, key: impl Into<Vec<u8>>) -> Self {
        self.address.certificates.client = Some(ClientCertificate {
            chain: pem.into(),
            key: key.into(),
        });
        self
    }

    /// Sets how long one request may wait for Redis in all. Default: 25 ms.
    ///
    /// Where nothing came in time, the handler runs. A request that can be answered out of this
    /// process's memory never waits.
    pub fn budget(mut self, budget: Duration) -> Self {
        self.settings.request_budget = budget;
        self
    }

    /// Sets how long work that no request waits for may take, such as a write. Default: 250 ms.
    pub fn background_budget(mut self, budget: Duration) -> Self {
        self.settings.background_budget = budget;
        self
    }

    /// Sets how long the making of a connection may take. Default: 250 ms.
    pub fn connect_limit(mut self, limit: Duration) -> Self {
        self.settings.connect_limit = limit;
        self
    }

    /// Sets how many connections the requests of this process share. Default: 2.
    ///
    /// Each carries the questions of many requests at a time; more than four are of no use. Writes,
    /// and what is heard of other nodes, have connections of their own.
    pub fn lanes(mut self, lanes: NonZeroU32) -> Self {
        self.settings.lanes = lanes.get();
        self
    }

    /// Sets the largest response in bytes, as it is written, that goes there. Default: 1 MiB.
    ///
    /// Small responses wait behind large ones on the same connection.
    pub fn max_entry(mut self, bytes: u64) -> Self {
        self.settings.largest_entry = bytes;
        self
    }

    pub(super) fn locking(mut self, on: bool) -> Self {
        self.settings.flight_lock = on;
        self
    }

    /// Returns the tier, and what writes to it.
    pub(super) fn tier(
        &self,
        namespace: &str,
        clock: &Arc<dyn Clock>,
        max_body: u64,
    ) -> Result<(SecondTier, Writer), Error> {
        let layout = Layout::new(namespace);
        let clock = Arc::clone(clock);
        let connections = Connections::new(self.address.clone(), layout, self.settings, clock)?;
        Ok(SecondTier::new(connections, max_body))
    }
}

impl From<&str> for Redis {
    fn from(url: &str) -> Self {
        Self::new(url)
    }
}

impl From<&String> for Redis {
    fn from(url: &String) -> Self {
        Self::new(url)
    }
}

impl From<String> for Redis {
    fn from(url: String) -> Self {
        Self::new(url)
    }
}

impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the address: it may hold a password.
        f.debug_struct("Redis")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

/// Starts writing what `core` puts into its second tier. Ends with it.
pub(super) fn start(core: &Arc<Core>, writer: Writer) {
    let core = Arc::downgrade(core);
    let may_leave = move |entry: &_| core.upgrade().is_some_and(|core| core.may_leave(entry));
    tokio::spawn(writer.run(may_leave));
}

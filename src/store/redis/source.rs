//! From where do connections come?
//!
//! | address | |
//! | --- | --- |
//! | `redis://`, `rediss://`, `valkey://`, `unix://` | one server, the second with TLS |
//! | `redis-cluster://host:port,host:port`, `rediss-cluster://` | a cluster, of which these nodes are asked for the others |
//! | `redis-sentinel://host:port,host:port/service[/database]`, `rediss-sentinel://` | the primary of a service that these sentinels know |
//!
//! User and password, where there are any, are those of the servers that hold the data.

use std::sync::{Arc, atomic::AtomicUsize};

use bb8_redis::RedisConnectionManager;
use redis::{
    AsyncConnectionConfig, Client, ConnectionInfo, IntoConnectionInfo, ProtocolVersion, RedisError,
    RedisResult, aio::AsyncPushSender, io::tcp::TcpSettings,
};

#[cfg(not(feature = "redis-tls"))]
use super::no_tls::Certificates;
#[cfg(feature = "redis-tls")]
use super::tls::Certificates;
use super::{
    gather::{Driver, gathering},
    link::Link,
};
use crate::error::{Error, ErrorKind};

/// Where Redis is.
#[derive(Clone)]
pub(crate) struct Address {
    pub(crate) url: String,
    /// The application's own pool, whose manager makes the connections that requests share.
    pub(crate) pool: Option<bb8::Pool<RedisConnectionManager>>,
    pub(crate) certificates: Certificates,
}

impl From<&String> for Address {
    fn from(url: &String) -> Self {
        Self::from(url.as_str())
    }
}

impl From<&str> for Address {
    fn from(url: &str) -> Self {
        Self {
            url: url.to_owned(),
            pool: None,
            certificates: Certificates::default(),
        }
    }
}

/// What makes connections.
#[derive(Clone)]
pub(super) enum Source {
    Single(Box<Client>),
    /// The application's own pool knows the way. What it makes here is not part of it.
    Pool(bb8::Pool<RedisConnectionManager>),
    #[cfg(feature = "redis-cluster")]
    Cluster(Vec<ConnectionInfo>, Box<Certificates>),
    /// One for each sentinel, so that all can be asked at once.
    #[cfg(feature = "redis-sentinel")]
    Sentinel(Vec<Arc<tokio::sync::Mutex<redis::sentinel::SentinelClient>>>),
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Not the address: it may hold a password.
        f.debug_struct("Source").finish_non_exhaustive()
    }
}

impl Source {
    /// Reads an address, without connecting to it.
    pub(super) fn parse(address: &Address) -> Result<Self, Error> {
        let Address {
            url, certificates, ..
        } = address;
        let scheme = url.split("://").next().unwrap_or_default();
        certificates.check(is_secure(scheme))?;
        match scheme {
            "redis-cluster" | "rediss-cluster" => cluster(url, certificates),
            "redis-sentinel" | "rediss-sentinel" => sentinel(url, certificates),
            _ => {
                let client = url
                    .as_str()
                    .into_connection_info()
                    .and_then(|info| certificates.client(tuned(info)));
                client
                    .map(Box::new)
                    .map(Self::Single)
                    .map_err(|error| unusable(&error))
            }
        }
    }

    /// Makes a connection that many share, and gathers what they send where that can be done; then the
    /// second part has to be kept for as long as the connection is used.
    pub(super) async fn lane(
        &self,
        waiting: &Arc<AtomicUsize>,
    ) -> RedisResult<(Link, Option<Driver>)> {
        let client = match self {
            Self::Single(client) => Client::clone(client),
            #[cfg(feature = "redis-sentinel")]
            Self::Sentinel(sentinels) => primary(sentinels).await?,
            _ => return Ok((self.connect(None).await?, None)),
        };
        match gathering(&client, config(None), waiting).await? {
            Some((connection, driver)) => Ok((Link::Single(connection), Some(driver))),
            None => Ok((single(&client, None).await?, None)),
        }
    }

    /// Makes a connection; what the server sends of its own accord goes to `pushes`.
    pub(super) async fn connect(
        &self,
        pushes: Option<Arc<dyn AsyncPushSender>>,
    ) -> RedisResult<Link> {
        match self {
            Self::Single(client) => single(client, pushes).await,
            Self::Pool(pool) => pool.dedicated_connection().await.map(Link::Single),
            #[cfg(feature = "redis-cluster")]
            Self::Cluster(nodes, certificates) => {
                let builder = redis::cluster::ClusterClientBuilder::new(nodes.iter().cloned());
                let builder = certificates
                    .cluster(builder)
                    .use_protocol(ProtocolVersion::RESP3)
                    .tcp_settings(TcpSettings::default().set_nodelay(true))
                    .retries(CLUSTER_RETRIES);
                let builder = match pushes {
                    Some(pushes) => builder.push_sender(pushes),
                    None => builder,
                };
                let connection = builder.build()?.get_async_connection().await?;
                Ok(Link::Cluster(connection))
            }
            #[cfg(feature = "redis-sentinel")]
            Self::Sentinel(sentinels) => single(&primary(sentinels).await?, pushes).await,
        }
    }
}

/// Makes a connection to one server.
async fn single(client: &Client, pushes: Option<Arc<dyn AsyncPushSender>>) -> RedisResult<Link> {
    let config = config(pushes);
    let connection = client.get_multiplexed_async_connection_with_config(&config);
    connection.await.map(Link::Single)
}

/// How often a command is sent again that met a slot on its way to another node. Each has the budget
/// of the whole.
#[cfg(feature = "redis-cluster")]
const CLUSTER_RETRIES: u32 = 3;

/// How many questions may wait for a connection's own task to send them. Who found no place would have
/// to be woken once more before his is sent.
const QUESTIONS: usize = 1024;

/// Whoever sends has a budget of his own, and gives up himself.
fn config(pushes: Option<Arc<dyn AsyncPushSender>>) -> AsyncConnectionConfig {
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(None)
        .set_response_timeout(None)
        .set_pipeline_buffer_size(QUESTIONS);
    match pushes {
        Some(pushes) => config.set_push_sender(pushes),
        None => config,
    }
}

/// Says whether servers are spoken to by TLS.
fn is_secure(scheme: &str) -> bool {
    scheme.starts_with("rediss") || scheme == "valkeys"
}

/// Small commands are sent at once, and the third protocol tells pushed messages from answers.
fn tuned(info: ConnectionInfo) -> ConnectionInfo {
    let redis = info.redis_settings().clone();
    info.set_tcp_settings(TcpSettings::default().set_nodelay(true))
        .set_redis_settings(redis.set_protocol(ProtocolVersion::RESP3))
}

/// An address of several hosts.
#[cfg(any(feature = "redis-cluster", feature = "redis-sentinel"))]
struct Hosts<'a> {
    /// That of an address of one of them.
    scheme: &'static str,
    /// With the `@` after it.
    user: &'a str,
    hosts: Vec<&'a str>,
    path: &'a str,
}

#[cfg(any(feature = "redis-cluster", feature = "redis-sentinel"))]
impl<'a> Hosts<'a> {
    fn of(url: &'a str) -> Self {
        let (scheme, rest) = url.split_once("://").unwrap_or_default();
        let after_user = rest.rfind('@').map_or(0, |at| at + 1);
        let (user, rest) = rest.split_at_checked(after_user).unwrap_or_default();
        let (hosts, path) = rest.split_once('/').unwrap_or((rest, ""));
        Self {
            scheme: if is_secure(scheme) { "rediss" } else { "redis" },
            user,
            hosts: hosts.split(',').collect(),
            path,
        }
    }
}

#[cfg(feature = "redis-cluster")]
fn cluster(url: &str, certificates: &Certificates) -> Result<Source, Error> {
    let Hosts {
        scheme,
        user,
        hosts,
        ..
    } = Hosts::of(url);
    let nodes = hosts
        .iter()
        .map(|host| format!("{scheme}://{user}{host}").into_connection_info());
    let nodes: RedisResult<Vec<_>> = nodes.collect();
    let nodes = nodes.map_err(|error| unusable(&error))?;
    // Only reads the nodes again; a fault of theirs is found here and not at the first connection.
    let client = redis::cluster::ClusterClient::new(nodes.iter().cloned());
    client.map_err(|error| unusable(&error))?;
    Ok(Source::Cluster(nodes, Box::new(certificates.clone())))
}

#[cfg(not(feature = "redis-cluster"))]
fn cluster(_: &str, _: &Certificates) -> Result<Source, Error> {
    Err(lacking("redis-cluster", "a cluster"))
}

#[cfg(feature = "redis-sentinel")]
fn sentinel(url: &str, certificates: &Certificates) -> Result<Source, Error> {
    use redis::{
        TlsMode,
        sentinel::{SentinelClientBuilder, SentinelServerType},
    };

    let Hosts {
        scheme,
        user,
        hosts,
        path,
    } = Hosts::of(url);
    let (service, database) = path.split_once('/').unwrap_or((path, ""));
    if service.is_empty() {
        let message = "the address of sentinels names no service; write \
                       `redis-sentinel://host:port,host:port/service`";
        return Err(Error::new(ErrorKind::Configuration, message));
    }
    // The primary is reached with what the address says of user and database.
    let data = || format!("redis://{user}primary/{database}").into_connection_info();
    let client = |host: &str| {
        let address = format!("{scheme}://{host}").into_connection_info()?;
        let (data, addresses) = (data()?, [address.addr().clone()]);
        let data = data.redis_settings();
        let tcp = || TcpSettings::default().set_nodelay(true);
        let mut builder =
            SentinelClientBuilder::new(addresses, service, SentinelServerType::Master)?
                .set_client_to_redis_db(data.db())
                .set_client_to_redis_protocol(ProtocolVersion::RESP3)
                .set_client_to_redis_tcp_settings(tcp())
                .set_client_to_sentinel_tcp_settings(tcp());
        if is_secure(scheme) {
            let builder_of = builder.set_client_to_redis_tls_mode(TlsMode::Secure);
            builder = certificates.sentinel(builder_of);
        }
        if let Some(name) = data.username() {
            builder = builder.set_client_to_redis_username(name);
        }
        if let Some(password) = data.password() {
            builder = builder.set_client_to_redis_password(password);
        }
        builder.build()
    };
    let clients = hosts.iter().map(|host| client(host));
    let clients = clients.map(|client| client.map(|own| Arc::new(tokio::sync::Mutex::new(own))));
    let clients: RedisResult<Vec<_>> = clients.collect();
    clients
        .map(Source::Sentinel)
        .map_err(|error| unusable(&error))
}

/// Returns the way to the primary as the first sentinel tells it that answers: one that hangs keeps
/// nobody from the others.
#[cfg(feature = "redis-sentinel")]
async fn primary(
    sentinels: &[Arc<tokio::sync::Mutex<redis::sentinel::SentinelClient>>],
) -> RedisResult<Client> {
    let mut asked = tokio::task::JoinSet::new();
    for sentinel in sentinels {
        let sentinel = Arc::clone(sentinel);
        asked.spawn(async move { sentinel.lock().await.async_get_client().await });
    }
    let mut refused = None;
    while let Some(told) = asked.join_next().await {
        match told {
            Ok(Ok(client)) => return Ok(client),
            Ok(Err(error)) => refused = Some(error),
            // It has panicked, or the runtime is ending.
            Err(_) => {}
        }
    }
    let nobody = || RedisError::from((redis::ErrorKind::Io, "no sentinel has answered"));
    Err(refused.unwrap_or_else(nobody))
}

#[cfg(not(feature = "redis-sentinel"))]
fn sentinel(_: &str, _: &Certificates) -> Result<Source, Error> {
    Err(lacking("redis-sentinel", "sentinels"))
}

#[cfg(not(all(
    feature = "redis-cluster",
    feature = "redis-sentinel",
    feature = "redis-tls"
)))]
pub(super) fn lacking(feature: &str, what: &str) -> Error {
    let message =
        format!("the address of redis asks for {what}; enable larder's feature `{feature}`");
    Error::new(ErrorKind::Configuration, message)
}

/// The address is not repeated: it may hold a password.
fn unusable(error: &RedisError) -> Error {
    let message = format!(
        "the address of redis can not be used: {error}; write \
         `redis://[user:password@]host[:port][/database]`, `rediss://..`, `unix:///path`, \
         `redis-cluster://host:port,..` or `redis-sentinel://host:port,../service`"
    );
    Error::new(ErrorKind::Configuration, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(url: &str) -> Result<Source, Error> {
        Source::parse(&Address::from(url))
    }

    #[test]
    fn an_address_is_read_without_connecting_to_it() {
        for good in [
            "redis://127.0.0.1:6379",
            "redis://user:password@cache.internal/3",
            "unix:///run/redis.sock",
            "valkey://127.0.0.1",
        ] {
            assert!(read(good).is_ok(), "{good}");
        }
    }

    #[test]
    fn a_bad_address_is_refused_with_what_would_be_a_good_one() {
        for bad in ["", "127.0.0.1:6379", "http://127.0.0.1", "redis://h/x"] {
            let error = read(bad).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Configuration);
            assert!(error.to_string().contains("redis://"), "{error}");
        }
    }

    #[test]
    fn the_password_of_a_refused_address_is_not_told() {
        let error = read("redis://user:hunter2@host/x").unwrap_err();
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }

    #[test]
    #[cfg(all(
        feature = "redis-cluster",
        feature = "redis-sentinel",
        feature = "redis-tls"
    ))]
    fn addresses_of_several_hosts_and_of_tls_are_read() {
        for good in [
            "rediss://cache.internal",
            "valkeys://cache.internal",
            "redis-cluster://127.0.0.1:7000,127.0.0.1:7001",
            "rediss-cluster://user:pass%2Fword@a.internal:7000,b.internal:7001",
            "redis-sentinel://127.0.0.1:26379,127.0.0.1:26380/primary",
            "redis-sentinel://user:password@127.0.0.1:26379/primary/2",
            "rediss-sentinel://user:password@a.internal:26379,b.internal:26379/primary/2",
        ] {
            assert!(read(good).is_ok(), "{good}");
        }
        let error = read("redis-sentinel://127.0.0.1:26379").unwrap_err();
        assert!(error.to_string().contains("/service"), "{error}");
    }

    #[test]
    #[cfg(not(feature = "redis-tls"))]
    fn tls_asks_for_its_feature() {
        for secure in ["rediss://h", "valkeys://h", "rediss-sentinel://h/shop"] {
            let error = read(secure).unwrap_err();
            assert!(error.to_string().contains("`redis-tls`"), "{error}");
        }
    }

    #[test]
    #[cfg(not(feature = "redis-cluster"))]
    fn a_cluster_asks_for_its_feature() {
        let error = read("redis-cluster://127.0.0.1").unwrap_err();
        assert!(error.to_string().contains("`redis-cluster`"), "{error}");
    }
}

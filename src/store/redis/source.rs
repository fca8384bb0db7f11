//! From where do connections come?

use redis::{
    AsyncConnectionConfig, Client, ConnectionInfo, IntoConnectionInfo, ProtocolVersion, RedisError,
    RedisResult, io::tcp::TcpSettings,
};

use super::lane::Link;
use crate::error::{Error, ErrorKind};

/// What makes connections.
#[derive(Clone, Debug)]
pub(super) enum Source {
    Single(Client),
}

impl Source {
    /// Reads an address, without connecting to it.
    pub(super) fn parse(url: &str) -> Result<Self, Error> {
        let client = url
            .into_connection_info()
            .and_then(|info| Client::open(tuned(info)));
        client.map(Self::Single).map_err(|error| unusable(&error))
    }

    pub(super) async fn connect(&self, config: &AsyncConnectionConfig) -> RedisResult<Link> {
        match self {
            Self::Single(client) => client
                .get_multiplexed_async_connection_with_config(config)
                .await
                .map(Link::Single),
        }
    }
}

/// Small commands are sent at once, and the third protocol tells pushed messages from answers.
fn tuned(info: ConnectionInfo) -> ConnectionInfo {
    let redis = info.redis_settings().clone();
    info.set_tcp_settings(TcpSettings::default().set_nodelay(true))
        .set_redis_settings(redis.set_protocol(ProtocolVersion::RESP3))
}

/// The address is not repeated: it may hold a password.
fn unusable(error: &RedisError) -> Error {
    let message = format!(
        "the address of redis can not be used: {error}; write \
         `redis://[user:password@]host[:port][/database]`, `rediss://..` or `unix:///path`"
    );
    Error::new(ErrorKind::Configuration, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_without_connecting_to_it() {
        for good in [
            "redis://127.0.0.1:6379",
            "redis://user:password@cache.internal/3",
            "unix:///run/redis.sock",
            "valkey://127.0.0.1",
        ] {
            assert!(Source::parse(good).is_ok(), "{good}");
        }
    }

    #[test]
    fn a_bad_address_is_refused_with_what_would_be_a_good_one() {
        for bad in ["", "127.0.0.1:6379", "http://127.0.0.1", "redis://h/x"] {
            let error = Source::parse(bad).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Configuration);
            assert!(error.to_string().contains("redis://"), "{error}");
        }
    }

    #[test]
    fn the_password_of_a_refused_address_is_not_told() {
        let error = Source::parse("redis://user:hunter2@host/x").unwrap_err();
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }
}

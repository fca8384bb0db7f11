//! TLS in a build without it: nobody asks for it, behind the face of the real one.

#[cfg(feature = "redis-cluster")]
use redis::cluster::ClusterClientBuilder;
#[cfg(feature = "redis-sentinel")]
use redis::sentinel::SentinelClientBuilder;
use redis::{Client, ConnectionInfo, RedisResult};

use super::source::lacking;
use crate::error::Error;

/// There are none.
#[derive(Clone, Default)]
pub(crate) struct Certificates {}

#[expect(clippy::unused_self, reason = "this has the face of what TLS needs")]
impl Certificates {
    pub(super) fn check(&self, is_wanted: bool) -> Result<(), Error> {
        if is_wanted {
            return Err(lacking("redis-tls", "TLS"));
        }
        Ok(())
    }

    pub(super) fn client(&self, server: ConnectionInfo) -> RedisResult<Client> {
        Client::open(server)
    }

    #[cfg(feature = "redis-cluster")]
    pub(super) fn cluster(&self, builder: ClusterClientBuilder) -> ClusterClientBuilder {
        builder
    }

    #[cfg(feature = "redis-sentinel")]
    pub(super) fn sentinel(&self, builder: SentinelClientBuilder) -> SentinelClientBuilder {
        builder
    }
}

//! Where the queue of a test is kept.

use std::time::Duration;

use larder::{Ack, Larder, Redis as Tier, secs, write_behind::WriteBehindBuilder};

use super::support::{folder::Folder, redis::Redis};

/// Where the queue of a scene is kept.
pub(crate) enum Place {
    File(Folder),
    Redis(Redis),
}

impl Place {
    pub(crate) fn file() -> Self {
        Self::File(Folder::new("writes"))
    }

    pub(crate) fn redis() -> Self {
        Self::Redis(Redis::start())
    }

    pub(crate) fn is_redis(&self) -> bool {
        matches!(self, Self::Redis(_))
    }

    /// Returns a handle that reaches it.
    pub(crate) async fn larder(&self) -> Larder {
        match self {
            Self::File(_) => Larder::builder().build().await.unwrap(),
            Self::Redis(redis) => {
                let larder = patient(&redis.url()).await;
                // What is stored before the node has met the others is void when it has.
                while larder.invalidate_tag("met").await != Ack::Global {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                larder
            }
        }
    }

    pub(crate) fn queue(&self, larder: &Larder, name: &str) -> WriteBehindBuilder<u64> {
        let queue = larder.write_behind(name);
        match self {
            Self::File(folder) => queue.file(folder.path().join("queue.redb")),
            Self::Redis(_) => queue,
        }
    }
}

/// Returns a handle on the Redis at `url` that does not mind a busy machine.
pub(crate) async fn patient(url: &str) -> Larder {
    let tier = Tier::new(url)
        .budget(secs(10))
        .background_budget(secs(10))
        .connect_limit(secs(10));
    Larder::builder().redis(tier).build().await.unwrap()
}

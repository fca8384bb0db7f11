//! Where the queue of a test is kept.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use larder::{Ack, Larder, Redis as Tier, secs, write_behind::WriteBehindBuilder};

use super::support::redis::Redis;

/// Where the queue of a scene is kept.
pub(crate) enum Place {
    File(Directory),
    Redis(Redis),
}

impl Place {
    pub(crate) fn file() -> Self {
        Self::File(Directory::new())
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
            Self::File(directory) => queue.file(directory.file("queue.redb")),
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

/// A directory of one test, gone at its end.
#[derive(Debug)]
pub(crate) struct Directory(PathBuf);

impl Directory {
    pub(crate) fn new() -> Self {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let name = format!("writes-{}-{number}", std::process::id());
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

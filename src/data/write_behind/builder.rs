//! The settings of a queue of writes.

use std::{
    fmt,
    marker::PhantomData,
    num::{NonZeroU16, NonZeroU32, NonZeroU64, NonZeroUsize},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use serde::{Serialize, de::DeserializeOwned};
use tokio::sync::Notify;

use super::{
    Sink, Write, WriteBehind,
    worker::{Invalidates, Limits, Worker},
};
use crate::{
    Larder,
    data::Encoding,
    error::{Error, ErrorKind},
    handle::Core,
    key::check_name,
    policy::Target,
    store::queue::{Queue, Sizes},
};

/// The shortest time that a lane can be held: some round trips on a bad day.
const SHORTEST_HOLD: Duration = Duration::from_millis(100);

/// Builds a [`WriteBehind`].
///
/// ```
/// use larder::{
///     Larder, Target,
///     write_behind::{Sink, SinkError, Write},
/// };
///
/// # struct Views;
/// # impl Sink<u64> for Views {
/// #     async fn write(&self, _: &[Write<u64>]) -> Result<(), SinkError> { Ok(()) }
/// # }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let larder = Larder::builder().build().await?;
/// # let directory = std::env::temp_dir().join(format!("larder-doc-{}", std::process::id()));
/// # std::fs::create_dir_all(&directory)?;
/// let views = larder
///     .write_behind::<u64>("views")
///     .file(directory.join("views.redb"))
///     .invalidates(|write| vec![Target::tag(&format!("product:{}", write.key))])
///     .start(Views)
///     .await?;
/// views.add("7", &1).await?;
/// assert!(views.drain(larder::secs(5)).await?);
/// # larder.shutdown(larder::secs(5)).await;
/// # std::fs::remove_dir_all(directory)?;
/// # Ok(())
/// # }
/// ```
#[must_use]
pub struct WriteBehindBuilder<T> {
    core: Arc<Core>,
    name: String,
    file: Option<PathBuf>,
    sizes: Sizes,
    limits: Limits,
    encoding: Encoding,
    invalidates: Option<Invalidates<T>>,
    kind: PhantomData<fn() -> T>,
}

impl Larder {
    /// Returns the builder of a queue of writes that are made later, by its name: see
    /// [`write_behind`](crate::write_behind).
    pub fn write_behind<T>(&self, name: &str) -> WriteBehindBuilder<T>
    where
        T: Serialize + DeserializeOwned + Send + Sync + 'static,
    {
        WriteBehindBuilder {
            core: Arc::clone(self.core()),
            name: name.to_owned(),
            file: None,
            sizes: Sizes {
                lanes: 4,
                most: 100_000,
            },
            limits: Limits::default(),
            encoding: Encoding::Json,
            invalidates: None,
            kind: PhantomData,
        }
    }
}

impl<T> WriteBehindBuilder<T>
where
    T: Serialize + DeserializeOwned + Send + Sync + 'static,
{
    /// Keeps the queue in the file at `path`, which is made if it is not there. It wins over Redis.
    /// One process at a time can have it open.
    pub fn file(mut self, path: impl Into<PathBuf>) -> Self {
        self.file = Some(path.into());
        self
    }

    /// Sets how many lanes there are: batches that the sink gets at a time. Default: 4.
    ///
    /// A key goes into the same lane while this does not change; a queue that still has writes should
    /// be drained before it does, or those of one key may come out of order.
    pub fn lanes(mut self, lanes: NonZeroU16) -> Self {
        self.sizes.lanes = lanes.get();
        self
    }

    /// Sets how many writes may wait; with as many, adding is refused. Default: 100,000. In Redis each
    /// lane has its part of it.
    pub fn capacity(mut self, most: NonZeroU64) -> Self {
        self.sizes.most = most.get();
        self
    }

    /// Sets how many writes the sink gets at a time, at most. Default: 100.
    pub fn batch(mut self, most: NonZeroUsize) -> Self {
        self.limits.batch = most.get();
        self
    }

    /// Sets how often a write is tried, while others succeed, before it is set aside. Default: 5.
    pub fn attempts(mut self, most: NonZeroU32) -> Self {
        self.limits.attempts = most.get();
        self
    }

    /// Sets for how long a lane stays with a node that is not heard of any more; then another one goes
    /// on with what that one had begun. Default: 10 s; at least 100 ms. In a file it is of no use.
    ///
    /// A node that stands still for longer may deliver the same writes once more.
    pub fn held_for(mut self, time: Duration) -> Self {
        self.limits.held_for = time.max(SHORTEST_HOLD);
        self
    }

    /// Sets how values are written down. Default: JSON.
    pub fn encoding(mut self, encoding: Encoding) -> Self {
        self.encoding = encoding;
        self
    }

    /// Says what a write makes void once the sink has it. Default: nothing.
    pub fn invalidates(
        mut self,
        targets: impl Fn(&Write<T>) -> Vec<Target> + Send + Sync + 'static,
    ) -> Self {
        self.invalidates = Some(Arc::new(targets));
        self
    }

    /// Opens the queue and starts to deliver, what waits from earlier first. It goes on until
    /// [`Larder::shutdown`], which lets batches under way end.
    ///
    /// # Errors
    ///
    /// Fails if the name is not 1 to 64 letters, digits, `-`, `_` and `.`; if there is neither a file
    /// nor a Redis; if the file can not be opened; if the Redis may evict what it is given to keep
    /// (`maxmemory-policy allkeys-*`). A Redis that gives no answer is looked at with the first write.
    pub async fn start(self, sink: impl Sink<T>) -> Result<WriteBehind<T>, Error> {
        check_name(ErrorKind::Configuration, "queue name", &self.name)?;
        let queue = self.queue().await?;
        let wake: Arc<[Notify]> = (0..self.sizes.lanes).map(|_| Notify::new()).collect();
        let sink = Arc::new(sink);
        for lane in 0..self.sizes.lanes {
            let worker = Worker {
                core: Arc::clone(&self.core),
                queue: queue.clone(),
                lane,
                limits: self.limits,
                wake: Arc::clone(&wake),
                sink: Arc::clone(&sink),
                invalidates: self.invalidates.clone(),
            };
            self.core.spawn(worker.run());
        }
        Ok(WriteBehind {
            queue,
            sizes: self.sizes,
            wake,
            encoding: self.encoding,
            kind: PhantomData,
        })
    }

    async fn queue(&self) -> Result<Queue, Error> {
        if let Some(path) = &self.file {
            let (path, sizes) = (path.clone(), self.sizes);
            let opened = tokio::task::spawn_blocking(move || Queue::in_file(&path, sizes)).await;
            return opened.map_err(|cause| {
                Error::new(
                    ErrorKind::Configuration,
                    format!("queue of writes: {cause}"),
                )
            })?;
        }
        #[cfg(feature = "redis")]
        if let Some(connections) = self.core.redis() {
            let queue = Queue::in_redis(connections, &self.name, self.sizes);
            match queue.check().await {
                Err(error) if error.kind() == ErrorKind::Configuration => return Err(error),
                Ok(()) | Err(_) => return Ok(queue),
            }
        }
        let message = format!(
            "queue of writes `{}` has no place; name a file, or a Redis on the handle",
            self.name
        );
        Err(Error::new(ErrorKind::Configuration, message))
    }
}

impl<T> fmt::Debug for WriteBehindBuilder<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WriteBehindBuilder")
            .field("name", &self.name)
            .field("file", &self.file)
            .field("sizes", &self.sizes)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

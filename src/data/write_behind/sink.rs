//! Where delayed writes go.

use std::{error, fmt, future::Future};

/// One write, as a sink gets it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Write<T> {
    /// The same whenever this write is delivered, and that of no other one of its queue: what a sink
    /// that must not write twice notes. Of two writes of a key the later one has the greater.
    pub id: String,
    /// What is written to: writes of one key come in order.
    pub key: String,
    /// The value.
    pub value: T,
}

/// Where delayed writes go, in batches.
///
/// ```
/// use larder::write_behind::{Sink, SinkError, Write};
///
/// struct Views;
///
/// impl Sink<u64> for Views {
///     async fn write(&self, batch: &[Write<u64>]) -> Result<(), SinkError> {
///         for write in batch {
///             // INSERT … ON CONFLICT (id) DO NOTHING, in one transaction
///             let _ = (&write.id, &write.key, write.value);
///         }
///         Ok(())
///     }
/// }
/// ```
pub trait Sink<T>: Send + Sync + 'static {
    /// Writes all of the batch, in its order, or none of it.
    ///
    /// A batch comes again, with the same ids, if the process ends before it is settled. An error that
    /// is no [`SinkError::reject`] is taken for one of the sink: the batch is tried again, later and
    /// later, and write by write, so that one that never succeeds is told from a sink that is down.
    fn write(&self, batch: &[Write<T>]) -> impl Future<Output = Result<(), SinkError>> + Send;
}

/// Why a sink did not write.
#[derive(Debug)]
pub struct SinkError {
    cause: Box<dyn error::Error + Send + Sync>,
    is_final: bool,
}

impl SinkError {
    /// Says that the write itself is no good, and that to try again is of no use: a batch of one is
    /// set aside at once, a larger one is written one by one.
    pub fn reject(cause: impl Into<Box<dyn error::Error + Send + Sync>>) -> Self {
        Self {
            cause: cause.into(),
            is_final: true,
        }
    }

    pub(super) fn is_final(&self) -> bool {
        self.is_final
    }
}

impl<E: Into<Box<dyn error::Error + Send + Sync>>> From<E> for SinkError {
    fn from(cause: E) -> Self {
        Self {
            cause: cause.into(),
            is_final: false,
        }
    }
}

impl fmt::Display for SinkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.cause.fmt(f)
    }
}

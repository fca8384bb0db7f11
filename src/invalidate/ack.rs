//! How far an invalidation has come.

/// How far an invalidation has come when it is acknowledged.
///
/// The response to a mutating request carries it as an extension.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Ack {
    /// Wherever the cache is shared. Without a shared tier that is this process.
    Global,
    /// In this process; `pending` targets wait for the shared tier to come back.
    Local {
        /// How many targets wait.
        pending: usize,
    },
}

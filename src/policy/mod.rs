//! What the application declares: lifetimes, tags, what a key holds, what a mutation invalidates.

mod target;

pub use self::target::Target;
pub(crate) use self::target::TargetId;

//! What does a request that changes something make void, and who has seen it?

mod ack;
mod mutation;
mod purge;
#[cfg(feature = "admin")]
mod recent;

pub use self::ack::Ack;
#[cfg(feature = "admin")]
pub(crate) use self::recent::{Recent, Recents};
pub(crate) use self::{
    mutation::{may_have_changed, of_response},
    purge::{Purge, Source, ids},
};

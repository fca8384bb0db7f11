//! What does a request that changes something make void, and who has seen it?

mod ack;
mod mutation;
mod purge;
#[cfg(feature = "admin")]
mod recent;
#[cfg(feature = "redis")]
mod shared;
mod trust;

#[cfg(feature = "admin")]
pub(crate) use self::recent::{Recent, Recents};
#[cfg(feature = "redis")]
pub(crate) use self::shared::{Host, Relay};
pub use self::{ack::Ack, trust::Consistency};
pub(crate) use self::{
    mutation::{may_have_changed, of_response},
    purge::{Purge, Source, ids},
    trust::Trust,
};

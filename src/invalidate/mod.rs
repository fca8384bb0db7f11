//! What does a request that changes something make void, and who has seen it?

mod ack;
mod mutation;
mod purge;

pub use self::ack::Ack;
pub(crate) use self::{
    mutation::{may_have_changed, of_response},
    purge::{Purge, ids},
};

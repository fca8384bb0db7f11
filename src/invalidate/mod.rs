//! What does a request that changes something make void, and who has seen it?

mod ack;
mod mutation;

pub use self::ack::Ack;
pub(crate) use self::mutation::{group_id, may_have_changed, of_response};

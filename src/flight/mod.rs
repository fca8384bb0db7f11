//! One handler run per key, however many requests wait for it.
//!
//! The first request for a key *leads*: its handler run goes on in a task of its own, so that a
//! client that leaves takes nothing with it. The others *follow* and are told how it went:
//!
//! - [`Landing::Streaming`]: a response that may be shared, its body arriving in one shared buffer.
//! - [`Landing::Landed`]: a response that is complete and stored.
//! - [`Landing::Declined`]: a response that may not be shared (`private`, `Set-Cookie`); each
//!   follower calls the handler itself, all at once, since one user's answer must not reach another.
//! - [`Landing::Failed`]: the service returned an error, which can not be handed to several.
//! - [`Landing::Left`]: there is no run here, since another node runs the handler, and this would have
//!   been a refresh for which nobody waits; those who have come to wait all the same begin anew.
//! - [`Landing::Lost`]: the run panicked or was ended; one follower takes over.
//!
//! Whoever leads holds a [`Leader`]. Dropping it, on whichever way out, takes the flight off the
//! table and tells the followers, so a key can not stay locked. A flight whose position in the order
//! of invalidations is too old for a newcomer is replaced on the table by that newcomer's own; the
//! older one goes on for those who joined it in time. While a flight asks elsewhere before it runs, it has
//! no position, and everybody joins it: its run will come after whatever was invalidated by then.
//!
//! Whether a follower may use what it gets is not decided here: the caller asks the fence.

mod body;
mod panic;
mod table;

pub(crate) use self::{
    body::{BodyEnd, BodyReader, SharedBody},
    panic::CatchPanic,
    table::{Flight, Flights, Follower, Join, Landing, Leader, Place, Straggled},
};

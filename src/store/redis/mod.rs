//! What do many nodes share? A second tier in Redis or Valkey.
//!
//! Everything that goes there goes through [`Connections`], which owns the time: nobody waits for
//! Redis longer than the budget that he brings, whatever pool and client think of it, and once a few
//! calls have failed nobody waits at all until a probe in the background has had an answer. So a
//! Redis that is slow, frozen, full or gone is a miss and a count, never an error.

mod breaker;
mod connections;
mod dedicated;
mod fault;
mod gather;
mod lane;
mod layout;
mod link;
mod lock;
#[cfg(not(feature = "redis-tls"))]
mod no_tls;
mod pieces;
mod queue;
mod reading;
pub(crate) mod registry;
mod release;
mod script;
mod server_time;
mod settings;
mod source;
mod tally;
#[cfg(test)]
pub(crate) mod tests;
mod tier;
#[cfg(feature = "redis-tls")]
mod tls;

#[cfg(feature = "redis-tls")]
pub(crate) use self::tls::ClientCertificate;
pub(crate) use self::{
    connections::Connections,
    dedicated::Mailbox,
    layout::Layout,
    lock::{Lock, Locked, Rival},
    release::Released,
    script::Script,
    settings::Settings,
    source::Address,
    tier::{SecondTier, Writer},
};

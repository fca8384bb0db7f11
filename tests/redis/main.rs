//! larder over a real redis-server that fails in every way that one machine can bring about.
//!
//! - [`fence`]: what one node invalidates is void on the others.
//! - [`strict`]: strict reads while others invalidate other things.
//! - [`harness`]: the server and the proxy of these tests do what they say.
//! - [`away`]: Redis is down, frozen, busy, slow, closed or a replica.
//! - [`certificates`]: an authority of a test's own.
//! - [`ways`]: the same over TLS and by a socket in the file system.
//! - [`sentinel`]: sentinels name the primary, and name another one.
//! - [`promotion`]: a replica takes over that lacks something.
//! - [`cluster`]: slots move, nodes of a cluster change places or are gone.
//! - [`pool`]: the application's own pool makes the connections.
//! - [`data`]: what it holds is cut, wrong, old, evicted or gone, or there is no room for it.
//! - [`channel`]: what nodes tell each other is lost, late, doubled, foreign or too much.
//! - [`flight`]: one node of all runs a handler, and its holder dies, hangs or is late.
//! - [`values`]: the same for loads of values.
//! - [`mixture`]: requests of every kind at once, on two strict nodes.
//! - [`hostile`]: something else listens where Redis should.
//! - [`clocks`]: wall clocks of nodes are an hour apart.
//!
//! Every test has a server of its own. Times are those of real processes: bounds are loose where
//! they only tell a wait from none.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a test may panic, measures time and shows what it measured"
)]

mod away;
#[cfg(feature = "redis-tls")]
mod certificates;
mod channel;
mod clocks;
#[cfg(feature = "redis-cluster")]
mod cluster;
mod data;
#[path = "../support/mixture.rs"]
mod every_kind;
mod fence;
mod flight;
mod harness;
mod hostile;
mod mixture;
mod node;
mod pair;
mod pool;
mod promotion;
mod scene;
#[cfg(feature = "redis-sentinel")]
mod sentinel;
mod strict;
#[path = "../support/mod.rs"]
#[allow(dead_code, reason = "each suite uses its part")]
mod support;
mod values;
#[cfg(feature = "redis-tls")]
mod ways;

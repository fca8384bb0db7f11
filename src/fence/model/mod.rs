//! The protocol of a shared tier, played out: does anybody ever get an old answer?
//!
//! Two or three nodes with the fence of the library, a Redis between them, an application behind
//! them. A schedule, made from a seed, says what happens: requests, writes, soft and hard purges of
//! tags, pages, prefixes, routes, hosts and everything, handlers that are slow or fail, lines that
//! are cut or held up, replies that are lost, lagging mirrors and trimmed logs, snapshots, restarts
//! from them by a clock that is behind, lost keys, want of memory, messages of other programs, nodes
//! that restart. After each of those a few tasks, chosen by chance, go on a few steps. An
//! [`oracle`] that knows nothing of the protocol checks every answer:
//!
//! - None is older than an invalidation that was acknowledged on the node before the request came,
//!   nor than one the node has ever learned of.
//! - With strict consistency none is older than an invalidation that was acknowledged to all; with
//!   bounded consistency none by more than the bound. Entries without tags keep their lifetime while
//!   a node is out of touch.
//! - None is served beyond its lifetime and windows, which a soft purge ends.
//!
//! # What this is for
//!
//! The code here is the protocol as it is to be written for Redis, step by step, with an `await`
//! wherever something may come in between: [`line`] says what may happen to a command, [`registry`]
//! and [`server`] what each script does, [`mirror`] how a node learns, [`read`] and [`fill`] what a
//! request does, [`invalidate`], [`outbox`] and [`message`] what an invalidation does. Each rule
//! has a name in [`rules`] and can be left out, and [`mutants`] shows that it is then missed.
//!
//! # Reading a failure
//!
//! The schedule is shortened and told: its events after `--`, and what the nodes did. The seed in
//! the first line makes the same schedule again.
//!
//! Not covered: threads within a node (loom does that), two servers that are both written to while
//! they can not see each other, values that are written through, and replicas of the database.

mod catalogue;
mod fill;
mod invalidate;
mod line;
mod message;
mod mirror;
mod mutants;
mod node;
mod oracle;
mod origin;
mod outbox;
mod random;
mod read;
mod registry;
mod rules;
mod schedule;
mod server;
mod stories;
mod tasks;
mod world;

//! Counters, rankings, sets, hashes and lists: on Redis, or in this process where there is none.
//!
//! | to keep | use |
//! | --- | --- |
//! | page views, stock, quotas | [`Counter`] |
//! | the fields of one thing, each read and changed by itself | [`Hash`](struct@Hash) |
//! | a leaderboard, bestsellers | [`Ranking`] |
//! | who was there: unique visitors, who liked it | [`Set`] |
//! | what happened last | [`CappedList`] |
//!
//! Each has a [`Name`] of the form `service:entity:id:field`. Several changes go out in one round
//! trip as a [`Batch`].
//!
//! These hold the data itself and not copies of it. So an operation that gets no answer is an error,
//! which says nothing of whether it was carried out; nothing is evicted by larder, and a Redis that
//! may evict anything (`maxmemory-policy allkeys-*`) is no place for them. In this process they are
//! gone when it ends, and have a million elements together at most.

mod batch;
mod counter;
mod hash;
mod list;
mod name;
mod ranking;
mod set;
mod shelf;

pub use self::{
    batch::Batch, counter::Counter, hash::Hash, list::CappedList, name::Name, ranking::Ranking,
    set::Set,
};

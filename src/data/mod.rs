//! Values under the handlers: the same handle, tiers, fence and tags as for responses.
//!
//! | to | use |
//! | --- | --- |
//! | read a value, and load it if it is not there | [`Typed::get_or_load`] |
//! | read it, and store what was read elsewhere (cache-aside) | [`Typed::get`], [`Typed::look_up`] |
//! | read or load many at once | [`Typed::get_many`], [`Typed::get_or_load_many`], [`Typed::warm`] |
//! | change the truth | [`Larder::writing`](crate::Larder::writing), [`Typed::write_through`] |
//! | make it void | [`Typed::remove`], [`Larder::invalidate`](crate::Larder::invalidate) |
//!
//! A value lives by the rules that responses live by: it is sealed with the number of the last
//! invalidation that was visible before its load began, so that a slow load can not bring an old
//! value back. It has two tags of its own, `{entity}:{id}` and `{entity}`; what its load adds or
//! reads comes on top, and a response whose handler reads it inherits all of them.
//!
//! Writes that are made later have a place of their own, `write_behind`. Not covered: counters, rankings
//! and the like (`structures`).

mod bulk;
mod encoding;
mod load;
mod loading;
mod look;
mod run;
mod settings;
mod start;
mod typed;
mod write;
#[cfg(feature = "write-behind")]
pub mod write_behind;

pub use self::{
    bulk::Warmed,
    encoding::Encoding,
    load::LoadError,
    loading::Loading,
    look::{LookUp, Vacancy},
    typed::Typed,
    write::Written,
};

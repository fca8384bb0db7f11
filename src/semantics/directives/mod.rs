//! Which cache directives do a request and a response carry?
//!
//! Names are read in letters of any case, over all lines of the field, whatever stands beside them
//! in the line. [`ResponseDirectives`] of a targeted field are read in
//! [`targeted`](super::targeted). What the directives mean is decided in `storable`, `freshness`
//! and `reuse`.

mod request;
mod response;
mod syntax;
#[cfg(test)]
mod tests;

pub(super) use self::syntax::{Argument, Name};
pub(crate) use self::{
    request::{MaxStale, RequestDirectives},
    response::{ResponseDirectives, Scope},
};

/// A directive without a value, and two facts about the field as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Flag {
    /// Of a request; on a response see [`ResponseDirectives::no_cache`].
    NoCache,
    NoStore,
    NoTransform,
    OnlyIfCached,
    Public,
    MustRevalidate,
    ProxyRevalidate,
    MustUnderstand,
    Immutable,
    /// A targeted field decided, so that Cache-Control and Expires have no say (RFC 9213 §2.2).
    Targeted,
    /// There is a directive at all, be it an unknown one.
    Present,
}

/// A set of [`Flag`]s.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Flags(u16);

impl Flags {
    const fn set(&mut self, flag: Flag) {
        self.0 |= 1 << flag as u8;
    }

    const fn has(self, flag: Flag) -> bool {
        self.0 & (1 << flag as u8) != 0
    }
}

/// Puts `value` in `slot`, unless there is a lower one.
fn lower<T: Copy + Ord>(slot: &mut Option<T>, value: T) {
    *slot = Some(slot.map_or(value, |kept| kept.min(value)));
}

//! What the application declares: lifetimes, tags, what a key holds, what a mutation invalidates.
//!
//! | question | answered by |
//! | --- | --- |
//! | How are answers of this route cached? | [`Policy`], with [`Key`] and [`Compress`] |
//! | Which policy has this request? | [`Routes`], read into a [`RouteTable`] |
//! | What does this change invalidate? | [`Invalidate`] beforehand, [`Invalidations`] meanwhile |
//! | What does the handler say of this answer? | [`CacheHint`] |
//! | What can be invalidated at all? | [`Target`] |
//!
//! Not here: how a declared lifetime meets the one that a response states (`semantics` and
//! `service`), and how what is declared becomes the bytes of a key (`key`).

mod check;
mod collector;
mod duration;
mod hint;
mod jitter;
mod key_form;
mod keys;
mod layered;
mod learned;
mod lifetimes;
mod mutation;
mod pattern;
pub(crate) mod percent;
mod routes;
mod settings;
mod storing;
mod tag;
mod target;
mod template;

#[cfg(feature = "admin")]
pub(crate) use self::tag::fault as tag_fault;
#[cfg(feature = "redis")]
pub(crate) use self::target::bucket;
pub(crate) use self::{
    check::{MAX_NEGATIVE_TTL, MAX_TTL},
    jitter::shorten,
    key_form::Shape,
    learned::Learned,
    pattern::{Params, Pattern, PatternMap},
    routes::Route,
    settings::SetCookies,
    tag::of_response as tags_of_response,
    tag::{MAX_PER_RESPONSE as MAX_TAGS, fitted as fitted_tag},
    target::TargetId,
    template::{Template, Values},
};
pub use self::{
    collector::Invalidations,
    duration::{hours, mins, secs},
    hint::CacheHint,
    key_form::Key,
    mutation::Invalidate,
    routes::{RouteTable, Routes},
    settings::{Compress, Policy},
    target::Target,
};

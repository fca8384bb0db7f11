//! Is what somebody holds still the same response?
//!
//! | question | asked by | answered by |
//! | --- | --- | --- |
//! | does this tag or date name that response? | everybody | [`EntityTag`], [`Validators`] |
//! | may the client keep what it has? | a request to the cache | [`condition()`], [`not_modified_fields`] |
//! | may the cache keep what it has? | the cache to the handler | [`ask`], [`answered_by`], [`head_agrees`] |
//!
//! Not covered: `If-Range`, which is asked for parts only, and whether a stored response may be used
//! without asking.

mod condition;
mod renewal;
mod tag;

use http::{
    HeaderMap, HeaderValue,
    header::{DATE, ETAG, LAST_MODIFIED},
};

pub(crate) use self::{
    condition::{Condition, condition, not_modified_fields},
    renewal::{Agreement, answered_by, ask, head_agrees},
    tag::{EntityTag, weaken_etag},
};
use super::{dates, fields::single};
use crate::clock::Timestamp;

/// How much older than its `Date` a response's `Last-Modified` must be, in milliseconds, before no
/// second change can hide behind the same date (RFC 9110 §8.8.2.2).
const STRONG_AFTER: u64 = 1_000;

/// What tells a stored response from its earlier and later forms.
///
/// Fields that are malformed, or that come more than once where one is allowed, count as absent.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Validators<'a> {
    pub(crate) etag: Option<EntityTag<'a>>,
    last_modified: Option<&'a HeaderValue>,
    date: Option<&'a HeaderValue>,
}

impl<'a> Validators<'a> {
    /// Returns the validators of a response.
    pub(crate) fn of(response: &'a HeaderMap) -> Self {
        Self {
            etag: single(response, &ETAG).and_then(|tag| EntityTag::parse(tag.as_bytes())),
            last_modified: single(response, &LAST_MODIFIED),
            date: single(response, &DATE),
        }
    }

    /// Returns when the response was last modified, by its own account.
    pub(crate) fn last_modified(&self) -> Option<Timestamp> {
        self.last_modified.and_then(dates::parse)
    }

    /// Returns the latest moment at which the response is known to have been as it is: when it was
    /// modified or, if it does not say, when it was made (RFC 9111 §4.3.2).
    fn unchanged_since(&self) -> Option<Timestamp> {
        self.last_modified()
            .or_else(|| self.date.and_then(dates::parse))
    }

    /// Returns when the response was last modified if that date can stand for its very bytes.
    pub(crate) fn strong_date(&self) -> Option<Timestamp> {
        let modified = self.last_modified()?;
        let made = self.date.and_then(dates::parse)?;
        let age = made.as_millis().checked_sub(modified.as_millis())?;
        (age >= STRONG_AFTER).then_some(modified)
    }
}

#[cfg(test)]
mod tests;

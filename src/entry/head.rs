//! The head of a stored response.

use std::sync::{
    Arc,
    atomic::{AtomicU32, AtomicU64, Ordering},
};

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

#[cfg(feature = "data")]
use super::Position;
use super::{Seal, fields::Fields};
#[cfg(feature = "data")]
use crate::policy::{MAX_TAGS, Target};
use crate::{
    clock::Timestamp,
    key::Key,
    observe::MEASURED_HITS,
    semantics::{numbered::Numbered, reuse::ReuseFlags},
};

/// Everything of a stored response but its body.
#[derive(Debug)]
pub(crate) struct Head {
    /// The full key under which it is found: compared on every read from another tier.
    pub(crate) key: Key,
    pub(crate) status: StatusCode,
    pub(crate) life: Life,
    pub(crate) seal: Seal,
    /// The tags by name, for those who look into the cache.
    pub(crate) tags: Box<[Arc<str>]>,
    /// Which requests it answers, where the response varies.
    pub(crate) variation: Option<Box<Variation>>,
    /// What of its directives counts when it is used again.
    pub(crate) reuse: ReuseFlags,
    /// Whether larder may choose the content coding, so that answers vary on `Accept-Encoding`.
    pub(crate) negotiated: bool,
    /// As the handler sent them.
    pub(super) fields: Fields,
    hits: AtomicU32,
    failures: AtomicU32,
    retry_at: AtomicU64,
    /// The value that the body is the written form of, where it is one.
    #[cfg(feature = "data")]
    value: super::value::Decoded,
}

/// Which requests a response that varies answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Variation {
    /// The fields that `Vary` names.
    pub(crate) names: Arc<[HeaderName]>,
    /// The values of those fields in the request that brought the response.
    pub(crate) selecting: Box<[u8]>,
}

/// The moments at which a stored response changes its standing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Life {
    /// When the response was received.
    pub(crate) received: Timestamp,
    /// How old it was then, in milliseconds (RFC 9111 §4.2.3 `corrected_initial_age`).
    pub(crate) initial_age: u64,
    /// From here on it is stale.
    pub(crate) fresh_until: Timestamp,
    /// From here on a reader starts a refresh although it is fresh; `NEVER` when not wanted.
    pub(crate) refresh_from: Timestamp,
    /// Until here a stale response is served at once while it is refreshed (RFC 5861 §3).
    pub(crate) revalidate_until: Timestamp,
    /// Until here it is served when the handler fails (RFC 5861 §4).
    pub(crate) error_until: Timestamp,
    /// From here on it is of no use to anybody, validation included.
    pub(crate) gone_at: Timestamp,
}

impl Life {
    /// Returns how old the response is, in milliseconds (RFC 9111 §4.2.3 `current_age`).
    pub(crate) fn age(&self, now: Timestamp) -> u64 {
        let resident = now.as_millis().saturating_sub(self.received.as_millis());
        self.initial_age.saturating_add(resident)
    }

    /// Returns how many seconds of freshness are left, less than zero when it is stale.
    ///
    /// It is the lifetime less the age, both in whole seconds, so that it changes when `Age` does.
    pub(crate) fn ttl(&self, now: Timestamp) -> i64 {
        let span = self
            .fresh_until
            .as_millis()
            .saturating_sub(self.received.as_millis());
        let seconds = |millis: u64| i64::try_from(millis / 1000).unwrap_or(i64::MAX);
        seconds(span.saturating_add(self.initial_age)).saturating_sub(seconds(self.age(now)))
    }
}

impl Life {
    /// Returns the same moments by a clock that is `millis` ahead of the one that they are told by.
    #[cfg(any(test, feature = "redis"))]
    pub(crate) fn shifted(&self, millis: i64) -> Self {
        let shift = |moment: Timestamp| match moment {
            Timestamp::NEVER => moment,
            _ => Timestamp::from_millis(moment.as_millis().saturating_add_signed(millis)),
        };
        Self {
            received: shift(self.received),
            initial_age: self.initial_age,
            fresh_until: shift(self.fresh_until),
            refresh_from: shift(self.refresh_from),
            revalidate_until: shift(self.revalidate_until),
            error_until: shift(self.error_until),
            gone_at: shift(self.gone_at),
        }
    }
}

/// In which form an entry's bytes go out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// As the handler sent them.
    Plain,
    /// As larder compressed them.
    Gzip,
}

/// The field by which caches say what they did (RFC 9211).
pub(crate) const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");

/// What is handed to [`Head::new`].
#[derive(Debug)]
pub(crate) struct HeadParts {
    pub(crate) key: Key,
    pub(crate) status: StatusCode,
    pub(crate) fields: Fields,
    pub(crate) life: Life,
    pub(crate) seal: Seal,
    pub(crate) tags: Box<[Arc<str>]>,
    pub(crate) variation: Option<Variation>,
    pub(crate) reuse: ReuseFlags,
    pub(crate) negotiated: bool,
}

impl Head {
    /// Returns the head of a response.
    pub(crate) fn new(parts: HeadParts) -> Self {
        Self {
            key: parts.key,
            status: parts.status,
            life: parts.life,
            seal: parts.seal,
            tags: parts.tags,
            variation: parts.variation.map(Box::new),
            reuse: parts.reuse,
            negotiated: parts.negotiated,
            fields: parts.fields,
            hits: AtomicU32::new(0),
            failures: AtomicU32::new(0),
            retry_at: AtomicU64::new(0),
            #[cfg(feature = "data")]
            value: super::value::Decoded::default(),
        }
    }

    /// Returns this head as that of a response that confirmed `old`: it belongs to all that either
    /// belongs to, and answers the requests that the old one did.
    pub(crate) fn renewing(mut self, old: &Self) -> Self {
        let mut targets = self.seal.targets.to_vec();
        targets.extend_from_slice(&old.seal.targets);
        targets.sort_unstable();
        targets.dedup();
        let mut tags = self.tags.to_vec();
        tags.extend_from_slice(&old.tags);
        tags.sort_unstable();
        tags.dedup();
        let is_untagged = !self.seal.is_tagged() && !old.seal.is_tagged();
        self.seal = Seal::new(self.seal.position, targets)
            // The body is as old as what its own run read, whoever has confirmed it since.
            .begun(self.seal.begun.min(old.seal.begun))
            .untagged(is_untagged);
        self.tags = tags.into();
        self.variation.clone_from(&old.variation);
        self.hits.store(old.hits(), Ordering::Relaxed);
        self
    }

    /// Returns this head with the tags of what was read from the cache after it was made, of which the
    /// oldest was filled at `begun`. With more tags than are kept it is void from the beginning.
    #[cfg(feature = "data")]
    pub(crate) fn with_more(&self, more: &[Arc<str>], begun: Timestamp) -> Self {
        let mut tags = self.tags.to_vec();
        tags.extend_from_slice(more);
        tags.sort_unstable();
        tags.dedup();
        let mut targets = self.seal.targets.to_vec();
        targets.extend(more.iter().map(|tag| Target::Tag(Arc::clone(tag)).id()));
        let position = if tags.len() > MAX_TAGS {
            Position::default()
        } else {
            self.seal.position
        };
        Self::new(HeadParts {
            key: self.key.clone(),
            status: self.status,
            fields: self.fields.clone(),
            life: self.life,
            seal: Seal::new(position, targets).begun(self.seal.begun.min(begun)),
            tags: tags.into(),
            variation: self.variation.as_deref().cloned(),
            reuse: self.reuse,
            negotiated: self.negotiated,
        })
    }

    /// Returns the fields as the handler sent them, without `Age`, our `Cache-Status` member, and the
    /// length, which is the body's to say.
    pub(crate) fn headers(&self) -> HeaderMap {
        self.fields.to_map()
    }

    /// Returns the fields of an answer with the body as the handler sent it, with `status` as our
    /// `Cache-Status` member. The length is left to the body.
    pub(crate) fn fields(&self, now: Timestamp, status: Option<&HeaderValue>) -> HeaderMap {
        self.told(&self.fields, now, status, None)
    }

    #[inline(always)]
    pub(super) fn told(
        &self,
        fields: &Fields,
        now: Timestamp,
        status: Option<&HeaderValue>,
        length: Option<&HeaderValue>,
    ) -> HeaderMap {
        static AGES: Numbered = Numbered::new();
        let age = self.life.age(now) / 1000;
        let make = || age.to_string().into_bytes();
        let late;
        let age = if let Some(kept) = AGES.kept(age, make) {
            kept
        } else {
            late = AGES.get(age, make);
            &late
        };
        fields.answer(age, status, length)
    }

    /// Returns the place of the value that the body is the written form of.
    #[cfg(feature = "data")]
    pub(crate) fn value(&self) -> &super::value::Decoded {
        &self.value
    }

    /// Counts an answer made of this response.
    ///
    /// The first ones each, later ones by those that are `measured`: a page that everybody asks for
    /// would otherwise be written to by all processors. Two at the same moment may count as one.
    #[inline]
    pub(crate) fn count_hit(&self, measured: bool) {
        /// Up to here each hit counts.
        const EXACT: u32 = 256;
        let hits = self.hits.load(Ordering::Relaxed);
        if hits < EXACT {
            self.hits.store(hits + 1, Ordering::Relaxed);
        } else if measured {
            self.hits
                .store(hits.saturating_add(MEASURED_HITS), Ordering::Relaxed);
        }
    }

    /// Returns about how many answers were made of this response.
    pub(crate) fn hits(&self) -> u32 {
        self.hits.load(Ordering::Relaxed)
    }

    /// Says whether a refresh may be tried, or is put off because the last ones failed.
    pub(crate) fn may_retry(&self, now: Timestamp) -> bool {
        now.as_millis() >= self.retry_at.load(Ordering::Relaxed)
    }

    /// Puts the next refresh off after a failed one: one second, doubling up to thirty.
    pub(crate) fn put_off(&self, now: Timestamp) {
        const LONGEST: u64 = 30_000;
        let doublings = self.failures.fetch_add(1, Ordering::Relaxed).min(5);
        let wait = (1000 << doublings).min(LONGEST);
        self.retry_at
            .store(now.as_millis().saturating_add(wait), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{entry::samples::Sample, entry::seal::Position};

    #[test]
    fn a_confirmation_is_as_old_as_the_oldest_fill_in_it() {
        let begun = |millis| {
            let entry = Arc::into_inner(Sample::new("key").entry()).unwrap();
            let mut head = Arc::into_inner(entry.head).unwrap();
            let seal = Seal::new(Position::default(), Vec::new());
            head.seal = seal.begun(Timestamp::from_millis(millis));
            head
        };
        for (new, old) in [(9, 5), (5, 9)] {
            let renewed = begun(new).renewing(&begun(old));
            assert_eq!(renewed.seal.begun, Timestamp::from_millis(5));
        }
    }
}

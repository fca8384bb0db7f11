//! The head of a stored response, and the fields that are ready to be sent.
//!
//! A hit costs two allocations, both for its copy of the header map. That is reached by keeping
//! the map as it was last sent, with `Age` and `Cache-Status` in their places: within one second
//! every hit sends the same two values, so that only the first of a second makes new ones.

use std::sync::{
    Arc,
    atomic::{AtomicU32, AtomicU64, Ordering},
};

use arc_swap::{ArcSwap, ArcSwapOption};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};

#[cfg(feature = "data")]
use super::Position;
use super::{Seal, own};
#[cfg(feature = "data")]
use crate::policy::{MAX_TAGS, Target};
use crate::{
    clock::Timestamp,
    key::Key,
    observe::MEASURED_HITS,
    semantics::{reuse::ReuseFlags, validators::weaken_etag},
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
    pub(crate) variation: Option<Variation>,
    /// What of its directives counts when it is used again.
    pub(crate) reuse: ReuseFlags,
    /// Whether larder may choose the content coding, so that answers vary on `Accept-Encoding`.
    pub(crate) negotiated: bool,
    /// The handler's own `Cache-Status`, which ours is added to.
    inherited_status: Option<HeaderValue>,
    plain: ArcSwap<Sent>,
    gzip: ArcSwapOption<Sent>,
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

/// The head of an answer as it was last sent, and the answers to which it may be sent again.
#[derive(Debug)]
struct Sent {
    /// With the status in its place, so that a copy of it needs nothing more than a body.
    answer: Response<()>,
    stamp: u64,
}

impl Sent {
    fn new(status: StatusCode, headers: HeaderMap, stamp: u64) -> Self {
        let mut answer = Response::new(());
        *answer.status_mut() = status;
        *answer.headers_mut() = headers;
        Self { answer, stamp }
    }
}

/// What is handed to [`Head::new`].
#[derive(Debug)]
pub(crate) struct HeadParts {
    pub(crate) key: Key,
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) life: Life,
    pub(crate) seal: Seal,
    pub(crate) tags: Box<[Arc<str>]>,
    pub(crate) variation: Option<Variation>,
    pub(crate) reuse: ReuseFlags,
    pub(crate) negotiated: bool,
}

impl Head {
    /// A stamp that no answer has, for maps that were not yet sent.
    const UNSENT: u64 = u64::MAX;

    /// Returns the head of a response with the end-to-end fields `headers` of the handler.
    pub(crate) fn new(parts: HeadParts) -> Self {
        let mut headers = parts.headers;
        // The length is the body's to say: it depends on the form in which it goes out.
        headers.remove(header::CONTENT_LENGTH);
        headers.insert(header::AGE, HeaderValue::from_static("0"));
        let inherited_status = joined(&headers, &CACHE_STATUS);
        headers.remove(&CACHE_STATUS);
        Self {
            key: parts.key,
            status: parts.status,
            life: parts.life,
            seal: parts.seal,
            tags: parts.tags,
            variation: parts.variation,
            reuse: parts.reuse,
            negotiated: parts.negotiated,
            inherited_status,
            plain: ArcSwap::from_pointee(Sent::new(parts.status, own(&headers), Self::UNSENT)),
            gzip: ArcSwapOption::empty(),
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
            headers: self.headers(),
            life: self.life,
            seal: Seal::new(position, targets).begun(self.seal.begun.min(begun)),
            tags: tags.into(),
            variation: self.variation.clone(),
            reuse: self.reuse,
            negotiated: self.negotiated,
        })
    }

    /// Returns the fields as the handler sent them, without `Age` and our `Cache-Status` member.
    pub(crate) fn headers(&self) -> HeaderMap {
        let mut headers = self.plain.load().answer.headers().clone();
        headers.remove(header::CONTENT_LENGTH);
        headers.remove(header::AGE);
        match &self.inherited_status {
            Some(inherited) => headers.insert(CACHE_STATUS, inherited.clone()),
            None => headers.remove(&CACHE_STATUS),
        };
        headers
    }

    /// Looks at the fields without copying them; `Age`, `Cache-Status` and `Content-Length` may be
    /// there or not.
    pub(crate) fn with_fields<T>(&self, look: impl FnOnce(&HeaderMap) -> T) -> T {
        look(self.plain.load().answer.headers())
    }

    /// Returns the head of a hit with the whole body, `length` bytes in the given form: all hits of
    /// one second of `Age` share their values.
    ///
    /// The length is told here, although a server would tell it: one more field among those that are
    /// ready costs less than a map that grows on its way out. `status` makes our `Cache-Status`
    /// member from the seconds of freshness left.
    #[inline]
    pub(crate) fn hit(
        &self,
        form: Form,
        length: Option<u64>,
        now: Timestamp,
        status: impl FnOnce(i64) -> Option<HeaderValue>,
    ) -> Response<()> {
        let stamp = self.life.age(now) / 1000;
        match form {
            Form::Plain => {
                let sent = self.plain.load();
                if sent.stamp == stamp {
                    return sent.answer.clone();
                }
            }
            Form::Gzip => {
                if let Some(sent) = &*self.gzip.load()
                    && sent.stamp == stamp
                {
                    return sent.answer.clone();
                }
            }
        }
        let headers = self.fields(form, now, status(self.life.ttl(now)));
        self.keep_ready(form, length, stamp, headers)
    }

    /// Keeps a head for the other hits of the same second.
    #[cold]
    fn keep_ready(
        &self,
        form: Form,
        length: Option<u64>,
        stamp: u64,
        mut headers: HeaderMap,
    ) -> Response<()> {
        if let Some(length) = length {
            headers.insert(header::CONTENT_LENGTH, length.into());
        }
        // A clone is as large as its content; the original has grown.
        let sent = Arc::new(Sent::new(self.status, headers.clone(), stamp));
        let answer = sent.answer.clone();
        match form {
            Form::Plain => self.plain.store(sent),
            Form::Gzip => self.gzip.store(Some(sent)),
        }
        answer
    }

    /// Returns the fields of any answer made of this response, with `member` as our `Cache-Status`.
    /// The length is left to the body.
    pub(crate) fn fields(
        &self,
        form: Form,
        now: Timestamp,
        member: Option<HeaderValue>,
    ) -> HeaderMap {
        let mut headers = self.plain.load().answer.headers().clone();
        headers.remove(header::CONTENT_LENGTH);
        headers.insert(header::AGE, HeaderValue::from(self.life.age(now) / 1000));
        match (&self.inherited_status, member) {
            (inherited, Some(member)) => {
                headers.insert(CACHE_STATUS, added(inherited.as_ref(), member));
            }
            (Some(inherited), None) => {
                headers.insert(CACHE_STATUS, inherited.clone());
            }
            (None, None) => {
                headers.remove(&CACHE_STATUS);
            }
        }
        if form == Form::Gzip {
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            // Larder's own coding of the body has other bytes (RFC 9110 §8.8.3.3).
            weaken_etag(&mut headers);
        }
        headers
    }

    /// Returns the place of the value that the body is the written form of.
    #[cfg(feature = "data")]
    pub(crate) fn value(&self) -> &super::value::Decoded {
        &self.value
    }

    /// Returns how long the handler's own `Cache-Status` is, in bytes; zero if there is none.
    pub(super) fn inherited_length(&self) -> usize {
        self.inherited_status.as_ref().map_or(0, HeaderValue::len)
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

/// Returns all lines of a list field as one, in memory of its own.
fn joined(headers: &HeaderMap, name: &HeaderName) -> Option<HeaderValue> {
    let mut lines = headers.get_all(name).iter();
    let first = HeaderValue::from_bytes(lines.next()?.as_bytes()).ok()?;
    Some(lines.fold(first, |all, line| added(Some(&all), line.clone())))
}

/// Returns `member` behind what is there already.
fn added(before: Option<&HeaderValue>, member: HeaderValue) -> HeaderValue {
    let Some(before) = before else { return member };
    let all = [before.as_bytes(), b", ", member.as_bytes()].concat();
    HeaderValue::from_bytes(&all).unwrap_or(member)
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

//! Makes an entry of what a load brought, and stores it.

use std::{
    hash::{BuildHasher, RandomState},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use serde::{Serialize, de::DeserializeOwned};

use super::{Typed, encoding::versioned, loading::Said, typed::targets_of};
use crate::{
    clock::Timestamp,
    entry::{
        Coding, Entry, Fields, Head, HeadParts, Life, Position, Seal, StoredBody,
        compress::{pack, packs_long},
    },
    handle::{Gathered, Gathering},
    observe::Event,
    policy::{MAX_TAGS, shorten},
    semantics::reuse::ReuseFlags,
    store::{Lock, Whence},
};

/// A lifetime below this is not refreshed ahead of its end: there would be little left of it.
const SHORTEST_REFRESHED_AHEAD: Duration = Duration::from_secs(5);

/// What a load brought: a value, or that there is none, and what it said and read meanwhile.
#[derive(Debug)]
pub(super) struct Made<T> {
    pub(super) value: Option<Arc<T>>,
    /// The version of the row that it is of, where that is known.
    pub(super) version: Option<u64>,
    pub(super) said: Said,
    pub(super) gathered: Gathered,
}

impl<T> Made<T> {
    pub(super) fn of(value: Option<Arc<T>>) -> Self {
        Self {
            value,
            version: None,
            said: Said::default(),
            gathered: Gathered::default(),
        }
    }
}

impl<T> Typed<T>
where
    T: Serialize + DeserializeOwned + Send + Sync + 'static,
{
    /// Stores what was handed in, if it may be, and returns it.
    pub(super) async fn keep(
        &self,
        id: &str,
        value: T,
        position: Position,
        began: Timestamp,
    ) -> Arc<T> {
        let value = Arc::new(value);
        let made = Made::of(Some(Arc::clone(&value)));
        let entry = self.entry(id, &made, position, began);
        Gathering::note(&*entry.tags, entry.life.received);
        self.put_packed(entry).await;
        value
    }

    /// Returns the entry of a value whose load began at `began`. One that can not be written down is only
    /// for those who wait for it.
    pub(super) fn entry(
        &self,
        id: &str,
        made: &Made<T>,
        position: Position,
        began: Timestamp,
    ) -> Arc<Entry> {
        let encoded = (made.value.as_ref()).map(|value| self.settings.encoding.encode(&**value));
        let (bytes, is_written) = match encoded {
            None => (Bytes::new(), true),
            Some(Ok(bytes)) => match made.version {
                Some(version) => (versioned(version, &bytes), true),
                None => (bytes, true),
            },
            Some(Err(_)) => (Bytes::new(), false),
        };
        let mut tags = self.own_tags(id).to_vec();
        tags.extend(made.said.tags.iter().cloned());
        tags.extend(made.gathered.tags.iter().cloned());
        tags.sort_unstable();
        tags.dedup();
        let begun = made.gathered.oldest.min(began);
        let seal = Seal::new(position, targets_of(&tags)).begun(begun);
        let storable = is_written && !made.said.no_store && tags.len() <= MAX_TAGS;
        let head = Head::new(HeadParts {
            key: self.key(id),
            status: if made.value.is_some() {
                StatusCode::OK
            } else {
                StatusCode::NOT_FOUND
            },
            fields: Fields::new(&HeaderMap::new()),
            life: self.life(made, began, storable),
            seal,
            tags: tags.into(),
            variation: None,
            reuse: ReuseFlags::default(),
            negotiated: false,
        });
        if let Some(value) = &made.value {
            head.value().set(value);
        }
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        let body = StoredBody {
            bytes,
            coding: Coding::Identity,
            length,
        };
        Arc::new(Entry::new(Arc::new(head), body, None))
    }

    pub(super) fn life(&self, made: &Made<T>, began: Timestamp, storable: bool) -> Life {
        let settings = &self.settings;
        let ttl = match (&made.value, made.said.ttl) {
            (_, Some(ttl)) => Some(ttl.min(super::settings::MOST)),
            (Some(_), None) => Some(settings.ttl),
            (None, None) => settings.negative_ttl,
        };
        let now = self.core.clock.now();
        let ttl = ttl.filter(|_| storable).unwrap_or_default();
        let ttl = shorten(ttl, settings.jitter, RandomState::new().hash_one(0_u8));
        let fresh_until = now.after(ttl);
        let early = settings
            .refresh_ahead
            .filter(|_| ttl >= SHORTEST_REFRESHED_AHEAD)
            .map_or(Timestamp::NEVER, |share| now.after(ttl.mul_f64(share)));
        // That there is no value is to be forgotten in time.
        let has_windows = !ttl.is_zero() && made.value.is_some();
        let window = |window: Duration| {
            if has_windows {
                fresh_until.after(window)
            } else {
                fresh_until
            }
        };
        let revalidate_until = window(settings.stale_while_revalidate);
        let error_until = window(settings.stale_if_error);
        Life {
            received: made.gathered.oldest.min(began),
            initial_age: 0,
            fresh_until,
            refresh_from: early,
            revalidate_until,
            error_until,
            gone_at: revalidate_until.max(error_until),
        }
    }

    /// Stores what a writer wrote, and returns when other nodes can find it, or when that has taken
    /// as long as it may. Tells whether it is stored.
    pub(super) async fn put_through(&self, entry: Arc<Entry>) -> bool {
        Gathering::note(&*entry.tags, entry.life.received);
        let stored = self.put_packed(entry).await;
        if stored && let Some(second) = &self.core.second {
            second.flush_in_time().await;
        }
        stored
    }

    /// Packs a value that is large, off the async threads if that takes long, and stores it. Tells
    /// whether it is stored.
    pub(super) async fn put_packed(&self, entry: Arc<Entry>) -> bool {
        self.put_locked(entry, None).await
    }

    /// The same; a lock is given back behind it.
    pub(super) async fn put_locked(&self, entry: Arc<Entry>, lock: Option<Arc<Lock>>) -> bool {
        let wish = if cfg!(feature = "lz4") {
            Coding::Lz4
        } else {
            Coding::Gzip
        };
        let bytes = entry.body.bytes.clone();
        let body = if packs_long(wish, entry.body.length) && self.core.has_background() {
            let packed = tokio::task::spawn_blocking(move || pack(bytes, wish)).await;
            packed.unwrap_or_else(|_| entry.body.clone())
        } else {
            pack(bytes, wish)
        };
        let packed = Arc::new(Entry::new(Arc::clone(&entry.head), body, None));
        self.put(&packed, lock)
    }

    /// Stores an entry unless it is void already, too long, or not to be stored at all. Tells whether
    /// one of the tiers has taken it. A `lock` is given back behind it.
    pub(super) fn put(&self, entry: &Arc<Entry>, lock: Option<Arc<Lock>>) -> bool {
        let core = &self.core;
        if entry.life.gone_at <= core.clock.now() || entry.body.length > core.max_body {
            core.counters.note(Event::Declined);
            if let Some(lock) = lock {
                lock.unshared();
            }
            return false;
        }
        if core.is_fenced(&entry.seal) {
            return false;
        }
        core.keep(&entry.key, entry, Some(nowhere(lock))) || core.second.is_some()
    }
}

/// Returns where the request of a value went: there was none.
fn nowhere(lock: Option<Arc<Lock>>) -> Whence {
    Whence {
        lock,
        authority: Box::default(),
        uri: http::Uri::default(),
        route: None,
    }
}

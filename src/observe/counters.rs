//! Counters that cost a hit one uncontended addition.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use super::{Outcome, Traffic, place};

/// Something that is counted beside the outcomes of requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// A response was put into the store.
    Stored,
    /// A response could not be stored.
    Declined,
    /// A stored or just filled response was void because of an invalidation.
    Fenced,
    /// ... because it was filled before something that this node has missed.
    FencedByFloor,
    /// ... because it was filled under another registry.
    FencedByEpoch,
    /// ... for want of somebody to ask.
    Unverified,
    /// A target was stamped.
    Invalidated,
    /// A refresh in the background was started.
    Refreshed,
    /// A handler run for others ended in a panic, an error or a failure status.
    Failed,
    /// A tag that breaks the rules was left out.
    TagRefused,
    /// A message of another program could not be read.
    Misheard,
    /// A value was read, fresh, from the first tier.
    #[cfg(feature = "data")]
    ValueHit,
    /// ... from the second tier.
    #[cfg(feature = "data")]
    ValueFound,
    /// A value was read that is stale, within what its window allows.
    #[cfg(feature = "data")]
    ValueStale,
    /// A value was loaded, or was to be.
    #[cfg(feature = "data")]
    ValueLoaded,
    /// A write that was to be made later was set aside.
    #[cfg(feature = "write-behind")]
    WriteBuried,
    /// ... was removed from its queue by somebody else.
    #[cfg(feature = "write-behind")]
    WriteLost,
}

impl Event {
    /// The queue of writes is a part of the values.
    const COUNT: usize = if cfg!(feature = "write-behind") {
        17
    } else if cfg!(feature = "data") {
        15
    } else {
        11
    };
}

#[derive(Debug, Default)]
#[repr(align(128))]
struct Stripe {
    events: [AtomicU64; Event::COUNT],
}

/// The counters of one handle. How requests ended is counted by [route](super::RouteState).
#[derive(Debug, Default)]
pub(crate) struct Counters {
    stripes: [Stripe; place::STRIPES],
}

impl Counters {
    pub(crate) fn note(&self, event: Event) {
        self.note_many(event, 1);
    }

    pub(crate) fn note_many(&self, event: Event, times: u64) {
        if let Some(counter) = self.stripe().events.get(event as usize) {
            counter.fetch_add(times, Ordering::Relaxed);
        }
    }

    fn stripe(&self) -> &Stripe {
        self.stripes
            .get(place::stripe())
            .unwrap_or(&self.stripes[0])
    }

    /// Adds the stripes up, and puts them beside what the routes have answered.
    pub(crate) fn statistics(&self, traffic: &Traffic) -> Statistics {
        let mut statistics = Statistics {
            outcomes: traffic.outcomes(),
            hit_bytes: traffic.hit_bytes,
            filled_bytes: traffic.filled_bytes,
            ..Statistics::default()
        };
        for stripe in &self.stripes {
            for (sum, counter) in statistics.events.iter_mut().zip(&stripe.events) {
                *sum += counter.load(Ordering::Relaxed);
            }
        }
        statistics
    }
}

/// What a handle has counted since it was built.
///
/// The numbers are read one after another while requests go on, so that a sum may be off by those
/// that ended in between.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Statistics {
    outcomes: [u64; Outcome::COUNT],
    events: [u64; Event::COUNT],
    /// Body bytes of answers out of the store, as their handlers sent them.
    pub hit_bytes: u64,
    /// Body bytes that handlers made for the store.
    pub filled_bytes: u64,
    /// Responses in the first tier.
    pub entries: u64,
    /// Bytes held by the first tier: keys, heads, bodies and the index.
    pub bytes: u64,
    /// Responses that the first tier had no room for, as they are too heavy.
    pub refused: u64,
    /// Responses that made room for others.
    pub evicted: u64,
    /// Handler runs in progress that others could join.
    pub flights: u64,
    /// The second tier; all zero without one.
    pub redis: RedisStatistics,
    /// How it stands with the other nodes; all zero without a second tier.
    pub shared: SharedStatistics,
}

/// How it stands with the other nodes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SharedStatistics {
    /// Targets that were invalidated here and wait for Redis to come back.
    pub pending: usize,
    /// How old the knowledge of invalidations on other nodes is; none if there is none.
    pub sync_age: Option<Duration>,
    /// How long the last invalidation took until it had come round.
    pub invalidation_lag: Duration,
    /// How often the registry of invalidations was found anew: once at the start, then whenever it
    /// was lost.
    pub epochs: u64,
}

/// What was counted of a second tier in Redis since the handle was built.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RedisStatistics {
    /// Look-ups that found a response that could be used. Whether it was still valid is not told
    /// by this: what was not is among [`Statistics::fenced`].
    pub hits: u64,
    /// Look-ups that found nothing, or nothing that this version can read.
    pub misses: u64,
    /// Look-ups that found something damaged, which was removed.
    pub corrupt: u64,
    /// Look-ups and writes that Redis did not answer in time, or refused. While the breaker is open
    /// there are none, since nobody asks.
    pub errors: u64,
    /// Responses that were written.
    pub written: u64,
    /// Responses that were not written: the queue was full, or Redis away.
    pub dropped: u64,
    /// Whether the breaker is open at present: Redis is not asked until a probe has had an answer.
    pub is_away: bool,
}

impl Statistics {
    /// Returns how many requests ended so.
    #[must_use]
    pub fn requests(&self, outcome: Outcome) -> u64 {
        self.outcomes
            .get(outcome as usize)
            .copied()
            .unwrap_or_default()
    }

    fn events(&self, event: Event) -> u64 {
        self.events.get(event as usize).copied().unwrap_or_default()
    }

    /// Returns how many responses were put into the store.
    #[must_use]
    pub fn stored(&self) -> u64 {
        self.events(Event::Stored)
    }

    /// Returns how many responses of cacheable routes could not be stored.
    #[must_use]
    pub fn declined(&self) -> u64 {
        self.events(Event::Declined)
    }

    /// Returns how many responses were void because of an invalidation when they were looked at.
    #[must_use]
    pub fn fenced(&self) -> u64 {
        self.fenced_by().iter().map(|(_, count)| count).sum()
    }

    /// Returns the same by what made them void: a `stamp` on one of their targets, the `floor` below
    /// which this node has missed something, another `epoch` of the registry, or that Redis can not
    /// be asked whether another node has invalidated them (`unverified`).
    #[must_use]
    pub fn fenced_by(&self) -> [(&'static str, u64); 4] {
        [
            ("stamp", self.events(Event::Fenced)),
            ("floor", self.events(Event::FencedByFloor)),
            ("epoch", self.events(Event::FencedByEpoch)),
            ("unverified", self.events(Event::Unverified)),
        ]
    }

    /// Returns how many messages on the channel of invalidations could not be read.
    #[must_use]
    pub fn misheard(&self) -> u64 {
        self.events(Event::Misheard)
    }

    /// Returns how reads of values ended, by outcome and by the tier that answered: `hit` in `memory`
    /// and in `redis`, `stale`, and `load` for each load, with success or without.
    #[cfg(feature = "data")]
    #[must_use]
    pub fn values(&self) -> [(&'static str, &'static str, u64); 4] {
        [
            ("hit", "memory", self.events(Event::ValueHit)),
            ("hit", "redis", self.events(Event::ValueFound)),
            ("stale", "memory", self.events(Event::ValueStale)),
            ("load", "none", self.events(Event::ValueLoaded)),
        ]
    }

    /// Returns how many [writes](crate::write_behind) were set aside since they could not be delivered.
    #[cfg(feature = "write-behind")]
    #[must_use]
    pub fn buried_writes(&self) -> u64 {
        self.events(Event::WriteBuried)
    }

    /// Returns how many [writes](crate::write_behind) were acknowledged and are lost, since somebody
    /// removed them from Redis: rows, streams, or everything.
    ///
    /// Each is counted by one node, the next one that works at its lane. Of a Redis that was emptied
    /// those are counted of which that node knew; of one that came back with an older state, none.
    #[cfg(feature = "write-behind")]
    #[must_use]
    pub fn lost_writes(&self) -> u64 {
        self.events(Event::WriteLost)
    }

    /// Returns how many invalidations were made, each with all its targets counted as one.
    #[must_use]
    pub fn invalidations(&self) -> u64 {
        self.events(Event::Invalidated)
    }

    /// Returns how many refreshes in the background were started.
    #[must_use]
    pub fn refreshes(&self) -> u64 {
        self.events(Event::Refreshed)
    }

    /// Returns how many shared handler runs ended in a panic, an error or a failure status.
    #[must_use]
    pub fn failures(&self) -> u64 {
        self.events(Event::Failed)
    }

    /// Returns how many tags were left out because they break the rules for tags.
    #[must_use]
    pub fn refused_tags(&self) -> u64 {
        self.events(Event::TagRefused)
    }
}

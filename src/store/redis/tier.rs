//! The second tier, as look-ups and fills see it.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use http::{HeaderMap, HeaderName};
#[cfg(feature = "data")]
use redis::Pipeline;
use redis::Value;
use tokio::time::{Instant, timeout};

use super::{
    breaker::State,
    connections::{Connections, Health, Unavailable},
    lock::{Held, RENEWED_EVERY},
    pieces,
    queue::{Job, Queue, Waiting, queue, variant_name},
    reading::{Read, Reader},
    tally::Tally,
};
use crate::{
    clock::Timestamp,
    entry::{Entry, Variation},
    key::Key,
    observe::RedisStatistics,
    semantics::vary::selecting,
    store::second::{Wanted, Whence},
};

/// Responses that all nodes of a namespace share. Cheap to clone; all clones are one.
#[derive(Clone, Debug)]
pub(crate) struct SecondTier {
    pub(super) inner: Arc<Inner>,
}

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) connections: Connections,
    pub(super) tally: Tally,
    pub(super) queue: Queue,
    pub(super) held: Held,
    /// The longest body that is accepted, in bytes.
    max_body: u64,
}

/// How much longer than its body a response may be, in bytes.
const LARGEST_HEAD: u64 = 1 << 20;

/// What empties the queue of writes.
#[derive(Debug)]
pub(crate) struct Writer {
    waiting: Waiting,
    inner: Weak<Inner>,
}

impl SecondTier {
    /// Returns the tier behind `connections`, and what writes to it: [`Writer::run`] has to be
    /// called for anything to be written.
    pub(crate) fn new(connections: Connections, max_body: u64) -> (Self, Writer) {
        let (queue, waiting) = queue();
        let inner = Arc::new(Inner {
            connections,
            tally: Tally::default(),
            queue,
            held: Held::default(),
            max_body,
        });
        let writer = Writer {
            waiting,
            inner: Arc::downgrade(&inner),
        };
        (Self { inner }, writer)
    }

    pub(crate) fn connections(&self) -> &Connections {
        &self.inner.connections
    }

    /// Returns the response that `wanted` selects, if there is one and Redis says so in time.
    ///
    /// Its lifetime is what is left of it, and its seal is the one that it was filled with. Whether
    /// it may be served is for the fence to say.
    pub(crate) async fn find(&self, wanted: Wanted<'_>) -> Option<Entry> {
        let inner = &self.inner;
        let (connections, layout) = (&inner.connections, inner.connections.layout());
        let deadline = Instant::now() + connections.settings().request_budget;
        let mut variation = wanted.names.map(|names| selected(names, wanted.request));
        // The first answer may be on which fields the responses of the URL vary.
        for _ in 0..2 {
            let name = match &variation {
                Some(variation) => variant_name(layout, wanted.primary, variation),
                None => layout.entry(wanted.primary),
            };
            let answer = pieces::read(connections, &name, inner.longest(), deadline).await;
            let answer = inner.said(answer)?;
            match inner.understood(answer, name, &wanted, variation.as_ref()) {
                Read::Entry(entry) => {
                    inner.tally.hits.add(1);
                    return Some(*entry);
                }
                Read::Names(names) if variation.is_none() => {
                    variation = Some(selected(&names, wanted.request));
                }
                Read::Names(_) | Read::Nothing | Read::Corrupt => break,
            }
        }
        inner.tally.misses.add(1);
        None
    }

    /// Returns what is stored under `keys`, of which none has variants, by one round trip.
    ///
    /// `local` is the local position of the fence from before.
    #[cfg(feature = "data")]
    pub(crate) async fn find_many(
        &self,
        keys: &[Key],
        local: u64,
        now: Timestamp,
    ) -> Vec<Option<Entry>> {
        let (inner, request) = (&self.inner, HeaderMap::new());
        let deadline = Instant::now() + inner.connections.settings().request_budget;
        let layout = inner.connections.layout();
        let names: Vec<String> = keys.iter().map(|key| layout.entry(key)).collect();
        let mut pipeline = Pipeline::with_capacity(names.len());
        for name in &names {
            pipeline.cmd("GET").arg(name);
        }
        let answers = inner.said(inner.connections.run_until(&pipeline, deadline).await);
        let mut answers = answers.unwrap_or_default().into_iter();
        let found = keys.iter().zip(names).map(|(primary, name)| {
            let wanted = Wanted {
                primary,
                request: &request,
                names: None,
                place: None,
                local,
                now,
            };
            match inner.understood(answers.next()?, name, &wanted, None) {
                Read::Entry(entry) => {
                    inner.tally.hits.add(1);
                    Some(*entry)
                }
                _ => {
                    inner.tally.misses.add(1);
                    None
                }
            }
        });
        found.collect()
    }

    /// Has the entry written, behind the response.
    pub(crate) fn put(&self, primary: &Key, entry: &Arc<Entry>, whence: Whence) {
        let job = Job::Put {
            primary: primary.clone(),
            entry: Arc::clone(entry),
            whence,
        };
        if self.inner.connections.state() == State::Open || !self.inner.queue.push(job) {
            self.inner.tally.dropped.add(1);
        }
    }

    /// Has the response of a URL removed, behind the answer: what the handler says now takes its
    /// place and may not be stored. `variant` names the fields and the selecting values of the one.
    pub(crate) fn remove(&self, primary: &Key, variant: Option<(&[HeaderName], &[u8])>) {
        let layout = self.inner.connections.layout();
        self.inner.queue.push(Job::Remove(layout.entry(primary)));
        if let Some((names, selecting)) = variant {
            let variation = Variation {
                names: names.into(),
                selecting: selecting.into(),
            };
            let name = variant_name(layout, primary, &variation);
            self.inner.queue.push(Job::Remove(name));
        }
    }

    /// Waits until what was put before is written, or given up.
    pub(crate) async fn flush(&self) {
        self.inner.queue.flush().await;
    }

    /// As [`flush`](Self::flush), no longer than work in the background may take.
    #[cfg(feature = "data")]
    pub(crate) async fn flush_in_time(&self) {
        let budget = self.inner.connections.settings().background_budget;
        // What is late is written all the same, or was given up.
        let _ = timeout(budget, self.flush()).await;
    }

    pub(crate) fn health(&self) -> Health {
        self.inner.connections.health()
    }

    /// Returns the last failure in its own words, however long ago.
    #[cfg(feature = "admin")]
    pub(crate) fn last_error(&self) -> Option<Arc<str>> {
        self.health().last_error
    }

    pub(crate) fn statistics(&self) -> RedisStatistics {
        let mut statistics = self.inner.tally.statistics();
        statistics.is_away = self.inner.connections.state() == State::Open;
        statistics
    }
}

impl Inner {
    pub(super) fn has_lock(&self) -> bool {
        self.connections.settings().flight_lock
    }

    /// Returns how long a value may be that this node could use, in bytes.
    fn longest(&self) -> usize {
        let longest = self.max_body.saturating_add(LARGEST_HEAD);
        usize::try_from(longest).unwrap_or(usize::MAX)
    }

    /// Returns what Redis has said; none, which is counted, if it has not said anything in time.
    fn said<T>(&self, answered: Result<T, Unavailable>) -> Option<T> {
        answered
            .inspect_err(|unavailable| {
                if *unavailable != Unavailable::Open {
                    self.tally.errors.add(1);
                }
            })
            .ok()
    }

    /// Reads what was answered to a GET of `name`.
    fn understood(
        &self,
        answer: Value,
        name: String,
        wanted: &Wanted<'_>,
        variation: Option<&Variation>,
    ) -> Read {
        let reader = Reader {
            ahead: self.connections.time().ahead(),
            now: wanted.now,
            max_body: self.max_body,
            local: wanted.local,
        };
        match reader.read(answer, wanted.primary, wanted.place) {
            Read::Entry(entry) if *entry.key != **wanted.primary => Read::Nothing,
            Read::Entry(entry) if entry.variation.as_deref() != variation => Read::Nothing,
            Read::Corrupt => {
                self.tally.corrupt.add(1);
                self.queue.push(Job::Remove(name));
                Read::Corrupt
            }
            read => read,
        }
    }
}

/// Returns which variant a request selects of a URL whose responses vary on `names`.
fn selected(names: &[HeaderName], request: &HeaderMap) -> Variation {
    let mut values = Vec::new();
    selecting(names, request, &mut values);
    Variation {
        names: names.into(),
        selecting: values.into(),
    }
}

impl Writer {
    /// Writes what is put until the tier is dropped. Before an entry leaves, `may_leave` is asked.
    pub(crate) async fn run(mut self, may_leave: impl Fn(&Entry) -> bool + Send + Sync) {
        let has_lock = self.inner.upgrade().is_some_and(|inner| inner.has_lock());
        let patience = if has_lock {
            RENEWED_EVERY
        } else {
            Duration::MAX
        };
        let mut jobs = Vec::new();
        let mut renewed = Instant::now();
        loop {
            let waited = timeout(patience, self.waiting.next(&mut jobs)).await;
            let Some(inner) = self.inner.upgrade().filter(|_| waited != Ok(None)) else {
                return;
            };
            if renewed.elapsed() >= patience {
                renewed = Instant::now();
                jobs.append(&mut inner.held.renewals());
            }
            inner.write(&mut jobs, &may_leave).await;
        }
    }
}

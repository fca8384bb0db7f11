//! Many who add to one lane of a queue in Redis share a question.
//!
//! The first one has his write sent at once, by a task of its own. What comes in until that is answered
//! goes out together, in the order in which it came, and so on until nothing is left. So one who adds
//! alone waits for nobody, and many at a time cost the server, which has the most work with a question
//! as such, half as much each. Since it is a task that asks, one who stops waiting takes nothing from
//! the others.

use std::{
    mem,
    sync::{Arc, MutexGuard, PoisonError},
};

use bytes::Bytes;
use tokio::sync::oneshot;

use super::{full, stream::StreamQueue, unavailable};
use crate::error::Error;

/// How many writes go out together,
const MOST: usize = 64;

/// and above how many bytes of values no further one joins them: it would make all of them wait.
const MOST_BYTES: usize = 256 << 10;

/// A write on its way.
#[derive(Debug)]
pub(super) struct Arriving {
    pub(super) key: Box<str>,
    pub(super) value: Bytes,
    told: oneshot::Sender<Result<(), Error>>,
}

/// The writes on their way into one lane.
#[derive(Debug, Default)]
pub(super) struct Arrivals {
    waiting: Vec<Arriving>,
    /// Whether a task sends what waits.
    is_sent: bool,
}

impl Arrivals {
    /// Takes what goes out next; if there is nothing, the task ends.
    fn next(&mut self) -> Option<Vec<Arriving>> {
        let mut bytes = 0;
        let fitting = self.waiting.iter().take(MOST).take_while(|write| {
            let fits = bytes < MOST_BYTES;
            bytes += write.value.len();
            fits
        });
        let fitting = fitting.count();
        let rest = self.waiting.split_off(fitting);
        let next = mem::replace(&mut self.waiting, rest);
        self.is_sent = !next.is_empty();
        self.is_sent.then_some(next)
    }
}

impl StreamQueue {
    /// Adds a write to its lane, with those of others that come at the same time.
    pub(super) async fn arrive(
        self: &Arc<Self>,
        lane: u16,
        key: &str,
        value: Bytes,
    ) -> Result<(), Error> {
        let (told, answer) = oneshot::channel();
        let is_sent = self.arrivals(lane).is_some_and(|mut arrivals| {
            let key = key.into();
            arrivals.waiting.push(Arriving { key, value, told });
            mem::replace(&mut arrivals.is_sent, true)
        });
        if !is_sent {
            tokio::spawn(Sending::of(self, lane).all());
        }
        let lost = |_| Err(unavailable("the runtime is ending"));
        answer.await.unwrap_or_else(lost)
    }

    fn arrivals(&self, lane: u16) -> Option<MutexGuard<'_, Arrivals>> {
        let arrivals = self.arrivals.get(usize::from(lane))?;
        Some(arrivals.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The one who sends what arrives at a lane.
struct Sending {
    queue: Arc<StreamQueue>,
    lane: u16,
    is_over: bool,
}

impl Sending {
    fn of(queue: &Arc<StreamQueue>, lane: u16) -> Self {
        Self {
            queue: Arc::clone(queue),
            lane,
            is_over: false,
        }
    }

    async fn all(mut self) {
        while let Some(writes) = self.next() {
            let added = self.queue.append(self.lane, &writes).await;
            for (place, write) in writes.into_iter().enumerate() {
                let told = match &added {
                    Ok(added) if place < *added => Ok(()),
                    Ok(_) => Err(full(self.queue.most())),
                    Err(error) => Err(error.clone()),
                };
                // Whoever has stopped waiting does not want to know.
                let _ = write.told.send(told);
            }
        }
    }

    fn next(&mut self) -> Option<Vec<Arriving>> {
        let next = self.queue.arrivals(self.lane)?.next();
        self.is_over = next.is_none();
        next
    }
}

impl Drop for Sending {
    /// A runtime that ends drops its tasks. Nobody would send what waits, so that those who wait in
    /// another one are told, and whoever comes next begins anew.
    fn drop(&mut self) {
        if !self.is_over
            && let Some(mut arrivals) = self.queue.arrivals(self.lane)
        {
            *arrivals = Arrivals::default();
        }
    }
}

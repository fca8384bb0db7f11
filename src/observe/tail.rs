//! Watching a cache at work: those who listen are told of each answer and each invalidation.
//!
//! Nobody is waited for. What does not fit into a listener's queue is dropped and counted, and there
//! may be few listeners. While there is none, an answer pays for one look at a flag.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use http::Method;
use tokio::sync::mpsc;

use super::Outcome;
use crate::clock::Timestamp;

/// How many may listen at a time.
const MOST_LISTENERS: usize = 16;

/// How much may wait for a listener that reads slowly.
const QUEUE: usize = 256;

/// Something that happened.
#[derive(Clone, Debug)]
pub(crate) enum Happening {
    Answer {
        at: Timestamp,
        outcome: Outcome,
        route: String,
        method: Method,
        path: String,
    },
    Invalidation {
        at: Timestamp,
        source: String,
        soft: bool,
        targets: Vec<String>,
    },
    /// An administrator changed something, or tried to.
    Change {
        at: Timestamp,
        action: &'static str,
        detail: String,
    },
}

/// What somebody wants to be told.
#[derive(Clone, Debug)]
pub(crate) struct Filter {
    /// Answers that ended so; all if there are none.
    pub(crate) outcomes: Vec<Outcome>,
    /// Answers of this route alone.
    pub(crate) route: Option<String>,
    /// One in so many answers.
    pub(crate) every: u64,
    pub(crate) answers: bool,
    pub(crate) invalidations: bool,
}

impl Filter {
    fn wants(&self, outcome: Outcome, route: &str) -> bool {
        self.answers
            && (self.outcomes.is_empty() || self.outcomes.contains(&outcome))
            && self.route.as_ref().is_none_or(|wanted| wanted == route)
    }
}

#[derive(Debug)]
struct Listener {
    filter: Filter,
    /// How many answers it wanted, for one in so many.
    wanted: AtomicU64,
    dropped: AtomicU64,
    queue: mpsc::Sender<Happening>,
}

impl Listener {
    fn send(&self, happening: Happening) {
        if self.queue.try_send(happening).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Those who listen to one handle.
#[derive(Debug, Default)]
pub(crate) struct Tail {
    heard: AtomicBool,
    listeners: Mutex<Vec<Arc<Listener>>>,
}

impl Tail {
    /// Tells whether anybody listens.
    #[inline]
    pub(crate) fn is_heard(&self) -> bool {
        self.heard.load(Ordering::Relaxed)
    }

    /// Begins to listen; nothing if too many do already.
    pub(crate) fn listen(&self, filter: Filter) -> Option<Listening> {
        let mut all = self
            .listeners
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        all.retain(|listener| !listener.queue.is_closed());
        if all.len() >= MOST_LISTENERS {
            return None;
        }
        let (queue, happenings) = mpsc::channel(QUEUE);
        let listener = Arc::new(Listener {
            filter,
            wanted: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            queue,
        });
        all.push(Arc::clone(&listener));
        self.heard.store(true, Ordering::Relaxed);
        Some(Listening {
            listener,
            happenings,
        })
    }

    #[cold]
    pub(crate) fn answered(
        &self,
        at: Timestamp,
        outcome: Outcome,
        route: &str,
        method: &Method,
        path: &str,
    ) {
        self.each(|listener| {
            if !listener.filter.wants(outcome, route) {
                return;
            }
            let turn = listener.wanted.fetch_add(1, Ordering::Relaxed);
            if turn % listener.filter.every.max(1) == 0 {
                listener.send(Happening::Answer {
                    at,
                    outcome,
                    route: route.to_owned(),
                    method: method.clone(),
                    path: path.to_owned(),
                });
            }
        });
    }

    #[cold]
    pub(crate) fn invalidated(
        &self,
        at: Timestamp,
        source: &str,
        soft: bool,
        targets: Vec<String>,
    ) {
        self.tell(&Happening::Invalidation {
            at,
            source: source.to_owned(),
            soft,
            targets,
        });
    }

    /// Tells of what is no answer.
    pub(crate) fn tell(&self, happening: &Happening) {
        self.each(|listener| {
            if listener.filter.invalidations {
                listener.send(happening.clone());
            }
        });
    }

    /// Goes to everybody who still listens.
    fn each(&self, tell: impl Fn(&Listener)) {
        let mut all = self
            .listeners
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        all.retain(|listener| !listener.queue.is_closed());
        if all.is_empty() {
            self.heard.store(false, Ordering::Relaxed);
        }
        all.iter().for_each(|listener| tell(listener));
    }
}

/// The right to be told; dropping it ends it.
#[derive(Debug)]
pub(crate) struct Listening {
    listener: Arc<Listener>,
    happenings: mpsc::Receiver<Happening>,
}

impl Listening {
    pub(crate) fn poll(
        &mut self,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Happening>> {
        self.happenings.poll_recv(context)
    }

    /// Returns how many were dropped since it was last asked.
    pub(crate) fn dropped(&self) -> u64 {
        self.listener.dropped.swap(0, Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Poll, Waker};

    use super::*;

    fn filter() -> Filter {
        Filter {
            outcomes: Vec::new(),
            route: None,
            every: 1,
            answers: true,
            invalidations: true,
        }
    }

    fn told(listening: &mut Listening) -> Vec<Happening> {
        let mut context = Context::from_waker(Waker::noop());
        let mut all = Vec::new();
        while let Poll::Ready(Some(one)) = listening.poll(&mut context) {
            all.push(one);
        }
        all
    }

    fn answer(tail: &Tail, outcome: Outcome, route: &str) {
        tail.answered(
            Timestamp::from_millis(1),
            outcome,
            route,
            &Method::GET,
            "/x",
        );
    }

    #[test]
    fn each_is_told_what_it_asked_for() {
        let tail = Tail::default();
        assert!(!tail.is_heard());
        let mut all = tail.listen(filter()).unwrap();
        let mut misses = tail
            .listen(Filter {
                outcomes: vec![Outcome::Miss],
                route: Some("/a".to_owned()),
                invalidations: false,
                ..filter()
            })
            .unwrap();
        answer(&tail, Outcome::Hit, "/a");
        answer(&tail, Outcome::Miss, "/a");
        answer(&tail, Outcome::Miss, "/b");
        tail.invalidated(Timestamp::from_millis(1), "PUT /x", false, Vec::new());
        assert_eq!(told(&mut all).len(), 4);
        assert_eq!(told(&mut misses).len(), 1);
    }

    #[test]
    fn one_in_so_many_is_told() {
        let tail = Tail::default();
        let mut some = tail
            .listen(Filter {
                every: 10,
                ..filter()
            })
            .unwrap();
        for _ in 0..100 {
            answer(&tail, Outcome::Hit, "/a");
        }
        assert_eq!(told(&mut some).len(), 10);
    }

    #[test]
    fn a_slow_listener_costs_what_its_queue_costs_and_is_told_how_much_it_missed() {
        let tail = Tail::default();
        let mut slow = tail.listen(filter()).unwrap();
        for _ in 0..QUEUE + 7 {
            answer(&tail, Outcome::Hit, "/a");
        }
        assert_eq!(told(&mut slow).len(), QUEUE);
        assert_eq!((slow.dropped(), slow.dropped()), (7, 0));
    }

    #[test]
    fn nobody_is_told_after_the_last_one_left() {
        let tail = Tail::default();
        let listening: Vec<_> = (0..MOST_LISTENERS)
            .map(|_| tail.listen(filter()).unwrap())
            .collect();
        assert!(tail.listen(filter()).is_none());
        drop(listening);
        answer(&tail, Outcome::Hit, "/a");
        assert!(!tail.is_heard());
        assert!(tail.listen(filter()).is_some());
    }
}

//! Everything that goes on at the same time: futures, of which one after another takes a step.
//!
//! A protocol is written down as it would be run, with an `await` wherever something else may
//! happen in between. Which task takes the next step is chosen by chance.

use std::{
    cell::{Cell, RefCell},
    future::{Future, poll_fn},
    pin::Pin,
    task::{Context, Poll, Waker},
};

use super::random::Random;

/// The tasks of one run.
#[derive(Default)]
pub(super) struct Tasks {
    all: RefCell<Vec<Option<Task>>>,
    /// Whether the task that was polled last got any further.
    progress: Cell<bool>,
}

struct Task {
    /// The life of a node with which it ends, if it does not outlive it.
    owner: Option<u64>,
    future: Pin<Box<dyn Future<Output = ()>>>,
}

impl Tasks {
    pub(super) fn spawn(&self, owner: Option<u64>, future: impl Future<Output = ()> + 'static) {
        let future = Box::pin(future);
        self.all.borrow_mut().push(Some(Task { owner, future }));
    }

    /// Lets others go first.
    pub(super) async fn step(&self) {
        let mut waited = false;
        self.until(|| std::mem::replace(&mut waited, true)).await;
    }

    /// Waits until `condition` holds.
    pub(super) async fn until(&self, mut condition: impl FnMut() -> bool) {
        poll_fn(|_| {
            if condition() {
                self.progress.set(true);
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
    }

    /// Lets one task, chosen by chance, take one step. Returns whether there was one that could.
    pub(super) fn run_one(&self, random: &mut Random) -> bool {
        self.all.borrow_mut().retain(Option::is_some);
        let count = self.all.borrow().len();
        if count == 0 {
            return false;
        }
        let first = random.below(count);
        (0..count).any(|next| self.poll((first + next) % count))
    }

    fn poll(&self, at: usize) -> bool {
        let Some(mut task) = self.all.borrow_mut()[at].take() else {
            return false;
        };
        self.progress.set(false);
        let mut context = Context::from_waker(Waker::noop());
        if task.future.as_mut().poll(&mut context).is_ready() {
            return true;
        }
        self.all.borrow_mut()[at] = Some(task);
        self.progress.get()
    }

    /// Ends what belongs to one life of a node.
    pub(super) fn end(&self, owner: u64) {
        let ended =
            |task: &Option<Task>| task.as_ref().is_none_or(|task| task.owner != Some(owner));
        self.all.borrow_mut().retain(ended);
    }

    pub(super) fn end_all(&self) {
        let all = std::mem::take(&mut *self.all.borrow_mut());
        drop(all);
    }
}

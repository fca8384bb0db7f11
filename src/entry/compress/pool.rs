//! A few things that are dear to make, kept for the next who needs one.

use std::sync::{Mutex, PoisonError};

/// At most `most` values that are free. More may be in use; those in excess are dropped on return.
#[derive(Debug)]
pub(super) struct Pool<T> {
    free: Mutex<Vec<T>>,
    most: usize,
}

impl<T> Pool<T> {
    pub(super) const fn new(most: usize) -> Self {
        Self {
            free: Mutex::new(Vec::new()),
            most,
        }
    }

    /// Returns a free value, or one made by `make`.
    pub(super) fn take(&self, make: impl FnOnce() -> T) -> T {
        let free = self
            .free
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop();
        free.unwrap_or_else(make)
    }

    /// Keeps `value`, which must be ready for its next use.
    pub(super) fn give(&self, value: T) {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        if free.len() < self.most {
            free.push(value);
        }
    }
}

//! Looking through the store, for a bounded time and off the async threads.

use std::{sync::Arc, time::Duration};

use super::router::Desk;
use crate::{clock::Stopwatch, entry::Entry};

/// How long the store is looked through for one call. At some 100 ns each that is two million
/// responses.
const BUDGET: Duration = Duration::from_millis(250);

/// How many responses are looked at before the time is.
const STRIDE: usize = 1024;

/// Shows each response to `look`, and returns what it made of them and whether that was all.
pub(super) async fn scan<T: Default + Send + 'static>(
    desk: &Desk,
    look: impl Fn(&mut T, &Arc<Entry>) + Send + 'static,
) -> (T, bool) {
    let core = Arc::clone(desk.core());
    let looked = tokio::task::spawn_blocking(move || {
        let watch = Stopwatch::start();
        let (mut found, mut seen, mut whole) = (T::default(), 0_usize, true);
        core.store.visit(|entry| {
            look(&mut found, entry);
            seen += 1;
            whole = seen % STRIDE != 0 || watch.elapsed() < BUDGET;
            whole
        });
        (found, whole)
    });
    looked.await.unwrap_or_default()
}

//! Where a thread counts, and which of its requests it measures.

use std::{
    cell::Cell,
    sync::atomic::{AtomicUsize, Ordering},
};

/// How many independent sets of counters there are; threads are dealt out over them.
///
/// Eight is enough that two threads rarely share a cache line, and small enough to add up at will.
pub(super) const STRIPES: usize = 8;

/// Of how many hits one is measured, a power of two. Reading the clock twice more would be felt in
/// each of them, and a sixteenth tells the same quantiles.
pub(crate) const MEASURED_HITS: u32 = 16;

thread_local! {
    static STRIPE: Cell<usize> = Cell::new({
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        NEXT.fetch_add(1, Ordering::Relaxed) % STRIPES
    });
    static TURN: Cell<u32> = const { Cell::new(0) };
}

/// Returns the set of counters of this thread.
#[inline]
pub(super) fn stripe() -> usize {
    STRIPE.try_with(Cell::get).unwrap_or_default()
}

/// Returns whether it is this request's turn to be measured.
#[inline]
pub(crate) fn is_measured() -> bool {
    let turn = TURN.try_with(|turn| turn.replace(turn.get().wrapping_add(1)));
    turn.is_ok_and(|turn| turn % MEASURED_HITS == 0)
}

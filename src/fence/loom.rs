//! Every interleaving of invalidators, a reader and a fill, and the orders that must not be.
//!
//! Run by `RUSTFLAGS="--cfg larder_loom" cargo test --lib --release fence::loom`. The tests that
//! should panic take one order apart and so show that these checks would notice.

use ::loom::{model::Builder, sync::Arc, thread};

use super::*;

const A: TargetId = TargetId(0);
const B: TargetId = TargetId(1);

/// One name only, so that a second stamp folds the first.
const TINY: Sizes = Sizes {
    names: 1,
    buckets: 2,
    shards: 1,
};

/// Runs `body` under every interleaving with at most two preemptions, which every fault planted
/// below needs no more than; `LOOM_MAX_PREEMPTIONS` sets another bound (three was run, and clean).
fn explore(body: impl Fn() + Sync + Send + 'static) {
    let mut builder = Builder::new();
    builder.preemption_bound = builder.preemption_bound.or(Some(2));
    builder.check(body);
}

fn sealed(fence: &Fence, targets: &[TargetId]) -> Seal {
    Seal::new(fence.position(), targets.to_vec())
}

fn dead(fence: &Fence, seal: &Seal) -> bool {
    matches!(fence.judge(seal), Verdict::Dead(_))
}

/// A fill whose handler reads `cached`. Returns its entry, and whether the old value is in it.
fn fill_over(fence: &Fence, cached: &Seal) -> (Seal, bool) {
    let position = fence.position();
    let nested = !dead(fence, cached);
    (Seal::new(position, vec![A]), nested)
}

/// Two invalidators that publish in `order`, a fill over a cached value, and a reader.
fn race(order: [Step; 3]) {
    explore(move || {
        let fence = Arc::new(Fence::with_sizes(TINY));
        let cached = Arc::new(sealed(&fence, &[A]));
        let invalidate = |target| {
            let fence = Arc::clone(&fence);
            thread::spawn(move || fence.stamp_in(order, &[target], Mode::Hard))
        };
        let (first, second) = (invalidate(A), invalidate(B));
        let fill = thread::spawn({
            let (fence, cached) = (Arc::clone(&fence), Arc::clone(&cached));
            move || fill_over(&fence, &cached)
        });
        fence.judge(&cached);

        first.join().unwrap();
        assert!(dead(&fence, &cached), "invalidated, and still alive");
        let (entry, nested) = fill.join().unwrap();
        assert!(
            !nested || dead(&fence, &entry),
            "the old value was put back"
        );
        second.join().unwrap();
        assert!(dead(&fence, &cached), "folded, and alive again");
    });
}

#[test]
fn after_an_invalidation_no_reader_meets_what_was_filled_before_it() {
    race(PUBLISHING);
}

#[test]
#[should_panic(expected = "invalidated, and still alive")]
fn a_change_counter_that_moves_before_the_stamp_is_noticed() {
    race([Step::Changes, Step::Stamps, Step::Number]);
}

#[test]
#[should_panic(expected = "the old value was put back")]
fn a_number_that_is_applied_before_the_stamp_is_noticed() {
    race([Step::Number, Step::Stamps, Step::Changes]);
}

#[test]
#[should_panic(expected = "the old value was put back")]
fn a_number_that_is_applied_before_the_change_counter_moves_is_noticed() {
    race([Step::Stamps, Step::Number, Step::Changes]);
}

/// The mirror and a local invalidator side by side, and an entry that both of them hit.
#[test]
fn the_two_counters_do_not_get_into_each_others_way() {
    explore(|| {
        let fence = Arc::new(Fence::with_sizes(TINY));
        let cached = Arc::new(sealed(&fence, &[A, B]));
        let mirror = thread::spawn({
            let fence = Arc::clone(&fence);
            move || fence.apply(FIRST_EPOCH, 1, &[A], Mode::Soft(Timestamp::from_millis(7)))
        });
        let local = thread::spawn({
            let fence = Arc::clone(&fence);
            move || fence.stamp_local(&[B], Mode::Soft(Timestamp::from_millis(5)))
        });
        fence.judge(&cached);

        assert_eq!(mirror.join().unwrap(), Applied::Visible);
        assert_ne!(fence.judge(&cached), Verdict::Valid);
        local.join().unwrap();
        let earliest = Verdict::Soft(Timestamp::from_millis(5));
        assert_eq!(fence.judge(&cached), earliest);
        assert_eq!(fence.judge(&sealed(&fence, &[A, B])), Verdict::Valid);
    });
}

/// A reader that remembers `Soft` beside one that is still at `Valid`.
#[test]
fn no_reader_undoes_what_another_has_found() {
    explore(|| {
        let fence = Arc::new(Fence::with_sizes(TINY));
        let cached = Arc::new(sealed(&fence, &[A]));
        let reader = thread::spawn({
            let (fence, cached) = (Arc::clone(&fence), Arc::clone(&cached));
            move || fence.judge(&cached)
        });
        let invalidator = thread::spawn({
            let fence = Arc::clone(&fence);
            move || fence.stamp_local(&[A], Mode::Soft(Timestamp::from_millis(5)))
        });
        fence.judge(&cached);
        invalidator.join().unwrap();
        let soft = Verdict::Soft(Timestamp::from_millis(5));
        assert_eq!(fence.judge(&cached), soft);
        reader.join().unwrap();
        assert_eq!(fence.judge(&cached), soft);
    });
}

/// Folds the stamp of `A` by `fold` while a reader looks for it by `look`.
fn fold_under_a_reader(fold: fn(&Stamps, &mut Ages), look: fn(&Stamps) -> u64) {
    explore(move || {
        let stamps = Arc::new(Stamps::new(TINY));
        let mut ages = Ages::default();
        stamps.stamp(&mut ages, 1, &[A], Mode::Hard);
        let folding = thread::spawn({
            let stamps = Arc::clone(&stamps);
            move || fold(&stamps, &mut ages)
        });
        assert_eq!(look(&stamps), 1, "the stamp was in neither place");
        folding.join().unwrap();
        assert_eq!(look(&stamps), 1, "the stamp was in neither place");
    });
}

fn fold(stamps: &Stamps, ages: &mut Ages) {
    stamps.stamp(ages, 2, &[B], Mode::Hard);
}

fn name_then_bucket(stamps: &Stamps) -> u64 {
    match stamps.judge(0, &[A]) {
        Verdict::Dead(Reason::Stamp) => 1,
        _ => 0,
    }
}

#[test]
fn a_stamp_that_is_folded_is_always_in_one_of_two_places() {
    fold_under_a_reader(fold, name_then_bucket);
}

#[test]
#[should_panic(expected = "the stamp was in neither place")]
fn a_name_that_is_removed_before_its_bucket_is_raised_is_noticed() {
    let fold = |stamps: &Stamps, _: &mut Ages| {
        stamps.remove_name(A);
        stamps.raise_bucket(stamps.bucket_of(A), 1);
    };
    fold_under_a_reader(fold, name_then_bucket);
}

#[test]
#[should_panic(expected = "the stamp was in neither place")]
fn a_reader_that_looks_at_the_bucket_first_is_noticed() {
    let look = |stamps: &Stamps| {
        let bucket = stamps.by_bucket(A);
        bucket.max(stamps.by_name(A, 0).0)
    };
    fold_under_a_reader(fold, look);
}

/// A new epoch, with a lower number and without the stamps of the old one, under a reader and a fill.
#[test]
fn no_entry_slips_from_one_epoch_into_the_next() {
    explore(|| {
        let fence = Arc::new(Fence::with_sizes(TINY));
        let cached = Arc::new(sealed(&fence, &[B]));
        let killed = sealed(&fence, &[A]);
        fence.apply(FIRST_EPOCH, 1, &[A], Mode::Hard);
        fence.apply(FIRST_EPOCH, 2, &[A], Mode::Hard);
        let restart = thread::spawn({
            let fence = Arc::clone(&fence);
            move || {
                let (epoch, number) = (7, 1);
                fence.restart(Snapshot {
                    epoch,
                    number,
                    ..Snapshot::default()
                });
                fence.apply(epoch, 2, &[A], Mode::Hard)
            }
        });
        let fill = thread::spawn({
            let (fence, cached) = (Arc::clone(&fence), Arc::clone(&cached));
            move || fill_over(&fence, &cached)
        });
        assert!(dead(&fence, &killed), "alive while stamps were replaced");

        restart.join().unwrap();
        assert!(dead(&fence, &killed) && dead(&fence, &cached));
        let (entry, nested) = fill.join().unwrap();
        let missed = entry.position.sequence < 2 || entry.position.epoch != 7;
        assert!(!(nested || missed) || dead(&fence, &entry));
        assert!(!dead(&fence, &sealed(&fence, &[A, B])));
    });
}

use super::*;

const A: TargetId = TargetId(1);
const B: TargetId = TargetId(2);
const C: TargetId = TargetId(3);
/// Shares a bucket with `A` in the small table, and nothing with `B`.
const LIKE_A: TargetId = TargetId(5);

const DEAD: Verdict = Verdict::Dead(Reason::Stamp);

/// A table that folds with the third name.
fn small() -> Fence {
    Fence::with_sizes(Sizes {
        names: 2,
        buckets: 4,
        shards: 2,
    })
}

fn sealed(fence: &Fence, targets: &[TargetId]) -> Seal {
    Seal::new(fence.position(), targets.to_vec())
}

fn at(millis: u64) -> Timestamp {
    Timestamp::from_millis(millis)
}

#[test]
fn an_entry_lives_until_one_of_its_targets_is_stamped() {
    let fence = Fence::new();
    let entry = sealed(&fence, &[A, B]);
    assert_eq!(fence.judge(&entry), Verdict::Valid);
    fence.stamp_local(&[C], Mode::Hard);
    assert_eq!(fence.judge(&entry), Verdict::Valid);
    fence.stamp_local(&[B], Mode::Hard);
    assert_eq!(fence.judge(&entry), DEAD);
    assert_eq!(fence.judge(&sealed(&fence, &[A, B])), Verdict::Valid);
}

#[test]
fn a_fill_that_began_before_a_stamp_is_dead_on_arrival() {
    let fence = Fence::new();
    let began = fence.position();
    fence.stamp_local(&[A], Mode::Hard);
    assert_eq!(fence.judge(&Seal::new(began, vec![A])), DEAD);
}

#[test]
fn an_untouched_cache_looks_at_no_stamp() {
    let fence = Fence::new();
    let entry = sealed(&fence, &[A]);
    assert_eq!(entry.recall(1), None);
    fence.judge(&entry);
    assert_eq!(entry.recall(1), Some(Timestamp::NEVER));
    fence.stamp_local(&[B], Mode::Hard);
    assert_eq!(entry.recall(2), None);
    fence.judge(&entry);
    assert_eq!(entry.recall(2), Some(Timestamp::NEVER));
}

#[test]
fn alone_one_look_is_enough_and_among_others_it_never_is() {
    for others in [false, true] {
        let fence = Fence::of(Sizes::DEFAULT, others);
        let entry = sealed(&fence, &[A]);
        assert_eq!(fence.judge_alone(&entry), None, "nobody has looked");
        for _ in 0..2 {
            assert_eq!(fence.judge(&entry), Verdict::Valid);
            let alone = fence.judge_alone(&entry);
            assert_eq!(alone, (!others).then_some(Verdict::Valid));
            // Something has changed.
            fence.stamp_local(&[B], Mode::Hard);
            assert_eq!(fence.judge_alone(&entry), None);
        }
        fence.stamp_local(&[A], Mode::Soft(at(70)));
        assert_eq!(fence.judge(&entry), Verdict::Soft(at(70)));
        let alone = fence.judge_alone(&entry);
        assert_eq!(alone, (!others).then_some(Verdict::Soft(at(70))));
        fence.stamp_local(&[A], Mode::Hard);
        assert_eq!(fence.judge(&entry), DEAD);
        assert_eq!(fence.judge_alone(&entry), None);
    }
}

#[test]
fn a_dead_entry_is_never_remembered_as_alive() {
    let fence = Fence::new();
    let entry = sealed(&fence, &[A]);
    fence.stamp_local(&[A], Mode::Hard);
    assert_eq!(fence.judge(&entry), DEAD);
    assert_eq!(fence.judge(&entry), DEAD);
}

#[test]
fn a_soft_purge_gives_its_moment_and_the_first_one_counts() {
    let fence = Fence::new();
    let entry = sealed(&fence, &[A, B]);
    fence.stamp_local(&[A], Mode::Soft(at(70)));
    assert_eq!(fence.judge(&entry), Verdict::Soft(at(70)));
    fence.stamp_local(&[B], Mode::Soft(at(60)));
    fence.stamp_local(&[A], Mode::Soft(at(90)));
    assert_eq!(fence.judge(&entry), Verdict::Soft(at(60)));
    assert_eq!(fence.judge(&entry), Verdict::Soft(at(60)));
    fence.stamp_local(&[A], Mode::Hard);
    assert_eq!(fence.judge(&entry), DEAD);
}

#[test]
fn a_slow_reader_can_not_undo_the_finding_of_a_faster_one() {
    let entry = Seal::new(Position::default(), vec![A]);
    entry.remember(6, at(70));
    entry.remember(5, Timestamp::NEVER);
    assert_eq!(entry.recall(6), None);
    entry.remember(6, Timestamp::NEVER);
    assert_eq!(entry.recall(6), Some(at(70)));
}

#[test]
fn folding_kills_those_who_share_the_bucket_and_nobody_else() {
    let fence = small();
    let (stamped, stranger) = (sealed(&fence, &[A]), sealed(&fence, &[LIKE_A]));
    let other = sealed(&fence, &[TargetId(4)]);
    for target in [A, B, C] {
        fence.stamp_local(&[target], Mode::Hard);
    }
    assert_eq!(fence.judge(&stamped), DEAD);
    assert_eq!(fence.judge(&stranger), DEAD);
    assert_eq!(fence.judge(&other), Verdict::Valid);
    assert_eq!(fence.judge(&sealed(&fence, &[A, LIKE_A])), Verdict::Valid);
}

#[test]
fn a_soft_stamp_that_is_folded_becomes_a_hard_one() {
    let fence = small();
    let entry = sealed(&fence, &[A]);
    fence.stamp_local(&[A], Mode::Soft(at(70)));
    assert_eq!(fence.judge(&entry), Verdict::Soft(at(70)));
    fence.stamp_local(&[B, C], Mode::Hard);
    assert_eq!(fence.judge(&entry), DEAD);
}

#[test]
fn a_name_stamped_again_is_not_the_oldest_any_more() {
    let fence = small();
    for target in [A, B, A, C] {
        fence.stamp_local(&[target], Mode::Hard);
    }
    let early = |target| {
        let position = Position {
            local: 2,
            ..fence.position()
        };
        fence.judge(&Seal::new(position, vec![target]))
    };
    // B was folded into another bucket; A, stamped third, is still known by name.
    assert_eq!((early(A), early(LIKE_A)), (DEAD, Verdict::Valid));
}

#[test]
fn the_table_stays_bounded_however_many_targets_are_stamped() {
    let fence = small();
    let entry = sealed(&fence, &[A]);
    for target in 10..1000 {
        fence.stamp_local(&[TargetId(target)], Mode::Hard);
    }
    assert_eq!(fence.writer().local.len(), 2);
    assert_eq!(fence.local.stamps.names(), 2);
    assert_eq!(fence.judge(&entry), DEAD);
}

#[test]
fn the_mirror_applies_numbers_without_a_gap() {
    let fence = Fence::new();
    let entry = sealed(&fence, &[B]);
    let hard = |number, target| fence.apply(FIRST_EPOCH, number, &[target], Mode::Hard);
    assert_eq!(hard(1, A), Applied::Visible);
    assert_eq!(hard(3, B), Applied::Gap { after: 1 });
    assert_eq!(fence.judge(&entry), Verdict::Valid);
    assert_eq!(fence.position().sequence, 1);
    assert_eq!(hard(2, C), Applied::Visible);
    assert_eq!(hard(3, B), Applied::Visible);
    assert_eq!(hard(3, B), Applied::Visible);
    assert_eq!(fence.judge(&entry), DEAD);
    assert_eq!(
        fence.apply(FIRST_EPOCH + 1, 4, &[A], Mode::Hard),
        Applied::OtherEpoch
    );
}

#[test]
fn local_numbers_never_enter_the_sequence() {
    let fence = Fence::new();
    fence.stamp_local(&[A], Mode::Hard);
    fence.stamp_local(&[A], Mode::Hard);
    let position = fence.position();
    assert_eq!((position.sequence, position.local), (0, 2));
    let entry = sealed(&fence, &[B]);
    fence.apply(FIRST_EPOCH, 1, &[B], Mode::Hard);
    assert_eq!(fence.judge(&entry), DEAD);
}

#[test]
fn a_floor_kills_what_was_sealed_below_it_and_keeps_the_stamps() {
    let fence = Fence::new();
    let before = sealed(&fence, &[A]);
    fence.apply(FIRST_EPOCH, 1, &[B], Mode::Hard);
    assert_eq!(fence.raise_floor(FIRST_EPOCH, 9), Applied::Visible);
    assert_eq!(fence.judge(&before), Verdict::Dead(Reason::Floor));
    assert_eq!(fence.position().sequence, 9);
    assert_eq!(fence.judge(&sealed(&fence, &[A, B])), Verdict::Valid);
    assert_eq!(fence.raise_floor(FIRST_EPOCH, 5), Applied::Visible);
    assert_eq!(fence.position().sequence, 9);
    assert_eq!(fence.raise_floor(FIRST_EPOCH + 1, 99), Applied::OtherEpoch);
}

#[test]
fn without_a_registry_everything_is_dead_and_stays_so_in_a_new_epoch() {
    let fence = Fence::new();
    let before = sealed(&fence, &[A]);
    assert_eq!(fence.judge(&before), Verdict::Valid);
    fence.lose();
    let between = sealed(&fence, &[A]);
    let dead = Verdict::Dead(Reason::Epoch);
    assert_eq!(fence.judge(&before), dead);
    assert_eq!(fence.judge(&between), dead);
    fence.restart(Snapshot {
        epoch: 77,
        number: 5,
        ..Snapshot::default()
    });
    assert_eq!(fence.judge(&before), dead);
    assert_eq!(fence.judge(&between), dead);
    assert_eq!(fence.judge(&sealed(&fence, &[A])), Verdict::Valid);
}

#[test]
fn a_new_epoch_takes_over_stamps_buckets_and_a_lower_number() {
    let fence = small();
    for number in 1..=9 {
        fence.apply(FIRST_EPOCH, number, &[A], Mode::Hard);
    }
    fence.restart(Snapshot {
        epoch: 77,
        number: 5,
        floor: 2,
        stamps: &[(B, 4, Mode::Hard), (C, 5, Mode::Soft(at(70)))],
        buckets: &[(1, 3)],
    });
    let judged = |sequence, target| {
        let position = Position {
            epoch: 77,
            sequence,
            local: 0,
        };
        fence.judge(&Seal::new(position, vec![target]))
    };
    assert_eq!(fence.position().sequence, 5);
    assert_eq!(judged(1, TargetId(4)), Verdict::Dead(Reason::Floor));
    assert_eq!(judged(2, TargetId(4)), Verdict::Valid);
    assert_eq!(judged(3, B), DEAD);
    assert_eq!(judged(4, B), Verdict::Valid);
    assert_eq!(judged(4, C), Verdict::Soft(at(70)));
    assert_eq!((judged(2, A), judged(3, A)), (DEAD, Verdict::Valid));
    assert_eq!(fence.apply(77, 6, &[A], Mode::Hard), Applied::Visible);
}

#[test]
fn local_stamps_outlive_an_epoch() {
    let fence = Fence::new();
    let local = fence.position().local;
    fence.stamp_local(&[A], Mode::Hard);
    fence.restart(Snapshot {
        epoch: 77,
        ..Snapshot::default()
    });
    let position = Position {
        local,
        ..fence.position()
    };
    assert_eq!(fence.judge(&Seal::new(position, vec![A])), DEAD);
}

#[test]
fn the_same_epoch_found_again_forgets_no_stamp_and_no_number() {
    let fence = Fence::new();
    let entry = sealed(&fence, &[A]);
    let other = sealed(&fence, &[B]);
    fence.apply(FIRST_EPOCH, 1, &[A], Mode::Hard);
    fence.lose();
    assert_eq!(fence.judge(&other), Verdict::Dead(Reason::Epoch));
    fence.restart(Snapshot {
        epoch: FIRST_EPOCH,
        ..Snapshot::default()
    });
    assert_eq!(fence.position().sequence, 1);
    assert_eq!(fence.judge(&entry), DEAD);
    assert_eq!(fence.judge(&other), Verdict::Valid);
}

//! The tests: with all rules no schedule ends in an old answer, and without any one of them some do.

use std::collections::BTreeMap;

use super::{
    rules::{Rule, Rules},
    schedule::Schedule,
    stories::Story,
};

/// How many schedules are tried with all rules. `LARDER_MODEL_RUNS` sets another number.
const RUNS: u64 = 3_000;

/// How many schedules are tried, until a mutant must have been caught.
const TRIES: u64 = 5_000;

/// What has to happen in those schedules for them to be about something, and how often.
const HAPPENS: [(&str, usize); 16] = [
    ("acknowledged to all", 5_000),
    ("asked about its targets", 300),
    ("confirmed", 3_000),
    ("drained", 1_000),
    ("followed", 3_000),
    ("found dead", 5_000),
    ("found in the first tier", 10_000),
    ("found in the second tier", 3_000),
    ("found soft-purged", 300),
    ("invalidated here alone", 3_000),
    ("judged without a registry", 500),
    ("jumped a gap", 1_000),
    ("lost the registry", 3_000),
    ("stood in", 100),
    ("turned away from a flight", 3_000),
    ("unlinked the registry", 100),
];

#[test]
fn no_schedule_ends_in_an_old_answer() {
    let runs = std::env::var("LARDER_MODEL_RUNS").map_or(RUNS, |runs| runs.parse().unwrap());
    let mut happened = BTreeMap::<&str, usize>::new();
    for seed in 0..runs {
        let schedule = Schedule::new(seed);
        let (has_failed, seen) = schedule.watched();
        if has_failed {
            panic!("{}", schedule.shortened(Rules::ALL).told(Rules::ALL));
        }
        for (what, times) in seen {
            *happened.entry(what).or_default() += times;
        }
    }
    for (what, least) in HAPPENS {
        let times = happened.get(what).copied().unwrap_or_default();
        assert!(times >= least, "{what}: {times} times");
    }
}

#[test]
fn without_any_rule_of_the_registry_some_schedule_does() {
    each_is_needed(Rule::REGISTRY);
}

#[test]
fn without_any_rule_of_fills_some_schedule_does() {
    each_is_needed(Rule::FILLS);
}

#[test]
fn without_any_rule_of_invalidations_some_schedule_does() {
    each_is_needed(Rule::INVALIDATIONS);
}

fn each_is_needed(rules: &[Rule]) {
    let survivors: Vec<_> = rules
        .iter()
        .filter(|rule| broken(**rule).is_none())
        .collect();
    assert!(survivors.is_empty(), "not needed, it seems: {survivors:?}");
}

/// Returns a schedule that goes wrong without the rule. Every other one that is tried is about the
/// situation that the rule is for, if it is for one.
fn broken(rule: Rule) -> Option<Schedule> {
    let without = Rules::without(rule);
    let schedule = |seed| match situation(rule) {
        Some(story) if seed % 2 == 1 => Schedule::about(story, seed),
        _ => Schedule::new(seed),
    };
    (0..TRIES)
        .map(schedule)
        .find(|schedule| schedule.run(without))
}

fn situation(rule: Rule) -> Option<Story> {
    Some(match rule {
        Rule::NamesAreFoundAgainByNumber
        | Rule::NamesOfOneNumberAreAllLoaded
        | Rule::NamesAreLoadedBeforeBuckets
        | Rule::FoldingIsOneStep
        | Rule::NumberIsReadBeforeTheStamps => Story::StartsWhileNamesMove,
        Rule::EpochIsCheckedAfterLoading | Rule::AllKeysAreCheckedAfterLoading => {
            Story::StartsWhileTheRegistryIsLost
        }
        Rule::AskingLooksAtTheEpoch
        | Rule::AskingLooksAtAllKeys
        | Rule::AskingReadsNamesBeforeBuckets => Story::AsksWhileNamesMove,
        Rule::DrainedUnlessAddedAgain | Rule::DrainedWhenTheMirrorShowsIt => {
            Story::WritesTwiceWhileCutOff
        }
        Rule::OutboxKeepsTheStronger | Rule::OutboxOverflowsToEverything => {
            Story::PurgesHardAndSoftly
        }
        Rule::SoftWindowsCountFromTheFirstPurge => Story::PurgesSoftlyTwice,
        Rule::PartitionCountsFromTheOldestNestedFill
        | Rule::PartitionCountsFromTheBeginning
        | Rule::ConfirmationKeepsTheOldestFill => Story::IsAway,
        Rule::SyncAgeCountsFromTheSending => Story::HearsLate,
        Rule::HardPurgedIsNeverConfirmed | Rule::WhatStandsInIsJudgedAgain => {
            Story::IsPurgedWhileItIsAskedAbout
        }
        Rule::PrivateEpochsAreUsedOnce => Story::LosesTheRegistryTwice,
        _ => return None,
    })
}

#[test]
fn rules_of_thrift_keep_nobody_from_an_old_answer() {
    for rule in Rule::THRIFT {
        let without = Rules::without(*rule);
        let needed = (0..500).find(|seed| Schedule::new(*seed).run(without));
        assert_eq!(needed, None, "{rule:?} is needed");
    }
}

#[test]
fn a_schedule_goes_the_same_way_each_time() {
    let rule = Rule::PositionIsTakenBeforeTheRun;
    let without = Rules::without(rule);
    let shortened = broken(rule).unwrap().shortened(without);
    let told = shortened.told(without);
    assert!(told.contains("VIOLATION"));
    assert_eq!(told, shortened.told(without));
}

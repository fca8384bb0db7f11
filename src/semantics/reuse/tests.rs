use proptest::prelude::*;

use super::*;
use crate::semantics::samples::{directives, headers};

const MINUTE: u64 = 60_000;
const HOUR: u64 = 60 * MINUTE;

fn request(line: &str) -> RequestDirectives {
    RequestDirectives::of(&headers(&[("cache-control", line)]))
}

/// A question about a response with a lifetime of an hour and no windows.
fn aged(age: u64, stored: &str) -> ReuseQuestion<'static> {
    ReuseQuestion {
        age,
        lifetime: HOUR,
        flags: ReuseFlags::of(&directives(stored), true),
        stale_while_revalidate: 0,
        stale_if_error: 0,
        request: None,
        attempt: Attempt::None,
    }
}

/// Answers `question` for a client that sends `line`.
fn asked(question: ReuseQuestion<'_>, line: &str) -> Reuse {
    reuse(&ReuseQuestion {
        request: Some(&request(line)),
        ..question
    })
}

// part 1 rule 14
#[test]
fn a_response_is_fresh_until_its_age_reaches_its_lifetime() {
    assert_eq!(reuse(&aged(HOUR - 1, "")), Reuse::Fresh);
    assert_eq!(reuse(&aged(HOUR, "")), Reuse::MustValidate(Obstacle::Stale));
    let never_fresh = ReuseQuestion {
        lifetime: 0,
        ..aged(0, "")
    };
    assert_eq!(reuse(&never_fresh), Reuse::MustValidate(Obstacle::Stale));
}

// part 1 rule 14
#[test]
fn a_response_with_no_cache_is_never_served_unconfirmed() {
    for attempt in [Attempt::None, Attempt::Failed, Attempt::Disconnected] {
        for age in [0, 2 * HOUR] {
            let question = ReuseQuestion {
                stale_while_revalidate: HOUR * 9,
                stale_if_error: HOUR * 9,
                attempt,
                ..aged(age, "no-cache, immutable")
            };
            let refused = Reuse::MustValidate(Obstacle::NoCache);
            assert_eq!(asked(question, "max-stale, stale-if-error=99999"), refused);
        }
    }
}

// part 1 rule 14, part 3 rule 4
#[test]
fn a_demand_for_validation_wins_over_whatever_allows_stale_responses() {
    for stored in [
        "must-revalidate",
        "proxy-revalidate",
        "s-maxage=3600",
        "s-maxage=x",
    ] {
        for attempt in [Attempt::None, Attempt::Failed, Attempt::Disconnected] {
            let question = ReuseQuestion {
                stale_while_revalidate: HOUR * 9,
                stale_if_error: HOUR * 9,
                attempt,
                ..aged(HOUR, stored)
            };
            let refused = Reuse::MustValidate(Obstacle::MustRevalidate);
            assert_eq!(
                asked(question, "max-stale, stale-if-error=99999"),
                refused,
                "{stored}"
            );
        }
        assert_eq!(reuse(&aged(HOUR - 1, stored)), Reuse::Fresh, "{stored}");
    }
}

// part 1 rule 14
#[test]
fn without_a_demand_for_validation_any_stale_response_may_be_served_when_disconnected() {
    let question = ReuseQuestion {
        attempt: Attempt::Disconnected,
        ..aged(99 * HOUR, "")
    };
    assert_eq!(
        reuse(&question),
        Reuse::StaleAllowed(Allowance::Disconnected)
    );
}

// part 1 rule 2
#[test]
fn a_qualified_no_cache_does_not_ask_for_confirmation_of_the_rest() {
    assert_eq!(reuse(&aged(0, "no-cache=\"set-cookie\"")), Reuse::Fresh);
}

// part 1 rule 23
#[test]
fn max_age_rejects_a_response_that_is_older() {
    let refused = Reuse::MustValidate(Obstacle::RequestMaxAge);
    assert_eq!(asked(aged(600_000, ""), "max-age=600"), Reuse::Fresh);
    assert_eq!(asked(aged(600_001, ""), "max-age=600"), refused);
    assert_eq!(asked(aged(0, ""), "max-age=0"), refused);
    assert_eq!(asked(aged(600_001, ""), "max-age=600, max-stale"), refused);
}

// part 1 rule 23
#[test]
fn max_age_without_max_stale_rejects_a_stale_response() {
    let question = ReuseQuestion {
        stale_while_revalidate: HOUR,
        ..aged(HOUR, "")
    };
    let refused = Reuse::MustValidate(Obstacle::RequestMaxAge);
    assert_eq!(asked(question, "max-age=999999"), refused);
    let allowed = Reuse::StaleAllowed(Allowance::WhileRevalidating);
    assert_eq!(asked(question, "max-age=999999, max-stale"), allowed);
}

// part 1 rule 23
#[test]
fn min_fresh_rejects_a_response_that_will_be_stale_too_soon() {
    assert_eq!(asked(aged(HOUR - MINUTE, ""), "min-fresh=60"), Reuse::Fresh);
    let refused = Reuse::MustValidate(Obstacle::RequestMinFresh);
    assert_eq!(asked(aged(HOUR - MINUTE, ""), "min-fresh=61"), refused);
    assert_eq!(asked(aged(HOUR, ""), "min-fresh=1, max-stale"), refused);
}

// part 1 rule 23
#[test]
fn max_stale_accepts_a_response_that_is_not_staler() {
    let allowed = Reuse::StaleAllowed(Allowance::MaxStale);
    let refused = Reuse::MustValidate(Obstacle::Stale);
    assert_eq!(asked(aged(HOUR + MINUTE, ""), "max-stale=60"), allowed);
    assert_eq!(asked(aged(HOUR + MINUTE + 1, ""), "max-stale=60"), refused);
    assert_eq!(asked(aged(99 * HOUR, ""), "max-stale"), allowed);
    assert_eq!(asked(aged(HOUR, ""), "max-stale=x"), allowed);
    assert_eq!(asked(aged(HOUR + 1, ""), "max-stale=x"), refused);
}

// part 1 rule 23
#[test]
fn no_cache_of_a_request_rejects_even_a_fresh_response() {
    let refused = Reuse::MustValidate(Obstacle::RequestNoCache);
    assert_eq!(asked(aged(0, ""), "no-cache"), refused);
    assert_eq!(asked(aged(HOUR, ""), "no-cache, max-stale"), refused);
}

// part 1 rule 23
#[test]
fn a_request_that_is_not_honoured_changes_nothing() {
    assert_eq!(reuse(&aged(0, "")), Reuse::Fresh);
    assert_eq!(
        asked(aged(0, ""), "no-store, no-transform, foo"),
        Reuse::Fresh
    );
}

// part 1 rule 23
#[test]
fn a_fresh_response_answers_for_a_failure_whatever_the_client_wished() {
    let question = ReuseQuestion {
        attempt: Attempt::Failed,
        ..aged(0, "")
    };
    assert_eq!(asked(question, "no-cache, min-fresh=999999"), Reuse::Fresh);
}

// part 3 rules 1 and 2
#[test]
fn a_stale_response_is_served_for_as_long_as_its_window_while_a_new_one_is_fetched() {
    let at = |age| {
        reuse(&ReuseQuestion {
            stale_while_revalidate: MINUTE,
            ..aged(age, "")
        })
    };
    let allowed = Reuse::StaleAllowed(Allowance::WhileRevalidating);
    assert_eq!(at(HOUR - 1), Reuse::Fresh);
    assert_eq!(at(HOUR), allowed);
    assert_eq!(at(HOUR + MINUTE - 1), allowed);
    assert_eq!(at(HOUR + MINUTE), Reuse::MustValidate(Obstacle::Stale));
}

// part 3 rule 1
#[test]
fn a_refresh_is_started_within_the_window_although_the_client_takes_stale_responses() {
    let question = ReuseQuestion {
        stale_while_revalidate: MINUTE,
        ..aged(HOUR, "")
    };
    let allowed = Reuse::StaleAllowed(Allowance::WhileRevalidating);
    assert_eq!(asked(question, "max-stale"), allowed);
}

// part 3 rules 6 and 8
#[test]
fn a_stale_response_stands_in_for_a_failure_within_its_window_counted_from_staleness() {
    let failed = |age| {
        reuse(&ReuseQuestion {
            stale_if_error: MINUTE,
            attempt: Attempt::Failed,
            ..aged(age, "")
        })
    };
    assert_eq!(failed(HOUR), Reuse::StaleAllowed(Allowance::OnError));
    assert_eq!(
        failed(HOUR + MINUTE - 1),
        Reuse::StaleAllowed(Allowance::OnError)
    );
    assert_eq!(failed(HOUR + MINUTE), Reuse::MustValidate(Obstacle::Stale));
    let unasked = ReuseQuestion {
        stale_if_error: MINUTE,
        ..aged(HOUR, "")
    };
    assert_eq!(reuse(&unasked), Reuse::MustValidate(Obstacle::Stale));
}

// part 3 rule 7
#[test]
fn a_client_may_widen_the_window_for_failures() {
    let failed = ReuseQuestion {
        attempt: Attempt::Failed,
        ..aged(HOUR + MINUTE - 1, "")
    };
    assert_eq!(
        asked(failed, "stale-if-error=60"),
        Reuse::StaleAllowed(Allowance::OnError)
    );
    assert_eq!(
        asked(failed, "stale-if-error=59"),
        Reuse::MustValidate(Obstacle::Stale)
    );
    assert_eq!(reuse(&failed), Reuse::MustValidate(Obstacle::Stale));
}

// part 3 rule 9
#[test]
fn only_these_statuses_are_failures() {
    let failures: Vec<_> = (100..600)
        .filter(|code| is_failure(StatusCode::from_u16(*code).unwrap()))
        .collect();
    assert_eq!(failures, [408, 500, 502, 503, 504]);
}

// part 4 rule 1
#[test]
fn a_reload_of_a_fresh_immutable_response_is_not_validated() {
    let immutable = "max-age=3600, immutable";
    assert_eq!(asked(aged(MINUTE, immutable), "no-cache"), Reuse::Fresh);
    assert_eq!(asked(aged(MINUTE, immutable), "max-age=0"), Reuse::Fresh);
    let refused = Reuse::MustValidate(Obstacle::RequestMinFresh);
    assert_eq!(asked(aged(MINUTE, immutable), "min-fresh=3600"), refused);
}

// part 4 rule 1
#[test]
fn immutable_has_no_effect_once_stale() {
    let refused = Reuse::MustValidate(Obstacle::RequestNoCache);
    assert_eq!(
        asked(aged(HOUR, "immutable"), "no-cache, max-stale"),
        refused
    );
    assert_eq!(
        reuse(&aged(HOUR, "immutable")),
        Reuse::MustValidate(Obstacle::Stale)
    );
}

// part 4 rule 1
#[test]
fn immutable_says_nothing_about_a_guessed_lifetime() {
    let flags = ReuseFlags::of(&directives("immutable"), false);
    assert_eq!(flags, ReuseFlags::default());
}

fn any_question() -> impl Strategy<Value = (ReuseQuestion<'static>, RequestDirectives)> {
    let stored = prop::sample::subsequence(
        vec!["no-cache", "must-revalidate", "immutable", "s-maxage=1"],
        0..4,
    );
    let wishes = prop::sample::subsequence(
        vec![
            "no-cache",
            "max-age=3",
            "min-fresh=2",
            "max-stale",
            "max-stale=4",
            "stale-if-error=5",
        ],
        0..6,
    );
    let attempt = prop::sample::select(vec![Attempt::None, Attempt::Failed, Attempt::Disconnected]);
    let spans = (0..12_000_u64, 0..6_000_u64, 0..6_000_u64, 0..6_000_u64);
    (stored, wishes, attempt, spans).prop_map(|(stored, wishes, attempt, spans)| {
        let question = ReuseQuestion {
            age: spans.0,
            lifetime: spans.1,
            stale_while_revalidate: spans.2,
            stale_if_error: spans.3,
            attempt,
            ..aged(0, &stored.join(", "))
        };
        (question, request(&wishes.join(", ")))
    })
}

proptest! {
    #[test]
    fn an_older_response_is_never_served_where_a_younger_one_is_not(
        (question, wishes) in any_question(), years in 0..9_000_u64,
    ) {
        let at = |age| reuse(&ReuseQuestion { age, request: Some(&wishes), ..question });
        if matches!(at(question.age), Reuse::MustValidate(_)) {
            prop_assert!(matches!(at(question.age + years), Reuse::MustValidate(_)));
        }
    }

    #[test]
    fn a_demand_for_validation_is_never_overlooked((question, wishes) in any_question()) {
        let answer = reuse(&ReuseQuestion { request: Some(&wishes), ..question });
        let served = !matches!(answer, Reuse::MustValidate(_));
        prop_assert!(!(served && question.flags.no_cache));
        let is_stale = question.age >= question.lifetime;
        prop_assert!(!(served && is_stale && question.flags.must_revalidate));
        prop_assert_eq!(answer == Reuse::Fresh, served && !is_stale);
    }
}

//! One suite for both places: whatever is asked of them in whatever order, they say the same.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::clock::Timestamp;

const NOW: Timestamp = Timestamp::from_millis(1_000_000);

fn name() -> impl Strategy<Value = Arc<str>> {
    prop_oneof!["s:a:1", "s:b:1", "s:c:1"].prop_map(Arc::from)
}

fn member() -> impl Strategy<Value = Box<str>> {
    prop_oneof!["a", "b", "c", "Z", "é", ""].prop_map(Box::from)
}

fn members() -> impl Strategy<Value = Vec<Box<str>>> {
    prop::collection::vec(member(), 1..4)
}

fn score() -> impl Strategy<Value = f64> {
    prop_oneof![-3_i8..4, Just(100)].prop_map(|whole| f64::from(whole) / 2.0)
}

fn value() -> impl Strategy<Value = Bytes> {
    prop_oneof!["1", "-7", "x", "\"text\"", "9223372036854775807"].prop_map(Bytes::from)
}

fn by() -> impl Strategy<Value = i64> {
    prop_oneof![-5_i64..6, Just(i64::MAX), Just(i64::MIN)]
}

fn of_counters_and_hashes() -> impl Strategy<Value = Operation> {
    prop_oneof![
        (name(), by()).prop_map(|(name, by)| Operation::Count { name, by }),
        name().prop_map(|name| Operation::Counted { name }),
        (name(), prop::collection::vec((member(), value()), 1..4))
            .prop_map(|(name, fields)| Operation::SetFields { name, fields }),
        (name(), members()).prop_map(|(name, fields)| Operation::Fields { name, fields }),
        name().prop_map(|name| Operation::AllFields { name }),
        (name(), member(), by()).prop_map(|(name, field, by)| Operation::CountField {
            name,
            field,
            by
        }),
        (name(), members()).prop_map(|(name, fields)| Operation::RemoveFields { name, fields }),
    ]
}

fn of_rankings() -> impl Strategy<Value = Operation> {
    prop_oneof![
        (name(), prop::collection::vec((member(), score()), 1..4))
            .prop_map(|(name, members)| Operation::Score { name, members }),
        (name(), member(), score()).prop_map(|(name, member, by)| Operation::Raise {
            name,
            member,
            by
        }),
        (name(), 0_u64..4, 0_u64..4).prop_map(|(name, from, count)| Operation::Ranked {
            name,
            from,
            count
        }),
        (name(), member()).prop_map(|(name, member)| Operation::Place { name, member }),
        (name(), member()).prop_map(|(name, member)| Operation::ScoreOf { name, member }),
        (name(), members()).prop_map(|(name, members)| Operation::Unrank { name, members }),
        name().prop_map(|name| Operation::RankedCount { name }),
    ]
}

fn of_sets_and_lists() -> impl Strategy<Value = Operation> {
    prop_oneof![
        (name(), members()).prop_map(|(name, members)| Operation::Join { name, members }),
        (name(), members()).prop_map(|(name, members)| Operation::Leave { name, members }),
        (name(), member()).prop_map(|(name, member)| Operation::Has { name, member }),
        name().prop_map(|name| Operation::Members { name }),
        name().prop_map(|name| Operation::MemberCount { name }),
        prop::collection::vec(name(), 1..3).prop_map(|names| Operation::Common { names }),
        (name(), prop::collection::vec(value(), 1..4), 1_u64..4)
            .prop_map(|(name, values, most)| Operation::Push { name, values, most }),
        (name(), 0_u64..5).prop_map(|(name, count)| Operation::Recent { name, count }),
        name().prop_map(|name| Operation::Length { name }),
        name().prop_map(|name| Operation::Remove { name }),
        name().prop_map(|name| Operation::Expire {
            name,
            after: Duration::from_secs(3600),
        }),
    ]
}

/// Returns a reply, or of a refusal what it is about: the two places word it differently.
fn said(reply: Result<Reply, Error>) -> Result<Reply, ErrorKind> {
    reply.map_err(|error| error.kind())
}

#[cfg(feature = "redis")]
mod alike {
    use std::{cell::RefCell, sync::atomic::AtomicU32, sync::atomic::Ordering};

    use proptest::test_runner::{Config, TestRunner};

    use super::*;
    use crate::{
        clock::SystemClock,
        store::redis::{Connections, Layout, Settings, tests::server::Server},
    };

    /// How long Redis may take: what is tested is what it says, not when.
    const PATIENCE: Duration = Duration::from_secs(10);

    #[test]
    fn both_places_say_the_same_of_everything() {
        let server = Server::start();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let case = AtomicU32::new(0);
        let coverage = RefCell::new(0_usize);
        let operation = prop_oneof![of_counters_and_hashes(), of_rankings(), of_sets_and_lists()];
        let operations = prop::collection::vec(operation, 1..40);
        let mut runner = TestRunner::new(Config::with_cases(200));
        let outcome = runner.run(&operations, |operations| {
            let namespace = format!("case-{}", case.fetch_add(1, Ordering::Relaxed));
            let there = runtime.block_on(async {
                let connections = connected(&server, &namespace);
                remote::run(&connections, &operations, PATIENCE).await
            });
            let here = LocalStructures::default().run(&operations, NOW);
            for ((operation, there), here) in operations.iter().zip(there.unwrap()).zip(here) {
                *coverage.borrow_mut() += usize::from(here.is_ok());
                prop_assert_eq!(said(there), said(here), "{:?}", operation);
            }
            Ok(())
        });
        outcome.unwrap_or_else(|failure| panic!("{failure}"));
        assert!(coverage.into_inner() > 500, "hardly anything was tried");
    }

    fn connected(server: &Server, namespace: &str) -> Connections {
        let clock = Arc::new(SystemClock::new());
        let layout = Layout::new(namespace);
        Connections::new(&server.url(), layout, Settings::default(), clock).unwrap()
    }

    #[tokio::test]
    async fn a_server_that_is_gone_is_an_error_and_not_an_empty_structure() {
        let mut server = Server::start();
        let connections = connected(&server, "gone");
        server.kill();
        let counted = Operation::Counted {
            name: "s:a:1".into(),
        };
        let error = remote::run(&connections, &[counted], PATIENCE)
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
    }
}

fn one(structures: &LocalStructures, operation: Operation, now: Timestamp) -> Reply {
    structures.run(&[operation], now).remove(0).unwrap()
}

#[test]
fn a_structure_ends_when_its_time_is_over_and_begins_anew() {
    let structures = LocalStructures::default();
    let name: Arc<str> = "s:a:1".into();
    let count = |by| Operation::Count {
        name: Arc::clone(&name),
        by,
    };
    let expire = Operation::Expire {
        name: Arc::clone(&name),
        after: Duration::from_secs(5),
    };
    assert_eq!(one(&structures, expire.clone(), NOW), Reply::Number(0));
    one(&structures, count(7), NOW);
    assert_eq!(one(&structures, expire, NOW), Reply::Number(1));
    let later = NOW.after(Duration::from_secs(5));
    let counted = Operation::Counted {
        name: Arc::clone(&name),
    };
    let before = later.before(Duration::from_millis(1));
    assert_eq!(one(&structures, counted.clone(), before), Reply::Number(7));
    assert_eq!(one(&structures, counted, later), Reply::Number(0));
    assert_eq!(one(&structures, count(1), later), Reply::Number(1));
}

#[test]
fn structures_in_a_process_are_bounded_and_say_so() {
    let structures = LocalStructures::default();
    let join = |range: std::ops::Range<u32>| Operation::Join {
        name: "s:a:1".into(),
        members: range.map(|member| member.to_string().into()).collect(),
    };
    one(&structures, join(0..1_000_000), NOW);
    let refused = structures.run(&[join(0..1)], NOW).remove(0).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Structure);
    let remove = Operation::Remove {
        name: "s:a:1".into(),
    };
    one(&structures, remove, NOW);
    one(&structures, join(0..10), NOW);
}

//! The registry's scripts against a real server.

use super::{super::registry::*, connected, server::Server};
use crate::{
    clock::Timestamp,
    fence::Mode,
    policy::{Target, TargetId, bucket},
};
use std::time::Duration;

/// Long enough for a busy machine; a good answer comes within a millisecond.
const PATIENT: Duration = Duration::from_secs(5);

fn registry(server: &Server) -> Registry {
    Registry::new(connected(&server.url()).unwrap())
}

fn tags(tags: &[&str]) -> Vec<Target> {
    tags.iter().map(|tag| Target::tag(tag)).collect()
}

fn order(targets: &[Target], soft: Option<u64>) -> Order<'_> {
    Order {
        targets,
        soft: soft.map(Timestamp::from_millis),
        message: r#","tags":["x"]}"#.to_owned(),
    }
}

async fn stamp(registry: &Registry, names: &[&str]) -> Place {
    let targets = tags(names);
    registry
        .stamp(&[order(&targets, None)], PATIENT)
        .await
        .unwrap()
}

fn id(tag: &str) -> TargetId {
    Target::tag(tag).id()
}

#[tokio::test]
async fn stamps_are_numbered_without_gaps_and_logged_in_order() {
    let server = Server::start();
    let registry = registry(&server);
    let (mut reader, begun, _) = registry.reader().await.unwrap();
    assert!(begun.number > 1_600_000_000_000 * 1024, "{begun:?}");
    let one = stamp(&registry, &["a", "b"]).await;
    let targets = tags(&["c"]);
    let both = [order(&targets, None), order(&targets, Some(77))];
    let last = registry.stamp(&both, PATIENT).await.unwrap();
    assert_eq!(
        one,
        Place {
            number: begun.number + 1,
            ..begun
        }
    );
    assert_eq!(
        last,
        Place {
            number: begun.number + 3,
            ..begun
        }
    );
    let round = reader
        .round(begun.number, Duration::from_millis(1))
        .await
        .unwrap();
    assert!(round.is_sound);
    assert_eq!(round.place, Some(last));
    let logged = |number, targets: &[&str], mode| Logged {
        place: Place {
            number: begun.number + number,
            ..begun
        },
        targets: targets.iter().map(|tag| id(tag)).collect(),
        mode,
    };
    let soft = Mode::Soft(Timestamp::from_millis(77));
    let expected = [
        logged(1, &["a", "b"], Mode::Hard),
        logged(2, &["c"], Mode::Hard),
        logged(3, &["c"], soft),
    ];
    assert_eq!(round.logged, expected);
    let quiet = reader
        .round(last.number, Duration::from_millis(1))
        .await
        .unwrap();
    assert_eq!((quiet.logged, quiet.place), (vec![], Some(last)));
}

#[tokio::test]
async fn a_writer_is_told_whether_what_it_had_seen_was_the_last_word() {
    let server = Server::start();
    let registry = registry(&server);
    let begun = stamp(&registry, &["a", "other"]).await;
    let targets = tags(&["a"]);
    let ask = async |place: Place| {
        let (targets, row) = (&*targets, None);
        let seen = Seen {
            place,
            targets,
            row,
        };
        let orders = [order(targets, None)];
        let stamped = registry.stamp_after(&orders, Some(&seen), PATIENT).await;
        stamped.unwrap()
    };
    let one = ask(begun).await;
    assert!(one.is_latest);
    assert!(!ask(begun).await.is_latest, "its own stamp was in between");
    let epoch = begun.epoch ^ 1;
    let last = stamp(&registry, &["other"]).await;
    assert!(!ask(Place { epoch, ..last }).await.is_latest);
    // A name that has left the table is known by its bucket.
    let last = ask(last).await.place;
    let name = targets[0].name();
    let member = format!("{:04x}{name}", bucket(&name));
    assert_eq!(server.ask(&["ZREM", "larder:{test}:tags", &member]), "1");
    let later = (last.number + 1).to_string();
    server.ask(&["HSET", "larder:{test}:buckets", &member[..4], &later]);
    assert!(!ask(last).await.is_latest);
}

#[tokio::test]
async fn a_waiting_reader_is_woken_by_a_stamp() {
    let server = Server::start();
    let registry = registry(&server);
    let (mut reader, begun, _) = registry.reader().await.unwrap();
    let waiting = tokio::spawn(async move { reader.round(begun.number, PATIENT).await });
    let place = stamp(&registry, &["a"]).await;
    let round = waiting.await.unwrap().unwrap();
    assert_eq!(round.logged.len(), 1);
    assert_eq!(round.place, Some(place));
}

#[tokio::test]
async fn the_newest_stamps_are_loaded_with_what_was_soft() {
    let server = Server::start();
    let registry = registry(&server);
    let (mut reader, begun, _) = registry.reader().await.unwrap();
    let soft = |at| Mode::Soft(Timestamp::from_millis(at));
    stamp(&registry, &["a", "b", "c"]).await;
    for (at, names) in [(20, &["b", "c"]), (10, &["b", "d"])] {
        let targets = tags(names);
        registry
            .stamp(&[order(&targets, Some(at))], PATIENT)
            .await
            .unwrap();
    }
    stamp(&registry, &["d"]).await;
    let (mut loaded, place) = reader.load().await.unwrap();
    assert_eq!(
        place,
        Place {
            number: begun.number + 4,
            ..begun
        }
    );
    loaded
        .stamps
        .sort_by_key(|(target, number, _)| (*target, *number));
    let mut expected = vec![
        (id("a"), begun.number + 1, Mode::Hard),
        (id("b"), begun.number + 1, Mode::Hard),
        (id("b"), begun.number + 2, soft(20)),
        (id("b"), begun.number + 3, soft(10)),
        (id("c"), begun.number + 1, Mode::Hard),
        (id("c"), begun.number + 2, soft(20)),
        (id("d"), begun.number + 4, Mode::Hard),
    ];
    expected.sort_by_key(|(target, number, _)| (*target, *number));
    assert_eq!(loaded.stamps, expected);
    assert!(loaded.buckets.is_empty());
}

#[tokio::test]
async fn names_beyond_the_limit_are_folded_into_their_buckets() {
    let server = Server::start();
    let registry = registry(&server);
    let (mut reader, begun, _) = registry.reader().await.unwrap();
    // Nobody stamps these again, so they are the oldest.
    stamp(&registry, &["old", "older"]).await;
    let targets = tags(&["soft"]);
    registry
        .stamp(&[order(&targets, Some(5))], PATIENT)
        .await
        .unwrap();
    for block in 0..200 {
        let targets: Vec<Target> = (0..500)
            .map(|at| Target::tag(&format!("{block}-{at}")))
            .collect();
        registry
            .stamp(&[order(&targets, None)], PATIENT)
            .await
            .unwrap();
    }
    assert_eq!(server.ask(&["ZCARD", "larder:{test}:tags"]), "100001");
    let (loaded, _) = reader.load().await.unwrap();
    assert_eq!(loaded.stamps.len(), 100_000);
    let mut buckets = loaded.buckets;
    buckets.sort_unstable();
    let bucket = |tag: &str| usize::from(crate::policy::bucket(&Target::tag(tag).name()));
    let mut expected = vec![
        (bucket("old"), begun.number + 1),
        (bucket("older"), begun.number + 1),
        (bucket("soft"), begun.number + 2),
    ];
    expected.sort_unstable();
    assert_eq!(buckets, expected);
    assert_eq!(server.ask(&["HLEN", "larder:{test}:soft"]), "1");
}

#[tokio::test]
async fn a_registry_that_has_lost_a_part_is_begun_anew() {
    let server = Server::start();
    let registry = registry(&server);
    let mut last = stamp(&registry, &["a"]).await;
    for part in ["seq", "tags", "buckets", "soft", "log"] {
        let key = format!("larder:{{test}}:{part}");
        assert_eq!(server.ask(&["DEL", &key]), "1");
        let next = stamp(&registry, &["a"]).await;
        assert_ne!(next.epoch, last.epoch, "{part}");
        server.ask(&["DEL", &key]);
        server.ask(&["LPUSH", &key, "of another kind"]);
        last = stamp(&registry, &["a"]).await;
        assert_ne!(next.epoch, last.epoch, "{part}");
        assert_eq!(stamp(&registry, &["a"]).await.epoch, last.epoch, "{part}");
    }
    assert_eq!(
        server.ask(&["HSET", "larder:{test}:seq", "number", "7"]),
        "0"
    );
    assert_ne!(stamp(&registry, &["a"]).await.epoch, last.epoch);
}

#[tokio::test]
async fn another_run_of_the_server_is_another_epoch_for_every_connection() {
    let server = Server::start();
    let first = stamp(&registry(&server), &["a"]).await;
    server.ask(&["HSET", "larder:{test}:seq", "run", "0123456789abcdef"]);
    // A connection of the pool is greeted before it is used.
    let place = registry(&server)
        .read_place(PATIENT)
        .await
        .unwrap()
        .unwrap();
    assert_ne!(place.epoch, first.epoch);
    assert_eq!(
        registry(&server).read_place(PATIENT).await.unwrap(),
        Some(place)
    );
}

#[tokio::test]
async fn scripts_that_the_server_forgets_are_sent_again() {
    let server = Server::start();
    let registry = registry(&server);
    let first = stamp(&registry, &["a"]).await;
    for number in 1..20 {
        server.ask(&["SCRIPT", "FLUSH"]);
        assert_eq!(stamp(&registry, &["a"]).await.number, first.number + number);
    }
}

#[tokio::test]
async fn a_full_server_refuses_stamps_and_loses_its_registry() {
    let server = Server::start();
    let registry = registry(&server);
    let first = stamp(&registry, &["a"]).await;
    server.ask(&["CONFIG", "SET", "maxmemory", "1"]);
    let targets = tags(&["a"]);
    let refused = registry.stamp(&[order(&targets, None)], PATIENT).await;
    assert_eq!(refused, Err(Unstamped::Full));
    assert_eq!(registry.read_place(PATIENT).await.unwrap(), Some(first));
    assert!(registry.destroy(PATIENT).await);
    assert_eq!(registry.read_place(PATIENT).await.unwrap(), None);
    server.ask(&["CONFIG", "SET", "maxmemory", "0"]);
    assert_ne!(stamp(&registry, &["a"]).await.epoch, first.epoch);
}

#[tokio::test]
async fn what_is_stamped_is_told_on_the_channel() {
    let server = Server::start();
    let registry = registry(&server);
    let (mut reader, _, mut mailbox) = registry.reader().await.unwrap();
    reader.subscribe(&registry.channels()).await.unwrap();
    let place = stamp(&registry, &["x"]).await;
    let expected = format!(
        r#"{{"id":"{}-{}","seq":{},"tags":["x"]}}"#,
        place.epoch, place.number, place.number
    );
    loop {
        let push = mailbox.next().await.unwrap();
        if push.kind == redis::PushKind::Message {
            assert_eq!(
                push.data.last(),
                Some(&redis::Value::BulkString(expected.into()))
            );
            return;
        }
    }
}

#[tokio::test]
async fn an_outside_message_is_claimed_once() {
    let server = Server::start();
    let registry = registry(&server);
    let claim = |digests: &[&str]| {
        let digests: Vec<String> = digests.iter().map(|digest| (*digest).to_owned()).collect();
        let registry = &registry;
        async move { registry.claim(&digests, PATIENT).await }
    };
    assert_eq!(claim(&["ab", "ab", "cd"]).await, [true, false, true]);
    assert_eq!(claim(&["cd", "ef"]).await, [false, true]);
}

#[tokio::test]
async fn without_replicas_a_stamp_is_made_and_nobody_has_it() {
    let server = Server::start();
    let registry = registry(&server);
    let targets = tags(&["a"]);
    let orders = [order(&targets, None)];
    let within = Duration::from_millis(1);
    let (place, replicas) = registry.stamp_replicated(&orders, 1, within).await.unwrap();
    assert_eq!(replicas, 0);
    assert_eq!(registry.read_place(PATIENT).await.unwrap(), Some(place));
}

#[tokio::test]
async fn a_part_that_is_lost_while_the_registry_is_read_makes_it_another_one() {
    let server = Server::start();
    let registry = registry(&server);
    let (mut reader, begun, _) = registry.reader().await.unwrap();
    stamp(&registry, &["a"]).await;
    // The sequence stays, and says nothing.
    assert_eq!(server.ask(&["UNLINK", "larder:{test}:tags"]), "1");
    let (loaded, afterwards) = reader.load().await.unwrap();
    assert_eq!(loaded.stamps, []);
    assert_ne!(afterwards.epoch, begun.epoch);
}

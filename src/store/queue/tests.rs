//! One suite for both places.

use super::*;

const SIZES: Sizes = Sizes { lanes: 2, most: 8 };

/// How long a lane is held in a test; none lasts as long.
const LONG: Duration = Duration::from_secs(60);

/// A place for one queue, gone at the end.
struct Directory(std::path::PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("larder-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

#[cfg(feature = "redis")]
fn in_redis(server: &crate::store::redis::tests::server::Server) -> Queue {
    of_sizes(server, SIZES)
}

#[cfg(feature = "redis")]
fn of_sizes(server: &crate::store::redis::tests::server::Server, sizes: Sizes) -> Queue {
    use crate::store::redis::{Connections, Layout, Settings};
    // Slow machines are no part of this contract.
    let settings = Settings {
        background_budget: Duration::from_secs(10),
        connect_limit: Duration::from_secs(10),
        ..Settings::default()
    };
    let clock = Arc::new(crate::clock::SystemClock::new());
    let connections =
        Connections::new(&server.url(), Layout::new("test"), settings, clock).unwrap();
    Queue::in_redis(&connections, "writes", sizes)
}

/// Runs `contract` in both places; the second argument is another handle on the same queue, where
/// there can be one.
async fn everywhere<F: Future<Output = ()>>(name: &str, contract: impl Fn(Queue, Queue) -> F) {
    let directory = Directory::new(name);
    let queue = Queue::in_file(&directory.0.join("queue.redb"), SIZES).unwrap();
    contract(queue.clone(), queue).await;
    #[cfg(feature = "redis")]
    {
        let server = crate::store::redis::tests::server::Server::start();
        contract(in_redis(&server), in_redis(&server)).await;
    }
}

async fn add(queue: &Queue, key: &str, value: &'static str) {
    queue.add(key, Bytes::from(value)).await.unwrap();
}

/// Takes for the one who holds the lane, by whatever handle.
async fn taken(queue: &Queue, lane: u16, count: usize) -> Taken {
    queue.take(lane, "one", LONG, count).await.unwrap().unwrap()
}

async fn take(queue: &Queue, lane: u16, count: usize) -> Vec<Waiting> {
    let taken = taken(queue, lane, count).await;
    assert_eq!(taken.lost, 0);
    taken.writes
}

fn values(taken: &[Waiting]) -> Vec<&[u8]> {
    taken.iter().map(|write| &*write.value).collect()
}

#[tokio::test]
async fn a_lane_gives_its_writes_in_order_and_again_until_they_are_settled() {
    everywhere("order", |queue, other| async move {
        for value in ["1", "2", "3"] {
            add(&queue, "a", value).await;
        }
        let lane = SIZES.lane("a");
        let first = take(&queue, lane, 2).await;
        assert_eq!(values(&first), [b"1", b"2"]);
        let again = take(&other, lane, 10).await;
        assert_eq!(values(&again), [b"1", b"2", b"3"]);
        assert_eq!(again[0].id, first[0].id);
        queue.settle(lane, &again[..1]).await.unwrap();
        let rest = take(&queue, lane, 10).await;
        assert_eq!(values(&rest), [b"2", b"3"]);
        assert!(rest[0].id < rest[1].id);
        queue.settle(lane, &rest).await.unwrap();
        assert!(take(&queue, lane, 10).await.is_empty());
        assert_eq!(queue.len().await.unwrap(), 0);
    })
    .await;
}

#[tokio::test]
async fn what_is_new_does_not_overtake_what_was_taken_and_not_settled() {
    everywhere("overtaking", |queue, _| async move {
        for value in ["1", "2", "3", "4"] {
            add(&queue, "a", value).await;
        }
        let lane = SIZES.lane("a");
        for _ in 0..3 {
            let taken = take(&queue, lane, 2).await;
            assert_eq!(values(&taken), [b"1", b"2"]);
        }
        let all = take(&queue, lane, 3).await;
        queue.settle(lane, &all).await.unwrap();
        assert_eq!(values(&take(&queue, lane, 3).await), [b"4"]);
    })
    .await;
}

#[tokio::test]
async fn the_newest_value_of_a_key_can_be_read_until_it_is_settled() {
    everywhere("pending", |queue, _| async move {
        assert_eq!(queue.pending("a").await.unwrap(), None);
        add(&queue, "a", "1").await;
        add(&queue, "a", "2 2").await;
        let pending = || async { queue.pending("a").await.unwrap() };
        assert_eq!(pending().await.as_deref(), Some(&b"2 2"[..]));
        let lane = SIZES.lane("a");
        let taken = take(&queue, lane, 10).await;
        queue.settle(lane, &taken[..1]).await.unwrap();
        assert_eq!(pending().await.as_deref(), Some(&b"2 2"[..]));
        queue.settle(lane, &taken[1..]).await.unwrap();
        assert_eq!(pending().await, None);
    })
    .await;
}

#[tokio::test]
async fn a_full_queue_refuses_and_takes_again_when_there_is_room() {
    everywhere("full", |queue, _| async move {
        let mut kept = 0;
        let refused = loop {
            match queue.add("a", Bytes::from_static(b"x")).await {
                Ok(_) => kept += 1,
                Err(refused) => break refused,
            }
            assert!(kept <= 8);
        };
        assert_eq!(refused.kind(), ErrorKind::Full);
        assert!(kept >= 4, "each lane has its part at least");
        let lane = SIZES.lane("a");
        let taken = take(&queue, lane, 1).await;
        queue.settle(lane, &taken[..1]).await.unwrap();
        add(&queue, "a", "y").await;
    })
    .await;
}

#[tokio::test]
async fn what_is_buried_can_be_seen_and_put_back_or_away() {
    everywhere("buried", |queue, _| async move {
        for key in ["a", "b"] {
            add(&queue, key, "poison").await;
            let lane = SIZES.lane(key);
            let taken = take(&queue, lane, 10).await;
            queue.bury(lane, &taken[0], "no such row").await.unwrap();
            assert_eq!(queue.pending(key).await.unwrap(), None);
        }
        assert_eq!(queue.len().await.unwrap(), 0);
        let buried = queue.buried(10).await.unwrap();
        let told: Vec<_> = buried
            .iter()
            .map(|dead| (&*dead.key, &*dead.reason))
            .collect();
        assert_eq!(told, [("a", "no such row"), ("b", "no such row")]);
        assert_eq!(buried[0].value, "poison");
        assert!(queue.dig_up(&buried[0].id, true).await.unwrap());
        assert!(!queue.dig_up(&buried[0].id, true).await.unwrap());
        assert!(queue.dig_up(&buried[1].id, false).await.unwrap());
        assert!(queue.buried(10).await.unwrap().is_empty());
        let back = take(&queue, SIZES.lane("a"), 10).await;
        assert_eq!(values(&back), [b"poison"]);
        assert_eq!(queue.len().await.unwrap(), 1);
    })
    .await;
}

#[test]
fn the_lane_of_a_key_never_changes() {
    let sizes = Sizes { lanes: 7, most: 1 };
    let lanes = ["", "a", "product:7", "é"].map(|key| sizes.lane(key));
    assert_eq!(lanes, [2, 5, 1, 2]);
}

#[tokio::test]
async fn a_file_is_open_in_one_place_and_keeps_what_it_has() {
    let directory = Directory::new("again");
    let path = directory.0.join("queue.redb");
    let queue = Queue::in_file(&path, SIZES).unwrap();
    add(&queue, "a", "1").await;
    let first = take(&queue, SIZES.lane("a"), 1).await;
    let refused = Queue::in_file(&path, SIZES).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Configuration);
    drop(queue);
    let again = loop {
        // The thread of the first one ends on its own time.
        match Queue::in_file(&path, SIZES) {
            Ok(queue) => break queue,
            Err(_) => tokio::task::yield_now().await,
        }
    };
    add(&again, "a", "2").await;
    let taken = take(&again, SIZES.lane("a"), 10).await;
    assert_eq!(taken[0], first[0]);
    assert!(taken[1].id > first[0].id);
}

#[cfg(feature = "redis")]
#[tokio::test]
async fn one_node_at_a_time_holds_a_lane() {
    let server = crate::store::redis::tests::server::Server::start();
    let (one, other) = (in_redis(&server), in_redis(&server));
    assert!(one.hold(0, "one", LONG).await.unwrap());
    assert!(one.hold(0, "one", LONG).await.unwrap());
    assert!(!other.hold(0, "other", LONG).await.unwrap());
    assert!(other.hold(1, "other", LONG).await.unwrap());
    other.release(0, "other").await.unwrap();
    assert!(!other.hold(0, "other", LONG).await.unwrap());
    one.release(0, "one").await.unwrap();
    assert!(other.hold(0, "other", LONG).await.unwrap());
}

#[cfg(feature = "redis")]
#[tokio::test]
async fn a_redis_that_may_evict_what_it_keeps_is_refused() {
    let server = crate::store::redis::tests::server::Server::start();
    server.ask(&["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"]);
    let queue = in_redis(&server);
    let refused = queue.add("a", Bytes::new()).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Configuration);
    assert!(refused.to_string().contains("noeviction"), "{refused}");
}

#[cfg(feature = "redis")]
mod removed {
    use super::*;
    use crate::store::redis::tests::server::Server;

    const STREAM: &str = "larder:{test}:w:writes:0";

    /// Returns a queue on a server of its own, with writes in lane 0 that were taken, and another
    /// handle on it.
    async fn waiting(writes: usize) -> (Server, Queue, Queue) {
        let server = Server::start();
        let (queue, other) = (in_redis(&server), in_redis(&server));
        assert_eq!(SIZES.lane("a"), 0);
        for _ in 0..writes {
            add(&queue, "a", "x").await;
        }
        take(&queue, 0, 1).await;
        (server, queue, other)
    }

    async fn lost(queue: &Queue) -> u64 {
        taken(queue, 0, 10).await.lost
    }

    #[tokio::test]
    async fn writes_whose_stream_was_removed_are_counted_once_whoever_finds_out() {
        let (server, queue, other) = waiting(3).await;
        server.ask(&["DEL", STREAM]);
        // What comes afterwards is no part of it.
        add(&queue, "a", "y").await;
        assert_eq!(lost(&other).await, 3);
        assert_eq!((lost(&queue).await, lost(&other).await), (0, 0));
        let rest = take(&queue, 0, 10).await;
        assert_eq!(values(&rest), [b"y"]);
        queue.settle(0, &rest).await.unwrap();
        assert_eq!(lost(&queue).await, 0);
    }

    #[tokio::test]
    async fn rows_that_were_removed_are_counted_also_if_they_were_taken() {
        let (server, queue, _) = waiting(3).await;
        let all = take(&queue, 0, 10).await;
        server.ask(&["XDEL", STREAM, &all[0].id]);
        server.ask(&["XTRIM", STREAM, "MAXLEN", "1"]);
        let left = taken(&queue, 0, 10).await;
        assert_eq!((left.writes.as_slice(), left.lost), (&all[2..], 2));
        assert_eq!(lost(&queue).await, 0);
    }

    #[tokio::test]
    async fn of_an_emptied_redis_those_are_counted_that_were_known_to_wait() {
        let (server, queue, other) = waiting(3).await;
        // A node that asks for the lane and does not get it hears how many wait.
        let not_held = other.take(0, "other", LONG, 1).await.unwrap();
        assert_eq!(not_held, None);
        server.ask(&["FLUSHALL"]);
        for _ in 0..4 {
            add(&queue, "a", "y").await;
        }
        let found = other.take(0, "other", LONG, 1).await.unwrap();
        assert_eq!(found.map(|found| found.lost), Some(3));
        other.release(0, "other").await.unwrap();
        assert_eq!(lost(&queue).await, 0);
        assert_eq!(take(&queue, 0, 10).await.len(), 4);
    }

    #[tokio::test]
    async fn what_was_delivered_before_its_stream_was_removed_is_not_lost() {
        for all in [false, true] {
            let (server, queue, _) = waiting(3).await;
            let taken = take(&queue, 0, 10).await;
            let remove: &[&str] = if all { &["FLUSHALL"] } else { &["DEL", STREAM] };
            server.ask(remove);
            queue.settle(0, &taken[..2]).await.unwrap();
            queue.bury(0, &taken[2], "no such row").await.unwrap();
            assert_eq!(lost(&queue).await, 0, "{remove:?}");
        }
    }

    #[tokio::test]
    async fn nothing_is_lost_with_the_group_or_the_lane_of_a_queue() {
        let (server, queue, _) = waiting(3).await;
        server.ask(&["XGROUP", "DESTROY", STREAM, "larder"]);
        assert_eq!(take(&queue, 0, 10).await.len(), 3);
        // Added by somebody who notes nothing, such as an earlier release.
        server.ask(&["XADD", STREAM, "*", "k", "a", "v", "x"]);
        let taken = take(&queue, 0, 10).await;
        assert_eq!(taken.len(), 4);
        queue.settle(0, &taken).await.unwrap();
        assert_eq!(lost(&queue).await, 0);
    }
}

#[cfg(feature = "redis")]
mod arriving {
    use super::*;
    use crate::store::redis::tests::server::Server;

    /// Returns a queue of one lane, that has been in use.
    async fn used(server: &Server) -> Queue {
        let sizes = Sizes {
            lanes: 1,
            most: 150,
        };
        let queue = of_sizes(server, sizes);
        add(&queue, "first", "x").await;
        queue
    }

    /// Has a write begun, and nobody wait for it.
    async fn begin(queue: &Queue, value: &'static str) {
        tokio::select! {
            biased;
            told = queue.add("a", Bytes::from(value)) => panic!("{told:?}"),
            () = std::future::ready(()) => {}
        }
    }

    fn scripts_run(server: &Server) -> u64 {
        let told = server.ask(&["INFO", "commandstats"]);
        let line = told.split("cmdstat_evalsha:calls=").nth(1).unwrap();
        line.split(',').next().unwrap().parse().unwrap()
    }

    #[tokio::test]
    async fn many_who_add_at_once_share_a_question_and_keep_their_order() {
        let server = Server::start();
        let queue = used(&server).await;
        let before = scripts_run(&server);
        let adders = (0..200).map(|number: usize| {
            let queue = queue.clone();
            let add = async move { queue.add(&number.to_string(), Bytes::new()).await };
            tokio::spawn(add)
        });
        let adders: Vec<_> = adders.collect();
        for (number, adder) in adders.into_iter().enumerate() {
            let refused = adder.await.unwrap().err().map(|error| error.kind());
            // One is there already.
            let is_full = (number >= 149).then_some(ErrorKind::Full);
            assert_eq!(refused, is_full, "{number}");
        }
        let questions = scripts_run(&server) - before;
        assert!(questions <= 5, "{questions} of at most 64 writes");
        let kept = take(&queue, 0, 500).await;
        let keys = kept.iter().skip(1).map(|write| write.key.to_string());
        assert!(keys.eq((0..149).map(|number| number.to_string())));
    }

    #[tokio::test]
    async fn who_stops_waiting_takes_nothing_from_those_who_come_after() {
        let server = Server::start();
        let queue = used(&server).await;
        begin(&queue, "1").await;
        add(&queue, "a", "2").await;
        let taken = take(&queue, 0, 10).await;
        assert_eq!(values(&taken), [&b"x"[..], b"1", b"2"]);
    }

    #[test]
    fn a_runtime_that_ends_leaves_nobody_waiting_in_the_next() {
        let server = Server::start();
        let run = || {
            let mut runtime = tokio::runtime::Builder::new_current_thread();
            runtime.enable_all().build().unwrap()
        };
        let queue = run().block_on(async {
            let queue = used(&server).await;
            begin(&queue, "1").await;
            queue
        });
        run().block_on(async {
            let added = tokio::time::timeout(LONG, queue.add("a", Bytes::new()));
            // With the connections of the first one it may fail, but not wait for ever.
            assert!(added.await.is_ok());
        });
    }
}

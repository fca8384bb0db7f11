//! A replica takes over that lacks the last that its primary had taken.

use std::time::{Duration, Instant};

use larder::{Ack, Consistency, Target};
use tokio::runtime::Runtime;

use crate::{
    node::{Node, Truth},
    pair::AGREEMENT,
    support::{proxy::Proxy, redis::Redis},
};

/// Returns the number of the last invalidation that a server knows of.
fn number(server: &Redis) -> i64 {
    server
        .ask(&["HGET", "larder:{larder}:seq", "number"])
        .number()
}

#[test]
fn a_replica_that_takes_over_has_what_was_waited_for_and_may_lack_the_rest() {
    let (mut primary, replica) = (Redis::start(), Redis::start());
    let link = Proxy::before(primary.address());
    let port = link.address().port().to_string();
    replica.ask(&["REPLICAOF", "127.0.0.1", &port]);
    let (waited_for, last) = Runtime::new()
        .unwrap()
        .block_on(invalidated(&primary, &link));
    primary.kill();
    drop(link);
    assert_eq!(replica.ask(&["REPLICAOF", "NO", "ONE"]).text(), "OK");
    assert!((waited_for..last).contains(&number(&replica)));
}

/// Invalidates while the replica hears of it, and while it does not; returns the number that
/// was waited for, and that of the last before it took over.
async fn invalidated(primary: &Redis, link: &Proxy) -> (i64, i64) {
    let one = Node::start(primary.url(), &Truth::new(), Consistency::Bounded).await;
    let begun = Instant::now();
    let tag = |name| [Target::tag(name)];
    let soon = Duration::from_millis(500);
    while one.larder.invalidate_wait(tag("a"), 1, soon).await != Ack::Global {
        assert!(begun.elapsed() < AGREEMENT, "no replica has it");
    }
    let waited_for = number(primary);
    link.set(|faults| faults.replies.hold = true);
    assert_eq!(one.larder.invalidate(tag("b")).await, Ack::Global);
    let last = number(primary);
    let ack = one.larder.invalidate_wait(tag("c"), 1, soon).await;
    assert!(matches!(ack, Ack::Local { .. }), "{ack:?}");
    (waited_for, last)
}

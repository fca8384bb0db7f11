//! The list of permissions that the page about operations gives is enough for all of it.

use std::time::{Duration, Instant};

use larder::{
    Ack, Larder, Redis as Tier, Target, secs,
    structures::Name,
    write_behind::{Sink, SinkError, Write},
};
use tokio::time::sleep;

use super::support::redis::Redis;

/// Long enough for anything that is waited for here.
const LONG: Duration = Duration::from_secs(60);

struct Nowhere;

impl Sink<u64> for Nowhere {
    async fn write(&self, _: &[Write<u64>]) -> Result<(), SinkError> {
        Ok(())
    }
}

/// Returns the words of the command on the page.
fn command() -> Vec<&'static str> {
    let page = include_str!("../../src/docs/operations.md");
    let mut lines = page.lines().filter(|line| line.starts_with("ACL SETUSER "));
    lines.next().unwrap().split(' ').collect()
}

async fn node(redis: &Redis) -> Larder {
    let url = format!("redis://larder:password@{}", redis.address());
    let tier = Tier::new(url)
        .budget(secs(10))
        .background_budget(secs(10))
        .connect_limit(secs(10));
    let larder = Larder::builder().redis(tier).flight_lock(true);
    let larder = larder.build().await.unwrap();
    let began = Instant::now();
    while larder.invalidate_tag("met").await != Ack::Global {
        assert!(began.elapsed() < LONG, "{:?}", larder.statistics());
        sleep(Duration::from_millis(5)).await;
    }
    larder
}

#[tokio::test]
async fn a_user_with_the_permissions_of_the_page_may_do_all_of_it() {
    let redis = Redis::start();
    assert_eq!(redis.ask(&command()).text(), "OK");
    let (one, other) = (node(&redis).await, node(&redis).await);

    let numbers = one.typed::<u64>("number");
    let load = |_| async { Ok::<_, std::io::Error>(Some(7)) };
    numbers.get_or_load("7", load).await.unwrap();
    let (elsewhere, began) = (other.typed::<u64>("number"), Instant::now());
    while elsewhere.get("7").await.as_deref() != Some(&7) {
        assert!(began.elapsed() < LONG, "{:?}", one.statistics().redis);
        sleep(Duration::from_millis(5)).await;
    }
    let commit = async { Ok::<_, std::io::Error>(()) };
    let written = numbers.write_through_version("7", 1, 8, commit);
    assert!(written.await.unwrap().stored);

    let name = Name::new("shop", "product", "7").unwrap();
    assert_eq!(one.counter(&name).add(2).await.unwrap(), 2);
    one.ranking(&name.field("sold").unwrap())
        .raise("7", 1.0)
        .await
        .unwrap();

    let queue = one.write_behind("numbers").start(Nowhere).await.unwrap();
    queue.add("7", &9).await.unwrap();
    assert!(queue.drain(LONG).await.unwrap());

    let tag = [Target::tag("met")];
    let waited = one.invalidate_wait(tag, 1, Duration::from_millis(1)).await;
    assert!(matches!(waited, Ack::Local { .. }), "there is no replica");

    assert_eq!(one.statistics().redis.errors, 0);
    let refused = redis.ask(&["ACL", "LOG"]).list();
    let what = refused.into_iter().map(|line| line.list()[7].text());
    assert_eq!(what.collect::<Vec<_>>(), [""; 0]);
}

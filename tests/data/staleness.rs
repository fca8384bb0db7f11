//! Values past the end of their freshness.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use larder::{LoadError, Target, Typed, secs};

use super::larder;

/// A source whose value is the number of its reads, and which can be made to fail.
#[derive(Clone, Default)]
struct Source {
    reads: Arc<AtomicU64>,
    fails: Arc<std::sync::atomic::AtomicBool>,
}

impl Source {
    async fn read(&self, values: &Typed<u64>) -> Result<u64, LoadError> {
        let source = self.clone();
        let value = values.get_or_load("7", move |_| async move {
            let read = source.reads.fetch_add(1, Ordering::SeqCst) + 1;
            if source.fails.load(Ordering::SeqCst) {
                return Err(io::Error::other("down"));
            }
            Ok(Some(read))
        });
        Ok(*value.await?.unwrap())
    }

    /// Waits until the source was read so often, and what it brought is stored.
    async fn was_read(&self, times: u64, values: &Typed<u64>) {
        while self.reads.load(Ordering::SeqCst) < times
            || values.get("7").await.as_deref() != Some(&times)
        {
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test]
async fn a_stale_value_is_returned_at_once_and_loaded_anew() {
    let (larder, clock) = larder().await;
    let values = larder
        .typed::<u64>("value")
        .ttl(secs(10))
        .stale_while_revalidate(secs(5));
    let source = Source::default();
    assert_eq!(source.read(&values).await.unwrap(), 1);
    clock.advance(secs(14));
    assert_eq!(source.read(&values).await.unwrap(), 1);
    source.was_read(2, &values).await;
    clock.advance(secs(15));
    assert_eq!(source.read(&values).await.unwrap(), 3);
}

#[tokio::test]
async fn a_value_near_its_end_is_loaded_ahead() {
    let (larder, clock) = larder().await;
    let values = larder
        .typed::<u64>("value")
        .ttl(secs(10))
        .refresh_ahead(0.8);
    let source = Source::default();
    assert_eq!(source.read(&values).await.unwrap(), 1);
    clock.advance(secs(7));
    assert_eq!(source.read(&values).await.unwrap(), 1);
    clock.advance(secs(1));
    assert_eq!(source.read(&values).await.unwrap(), 1);
    source.was_read(2, &values).await;
}

#[tokio::test]
async fn a_spare_value_stands_in_for_a_load_that_fails_and_only_within_its_window() {
    let (larder, clock) = larder().await;
    let values = larder
        .typed::<u64>("value")
        .ttl(secs(10))
        .stale_if_error(secs(60));
    let source = Source::default();
    assert_eq!(source.read(&values).await.unwrap(), 1);
    source.fails.store(true, Ordering::SeqCst);
    clock.advance(secs(69));
    assert_eq!(source.read(&values).await.unwrap(), 1);
    clock.advance(secs(1));
    assert!(source.read(&values).await.is_err());
}

#[tokio::test]
async fn a_hard_purge_leaves_nothing_to_stand_in_and_a_soft_one_counts_from_its_moment() {
    let (larder, clock) = larder().await;
    let values = larder
        .typed::<u64>("value")
        .ttl(secs(1000))
        .stale_if_error(secs(60));
    let source = Source::default();
    assert_eq!(source.read(&values).await.unwrap(), 1);
    source.fails.store(true, Ordering::SeqCst);
    larder.invalidate_soft([Target::tag("value:7")]).await;
    clock.advance(secs(59));
    assert_eq!(source.read(&values).await.unwrap(), 1);
    clock.advance(Duration::from_secs(1));
    assert!(source.read(&values).await.is_err());
    source.fails.store(false, Ordering::SeqCst);
    source.read(&values).await.unwrap();
    source.fails.store(true, Ordering::SeqCst);
    larder.invalidate([Target::tag("value:7")]).await;
    assert!(source.read(&values).await.is_err());
}

#[tokio::test]
async fn that_there_is_no_value_is_not_returned_any_longer_than_it_is_fresh() {
    let (larder, clock) = larder().await;
    let values = larder
        .typed::<u64>("value")
        .negative_ttl(secs(2))
        .stale_while_revalidate(secs(60))
        .stale_if_error(secs(60));
    let absent = values.get_or_load("7", |_| async { Ok::<_, io::Error>(None) });
    assert_eq!(absent.await.unwrap(), None);
    clock.advance(secs(3));
    assert_eq!(Source::default().read(&values).await.unwrap(), 1);
}

//! Reading values: loads, absences, failures.

use std::{
    collections::HashMap,
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use larder::{Encoding, LoadError, LookUp, Typed, secs};
use serde::{Deserialize, Serialize};
use tokio::{
    sync::{Notify, Semaphore},
    task::{JoinHandle, JoinSet},
};

use super::larder;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Product {
    name: String,
    price: u64,
}

fn kettle() -> Product {
    Product {
        name: "kettle".into(),
        price: 1990,
    }
}

/// Starts a load of value 7 and returns when it has begun. It ends as `end` says when it is let go.
async fn held(
    values: &Typed<u64>,
    end: impl FnOnce() -> io::Result<Option<u64>> + Send + 'static,
) -> (JoinHandle<Result<Option<Arc<u64>>, LoadError>>, Arc<Notify>) {
    let (began, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let load = {
        let (values, began, go) = (values.clone(), Arc::clone(&began), Arc::clone(&go));
        tokio::spawn(async move {
            values
                .get_or_load("7", move |_| async move {
                    began.notify_one();
                    go.notified().await;
                    end()
                })
                .await
        })
    };
    began.notified().await;
    (load, go)
}

/// Returns what a load brings that is never waited for.
async fn brought(value: u64) -> io::Result<Option<u64>> {
    Ok(Some(value))
}

#[tokio::test]
async fn a_hundred_readers_of_one_value_share_one_load() {
    let (larder, _) = larder().await;
    let products = larder.typed::<Product>("product");
    let (runs, go) = (Arc::new(AtomicU64::new(0)), Arc::new(Notify::new()));
    let mut readers = JoinSet::new();
    for _ in 0..100 {
        let (products, runs, go) = (products.clone(), Arc::clone(&runs), Arc::clone(&go));
        readers.spawn(async move {
            products
                .get_or_load("7", move |_| async move {
                    runs.fetch_add(1, Ordering::SeqCst);
                    go.notified().await;
                    Ok::<_, io::Error>(Some(kettle()))
                })
                .await
        });
    }
    while larder.statistics().flights == 0 && runs.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    go.notify_waiters();
    go.notify_one();
    while let Some(read) = readers.join_next().await {
        assert_eq!(*read.unwrap().unwrap().unwrap(), kettle());
    }
    assert_eq!(runs.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn how_reads_end_is_counted() {
    let (larder, clock) = larder().await;
    let values = larder
        .typed::<u64>("value")
        .ttl(secs(60))
        .stale_while_revalidate(secs(60));
    assert_eq!(values.get("7").await, None);
    for value in [1, 2] {
        values
            .get_or_load("7", move |_| brought(value))
            .await
            .unwrap();
    }
    clock.advance(secs(90));
    values.get_or_load("7", |_| brought(3)).await.unwrap();
    while values.get("7").await.as_deref() != Some(&3) {
        tokio::task::yield_now().await;
    }
    let [(_, _, hits), (_, _, found), (_, _, stale), (_, _, loads)] = larder.statistics().values();
    assert!(hits >= 2, "{hits}");
    assert!(stale >= 1, "{stale}");
    assert_eq!((found, loads), (0, 2));
}

#[tokio::test]
async fn a_value_is_decoded_once_and_shared() {
    let (larder, _) = larder().await;
    for encoding in [Encoding::Json, Encoding::Postcard] {
        let products = larder.typed::<Product>("product").encoding(encoding);
        products.insert("7", kettle()).await;
        let (one, other) = (
            products.get("7").await.unwrap(),
            products.get("7").await.unwrap(),
        );
        assert!(Arc::ptr_eq(&one, &other));
        assert_eq!(*one, kettle());
    }
}

#[tokio::test]
async fn a_value_of_another_type_is_a_miss() {
    let (larder, _) = larder().await;
    larder
        .typed::<Product>("product")
        .insert("7", kettle())
        .await;
    let numbers = larder.typed::<u64>("product");
    assert_eq!(numbers.get("7").await, None);
    let loaded = numbers.get_or_load("7", |_| brought(1));
    assert_eq!(loaded.await.unwrap().as_deref(), Some(&1));
}

#[tokio::test]
async fn who_waits_for_loads_of_another_type_loads_his_own() {
    let (larder, clock) = larder().await;
    let numbers = larder.typed::<u64>("product").ttl(secs(1));
    let products = larder.typed::<Product>("product");
    let own = products.get_or_load("7", |_| async { Ok::<_, io::Error>(Some(kettle())) });
    let mut own = std::pin::pin!(own);
    for number in 0..3 {
        let (load, go) = held(&numbers, move || Ok(Some(number))).await;
        assert!(futures_pending(own.as_mut()).await, "it waits");
        go.notify_one();
        load.await.unwrap().unwrap();
        clock.advance(secs(2));
    }
    assert_eq!(*own.await.unwrap().unwrap(), kettle());
}

#[tokio::test]
async fn kinds_and_ids_are_told_apart() {
    let (larder, _) = larder().await;
    let (one, other) = (larder.typed::<u64>("a"), larder.typed::<u64>("ab"));
    one.insert("bc", 1).await;
    other.insert("c", 2).await;
    assert_eq!(one.get("bc").await.as_deref(), Some(&1));
    assert_eq!(other.get("c").await.as_deref(), Some(&2));
    assert_eq!(
        one.get_many(["x", "bc"]).await,
        [None, Some(Arc::new(1_u64))]
    );
}

#[tokio::test]
async fn that_there_is_no_value_is_remembered_for_its_own_time() {
    let (larder, clock) = larder().await;
    let products = larder.typed::<u64>("product").negative_ttl(secs(3));
    let runs = Arc::new(AtomicU64::new(0));
    let read = || {
        let runs = Arc::clone(&runs);
        products.get_or_load("7", move |_| async move {
            runs.fetch_add(1, Ordering::SeqCst);
            Ok::<_, io::Error>(None)
        })
    };
    assert_eq!(read().await.unwrap(), None);
    assert_eq!(read().await.unwrap(), None);
    assert!(matches!(products.look_up("7").await, LookUp::Absent));
    assert_eq!(runs.load(Ordering::SeqCst), 1);
    clock.advance(secs(3));
    assert_eq!(read().await.unwrap(), None);
    assert_eq!(runs.load(Ordering::SeqCst), 2);
    products.remove("7").await;
    assert_eq!(read().await.unwrap(), None);
    assert_eq!(runs.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn a_load_that_is_slower_than_an_invalidation_leaves_nothing_behind() {
    let (larder, _) = larder().await;
    let values = larder.typed::<u64>("value");
    let (slow, go) = held(&values, || Ok(Some(1))).await;
    values.remove("7").await;
    // Whoever comes now does not wait for the old load.
    let new = values.get_or_load("7", |_| brought(2));
    assert_eq!(new.await.unwrap().as_deref(), Some(&2));
    go.notify_one();
    assert_eq!(slow.await.unwrap().unwrap().as_deref(), Some(&1));
    assert_eq!(values.get("7").await.as_deref(), Some(&2));
}

#[tokio::test]
async fn what_was_read_before_an_invalidation_does_not_fill_the_vacancy() {
    let (larder, _) = larder().await;
    let values = larder.typed::<u64>("value");
    let LookUp::Vacant(vacancy) = values.look_up("7").await else {
        panic!("nothing was stored");
    };
    values.remove("7").await;
    assert_eq!(*vacancy.fill(1).await, 1);
    assert_eq!(values.get("7").await, None);
    let LookUp::Vacant(vacancy) = values.look_up("7").await else {
        panic!("nothing was stored");
    };
    vacancy.fill(2).await;
    assert_eq!(values.get("7").await.as_deref(), Some(&2));
}

#[tokio::test]
async fn a_reader_that_leaves_strands_nobody() {
    let (larder, _) = larder().await;
    let values = larder.typed::<u64>("value");
    let (leader, go) = held(&values, || Ok(Some(1))).await;
    let follower = {
        let values = values.clone();
        tokio::spawn(async move { values.get_or_load("7", |_| brought(2)).await })
    };
    tokio::task::yield_now().await;
    leader.abort();
    go.notify_one();
    assert_eq!(follower.await.unwrap().unwrap().as_deref(), Some(&1));
}

#[tokio::test]
async fn all_who_wait_for_a_load_that_fails_have_its_error_and_the_next_one_loads() {
    let (larder, _) = larder().await;
    let values = larder.typed::<u64>("value");
    let (leader, go) = held(&values, || Err(io::Error::other("no database"))).await;
    let mut follower = std::pin::pin!(values.get_or_load("7", |_| brought(2)));
    assert!(futures_pending(follower.as_mut()).await);
    go.notify_one();
    for error in [
        leader.await.unwrap().unwrap_err(),
        follower.await.unwrap_err(),
    ] {
        assert!(error.to_string().contains("no database"), "{error}");
        assert!(error.downcast_ref::<io::Error>().is_some());
    }
    let next = values.get_or_load("7", |_| brought(3));
    assert_eq!(next.await.unwrap().as_deref(), Some(&3));
}

/// Polls once and tells whether it waits.
async fn futures_pending<F: Future + Unpin>(mut future: F) -> bool {
    std::future::poll_fn(|context| {
        let poll = std::pin::Pin::new(&mut future).poll(context);
        std::task::Poll::Ready(poll.is_pending())
    })
    .await
}

#[tokio::test]
async fn a_load_that_panics_hands_over_to_one_who_waits() {
    let (larder, _) = larder().await;
    let values = larder.typed::<u64>("value");
    let (leader, go) = held(&values, || panic!("in a load")).await;
    let mut follower = std::pin::pin!(values.get_or_load("7", |_| brought(2)));
    assert!(futures_pending(follower.as_mut()).await);
    go.notify_one();
    assert!(leader.await.unwrap_err().is_panic());
    assert_eq!(follower.await.unwrap().as_deref(), Some(&2));
}

#[tokio::test(start_paused = true)]
async fn whoever_has_waited_long_enough_loads_once_and_asks_nobody_again() {
    let (larder, _) = larder().await;
    let values = larder.typed::<u64>("value").wait_limit(secs(1));
    let (leader, go) = held(&values, || Ok(Some(1))).await;
    let began = tokio::time::Instant::now();
    assert_eq!(
        values
            .get_or_load("7", |_| brought(2))
            .await
            .unwrap()
            .as_deref(),
        Some(&2)
    );
    assert_eq!(began.elapsed(), secs(1));
    go.notify_one();
    assert_eq!(leader.await.unwrap().unwrap().as_deref(), Some(&1));
}

#[tokio::test]
async fn a_load_may_say_that_its_value_is_not_kept_or_for_how_long() {
    let (larder, clock) = larder().await;
    let values = larder.typed::<u64>("value").ttl(secs(60));
    let kept = values.get_or_load("no", |cx| async move {
        cx.no_store();
        Ok::<_, io::Error>(Some(1))
    });
    assert_eq!(kept.await.unwrap().as_deref(), Some(&1));
    assert_eq!(values.get("no").await, None);
    let short = values.get_or_load("short", |cx| async move {
        cx.ttl(secs(5)).tag("shelf:3");
        Ok::<_, io::Error>(Some(1))
    });
    short.await.unwrap();
    assert!(values.get("short").await.is_some());
    clock.advance(secs(5));
    assert_eq!(values.get("short").await, None);
}

#[tokio::test]
async fn a_value_that_can_not_be_written_down_is_for_those_who_wait_for_its_load() {
    let (larder, _) = larder().await;
    // In JSON keys are texts.
    let values = larder.typed::<HashMap<Vec<u8>, u8>>("value");
    let runs = Arc::new(AtomicU64::new(0));
    for crowd in 1..=2 {
        let (mut readers, go) = (JoinSet::new(), Arc::new(Semaphore::new(0)));
        for _ in 0..10 {
            let (values, runs, go) = (values.clone(), Arc::clone(&runs), Arc::clone(&go));
            readers.spawn(async move {
                let load = move |_| async move {
                    runs.fetch_add(1, Ordering::SeqCst);
                    go.acquire().await.unwrap().forget();
                    Ok::<_, io::Error>(Some(HashMap::from([(vec![1], 2)])))
                };
                values.get_or_load("7", load).await
            });
        }
        while runs.load(Ordering::SeqCst) < crowd {
            tokio::task::yield_now().await;
        }
        go.add_permits(10);
        for read in readers.join_all().await {
            assert_eq!(read.unwrap().unwrap()[&vec![1]], 2);
        }
        assert_eq!(runs.load(Ordering::SeqCst), crowd);
    }
}

#[tokio::test]
async fn tags_and_versions_make_values_void() {
    let (larder, _) = larder().await;
    let values = larder.typed::<u64>("value");
    let fill = || async {
        for id in ["1", "2"] {
            let load = values.get_or_load(id, |cx| async move {
                cx.tag("shelf");
                Ok::<_, io::Error>(Some(1))
            });
            load.await.unwrap();
        }
    };
    fill().await;
    larder.invalidate_tag("value:1").await;
    assert_eq!(values.get("1").await, None);
    assert!(values.get("2").await.is_some());
    fill().await;
    larder.invalidate_tag("shelf").await;
    assert_eq!(values.get_many(["1", "2"]).await, [None, None]);
    fill().await;
    values.bump_version().await;
    assert_eq!(values.get_many(["1", "2"]).await, [None, None]);
}

#[tokio::test]
async fn a_large_value_is_packed_and_read_back() {
    let (larder, _) = larder().await;
    let texts = larder.typed::<String>("text");
    let text = "a long text ".repeat(100_000);
    texts.insert("1", text.clone()).await;
    assert!(larder.statistics().entries == 1);
    assert_eq!(*texts.get("1").await.unwrap(), text);
    assert!(larder.statistics().bytes < 2 * 1_200_000);
}

//! Writes, and what they make void.

use std::{future::pending, io};

use larder::{Ack, Target};

use super::larder;

#[tokio::test]
async fn a_write_makes_void_what_it_names_whether_it_succeeds_or_not() {
    let (larder, _) = larder().await;
    let values = larder.typed::<u64>("value");
    for fails in [false, true] {
        values.insert("7", 1).await;
        let written = larder.writing([Target::tag("value:7")], async {
            if fails {
                Err(io::Error::other("conflict"))
            } else {
                Ok("done")
            }
        });
        match written.await {
            Ok(written) => assert_eq!((written.output, written.ack), ("done", Ack::Global)),
            Err(error) => assert_eq!(error.to_string(), "conflict"),
        }
        assert_eq!(values.get("7").await, None);
    }
}

#[tokio::test(start_paused = true)]
async fn a_write_that_is_dropped_makes_void_at_once_and_again_after_two_seconds() {
    let (larder, _) = larder().await;
    let values = larder.typed::<u64>("value");
    values.insert("7", 1).await;
    {
        let mut write =
            Box::pin(larder.writing([Target::tag("value:7")], pending::<Result<(), io::Error>>()));
        tokio::select! {
            biased;
            _ = &mut write => unreachable!("the commit never ends"),
            () = tokio::task::yield_now() => {}
        }
        assert!(values.get("7").await.is_some());
    }
    assert_eq!(values.get("7").await, None);
    values.insert("7", 2).await;
    tokio::time::sleep(larder::secs(3)).await;
    assert_eq!(values.get("7").await, None);
}

#[tokio::test]
async fn a_write_through_stores_the_new_value() {
    let (larder, _) = larder().await;
    let values = larder.typed::<u64>("value");
    values.insert("7", 1).await;
    let written = values.write_through("7", 2, async { Ok::<_, io::Error>("row 7") });
    let written = written.await.unwrap();
    assert_eq!((written.output, written.stored), ("row 7", true));
    assert_eq!(values.get("7").await.as_deref(), Some(&2));
}

#[tokio::test]
async fn a_write_through_whose_commit_fails_stores_nothing_and_makes_void() {
    let (larder, _) = larder().await;
    let values = larder.typed::<u64>("value");
    values.insert("7", 1).await;
    let failed = values.write_through("7", 2, async { Err::<(), _>(io::Error::other("no")) });
    assert!(failed.await.is_err());
    assert_eq!(values.get("7").await, None);
}

#[tokio::test]
async fn a_write_through_that_was_overtaken_by_an_invalidation_stores_nothing() {
    let (larder, _) = larder().await;
    let values = larder.typed::<u64>("value");
    for tag in ["value:7", "value"] {
        let written = values.write_through("7", 2, async {
            larder.invalidate_tag(tag).await;
            Ok::<_, io::Error>(())
        });
        assert!(!written.await.unwrap().stored, "{tag}");
        assert_eq!(values.get("7").await, None, "{tag}");
    }
}

#[tokio::test]
async fn a_write_of_an_earlier_version_than_what_is_stored_stores_nothing() {
    let (larder, _) = larder().await;
    let values = larder.typed::<u64>("value");
    let write = |version, value| {
        let done = async { Ok::<_, io::Error>(()) };
        values.write_through_version("7", version, value, done)
    };
    assert!(write(2, 20).await.unwrap().stored);
    assert_eq!(values.get("7").await.as_deref(), Some(&20));
    assert!(!write(1, 10).await.unwrap().stored);
    assert_eq!(values.get("7").await, None);
    assert!(write(3, 30).await.unwrap().stored);
    assert_eq!(values.get("7").await.as_deref(), Some(&30));
}

#[tokio::test]
async fn a_new_version_of_the_namespace_is_one_for_values_too() {
    let (larder, _) = larder().await;
    let values = larder.typed::<u64>("value");
    values.insert("7", 1).await;
    larder.bump_version().await;
    assert_eq!(values.get("7").await, None);
}

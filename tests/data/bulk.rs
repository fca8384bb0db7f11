//! Many values at once.

use std::{
    collections::HashMap,
    io,
    num::NonZeroUsize,
    sync::{Arc, Mutex},
};

use larder::Typed;

use super::larder;

/// Loads the numbers below ten and remembers what it was asked for.
async fn numbers(
    asked: &Mutex<Vec<Vec<String>>>,
    ids: Vec<String>,
) -> Result<HashMap<String, u64>, io::Error> {
    asked.lock().unwrap().push(ids.clone());
    if ids.iter().any(|id| id == "bad") {
        return Err(io::Error::other("no database"));
    }
    let known = ids.into_iter().filter_map(|id| {
        let number = id.parse().ok().filter(|number| *number < 10)?;
        Some((id, number))
    });
    Ok(known.collect())
}

async fn read(
    values: &Typed<u64>,
    asked: &Mutex<Vec<Vec<String>>>,
    ids: &[&str],
) -> Vec<Option<u64>> {
    let read = values.get_or_load_many(ids, |missing| numbers(asked, missing));
    let values = read.await.unwrap().into_iter();
    values.map(|value| value.as_deref().copied()).collect()
}

#[tokio::test]
async fn what_is_missing_is_loaded_in_one_go_and_each_once() {
    let (larder, _) = larder().await;
    let values = larder.typed::<u64>("value");
    let asked = Mutex::default();
    values.insert("1", 1).await;
    let found = read(&values, &asked, &["3", "1", "99", "3", "2"]).await;
    assert_eq!(found, [Some(3), Some(1), None, Some(3), Some(2)]);
    assert_eq!(*asked.lock().unwrap(), [["2", "3", "99"]]);
    // What is not there is known, too.
    assert_eq!(read(&values, &asked, &["99", "2"]).await, [None, Some(2)]);
    assert_eq!(asked.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_load_of_many_that_an_invalidation_overtakes_leaves_nothing_behind() {
    let (larder, _) = larder().await;
    let values = larder.typed::<u64>("value");
    let loaded = values.get_or_load_many(["1", "2"], |ids| async {
        larder.invalidate_tag("value:1").await;
        let ids = ids.into_iter();
        Ok::<_, io::Error>(ids.map(|id| (id, 5)).collect::<HashMap<_, _>>())
    });
    assert_eq!(loaded.await.unwrap().len(), 2);
    assert_eq!(values.get("1").await, None);
    assert_eq!(values.get("2").await, Some(Arc::new(5)));
}

#[tokio::test]
async fn warming_goes_on_after_a_batch_that_fails_and_lists_it() {
    let (larder, _) = larder().await;
    let values = larder.typed::<u64>("value");
    let (asked, mut steps) = (Mutex::default(), Vec::new());
    let warmed = values
        .warm(
            ["0", "1", "bad", "2", "3", "50"],
            NonZeroUsize::new(2).unwrap(),
            |ids| numbers(&asked, ids),
            |so_far| steps.push(so_far.loaded),
        )
        .await;
    assert_eq!((warmed.loaded, warmed.absent), (3, 1));
    let failed: Vec<_> = warmed.failed.iter().map(|(id, _)| &**id).collect();
    assert_eq!(failed, ["bad", "2"]);
    assert!(warmed.failed[0].1.to_string().contains("no database"));
    assert_eq!(steps, [2, 2, 3]);
    assert!(values.get("3").await.is_some());
}

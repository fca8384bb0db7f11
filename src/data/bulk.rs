//! Many values at once.

use std::{collections::HashMap, future::Future, num::NonZeroUsize, sync::Arc};

use serde::{Serialize, de::DeserializeOwned};

use super::{LoadError, Typed, run::Made};
use crate::{handle::Gathering, observe::Event};

/// After how many values warming waits until they are written: more than some hundreds do not wait
/// beside each other, and what finds no room is dropped.
const WRITTEN_AT_ONCE: usize = 256;

/// How far a [`Typed::warm`] has come.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Warmed {
    /// Values that were loaded and stored.
    pub loaded: usize,
    /// Ids of which there is no value.
    pub absent: usize,
    /// Ids whose load failed, with the reason.
    pub failed: Vec<(String, LoadError)>,
}

impl<T> Typed<T>
where
    T: Serialize + DeserializeOwned + Send + Sync + 'static,
{
    /// Returns the values in the order of `ids`; loads those that are not stored in one go.
    ///
    /// `load` is given the ids that are missing and returns what there is of them; what it leaves out
    /// does not exist. Unlike [`get_or_load`](Self::get_or_load) it runs in the caller's own task, and
    /// callers do not share it.
    ///
    /// ```
    /// use std::collections::HashMap;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let larder = larder::Larder::builder().build().await?;
    /// let names = larder.typed::<String>("name");
    /// let found = names
    ///     .get_or_load_many(["1", "2"], |missing| async move {
    ///         assert_eq!(missing, ["1", "2"]);
    ///         // SELECT id, name FROM products WHERE id IN (…)
    ///         Ok::<_, std::io::Error>(HashMap::from([("2".to_owned(), "pan".to_owned())]))
    ///     })
    ///     .await?;
    /// assert_eq!(found[0], None);
    /// assert_eq!(found[1].as_deref().map(String::as_str), Some("pan"));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Fails if the load does.
    pub async fn get_or_load_many<I, O, E>(
        &self,
        ids: impl IntoIterator<Item = I>,
        load: impl FnOnce(Vec<String>) -> O,
    ) -> Result<Vec<Option<Arc<T>>>, LoadError>
    where
        I: AsRef<str>,
        O: Future<Output = Result<HashMap<String, T>, E>>,
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let ids: Vec<String> = ids.into_iter().map(|id| id.as_ref().to_owned()).collect();
        let values = self.known(&ids).await;
        let mut missing: Vec<String> = ids
            .iter()
            .filter(|id| !values.contains_key(&***id))
            .cloned()
            .collect();
        missing.sort_unstable();
        missing.dedup();
        let loaded = if missing.is_empty() {
            HashMap::new()
        } else {
            self.load_all(missing, load, usize::MAX).await?
        };
        let value = |id: &String| match values.get(&**id) {
            Some(value) => value.clone(),
            None => loaded.get(id).cloned(),
        };
        Ok(ids.iter().map(value).collect())
    }

    /// Loads values before anybody asks for them, `batch` at a time, also those that are stored.
    ///
    /// `progress` is called after each batch. A batch that fails does not stop the rest; its ids are
    /// listed in the end.
    ///
    /// ```
    /// use std::{collections::HashMap, num::NonZeroUsize};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let larder = larder::Larder::builder().build().await?;
    /// let squares = larder.typed::<u64>("square");
    /// let ids = (0..100).map(|id| id.to_string());
    /// let batch = NonZeroUsize::new(30).ok_or("zero")?;
    /// let warmed = squares
    ///     .warm(
    ///         ids,
    ///         batch,
    ///         |ids| async move {
    ///             let square = |id: String| (id.clone(), id.parse::<u64>().unwrap_or(0).pow(2));
    ///             Ok::<_, std::io::Error>(ids.into_iter().map(square).collect::<HashMap<_, _>>())
    ///         },
    ///         |so_far| println!("{} loaded", so_far.loaded),
    ///     )
    ///     .await;
    /// assert_eq!((warmed.loaded, warmed.failed.len()), (100, 0));
    /// # Ok(())
    /// # }
    /// ```
    pub async fn warm<I, O, E>(
        &self,
        ids: impl IntoIterator<Item = I>,
        batch: NonZeroUsize,
        load: impl Fn(Vec<String>) -> O,
        mut progress: impl FnMut(&Warmed),
    ) -> Warmed
    where
        I: AsRef<str>,
        O: Future<Output = Result<HashMap<String, T>, E>>,
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let mut warmed = Warmed::default();
        let mut ids = ids.into_iter().map(|id| id.as_ref().to_owned());
        loop {
            let next: Vec<String> = ids.by_ref().take(batch.get()).collect();
            if next.is_empty() {
                return warmed;
            }
            let wanted = next.len();
            match self.load_all(next.clone(), &load, WRITTEN_AT_ONCE).await {
                Ok(loaded) => {
                    warmed.loaded += loaded.len();
                    warmed.absent += wanted.saturating_sub(loaded.len());
                }
                Err(error) => warmed
                    .failed
                    .extend(next.into_iter().map(|id| (id, error.clone()))),
            }
            progress(&warmed);
        }
    }

    /// Loads values, and stores them and what is not there. Waits after each `written_at_once` of them
    /// until other nodes can find them.
    async fn load_all<O, E>(
        &self,
        ids: Vec<String>,
        load: impl FnOnce(Vec<String>) -> O,
        written_at_once: usize,
    ) -> Result<HashMap<String, Arc<T>>, LoadError>
    where
        O: Future<Output = Result<HashMap<String, T>, E>>,
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let (position, began) = (self.core.position(), self.core.clock.now());
        let place = Gathering::default();
        let loaded = place
            .scope(load(ids.clone()))
            .await
            .map_err(LoadError::of)?;
        let gathered = place.so_far();
        let loaded: HashMap<String, Arc<T>> = loaded
            .into_iter()
            .map(|(id, value)| (id, Arc::new(value)))
            .collect();
        for (number, id) in ids.into_iter().enumerate() {
            self.count(Event::ValueLoaded);
            if let (true, Some(second)) = ((number + 1) % written_at_once == 0, &self.core.second) {
                second.flush_in_time().await;
            }
            let made = Made {
                value: loaded.get(&id).cloned(),
                version: None,
                said: super::loading::Said::default(),
                gathered: gathered.clone(),
            };
            let entry = self.entry(&id, &made, position, began);
            Gathering::note(&*entry.tags, entry.life.received);
            self.put_packed(entry).await;
        }
        Ok(loaded)
    }
}

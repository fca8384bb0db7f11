//! What came last.

use std::{fmt, marker::PhantomData, num::NonZeroU64};

use serde::{Serialize, de::DeserializeOwned};

use super::{
    Name,
    shelf::{Shelf, ends, read, unexpected, written},
};
use crate::{
    Larder,
    error::Error,
    store::structures::{Operation, Reply},
};

/// The latest values of type `V`, the newest first, as many as the list holds: recent activity.
/// Written as JSON.
///
/// ```
/// use std::num::NonZeroU64;
///
/// use larder::{Larder, structures::Name};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let larder = Larder::builder().build().await?;
/// let name = Name::new("shop", "user", "ann")?.field("seen")?;
/// let seen = larder.capped_list::<u64>(&name, NonZeroU64::new(2).ok_or("zero")?);
/// for product in [7, 8, 9] {
///     seen.push(&product).await?;
/// }
/// assert_eq!(seen.recent(10).await?, [9, 8]);
/// # Ok(())
/// # }
/// ```
#[must_use]
pub struct CappedList<V> {
    pub(super) shelf: Shelf,
    pub(super) most: NonZeroU64,
    kind: PhantomData<fn() -> V>,
}

impl Larder {
    /// Returns the list with this name, which holds `most` values; a push cuts what is over that.
    pub fn capped_list<V: Serialize + DeserializeOwned>(
        &self,
        name: &Name,
        most: NonZeroU64,
    ) -> CappedList<V> {
        CappedList {
            shelf: Shelf::of(self, name),
            most,
            kind: PhantomData,
        }
    }
}

impl<V: Serialize + DeserializeOwned> CappedList<V> {
    /// Adds a value, and returns how many there are.
    ///
    /// # Errors
    ///
    /// Fails if the value can not be written as JSON, if the name holds a structure of another kind,
    /// and if Redis gives no answer: it may have been added all the same.
    pub async fn push(&self, value: &V) -> Result<u64, Error> {
        self.push_many([value]).await
    }

    /// Adds values in one go, the last of which is the newest, and returns how many there are.
    ///
    /// # Errors
    ///
    /// Fails as [`push`](Self::push) does; then none of them is added, or all.
    pub async fn push_many<'v>(&self, values: impl IntoIterator<Item = &'v V>) -> Result<u64, Error>
    where
        V: 'v,
    {
        let values = values
            .into_iter()
            .map(written)
            .collect::<Result<Vec<_>, _>>()?;
        if values.is_empty() {
            return self.count().await;
        }
        let (name, most) = (self.shelf.text(), self.most.get());
        self.shelf
            .size(Operation::Push { name, values, most })
            .await
    }

    /// Returns the newest `count` values, the newest first.
    ///
    /// # Errors
    ///
    /// Fails if one is not of this type, if the name holds a structure of another kind, and if Redis
    /// gives no answer.
    pub async fn recent(&self, count: u64) -> Result<Vec<V>, Error> {
        let name = self.shelf.text();
        let Reply::Values(values) = self.shelf.run(Operation::Recent { name, count }).await? else {
            return Err(unexpected());
        };
        let values = values.into_iter().flatten();
        values.map(|bytes| read(&bytes)).collect()
    }

    /// Returns how many values there are.
    ///
    /// # Errors
    ///
    /// Fails if the name holds a structure of another kind, and if Redis gives no answer.
    pub async fn count(&self) -> Result<u64, Error> {
        let name = self.shelf.text();
        self.shelf.size(Operation::Length { name }).await
    }
}

impl<V> Clone for CappedList<V> {
    fn clone(&self) -> Self {
        Self {
            shelf: self.shelf.clone(),
            most: self.most,
            kind: PhantomData,
        }
    }
}

impl<V> fmt::Debug for CappedList<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CappedList")
            .field("shelf", &self.shelf)
            .field("most", &self.most)
            .finish()
    }
}

ends!(CappedList<V>);

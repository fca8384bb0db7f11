//! The fields of one thing.

use std::{collections::BTreeMap, fmt, marker::PhantomData};

use serde::{Serialize, de::DeserializeOwned};

use super::{
    Name,
    shelf::{Shelf, boxed, ends, read, unexpected, written},
};
use crate::{
    Larder,
    error::Error,
    store::structures::{Operation, Reply},
};

/// Named fields of type `V`, each read and changed by itself. Written as JSON.
///
/// ```
/// use larder::{Larder, structures::Name};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), larder::Error> {
/// # let larder = Larder::builder().build().await?;
/// let stock = larder.hash::<i64>(&Name::new("shop", "product", "7")?.field("stock")?);
/// stock.set("berlin", &4).await?;
/// assert_eq!(stock.add("berlin", -1).await?, 3);
/// assert_eq!(stock.get("berlin").await?, Some(3));
/// assert_eq!(stock.get("paris").await?, None);
/// # Ok(())
/// # }
/// ```
#[must_use]
pub struct Hash<V> {
    pub(super) shelf: Shelf,
    kind: PhantomData<fn() -> V>,
}

impl Larder {
    /// Returns the hash with this name.
    pub fn hash<V: Serialize + DeserializeOwned>(&self, name: &Name) -> Hash<V> {
        Hash {
            shelf: Shelf::of(self, name),
            kind: PhantomData,
        }
    }
}

impl<V: Serialize + DeserializeOwned> Hash<V> {
    /// Sets a field, and tells whether it is new.
    ///
    /// # Errors
    ///
    /// Fails if the value can not be written as JSON, if the name holds a structure of another kind,
    /// and if Redis gives no answer: it may have been set all the same.
    pub async fn set(&self, field: &str, value: &V) -> Result<bool, Error> {
        Ok(self.set_many([(field, value)]).await? == 1)
    }

    /// Sets several fields at once, and returns how many are new.
    ///
    /// # Errors
    ///
    /// Fails as [`set`](Self::set) does; then none of them is set, or all.
    pub async fn set_many<'v, F: AsRef<str>>(
        &self,
        fields: impl IntoIterator<Item = (F, &'v V)>,
    ) -> Result<u64, Error>
    where
        V: 'v,
    {
        let fields = fields
            .into_iter()
            .map(|(field, value)| Ok((field.as_ref().into(), written(value)?)))
            .collect::<Result<Vec<_>, Error>>()?;
        if fields.is_empty() {
            return Ok(0);
        }
        let name = self.shelf.text();
        self.shelf.size(Operation::SetFields { name, fields }).await
    }

    /// Returns a field.
    ///
    /// # Errors
    ///
    /// Fails if it is not of this type, if the name holds a structure of another kind, and if Redis
    /// gives no answer.
    pub async fn get(&self, field: &str) -> Result<Option<V>, Error> {
        Ok(self.get_many([field]).await?.pop().flatten())
    }

    /// Returns several fields at once, in the order of `fields`.
    ///
    /// # Errors
    ///
    /// Fails as [`get`](Self::get) does.
    pub async fn get_many<F: AsRef<str>>(
        &self,
        fields: impl IntoIterator<Item = F>,
    ) -> Result<Vec<Option<V>>, Error> {
        let (name, fields) = (self.shelf.text(), boxed(fields));
        if fields.is_empty() {
            return Ok(Vec::new());
        }
        let Reply::Values(values) = self.shelf.run(Operation::Fields { name, fields }).await?
        else {
            return Err(unexpected());
        };
        let values = values.into_iter();
        values
            .map(|value| value.map(|bytes| read(&bytes)).transpose())
            .collect()
    }

    /// Returns all fields.
    ///
    /// # Errors
    ///
    /// Fails as [`get`](Self::get) does.
    pub async fn all(&self) -> Result<BTreeMap<String, V>, Error> {
        let name = self.shelf.text();
        let Reply::Fields(fields) = self.shelf.run(Operation::AllFields { name }).await? else {
            return Err(unexpected());
        };
        let fields = fields.into_iter();
        fields
            .map(|(field, bytes)| Ok((field.into(), read(&bytes)?)))
            .collect()
    }

    /// Removes fields, and returns how many there were.
    ///
    /// # Errors
    ///
    /// Fails if the name holds a structure of another kind, and if Redis gives no answer.
    pub async fn remove<F: AsRef<str>>(
        &self,
        fields: impl IntoIterator<Item = F>,
    ) -> Result<u64, Error> {
        let (name, fields) = (self.shelf.text(), boxed(fields));
        if fields.is_empty() {
            return Ok(0);
        }
        self.shelf
            .size(Operation::RemoveFields { name, fields })
            .await
    }
}

impl Hash<i64> {
    /// Adds to a field, which is zero if it is not there, and returns the new number.
    ///
    /// # Errors
    ///
    /// Fails if the sum is out of range or the field holds no whole number, if the name holds a
    /// structure of another kind, and if Redis gives no answer: it may have been added all the same.
    pub async fn add(&self, field: &str, by: i64) -> Result<i64, Error> {
        let (name, field) = (self.shelf.text(), field.into());
        let operation = Operation::CountField { name, field, by };
        self.shelf.number(operation).await
    }
}

impl<V> Clone for Hash<V> {
    fn clone(&self) -> Self {
        Self {
            shelf: self.shelf.clone(),
            kind: PhantomData,
        }
    }
}

impl<V> fmt::Debug for Hash<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hash").field("shelf", &self.shelf).finish()
    }
}

ends!(Hash<V>);

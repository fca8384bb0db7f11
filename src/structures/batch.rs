//! Several changes in one round trip.

use std::sync::Arc;

use serde::Serialize;

use super::{
    CappedList, Counter, Hash, Ranking, Set,
    ranking::number,
    shelf::{boxed, written},
};
use crate::{Larder, error::Error, handle::Core, store::structures::Operation};

/// Changes of several structures that go out together: one round trip, each of them by itself.
///
/// ```
/// use larder::{Larder, structures::Name};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), larder::Error> {
/// # let larder = Larder::builder().build().await?;
/// let product = Name::new("shop", "product", "7")?;
/// let (views, viewers) = (
///     larder.counter(&product.field("views")?),
///     larder.set(&product.field("viewers")?),
/// );
/// larder.batch().count(&views, 1).join(&viewers, ["ann"]).run().await?;
/// assert_eq!((views.get().await?, viewers.count().await?), (1, 1));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use = "a batch does nothing until it is run"]
pub struct Batch {
    core: Arc<Core>,
    operations: Vec<Operation>,
    refused: Option<Error>,
}

impl Larder {
    /// Returns an empty batch.
    pub fn batch(&self) -> Batch {
        Batch {
            core: Arc::clone(self.core()),
            operations: Vec::new(),
            refused: None,
        }
    }
}

impl Batch {
    /// Adds to a counter.
    pub fn count(self, counter: &Counter, by: i64) -> Self {
        let name = counter.shelf.text();
        self.and(Ok(Operation::Count { name, by }))
    }

    /// Sets a field of a hash.
    pub fn set<V: Serialize>(self, hash: &Hash<V>, field: &str, value: &V) -> Self {
        let name = hash.shelf.text();
        self.and(written(value).map(|value| Operation::SetFields {
            name,
            fields: vec![(field.into(), value)],
        }))
    }

    /// Adds to a field of a hash.
    pub fn count_field(self, hash: &Hash<i64>, field: &str, by: i64) -> Self {
        let (name, field) = (hash.shelf.text(), field.into());
        self.and(Ok(Operation::CountField { name, field, by }))
    }

    /// Adds to the score of a member of a ranking.
    pub fn raise(self, ranking: &Ranking, member: &str, by: f64) -> Self {
        let (name, member) = (ranking.shelf.text(), member.into());
        self.and(number(by).map(|by| Operation::Raise { name, member, by }))
    }

    /// Adds members to a set.
    pub fn join<M: AsRef<str>>(self, set: &Set, members: impl IntoIterator<Item = M>) -> Self {
        let (name, members) = (set.shelf.text(), boxed(members));
        if members.is_empty() {
            return self;
        }
        self.and(Ok(Operation::Join { name, members }))
    }

    /// Adds a value to a list.
    pub fn push<V: Serialize>(self, list: &CappedList<V>, value: &V) -> Self {
        let (name, most) = (list.shelf.text(), list.most.get());
        self.and(written(value).map(|value| Operation::Push {
            name,
            values: vec![value],
            most,
        }))
    }

    /// Carries all of it out, in the order in which it was added.
    ///
    /// # Errors
    ///
    /// Fails with the first thing that was refused: before anything is done if it could be told
    /// beforehand (a value that can not be written, a score that is no number), else after the rest
    /// has been done. Fails also if Redis gives no answer: any part may have been done then.
    pub async fn run(self) -> Result<(), Error> {
        if let Some(refused) = self.refused {
            return Err(refused);
        }
        if self.operations.is_empty() {
            return Ok(());
        }
        for reply in self.core.structures(&self.operations).await? {
            reply?;
        }
        Ok(())
    }

    fn and(mut self, operation: Result<Operation, Error>) -> Self {
        match operation {
            Ok(operation) => self.operations.push(operation),
            Err(error) => {
                self.refused.get_or_insert(error);
            }
        }
        self
    }
}

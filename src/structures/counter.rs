//! A whole number that is added to.

use super::{
    Name,
    shelf::{Shelf, ends},
};
use crate::{Larder, error::Error, store::structures::Operation};

/// A whole number that many add to at a time.
///
/// ```
/// use larder::{Larder, structures::Name};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), larder::Error> {
/// # let larder = Larder::builder().build().await?;
/// let views = larder.counter(&Name::new("shop", "product", "7")?.field("views")?);
/// assert_eq!(views.add(1).await?, 1);
/// assert_eq!(views.add(2).await?, 3);
/// assert_eq!(views.get().await?, 3);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Counter {
    pub(super) shelf: Shelf,
}

impl Larder {
    /// Returns the counter with this name; it is zero until it is added to.
    pub fn counter(&self, name: &Name) -> Counter {
        Counter {
            shelf: Shelf::of(self, name),
        }
    }
}

impl Counter {
    /// Adds `by`, which may be below zero, and returns the new number.
    ///
    /// # Errors
    ///
    /// Fails if the sum is out of range, if the name holds a structure of another kind, and if Redis
    /// gives no answer: it may have been added all the same.
    pub async fn add(&self, by: i64) -> Result<i64, Error> {
        let name = self.shelf.text();
        self.shelf.number(Operation::Count { name, by }).await
    }

    /// Returns the number.
    ///
    /// # Errors
    ///
    /// Fails if the name holds a structure of another kind, and if Redis gives no answer.
    pub async fn get(&self) -> Result<i64, Error> {
        let name = self.shelf.text();
        self.shelf.number(Operation::Counted { name }).await
    }
}

ends!(Counter);

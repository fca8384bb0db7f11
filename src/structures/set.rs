//! Members, each once.

use super::{
    Name,
    shelf::{Shelf, boxed, ends, unexpected},
};
use crate::{
    Larder,
    error::{Error, ErrorKind},
    store::structures::{Operation, Reply},
};

/// Members, each once: unique visitors.
///
/// ```
/// use larder::{Larder, structures::Name};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), larder::Error> {
/// # let larder = Larder::builder().build().await?;
/// let monday = larder.set(&Name::new("shop", "visitors", "monday")?);
/// let tuesday = larder.set(&Name::new("shop", "visitors", "tuesday")?);
/// monday.add(["ann", "bob"]).await?;
/// tuesday.add(["bob", "cid"]).await?;
/// assert_eq!(monday.count().await?, 2);
/// assert_eq!(monday.intersect([&tuesday]).await?, ["bob"]);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Set {
    pub(super) shelf: Shelf,
}

impl Larder {
    /// Returns the set with this name.
    pub fn set(&self, name: &Name) -> Set {
        Set {
            shelf: Shelf::of(self, name),
        }
    }
}

impl Set {
    /// Adds members, and returns how many are new.
    ///
    /// # Errors
    ///
    /// Fails if the name holds a structure of another kind, and if Redis gives no answer: they may have
    /// been added all the same.
    pub async fn add<M: AsRef<str>>(
        &self,
        members: impl IntoIterator<Item = M>,
    ) -> Result<u64, Error> {
        let (name, members) = (self.shelf.text(), boxed(members));
        if members.is_empty() {
            return Ok(0);
        }
        self.shelf.size(Operation::Join { name, members }).await
    }

    /// Removes members, and returns how many there were.
    ///
    /// # Errors
    ///
    /// Fails as [`add`](Self::add) does.
    pub async fn remove<M: AsRef<str>>(
        &self,
        members: impl IntoIterator<Item = M>,
    ) -> Result<u64, Error> {
        let (name, members) = (self.shelf.text(), boxed(members));
        if members.is_empty() {
            return Ok(0);
        }
        self.shelf.size(Operation::Leave { name, members }).await
    }

    /// Tells whether it has a member.
    ///
    /// # Errors
    ///
    /// Fails if the name holds a structure of another kind, and if Redis gives no answer.
    pub async fn contains(&self, member: &str) -> Result<bool, Error> {
        let (name, member) = (self.shelf.text(), member.into());
        self.shelf.flag(Operation::Has { name, member }).await
    }

    /// Returns how many members there are.
    ///
    /// # Errors
    ///
    /// Fails as [`contains`](Self::contains) does.
    pub async fn count(&self) -> Result<u64, Error> {
        let name = self.shelf.text();
        self.shelf.size(Operation::MemberCount { name }).await
    }

    /// Returns all members, in the order of their names.
    ///
    /// # Errors
    ///
    /// Fails as [`contains`](Self::contains) does.
    pub async fn members(&self) -> Result<Vec<String>, Error> {
        let name = self.shelf.text();
        names(self.shelf.run(Operation::Members { name }).await?)
    }

    /// Returns the members that this set and all of `others` have, in the order of their names.
    ///
    /// # Errors
    ///
    /// Fails if the sets are of different services, which a cluster keeps apart; and as
    /// [`contains`](Self::contains) does.
    pub async fn intersect<'s>(
        &self,
        others: impl IntoIterator<Item = &'s Self>,
    ) -> Result<Vec<String>, Error> {
        let mut all = vec![self.shelf.text()];
        for other in others {
            if other.shelf.name.service() != self.shelf.name.service() {
                let message = format!(
                    "`{}` and `{}` are sets of different services; intersect those of one",
                    self.shelf.name, other.shelf.name
                );
                return Err(Error::new(ErrorKind::Structure, message));
            }
            all.push(other.shelf.text());
        }
        names(self.shelf.run(Operation::Common { names: all }).await?)
    }
}

fn names(reply: Reply) -> Result<Vec<String>, Error> {
    match reply {
        Reply::Names(names) => Ok(names.into_iter().map(String::from).collect()),
        _ => Err(unexpected()),
    }
}

ends!(Set);

//! Members by score.

use super::{
    Name,
    shelf::{Shelf, boxed, ends, unexpected},
};
use crate::{
    Larder,
    error::{Error, ErrorKind},
    store::structures::{Operation, Reply},
};

/// Members by score, the highest first: a leaderboard. Members of one score are in the reverse order
/// of their names.
///
/// ```
/// use larder::{Larder, structures::Name};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), larder::Error> {
/// # let larder = Larder::builder().build().await?;
/// let sold = larder.ranking(&Name::new("shop", "products", "sold")?);
/// sold.add("kettle", 3.0).await?;
/// sold.add("pan", 5.0).await?;
/// sold.raise("kettle", 4.0).await?;
/// assert_eq!(sold.top(1).await?, [("kettle".to_owned(), 7.0)]);
/// assert_eq!(sold.rank("pan").await?, Some(1));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Ranking {
    pub(super) shelf: Shelf,
}

impl Larder {
    /// Returns the ranking with this name.
    pub fn ranking(&self, name: &Name) -> Ranking {
        Ranking {
            shelf: Shelf::of(self, name),
        }
    }
}

impl Ranking {
    /// Sets the score of a member, and tells whether it is new.
    ///
    /// # Errors
    ///
    /// Fails if the score is not a number, if the name holds a structure of another kind, and if Redis
    /// gives no answer: it may have been set all the same.
    pub async fn add(&self, member: &str, score: f64) -> Result<bool, Error> {
        Ok(self.add_many([(member, score)]).await? == 1)
    }

    /// Sets the scores of several members at once, and returns how many are new.
    ///
    /// # Errors
    ///
    /// Fails as [`add`](Self::add) does; then none of them is set, or all.
    pub async fn add_many<M: AsRef<str>>(
        &self,
        members: impl IntoIterator<Item = (M, f64)>,
    ) -> Result<u64, Error> {
        let members = members
            .into_iter()
            .map(|(member, score)| Ok((member.as_ref().into(), number(score)?)))
            .collect::<Result<Vec<_>, Error>>()?;
        if members.is_empty() {
            return Ok(0);
        }
        let name = self.shelf.text();
        self.shelf.size(Operation::Score { name, members }).await
    }

    /// Adds to the score of a member, which is zero if it is not there, and returns the new one.
    ///
    /// # Errors
    ///
    /// Fails as [`add`](Self::add) does.
    pub async fn raise(&self, member: &str, by: f64) -> Result<f64, Error> {
        let (name, member, by) = (self.shelf.text(), member.into(), number(by)?);
        match self
            .shelf
            .run(Operation::Raise { name, member, by })
            .await?
        {
            Reply::Score(Some(score)) => Ok(score),
            _ => Err(unexpected()),
        }
    }

    /// Returns the first `count` members with their scores.
    ///
    /// # Errors
    ///
    /// Fails if the name holds a structure of another kind, and if Redis gives no answer.
    pub async fn top(&self, count: u64) -> Result<Vec<(String, f64)>, Error> {
        self.from(0, count).await
    }

    /// Returns the place of a member, where the first has place zero; none if it is not there.
    ///
    /// # Errors
    ///
    /// Fails as [`top`](Self::top) does.
    pub async fn rank(&self, member: &str) -> Result<Option<u64>, Error> {
        let (name, member) = (self.shelf.text(), member.into());
        match self.shelf.run(Operation::Place { name, member }).await? {
            Reply::Place(place) => Ok(place),
            _ => Err(unexpected()),
        }
    }

    /// Returns the score of a member; none if it is not there.
    ///
    /// # Errors
    ///
    /// Fails as [`top`](Self::top) does.
    pub async fn score(&self, member: &str) -> Result<Option<f64>, Error> {
        let (name, member) = (self.shelf.text(), member.into());
        match self.shelf.run(Operation::ScoreOf { name, member }).await? {
            Reply::Score(score) => Ok(score),
            _ => Err(unexpected()),
        }
    }

    /// Returns a member with up to `each_side` neighbours before and after it, in order; nothing if
    /// it is not there. Two round trips, between which others may move.
    ///
    /// # Errors
    ///
    /// Fails as [`top`](Self::top) does.
    pub async fn around(&self, member: &str, each_side: u64) -> Result<Vec<(String, f64)>, Error> {
        let Some(place) = self.rank(member).await? else {
            return Ok(Vec::new());
        };
        let first = place.saturating_sub(each_side);
        let count = (place - first).saturating_add(each_side).saturating_add(1);
        self.from(first, count).await
    }

    /// Removes members, and returns how many there were.
    ///
    /// # Errors
    ///
    /// Fails as [`top`](Self::top) does.
    pub async fn remove<M: AsRef<str>>(
        &self,
        members: impl IntoIterator<Item = M>,
    ) -> Result<u64, Error> {
        let (name, members) = (self.shelf.text(), boxed(members));
        if members.is_empty() {
            return Ok(0);
        }
        self.shelf.size(Operation::Unrank { name, members }).await
    }

    /// Returns how many members there are.
    ///
    /// # Errors
    ///
    /// Fails as [`top`](Self::top) does.
    pub async fn count(&self) -> Result<u64, Error> {
        let name = self.shelf.text();
        self.shelf.size(Operation::RankedCount { name }).await
    }

    async fn from(&self, from: u64, count: u64) -> Result<Vec<(String, f64)>, Error> {
        let name = self.shelf.text();
        match self
            .shelf
            .run(Operation::Ranked { name, from, count })
            .await?
        {
            Reply::Ranking(ranked) => Ok(ranked
                .into_iter()
                .map(|(member, score)| (member.into(), score))
                .collect()),
            _ => Err(unexpected()),
        }
    }
}

/// Returns the score if it is a number.
pub(super) fn number(score: f64) -> Result<f64, Error> {
    if score.is_nan() {
        let message = "a score has to be a number, this one is NaN";
        return Err(Error::new(ErrorKind::Structure, message));
    }
    Ok(score)
}

ends!(Ranking);

//! Where do counters, rankings and the like live? In Redis, or here if there is none.
//!
//! What can be done with them is one list, [`Operation`]; each place carries it out with the same
//! outcome, which one suite of tests holds both of them to. A batch is a list of operations: one round
//! trip there, one turn here.
//!
//! These are no caches: what cannot be reached is an error, and nothing is ever evicted.

mod local;
#[cfg(feature = "redis")]
mod remote;
mod sorted;
#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;

pub(crate) use self::local::LocalStructures;
#[cfg(feature = "redis")]
pub(crate) use self::remote::run;
use crate::error::{Error, ErrorKind};

/// One thing to do with one structure.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Operation {
    /// Adds to a counter. Replies with its new number.
    Count { name: Arc<str>, by: i64 },
    /// Replies with the number of a counter, zero if there is none.
    Counted { name: Arc<str> },
    /// Sets fields of a hash. Replies with how many are new.
    SetFields {
        name: Arc<str>,
        fields: Vec<(Box<str>, Bytes)>,
    },
    /// Replies with the bytes of fields of a hash.
    Fields {
        name: Arc<str>,
        fields: Vec<Box<str>>,
    },
    /// Replies with all fields of a hash.
    AllFields { name: Arc<str> },
    /// Adds to the number in a field of a hash. Replies with the new one.
    CountField {
        name: Arc<str>,
        field: Box<str>,
        by: i64,
    },
    /// Removes fields of a hash. Replies with how many there were.
    RemoveFields {
        name: Arc<str>,
        fields: Vec<Box<str>>,
    },
    /// Sets the scores of members of a ranking. Replies with how many are new.
    Score {
        name: Arc<str>,
        members: Vec<(Box<str>, f64)>,
    },
    /// Adds to the score of a member of a ranking. Replies with the new one.
    Raise {
        name: Arc<str>,
        member: Box<str>,
        by: f64,
    },
    /// Replies with members and scores, the highest first, `count` of them from place `from` on.
    Ranked {
        name: Arc<str>,
        from: u64,
        count: u64,
    },
    /// Replies with the place of a member, where the highest score has place zero.
    Place { name: Arc<str>, member: Box<str> },
    /// Replies with the score of a member.
    ScoreOf { name: Arc<str>, member: Box<str> },
    /// Removes members of a ranking. Replies with how many there were.
    Unrank {
        name: Arc<str>,
        members: Vec<Box<str>>,
    },
    /// Replies with how many members a ranking has.
    RankedCount { name: Arc<str> },
    /// Adds members to a set. Replies with how many are new.
    Join {
        name: Arc<str>,
        members: Vec<Box<str>>,
    },
    /// Removes members of a set. Replies with how many there were.
    Leave {
        name: Arc<str>,
        members: Vec<Box<str>>,
    },
    /// Replies with whether a set has a member: 1 or 0.
    Has { name: Arc<str>, member: Box<str> },
    /// Replies with the members of a set, in no order.
    Members { name: Arc<str> },
    /// Replies with how many members a set has.
    MemberCount { name: Arc<str> },
    /// Replies with the members that all of the sets have, in no order.
    Common { names: Vec<Arc<str>> },
    /// Puts values in front of a list, the last one foremost, and cuts it to `most`. Replies with its
    /// length.
    Push {
        name: Arc<str>,
        values: Vec<Bytes>,
        most: u64,
    },
    /// Replies with the first values of a list.
    Recent { name: Arc<str>, count: u64 },
    /// Replies with the length of a list.
    Length { name: Arc<str> },
    /// Removes a structure, of whichever kind. Replies with 1, or 0 if there was none.
    Remove { name: Arc<str> },
    /// Lets a structure end after some time. Replies with 1, or 0 if there is none.
    Expire { name: Arc<str>, after: Duration },
}

impl Operation {
    /// Returns the name of the structure, or of the first of them.
    #[cfg(feature = "redis")]
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Count { name, .. }
            | Self::Counted { name }
            | Self::SetFields { name, .. }
            | Self::Fields { name, .. }
            | Self::AllFields { name }
            | Self::CountField { name, .. }
            | Self::RemoveFields { name, .. }
            | Self::Score { name, .. }
            | Self::Raise { name, .. }
            | Self::Ranked { name, .. }
            | Self::Place { name, .. }
            | Self::ScoreOf { name, .. }
            | Self::Unrank { name, .. }
            | Self::RankedCount { name }
            | Self::Join { name, .. }
            | Self::Leave { name, .. }
            | Self::Has { name, .. }
            | Self::Members { name }
            | Self::MemberCount { name }
            | Self::Push { name, .. }
            | Self::Recent { name, .. }
            | Self::Length { name }
            | Self::Remove { name }
            | Self::Expire { name, .. } => name,
            Self::Common { names } => names.first().map_or("", |name| name),
        }
    }
}

/// The reply to an [`Operation`].
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Reply {
    Number(i64),
    Score(Option<f64>),
    Place(Option<u64>),
    Values(Vec<Option<Bytes>>),
    Fields(Vec<(Box<str>, Bytes)>),
    Ranking(Vec<(Box<str>, f64)>),
    Names(Vec<Box<str>>),
}

/// Returns the error of an operation on a structure of another kind.
fn other_kind(name: &str) -> Error {
    let message = format!("`{name}` is a structure of another kind; give this one another name");
    Error::new(ErrorKind::Structure, message)
}

/// Returns the error of an addition past the range, or to what is no number.
fn no_number(name: &str) -> Error {
    let message = format!("`{name}` can not be added to: no whole number, or out of range");
    Error::new(ErrorKind::Structure, message)
}

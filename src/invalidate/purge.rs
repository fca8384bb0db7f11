//! What is invalidated in one go.

use std::fmt;

use http::Method;

use crate::policy::{Target, TargetId};

/// The targets of one invalidation, by how hard they are hit.
///
/// They are kept by name, not by [`TargetId`]: an id means nothing in another process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Purge {
    pub(crate) hard: Vec<Target>,
    pub(crate) soft: Vec<Target>,
    pub(crate) source: Source,
}

/// Who invalidates.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Source {
    /// The application, by a call.
    #[default]
    Call,
    /// A request that changed something.
    Request(Method, Box<str>),
    /// An administrator.
    #[cfg(feature = "admin")]
    Admin,
    /// Another program, by the channel.
    #[cfg(feature = "redis")]
    Program,
    /// Another node, with the source that it named.
    #[cfg(feature = "redis")]
    Node(Option<Box<str>>),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Call => f.write_str("the application"),
            Self::Request(method, path) => write!(f, "{method} {path}"),
            #[cfg(feature = "admin")]
            Self::Admin => f.write_str("an administrator"),
            #[cfg(feature = "redis")]
            Self::Program => f.write_str("another program"),
            #[cfg(feature = "redis")]
            Self::Node(Some(source)) => write!(f, "{source} on another node"),
            #[cfg(feature = "redis")]
            Self::Node(None) => f.write_str("another node"),
        }
    }
}

impl Purge {
    pub(crate) fn hard(targets: impl IntoIterator<Item = Target>) -> Self {
        Self {
            hard: targets.into_iter().collect(),
            ..Self::default()
        }
    }

    pub(crate) fn soft(targets: impl IntoIterator<Item = Target>) -> Self {
        Self {
            soft: targets.into_iter().collect(),
            ..Self::default()
        }
    }

    pub(crate) fn by(mut self, source: Source) -> Self {
        self.source = source;
        self
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.hard.is_empty() && self.soft.is_empty()
    }
}

pub(crate) fn ids(targets: &[Target]) -> Vec<TargetId> {
    targets.iter().map(Target::id).collect()
}

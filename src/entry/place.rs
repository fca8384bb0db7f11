//! Where the request of a response went, and what can be invalidated there.

use crate::{key::Key, policy::TargetId};

/// Where the request of a stored response went: what all of its targets but the tags are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Origin<'a> {
    pub(crate) authority: &'a str,
    /// The path as it was sent.
    pub(crate) path: &'a str,
    /// The query as it was sent.
    pub(crate) query: Option<&'a str>,
    /// The route pattern that it was declared under.
    pub(crate) route: Option<&'a str>,
}

impl Origin<'_> {
    /// Returns the targets that are made of it.
    pub(crate) fn targets(&self) -> Vec<TargetId> {
        let mut targets = Vec::with_capacity(16);
        TargetId::of_request(
            self.authority,
            self.path,
            self.query,
            self.route,
            &mut targets,
        );
        targets
    }
}

/// Where a request went, with its key and the targets that are made of that.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'a> {
    pub(crate) key: &'a Key,
    pub(crate) origin: Origin<'a>,
    pub(crate) targets: &'a [TargetId],
}

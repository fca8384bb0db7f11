//! What came of a look-up.

use std::sync::Arc;

use bytes::Bytes;

use super::{
    facts::Facts,
    kept::Kept,
    known::Known,
    plan::{Question, Standing, Stored},
};
use crate::{
    clock::Timestamp,
    entry::Entry,
    invalidate::Trust,
    key::Key,
    observe::Bypass,
    semantics::{cache_status::Forward, directives::RequestDirectives},
};

/// What belongs to the key of a request besides its head: for a call, the message.
#[derive(Clone, Debug)]
pub(crate) struct KeyTail(pub(crate) Bytes);

/// What is to be done.
#[derive(Debug)]
pub(crate) enum Looked {
    Serve(Arc<Entry>, Standing, Facts),
    /// Serve, and let the request itself be the refresh.
    ServeAndRefresh(Arc<Entry>, Standing, Box<Fetch>),
    /// To the handler, with others who ask for the same.
    Fetch(Box<Fetch>),
    /// Straight to the handler; its answer may be stored and its route learned.
    Learn(Box<Kept>),
    /// Straight to the handler; if its answer looks like one to be stored, the next one is kept.
    Watch(Arc<Known>),
    /// Straight to the handler, untouched.
    Pass,
    /// Straight to the handler, and say why.
    Bypass(Bypass),
    OnlyIfCachedMiss,
    /// The second tier is asked, but no handler run is led; without an answer, what is said.
    Elsewhere(Box<Fetch>, Otherwise),
    /// Nothing can be said before the shared registry has been asked.
    Ask,
}

impl Looked {
    /// Returns the word that stands for it in traces.
    pub(crate) const fn as_str(&self) -> &'static str {
        match self {
            Self::Serve(..) => "serve",
            Self::ServeAndRefresh(..) => "serve-and-refresh",
            Self::Fetch(_) => "fetch",
            Self::Learn(_) => "learn",
            Self::Watch(_) => "watch",
            Self::Pass => "pass",
            Self::Bypass(_) => "bypass",
            Self::OnlyIfCachedMiss => "only-if-cached-miss",
            Self::Elsewhere(..) => "elsewhere",
            Self::Ask => "ask",
        }
    }
}

/// What is done with a request that the second tier has no answer to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Otherwise {
    /// It goes straight to the handler, and is told why.
    Bypass(Bypass),
    /// It is told that nothing is stored.
    Refuse,
}

/// A request that needs its handler.
#[derive(Clone, Debug)]
pub(crate) struct Fetch {
    pub(crate) kept: Kept,
    /// Under which flights of it are joined: the key, with the variant where that is known.
    pub(crate) flight: Key,
    /// What is stored and not void, to be confirmed or to stand in.
    pub(crate) stale: Option<Arc<Entry>>,
    pub(crate) soft_at: Option<Timestamp>,
    /// What the client asks for, if that is honoured.
    pub(crate) asked: Option<RequestDirectives>,
    pub(crate) reason: Forward,
    /// When the request came.
    pub(crate) arrived: Timestamp,
    /// How far what was known then could be relied on; none if nobody was asked.
    pub(crate) trust: Option<Trust>,
}

impl Fetch {
    /// Returns how far what is known of invalidations can be relied on for this request, and asks for
    /// that if need be.
    pub(crate) async fn ask(&self) -> Trust {
        match self.known_trust() {
            Some(trust) => trust,
            // Seldom, and large.
            None => Box::pin(self.kept.shared.core.ask()).await,
        }
    }

    /// Returns the same as far as nobody has to be asked.
    pub(crate) fn known_trust(&self) -> Option<Trust> {
        let core = &self.kept.shared.core;
        self.trust.or_else(|| core.trust(self.arrived))
    }

    /// Returns the question that was decided on, as it stands now.
    pub(crate) fn question(&self, now: Timestamp) -> Question<'_> {
        Question {
            stored: self.stale.as_ref().map(|entry| Stored {
                life: &entry.life,
                flags: entry.reuse,
                soft_at: self.soft_at,
                may_retry: false,
            }),
            marked: false,
            is_head: false,
            wants_range: false,
            request: self.asked.as_ref(),
            now,
        }
    }
}

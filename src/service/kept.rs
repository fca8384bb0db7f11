//! What is kept of a request until the handler has answered it.

use std::sync::{Arc, OnceLock};

use http::{Extensions, HeaderMap, Method, Request, Uri};

use super::{
    facts::Facts,
    look::with_query,
    pump::MARKED_FOR,
    settings::{Matched, Shared},
};
use crate::{
    clock::{Stopwatch, Timestamp},
    entry::{Origin, Place, Position, Seal},
    handle::Answered,
    key::Key,
    observe::Outcome,
    policy::{TargetId, tags_of_response},
    semantics::{directives::Flag, no_vary_search::NoVarySearch},
    store::Lock,
};

/// The head of a request, the key it was looked up under, and where the fence stood then.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    pub(crate) shared: Arc<Shared>,
    pub(crate) matched: Matched,
    pub(crate) facts: Facts,
    pub(crate) key: Key,
    /// The key of the path alone, where responses may say how they vary on the query.
    pub(crate) path: Option<Key>,
    pub(crate) method: Method,
    /// The whole path and the query that the handler sees.
    pub(crate) uri: Uri,
    pub(crate) authority: Box<str>,
    pub(crate) headers: HeaderMap,
    /// The targets that the request itself tells, once somebody has asked for them.
    pub(crate) place: OnceLock<Box<[TargetId]>>,
    /// Taken before the handler ran.
    pub(crate) position: Position,
    pub(crate) requested: Timestamp,
    /// Runs since the request came.
    pub(crate) arrived: Stopwatch,
    /// Runs since the handler was called.
    pub(crate) began: Stopwatch,
    /// Whether the policy keys by the owner of the request.
    pub(crate) identified: bool,
    /// What keeps other nodes from running the same handler, if that is wanted.
    pub(crate) lock: Option<Arc<Lock>>,
    /// The values that the handler reads.
    pub(crate) reads: super::gathered::Reads,
}

impl Kept {
    /// Returns where the request went, with the targets that this tells.
    pub(crate) fn place(&self) -> Place<'_> {
        let origin = Origin {
            authority: &self.authority,
            path: self.uri.path(),
            query: self.uri.query(),
            route: self.matched.pattern().map(|pattern| &**pattern.text()),
        };
        let targets = self.place.get_or_init(|| origin.targets().into());
        Place {
            key: &self.key,
            origin,
            targets,
        }
    }

    /// Returns the tags that the policy declares; none if they can not be told.
    pub(crate) fn declared_tags(&self) -> Vec<TargetId> {
        if self.matched.policy.tags.is_empty() {
            return Vec::new();
        }
        let params = self
            .matched
            .pattern()
            .map(|pattern| pattern.params(self.uri.path()))
            .unwrap_or_default();
        tags_of_response(&self.matched.policy, None, &params)
            .unwrap_or_default()
            .iter()
            .map(|tag| crate::policy::Target::Tag(Arc::clone(tag)).id())
            .collect()
    }

    /// Returns the key under which a response is stored. With `No-Vary-Search` it is that of all
    /// equivalent queries, and the variance is remembered for the look-ups to come.
    pub(crate) fn stored_key(&self, response: &HeaderMap) -> Key {
        let Some(path) = &self.path else {
            return self.key.clone();
        };
        let variance = NoVarySearch::of(response).map(Arc::new);
        self.shared.known.set_variance(path, variance.clone());
        match variance {
            Some(variance) => with_query(path, &variance, self.uri.query()).to_key(),
            None => self.key.clone(),
        }
    }

    /// Returns the seal of a handler run that begins now.
    pub(crate) fn seal(&self) -> Seal {
        let (place, tags) = (self.place().targets, self.declared_tags());
        let is_untagged = tags.is_empty();
        let ids = [place, tags.as_slice()].concat();
        Seal::new(self.position, ids)
            .begun(self.requested)
            .untagged(is_untagged)
    }

    /// Returns the same where the run begins at once. A second tier is asked first.
    pub(crate) fn seal_if_at_once(&self) -> Option<Seal> {
        let begins = self.shared.core.second.is_none();
        begins.then(|| self.seal())
    }

    /// Returns whether a refusal to store the answer may be due to this one client, and says nothing
    /// of what the next one will get.
    pub(crate) fn is_particular(&self) -> bool {
        self.facts.is_authorized() && !self.identified
            || self
                .facts
                .directives(&self.headers)
                .is_some_and(|asked| asked.has(Flag::NoStore))
    }

    /// Says that other nodes need not wait for what this run brings.
    pub(crate) fn brings_nothing_to_share(&self) {
        if let Some(lock) = &self.lock {
            lock.unshared();
        }
    }

    /// Counts how the request was answered.
    pub(crate) fn answered(&self, outcome: Outcome) {
        let core = &self.shared.core;
        let answered = Answered {
            state: self.matched.state(core),
            outcome,
            method: &self.method,
            uri: &self.uri,
        };
        core.answered(&answered, Some(self.arrived));
    }

    /// Leaves the route to a layer of the same handle that is nearer to the handler; where there is no
    /// pattern, this URL alone.
    pub(crate) fn leave_to_inner(&self) {
        let routes = &self.shared.known;
        match &self.matched.known {
            Some(known) if Arc::ptr_eq(known, routes.whole()) => {
                let until = self.shared.core.clock.now().after(MARKED_FOR);
                routes.leave_url(&self.key, until);
            }
            Some(known) => known.leave_to_inner(),
            None => {}
        }
    }

    /// Moves on to the position right after the one invalidation that the request itself has made.
    /// `None` if there was any other since it came: what the handler has read before it may be void
    /// then, and nobody could tell.
    pub(crate) fn past_own_stamp(mut self: Box<Self>) -> Option<Box<Self>> {
        let before = self.position;
        self.position = self.shared.core.position();
        let after = self.position;
        let stamps = (
            after.sequence.checked_sub(before.sequence)?,
            after.local.checked_sub(before.local)?,
        );
        (after.epoch == before.epoch && matches!(stamps, (0, 1) | (1, 0))).then_some(self)
    }

    /// Takes the fence's position anew, for a handler run that begins now.
    pub(crate) fn restart(&mut self) {
        self.requested = self.shared.core.clock.now();
        self.position = self.shared.core.position();
        self.reads = super::gathered::Reads::begin();
        self.began = Stopwatch::start();
    }
}

/// Returns the URI of a request as it came in: nested routers cut the path off theirs.
#[inline]
pub(crate) fn original_uri<B>(request: &Request<B>) -> &Uri {
    original(request.uri(), request.extensions())
}

/// The same, of a request's parts.
#[cfg(feature = "axum")]
#[inline]
pub(crate) fn original<'a>(uri: &'a Uri, extensions: &'a Extensions) -> &'a Uri {
    extensions
        .get::<axum::extract::OriginalUri>()
        .map_or(uri, |original| &original.0)
}

#[cfg(not(feature = "axum"))]
pub(crate) fn original<'a>(uri: &'a Uri, _: &'a Extensions) -> &'a Uri {
    uri
}

/// Shows the handler only the listed parameters of the query. `None` if that leaves no URI.
pub(crate) fn cut_query<B>(request: &mut Request<B>, names: &[Box<str>]) -> Option<()> {
    let uri = crate::key::keep_listed(request.uri(), names)?;
    #[cfg(feature = "axum")]
    if let Some(original) = request
        .extensions_mut()
        .get_mut::<axum::extract::OriginalUri>()
    {
        original.0 = crate::key::keep_listed(&original.0, names)?;
    }
    *request.uri_mut() = uri;
    Some(())
}

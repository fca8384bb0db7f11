//! The settings of one layer, and which of them hold for a request.

use std::{ops::Deref, sync::Arc};

use http::{Extensions, HeaderName};

use super::known::{Known, KnownRoutes};
use crate::{
    handle::Core,
    key::KeyRecipe,
    observe::RouteState,
    policy::{Learned, Pattern, Policy, Route, RouteTable},
    semantics::storable::Preset,
};

/// The field by which a handler speaks to larder alone (RFC 9213 §2.2); it is not passed on.
pub(crate) const OWN_CACHE_CONTROL: HeaderName = HeaderName::from_static("larder-cache-control");

/// The field for caches of a content delivery network, which a gateway is (RFC 9213 §3).
const CDN_CACHE_CONTROL: HeaderName = HeaderName::from_static("cdn-cache-control");

/// Everything that the services of one layer share.
#[derive(Clone, Debug)]
pub(crate) struct Shared {
    pub(crate) core: Arc<Core>,
    pub(crate) preset: Preset,
    pub(crate) recipe: KeyRecipe,
    /// The layer's own policy, which lies under those of its routes.
    pub(crate) base: Arc<Policy>,
    /// Whether the base policy declares every route of the layer, as next to a route.
    pub(crate) declared: bool,
    /// Whether the layer is one for calls of gRPC: a pattern is a whole path then, and a tail
    /// belongs to each key.
    pub(crate) calls: bool,
    pub(crate) table: RouteTable,
    pub(crate) known: Arc<KnownRoutes>,
    /// The targeted fields that are read, the first valid one wins.
    pub(crate) targeted: Arc<[HeaderName]>,
}

/// What holds for one request. It is borrowed, since a hit keeps nothing of it.
#[derive(Debug)]
pub(crate) struct Matching<'a> {
    pub(crate) policy: Laid<'a>,
    pub(crate) route: Option<&'a Arc<Route>>,
    pub(crate) known: Option<Arc<Known>>,
    /// Whether the request is looked up at all.
    pub(crate) looked_up: bool,
    /// Whether a policy was declared, which alone may give a lifetime.
    declared: bool,
}

/// A policy as it is laid down in the layer or a route, or as a route has learned it.
#[derive(Debug)]
pub(crate) enum Laid<'a> {
    Declared(&'a Arc<Policy>),
    Learned(Arc<Policy>),
}

impl Deref for Laid<'_> {
    type Target = Arc<Policy>;

    #[inline]
    fn deref(&self) -> &Arc<Policy> {
        match self {
            Self::Declared(policy) => policy,
            Self::Learned(policy) => policy,
        }
    }
}

impl Matching<'_> {
    /// Returns what is counted of the route; `other` stands in where routes are too many.
    #[inline]
    pub(crate) fn state<'a>(&'a self, core: &'a Core) -> &'a Arc<RouteState> {
        match (self.route, &self.known) {
            (Some(route), _) => route.state(),
            (None, Some(known)) => &known.state,
            (None, None) => core.routes.other(),
        }
    }

    pub(crate) fn pattern(&self) -> Option<&Pattern> {
        let known = || self.known.as_ref().and_then(|known| known.pattern.as_ref());
        self.route.map(|route| route.pattern()).or_else(known)
    }

    /// Returns it for longer than the layer is borrowed.
    pub(crate) fn kept(&self) -> Matched {
        Matched {
            policy: Arc::clone(&self.policy),
            route: self.route.cloned(),
            known: self.known.clone(),
            looked_up: self.looked_up,
            declared: self.declared,
        }
    }
}

/// What holds for one request until its handler has answered.
#[derive(Clone, Debug)]
pub(crate) struct Matched {
    /// What the request is keyed by and shown to the handler by, what was learned included.
    pub(crate) policy: Arc<Policy>,
    pub(crate) route: Option<Arc<Route>>,
    pub(crate) known: Option<Arc<Known>>,
    /// Whether the request is looked up at all.
    pub(crate) looked_up: bool,
    /// Whether a policy was declared, which alone may give a lifetime.
    pub(crate) declared: bool,
}

impl Matched {
    /// Returns it as it was, for another look at the request.
    pub(crate) fn borrowed(&self) -> Matching<'_> {
        Matching {
            policy: Laid::Declared(&self.policy),
            route: self.route.as_ref(),
            known: self.known.clone(),
            looked_up: self.looked_up,
            declared: self.declared,
        }
    }

    /// Returns what is counted of the route; `other` stands in where routes are too many.
    #[inline]
    pub(crate) fn state<'a>(&'a self, core: &'a Core) -> &'a Arc<RouteState> {
        match (&self.route, &self.known) {
            (Some(route), _) => route.state(),
            (None, Some(known)) => &known.state,
            (None, None) => core.routes.other(),
        }
    }

    /// Returns where the route keeps what its handler teaches. There is no such place where no
    /// pattern says which requests are of one handler.
    pub(crate) fn learned(&self) -> Option<&Learned> {
        match (&self.route, &self.known) {
            (Some(route), _) if route.policy().is_some() => Some(route.learned()),
            (_, Some(known)) => known.pattern.as_ref().map(|_| &known.handler),
            _ => None,
        }
    }

    /// Returns whether the next request will be keyed as the handler declares.
    pub(crate) fn has_learned(&self) -> bool {
        self.learned()
            .is_some_and(|learned| learned.lesson().is_some())
    }

    pub(crate) fn pattern(&self) -> Option<&Pattern> {
        match (&self.route, &self.known) {
            (Some(route), _) => Some(route.pattern()),
            (None, Some(known)) => known.pattern.as_ref(),
            (None, None) => None,
        }
    }
}

impl Shared {
    pub(crate) fn new(core: &Arc<Core>, preset: Preset) -> Self {
        let targeted: Arc<[HeaderName]> = match preset {
            Preset::Application => [OWN_CACHE_CONTROL].into(),
            Preset::Gateway => [OWN_CACHE_CONTROL, CDN_CACHE_CONTROL].into(),
        };
        Self {
            core: Arc::clone(core),
            preset,
            recipe: KeyRecipe::new(&core.namespace, "http"),
            base: Arc::default(),
            declared: false,
            calls: false,
            table: RouteTable::default(),
            known: Arc::new(KnownRoutes::new(&core.routes)),
            targeted,
        }
    }

    /// Takes a table, with the layer's own policy under each of its routes. What was learned under
    /// others, by a layer that this one was cloned from, is left to that.
    pub(crate) fn lay(&mut self, table: &RouteTable) {
        self.table = table.over(&self.base, |pattern| self.core.routes.of(pattern));
        self.known = Arc::new(KnownRoutes::new(&self.core.routes));
    }

    /// Returns the policy that is declared for what was matched, by the route or else the layer.
    pub(crate) fn declared<'a>(&'a self, matched: &'a Matched) -> &'a Arc<Policy> {
        let route = matched.route.as_ref().and_then(|route| route.policy());
        route.unwrap_or(&self.base)
    }

    /// Returns the policy of what was matched with that of its handler, which lies under what is
    /// declared for the route and over the default of the layer.
    pub(crate) fn with_handler(&self, matched: &Matched, handler: &Policy) -> Policy {
        match matched.route.as_ref().and_then(|route| route.own()) {
            Some(own) => own.over(handler).over(&self.base),
            None if self.declared => self.base.over(handler),
            None => handler.over(&self.base),
        }
    }

    /// Returns the settings of a layer for calls. Their messages are kept as they were sent: which
    /// codings there are is between the service and its clients.
    #[cfg(feature = "grpc")]
    pub(crate) fn for_calls(core: &Arc<Core>) -> Self {
        Self {
            recipe: KeyRecipe::for_calls(&core.namespace),
            base: Arc::new(Policy::new().compress(false)),
            calls: true,
            ..Self::new(core, Preset::Application)
        }
    }

    /// Learns that a method is cached as its handler declares.
    #[cfg(feature = "grpc")]
    pub(crate) fn learn_call(&self, path: &str, handler: &Arc<Policy>) {
        if let Some(known) = self.known.of(path, &self.table) {
            let whole = Arc::new(handler.over(&self.base));
            known.handler.learn(handler, &whole);
            known.learn();
        }
    }

    /// Returns whether a router outside of the layer matched the request.
    #[inline]
    pub(crate) fn is_in_router(&self, extensions: &Extensions) -> bool {
        !extensions.is_empty() && !self.calls && matched_pattern(extensions).is_some()
    }

    /// Returns what holds for a request with the raw path `path`.
    ///
    /// Route layer, table, learned, default: the first that has something to say wins.
    #[inline]
    pub(crate) fn matching(&self, extensions: &Extensions, path: &str) -> Matching<'_> {
        let pattern = if self.calls {
            Some(path)
        } else {
            matched_pattern(extensions)
        };
        self.matching_by(pattern, path)
    }

    /// The same, with the pattern that a router matched.
    #[inline]
    pub(crate) fn matching_by(&self, pattern: Option<&str>, path: &str) -> Matching<'_> {
        let (route, met) = match pattern {
            Some(pattern) => self.declared_by(pattern),
            None => (self.table.by_path(path), None),
        };
        if let Some(route) = route
            && let Some(policy) = route.policy()
        {
            // Only where there are several layers can one of them be nearer to the handler.
            let several = self.core.has_layers();
            let known = several.then(|| self.known.of(route.pattern().text(), &self.table));
            let known = known.flatten();
            let lesson = route.learned().lesson();
            return Matching {
                policy: Laid::Declared(lesson.map_or(policy, |lesson| &lesson.whole)),
                route: Some(route),
                looked_up: known.as_ref().is_none_or(|known| !known.is_inner()),
                known,
                declared: true,
            };
        }
        let known = match pattern {
            Some(pattern) => met.or_else(|| self.known.of(pattern, &self.table)),
            None => Some(Arc::clone(self.known.whole())),
        };
        let learned = known.as_ref().is_some_and(|known| known.is_learned());
        let inner = known.as_ref().is_some_and(|known| known.is_inner());
        let looked_up = self.declared || self.preset == Preset::Gateway || learned;
        let lesson = known.as_ref().and_then(|known| known.handler.lesson());
        Matching {
            policy: lesson.map_or(Laid::Declared(&self.base), |lesson| {
                Laid::Learned(Arc::clone(&lesson.whole))
            }),
            route,
            known,
            looked_up: looked_up && !inner,
            declared: self.declared,
        }
    }
}

impl Shared {
    /// Returns the route that the table has for a pattern, and what is known of the pattern if that
    /// had to be asked: a router may name the parameters otherwise than the table does.
    #[inline]
    fn declared_by(&self, pattern: &str) -> (Option<&Arc<Route>>, Option<Arc<Known>>) {
        let route = self.table.by_pattern(pattern);
        if route.is_some() || self.table.is_empty() {
            return (route, None);
        }
        let known = self.known.of(pattern, &self.table);
        let declared_as = known.as_ref().and_then(|known| known.declared_as.as_ref());
        let route = declared_as.and_then(|declared| self.table.by_pattern(declared));
        (route, known)
    }
}

/// Returns the pattern that axum's router matched.
#[cfg(feature = "axum")]
fn matched_pattern(extensions: &Extensions) -> Option<&str> {
    extensions
        .get::<axum::extract::MatchedPath>()
        .map(axum::extract::MatchedPath::as_str)
}

#[cfg(not(feature = "axum"))]
fn matched_pattern(_: &Extensions) -> Option<&str> {
    None
}

//! The table of routes: which policy a request has, and what it invalidates.

use std::{fmt, sync::Arc};

use http::Method;

use super::{Invalidate, Learned, Params, Pattern, PatternMap, Policy, pattern};
use crate::{
    error::{Error, ErrorKind},
    observe::RouteState,
    semantics::methods,
};

/// Declares policies and invalidations by route pattern.
///
/// Patterns are written as in axum 0.8: `{name}` is one segment, `{*name}` the rest of the path.
/// Inside an axum router the pattern that axum matched is looked up as a text, so write it as it is
/// there, with the prefixes of nested routers; only the names of parameters may be others. Elsewhere
/// the table matches the path itself.
///
/// ```
/// use larder::{Invalidate, Policy, Routes, mins, secs};
///
/// let table = Routes::new()
///     .get("/products/{id}", Policy::ttl(mins(5)).stale_while_revalidate(secs(30)).tag("product:{id}"))
///     .get("/products", Policy::ttl(mins(1)).query(["page", "sort"]).tag("products"))
///     .on("PUT /products/{id}", Invalidate::tags(["product:{id}", "products"]))
///     .build()?;
/// # Ok::<(), larder::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct Routes {
    policies: Vec<(String, Policy)>,
    mutations: Vec<(String, Invalidate)>,
}

impl Routes {
    /// Returns a table without routes.
    pub fn new() -> Self {
        Self::default()
    }

    /// Declares the policy of GET and HEAD requests of a pattern.
    pub fn get(mut self, pattern: &str, policy: Policy) -> Self {
        self.policies.push((pattern.to_owned(), policy));
        self
    }

    /// Declares what requests of a method and pattern, as in `PUT /products/{id}`, invalidate.
    ///
    /// The method `*` stands for all that change something, and is used beside a named one.
    pub fn on(mut self, route: &str, invalidate: Invalidate) -> Self {
        self.mutations.push((route.to_owned(), invalidate));
        self
    }

    /// Reads all patterns and checks all that was declared for them.
    ///
    /// # Errors
    ///
    /// Names every bad pattern, setting and template, a line each: patterns that can not be read
    /// or overlap, a route that is declared twice, [what a policy can not do](Policy::check),
    /// templates with parameters that the pattern does not have.
    pub fn build(self) -> Result<RouteTable, Error> {
        let mut building = Building::default();
        for (text, policy) in self.policies {
            building.policy(&text, policy);
        }
        for (route, invalidate) in self.mutations {
            building.mutation(&route, invalidate);
        }
        building.finish()
    }
}

/// A table of routes that was read and checked. Cheap to clone.
///
/// Made by [`Routes::build`].
#[derive(Clone, Default)]
pub struct RouteTable {
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    by_pattern: PatternMap<Arc<str>, Arc<Route>>,
    by_path: matchit::Router<Arc<Route>>,
}

impl RouteTable {
    /// Returns the route that was declared with this very text. Allocates nothing.
    ///
    /// Where a router has matched already, only this is asked: the table might take a path for
    /// one of its patterns that the router gave to a route of its own.
    pub(crate) fn by_pattern(&self, pattern: &str) -> Option<&Arc<Route>> {
        self.inner.by_pattern.get(pattern)
    }

    /// Says whether nothing was declared.
    pub(crate) fn is_empty(&self) -> bool {
        self.inner.by_pattern.is_empty()
    }

    /// Returns the pattern of the table that matches the same paths as `pattern`, with other names for
    /// their parameters. Looks at all of them.
    pub(crate) fn same_but_for_names(&self, pattern: &str) -> Option<Arc<str>> {
        let unnamed = pattern::unnamed(pattern);
        let mut texts = self.inner.by_pattern.keys();
        texts
            .find(|text| pattern::unnamed(text) == unnamed)
            .cloned()
    }

    /// Returns the route of a raw path. Allocates nothing for up to three parameters.
    pub(crate) fn by_path(&self, raw_path: &str) -> Option<&Arc<Route>> {
        self.inner
            .by_path
            .at(raw_path)
            .ok()
            .map(|matched| matched.value)
    }

    /// Returns all routes, in no order.
    #[cfg(feature = "admin")]
    pub(crate) fn all(&self) -> impl Iterator<Item = &Arc<Route>> {
        self.inner.by_pattern.values()
    }

    /// Returns the table with `base` laid under each of its policies, and what is counted of each
    /// pattern taken from `state`.
    pub(crate) fn over(&self, base: &Policy, state: impl Fn(&str) -> Arc<RouteState>) -> Self {
        let routes = self.inner.by_pattern.values().map(|route| Route {
            state: state(route.pattern.text()),
            pattern: route.pattern.clone(),
            own: route.own.clone(),
            policy: route.own.as_ref().map(|own| Arc::new(own.over(base))),
            mutations: route.mutations.clone(),
            learned: Arc::default(),
        });
        let mut inner = Inner::default();
        for route in routes {
            // A pattern that went into one table goes into another with the same ones.
            let _known_to_fit = inner.add(Arc::new(route));
        }
        Self {
            inner: Arc::new(inner),
        }
    }
}

impl fmt::Debug for RouteTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.inner.by_pattern.keys()).finish()
    }
}

impl Inner {
    fn add(&mut self, route: Arc<Route>) -> Result<(), Error> {
        let text = route.pattern.text().clone();
        self.by_path
            .insert(&*text, route.clone())
            .map_err(|error| {
                let with = match &error {
                    matchit::InsertError::Conflict { with } => {
                        format!(" (`{with}`); name its parameters alike")
                    }
                    _ => String::new(),
                };
                let message = format!("route pattern `{text}` {}{with}", pattern::reason(&error));
                Error::new(ErrorKind::Pattern, message)
            })?;
        self.by_pattern.insert(text, route);
        Ok(())
    }
}

/// One pattern of a table, with what was declared for it.
#[derive(Clone, Debug)]
pub(crate) struct Route {
    pattern: Pattern,
    /// Its own until the table is given to a layer, then that of the handle.
    state: Arc<RouteState>,
    /// As it was declared.
    own: Option<Arc<Policy>>,
    /// With that of the layer under it.
    policy: Option<Arc<Policy>>,
    mutations: Vec<Mutation>,
    learned: Arc<Learned>,
}

#[derive(Clone, Debug)]
struct Mutation {
    /// The method, or none for all that change something.
    method: Option<Method>,
    invalidate: Invalidate,
}

impl Route {
    /// Returns its pattern.
    pub(crate) fn pattern(&self) -> &Pattern {
        &self.pattern
    }

    /// Returns what is counted of it.
    pub(crate) fn state(&self) -> &Arc<RouteState> {
        &self.state
    }

    /// Returns the policy of its GET and HEAD requests as it was declared.
    pub(crate) fn own(&self) -> Option<&Arc<Policy>> {
        self.own.as_ref()
    }

    /// Returns the policy of its GET and HEAD requests, with that of the layer under it.
    pub(crate) fn policy(&self) -> Option<&Arc<Policy>> {
        self.policy.as_ref()
    }

    /// Returns what its handler has taught.
    pub(crate) fn learned(&self) -> &Learned {
        &self.learned
    }

    /// Returns what a request of `method` invalidates; nothing if the method changes nothing.
    pub(crate) fn invalidates<'a>(
        &'a self,
        method: &'a Method,
    ) -> impl Iterator<Item = &'a Invalidate> {
        let unsafe_ones = self.mutations.iter().filter(|_| !methods::is_safe(method));
        unsafe_ones
            .filter(move |mutation| mutation.method.as_ref().is_none_or(|named| named == method))
            .map(|mutation| &mutation.invalidate)
    }

    /// Returns the parameters of one of its raw paths.
    pub(crate) fn params<'a>(&'a self, raw_path: &'a str) -> Params<'a> {
        self.pattern.params(raw_path)
    }
}

/// A table while it is read.
#[derive(Default)]
struct Building {
    routes: Vec<Route>,
    faults: Vec<Error>,
}

impl Building {
    fn policy(&mut self, text: &str, policy: Policy) {
        let Some(at) = self.route(text) else { return };
        let Some(route) = self.routes.get_mut(at) else {
            return;
        };
        let faults = policy.faults_on(&route.pattern);
        self.faults
            .extend(faults.iter().map(|fault| on_route(text, fault)));
        let policy = Arc::new(policy);
        route.policy = Some(Arc::clone(&policy));
        if route.own.replace(policy).is_some() {
            let message = format!("route pattern `{text}` is declared twice; keep one `get`");
            self.faults.push(Error::new(ErrorKind::Pattern, message));
        }
    }

    fn mutation(&mut self, text: &str, invalidate: Invalidate) {
        let (method, pattern) = match method_and_pattern(text) {
            Ok(read) => read,
            Err(fault) => return self.faults.push(fault),
        };
        let Some(at) = self.route(pattern) else {
            return;
        };
        let Some(route) = self.routes.get_mut(at) else {
            return;
        };
        let faults = invalidate.faults_on(&route.pattern);
        self.faults
            .extend(faults.iter().map(|fault| on_route(text, fault)));
        if route.mutations.iter().any(|other| other.method == method) {
            let message = format!("route `{text}` is declared twice; keep one `on`");
            self.faults.push(Error::new(ErrorKind::Pattern, message));
        }
        route.mutations.push(Mutation { method, invalidate });
    }

    /// Returns where the route of a pattern is, which is made if it is new.
    fn route(&mut self, text: &str) -> Option<usize> {
        let known = self
            .routes
            .iter()
            .position(|route| **route.pattern.text() == *text);
        if known.is_some() {
            return known;
        }
        match Pattern::parse(text) {
            Ok(pattern) => self.routes.push(Route {
                state: Arc::new(RouteState::new(text)),
                pattern,
                own: None,
                policy: None,
                mutations: Vec::new(),
                learned: Arc::default(),
            }),
            Err(fault) => {
                self.faults.push(fault);
                return None;
            }
        }
        self.routes.len().checked_sub(1)
    }

    fn finish(mut self) -> Result<RouteTable, Error> {
        let mut inner = Inner::default();
        for route in self.routes {
            if let Err(fault) = inner.add(Arc::new(route)) {
                self.faults.push(fault);
            }
        }
        match Error::all(&self.faults) {
            Some(error) => Err(error),
            None => Ok(RouteTable {
                inner: Arc::new(inner),
            }),
        }
    }
}

/// Reads `PUT /products/{id}`.
fn method_and_pattern(text: &str) -> Result<(Option<Method>, &str), Error> {
    let fault = |reason: &str| {
        let message = format!("route `{}` {reason}", text.escape_debug());
        Error::new(ErrorKind::Pattern, message)
    };
    let (method, pattern) = text
        .split_once(' ')
        .ok_or_else(|| fault("has no method; write `PUT /path`, or `* /path` for all methods"))?;
    if method == "*" {
        return Ok((None, pattern));
    }
    let method = Method::from_bytes(method.as_bytes()).map_err(|_| fault("has a bad method"))?;
    if method
        .as_str()
        .bytes()
        .any(|letter| letter.is_ascii_lowercase())
    {
        return Err(fault(
            "has a method in small letters, which no request has; write it in capitals",
        ));
    }
    if methods::is_safe(&method) {
        return Err(fault(
            "has a method that changes nothing; name PUT, POST, PATCH or DELETE",
        ));
    }
    Ok((Some(method), pattern))
}

fn on_route(text: &str, fault: &Error) -> Error {
    Error::new(fault.kind(), format!("route `{text}`: {fault}"))
}

#[cfg(test)]
mod tests;

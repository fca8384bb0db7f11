//! What a request that changes something invalidates.

use super::{Params, Pattern, Target, Template, tag};
use crate::error::{Error, ErrorKind};

/// What becomes invalid when a request has changed something.
///
/// Declared for a route with [`Routes::on`](crate::Routes::on), or returned by a handler as a part of
/// its response (with axum: `(Invalidate::tag("products"), Json(product))`). The path of the request
/// itself, with all its queries and variants, is invalidated without being named.
///
/// Templates take the parameters of the route that is changed, decoded.
///
/// ```
/// use larder::{Invalidate, Routes};
///
/// Routes::new()
///     .on("PUT /products/{id}", Invalidate::tags(["product:{id}", "products"]))
///     .on("* /reviews/{id}", Invalidate::new().url("/products/{id}").route("/stars"))
///     .build()?;
/// # Ok::<(), larder::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct Invalidate {
    aims: Vec<Aim>,
    soft: bool,
    mistakes: Vec<Error>,
}

/// One thing to invalidate, before the parameters are known.
#[derive(Clone, Debug)]
enum Aim {
    Tag(Template),
    Resource(Template),
    Prefix(Template),
    Fixed(Target),
}

impl Invalidate {
    /// Returns an invalidation of nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns an invalidation of what carries any of the tags.
    pub fn tags<T: AsRef<str>>(templates: impl IntoIterator<Item = T>) -> Self {
        templates
            .into_iter()
            .fold(Self::new(), |all, template| all.tag(template.as_ref()))
    }

    /// Adds what carries a tag.
    pub fn tag(self, template: &str) -> Self {
        self.with(tag::template(template), Aim::Tag)
    }

    /// Adds what answers a path, with all its queries and variants, on every authority.
    pub fn url(self, template: &str) -> Self {
        self.with(path(template), Aim::Resource)
    }

    /// Adds what answers a path or any path below it, on every authority.
    ///
    /// Prefixes end at segments: `/a` covers `/a` and `/a/b`, not `/ab`.
    pub fn prefix(self, template: &str) -> Self {
        self.with(path(template), Aim::Prefix)
    }

    /// Adds what was stored for a route pattern, all its paths.
    pub fn route(mut self, pattern: &str) -> Self {
        match Pattern::parse(pattern) {
            Ok(pattern) => self
                .aims
                .push(Aim::Fixed(Target::Route(pattern.text().clone()))),
            Err(mistake) => self.mistakes.push(mistake),
        }
        self
    }

    /// Adds any target, as it is.
    ///
    /// ```
    /// use larder::{Invalidate, Target};
    ///
    /// let import = Invalidate::new().target(Target::Everything);
    /// ```
    pub fn target(mut self, target: Target) -> Self {
        self.aims.push(Aim::Fixed(target));
        self
    }

    /// Makes it soft: what is hit counts as having gone stale now, instead of never being served again.
    ///
    /// Its windows of stale serving count from the purge. Default: hard.
    pub fn soft(mut self) -> Self {
        self.soft = true;
        self
    }

    /// Returns whether it is soft.
    pub(crate) fn is_soft(&self) -> bool {
        self.soft
    }

    /// Returns the targets with the parameters of the request in their places.
    ///
    /// A template that names a parameter which the request does not have widens to everything of
    /// its kind: too much is invalidated rather than too little.
    pub(crate) fn targets(&self, params: &Params<'_>) -> Vec<Target> {
        self.aims.iter().map(|aim| aim.target(params)).collect()
    }

    /// Returns all that is wrong with it on a route of `pattern`.
    pub(crate) fn faults_on(&self, pattern: &Pattern) -> Vec<Error> {
        let templates = self.aims.iter().filter_map(|aim| match aim {
            Aim::Tag(template) | Aim::Resource(template) | Aim::Prefix(template) => Some(template),
            Aim::Fixed(_) => None,
        });
        let unknown = templates.flat_map(|template| template.unknown(pattern.names()));
        self.mistakes.iter().cloned().chain(unknown).collect()
    }

    /// Returns what either of the two invalidates; soft only if both are.
    pub(crate) fn and(mut self, other: &Self) -> Self {
        self.aims.extend_from_slice(&other.aims);
        self.mistakes.extend_from_slice(&other.mistakes);
        self.soft &= other.soft;
        self
    }

    fn with(mut self, template: Result<Template, Error>, aim: fn(Template) -> Aim) -> Self {
        match template {
            Ok(template) => self.aims.push(aim(template)),
            Err(mistake) => self.mistakes.push(mistake),
        }
        self
    }
}

impl Aim {
    fn target(&self, params: &Params<'_>) -> Target {
        let target = match self {
            Self::Tag(template) => template.expand(params).map(|tag| Target::tag(&tag)),
            Self::Resource(template) => template
                .expand(params)
                .map(|path| Target::resource_decoded(None, &path)),
            Self::Prefix(template) => template
                .expand(params)
                .map(|path| Target::prefix_decoded(None, &path)),
            Self::Fixed(target) => Some(target.clone()),
        };
        target.unwrap_or(Target::Everything)
    }
}

/// Reads the template of a path.
fn path(source: &str) -> Result<Template, Error> {
    let reason = if !source.starts_with('/') {
        "does not start with `/`"
    } else if source.contains(['?', '#']) {
        "has a query or fragment; leave it out, all queries of the path are meant"
    } else {
        return Template::parse(source);
    };
    let message = format!("path template `{}` {reason}", source.escape_debug());
    Err(Error::new(ErrorKind::Pattern, message))
}

#[cfg(feature = "axum")]
impl axum::response::IntoResponseParts for Invalidate {
    type Error = std::convert::Infallible;

    fn into_response_parts(
        self,
        mut response: axum::response::ResponseParts,
    ) -> Result<axum::response::ResponseParts, Self::Error> {
        let all = match response.extensions().get::<Self>() {
            Some(other) => self.and(other),
            None => self,
        };
        response.extensions_mut().insert(all);
        Ok(response)
    }
}

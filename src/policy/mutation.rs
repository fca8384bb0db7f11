//! What a request that changes something invalidates.

use super::{Pattern, Target, Template, Values, tag};
use crate::error::{Error, ErrorKind};

/// What becomes invalid when a request has changed something.
///
/// Declared for a route with [`Routes::on`](crate::Routes::on), or returned by a handler as a part of
/// its response (with axum: `(Invalidate::tag("products"), Json(product))`). The path of the request
/// itself, with all its queries and variants, is invalidated without being named.
///
/// Templates take the parameters of the route that is changed, decoded. A handler that makes a tag of
/// its data, in which braces may be, names it by [`target`](Self::target), where nothing is replaced.
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
        self.with(tag::template(template), Aim::Tag, || Target::tag(template))
    }

    /// Adds what answers a path, with all its queries and variants, on every authority.
    pub fn url(self, template: &str) -> Self {
        self.with(path(template), Aim::Resource, || {
            Target::resource(None, template)
        })
    }

    /// Adds what answers a path or any path below it, on every authority.
    ///
    /// Prefixes end at segments: `/a` covers `/a` and `/a/b`, not `/ab`.
    pub fn prefix(self, template: &str) -> Self {
        self.with(path(template), Aim::Prefix, || {
            Target::prefix(None, template)
        })
    }

    /// Adds what was stored for a route pattern, all its paths.
    pub fn route(self, pattern: &str) -> Self {
        let fixed = |pattern: Pattern| Aim::Fixed(Target::Route(pattern.text().clone()));
        self.with(Pattern::parse(pattern), fixed, || Target::route(pattern))
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
    ///
    /// ```
    /// use larder::Invalidate;
    ///
    /// let reindexed = Invalidate::tags(["search"]).soft();
    /// ```
    pub fn soft(mut self) -> Self {
        self.soft = true;
        self
    }

    /// Returns whether it is soft.
    pub(crate) fn is_soft(&self) -> bool {
        self.soft
    }

    /// Returns the targets with the values of the request in their places.
    ///
    /// A template that names a parameter which the request does not have widens to everything of
    /// its kind: too much is invalidated rather than too little.
    pub(crate) fn targets(&self, values: &impl Values) -> Vec<Target> {
        self.aims.iter().map(|aim| aim.target(values)).collect()
    }

    /// Returns all that is wrong with it on a route of `pattern`.
    pub(crate) fn faults_on(&self, pattern: &Pattern) -> Vec<Error> {
        self.faults_with(pattern.names())
    }

    /// Returns all that is wrong with it where there are values of these names.
    pub(crate) fn faults_with(&self, names: &[Box<str>]) -> Vec<Error> {
        let templates = self.aims.iter().filter_map(|aim| match aim {
            Aim::Tag(template) | Aim::Resource(template) | Aim::Prefix(template) => Some(template),
            Aim::Fixed(_) => None,
        });
        let unknown = templates.flat_map(|template| template.unknown(names));
        self.mistakes.iter().cloned().chain(unknown).collect()
    }

    /// Returns what either of the two invalidates; soft only if both are.
    pub(crate) fn and(mut self, other: &Self) -> Self {
        self.aims.extend_from_slice(&other.aims);
        self.mistakes.extend_from_slice(&other.mistakes);
        self.soft &= other.soft;
        self
    }

    /// Adds what could be read; else the text as it is, for those who meet it without a table that
    /// would refuse it.
    fn with<T>(
        mut self,
        read: Result<T, Error>,
        aim: fn(T) -> Aim,
        as_it_is: impl FnOnce() -> Target,
    ) -> Self {
        self.aims.push(match read {
            Ok(template) => aim(template),
            Err(mistake) => {
                self.mistakes.push(mistake);
                Aim::Fixed(as_it_is())
            }
        });
        self
    }
}

impl Aim {
    fn target(&self, values: &impl Values) -> Target {
        let target = match self {
            Self::Tag(template) => template.expand(values).map(|tag| Target::tag(&tag)),
            Self::Resource(template) => template
                .expand(values)
                .map(|path| Target::resource_decoded(None, &path)),
            Self::Prefix(template) => template
                .expand(values)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn targets(invalidate: &Invalidate) -> Vec<Target> {
        let pattern = Pattern::parse("/products/{id}").unwrap();
        invalidate.targets(&pattern.params("/products/a%2Fb%3F"))
    }

    #[test]
    fn templates_become_targets_with_decoded_values() {
        let invalidate = Invalidate::tags(["product:{id}", "products"])
            .url("/p/{id}")
            .prefix("/q/{id}/")
            .route("/stars/{n}")
            .target(Target::host("A.test"));
        assert_eq!(
            targets(&invalidate),
            [
                Target::tag("product:a/b?"),
                Target::tag("products"),
                Target::resource(None, "/p/a/b%3F"),
                Target::prefix(None, "/q/a/b%3F"),
                Target::route("/stars/{n}"),
                Target::host("a.test"),
            ]
        );
    }

    #[test]
    fn a_value_is_decoded_once() {
        let pattern = Pattern::parse("/{id}").unwrap();
        let params = pattern.params("/%2531");
        let found = Invalidate::new().url("/p/{id}").targets(&params);
        assert_eq!(found, [Target::resource(None, "/p/%2531")]);
    }

    #[test]
    fn a_parameter_that_is_missing_widens_to_everything() {
        assert_eq!(
            targets(&Invalidate::tags(["product:{nope}"])),
            [Target::Everything]
        );
    }

    #[test]
    fn what_can_not_be_read_counts_as_it_is_and_is_a_fault_of_a_table() {
        let invalidate = Invalidate::tags(["a}"]).url("b").prefix("/c?d").route("e");
        assert_eq!(
            targets(&invalidate),
            [
                Target::tag("a}"),
                Target::resource(None, "b"),
                Target::prefix(None, "/c?d"),
                Target::route("e"),
            ]
        );
        let pattern = Pattern::parse("/").unwrap();
        assert_eq!(invalidate.faults_on(&pattern).len(), 4);
    }

    #[test]
    fn two_are_soft_only_if_both_are() {
        let soft = Invalidate::tags(["a"]).soft();
        let hard = Invalidate::tags(["b"]);
        assert!(soft.clone().and(&soft).is_soft());
        assert!(!soft.clone().and(&hard).is_soft());
        assert!(!hard.clone().and(&soft).is_soft());
        assert_eq!(
            targets(&hard.and(&soft)),
            [Target::tag("b"), Target::tag("a")]
        );
    }
}

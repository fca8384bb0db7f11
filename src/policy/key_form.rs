//! What the path contributes to a key: its raw text, or the route and its parameters.

/// The form of a route's key.
///
/// The default is the URL: the raw path and the raw query, so that two spellings are two entries.
/// The form of a route takes the pattern and the decoded parameters instead, so that
/// `/items/%31` and `/items/1` share one. The raw query is part of every key unless
/// [`Policy::query`](crate::Policy::query) lists parameters, and so is the authority, as the client
/// named it but in small letters: `a.test`, `a.test.` and `a.test:80` have entries of their own.
///
/// Choose the route form only for handlers that see the path through its parameters alone: the
/// answer of a handler that prints the raw path would reach requests which spelt it otherwise.
///
/// ```
/// use larder::{Key, Policy, Routes, mins};
///
/// Routes::new()
///     .get("/items/{id}", Policy::ttl(mins(5)).key(Key::route().params()))
///     .build()?;
/// # Ok::<(), larder::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    pub(crate) shape: Shape,
}

/// What stands for the path in a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// The raw path.
    Url,
    /// The pattern alone, for patterns without parameters.
    Route,
    /// The pattern and the decoded values of its parameters.
    RouteAndParams,
}

impl Key {
    /// Returns the default form: the raw path.
    #[must_use]
    pub fn url() -> Self {
        Self { shape: Shape::Url }
    }

    /// Returns the form of a route without parameters.
    ///
    /// On a pattern with parameters it is refused when the table is built, since all of them would
    /// share one entry: add [`params`](Self::params).
    #[must_use]
    pub fn route() -> Self {
        Self {
            shape: Shape::Route,
        }
    }

    /// Adds the decoded values of the route's parameters.
    #[must_use]
    pub fn params(self) -> Self {
        Self {
            shape: Shape::RouteAndParams,
        }
    }
}

impl Default for Key {
    fn default() -> Self {
        Self::url()
    }
}

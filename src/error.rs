//! The one error type: what was attempted, on what, and how to mend it.
//!
//! The layers never return it: a cache fault becomes an outcome and a counter, and the request goes
//! to the handler. It is met at start-up, where configuration is built.

use std::{error, fmt, sync::Arc};

/// Why larder refused something, with a message that names the value and the fix.
///
/// Cloneable and small, so that it can be kept and shown later; match on [`Error::kind`].
///
/// ```
/// use larder::{ErrorKind, Policy, Routes};
///
/// let refused = Routes::new().get("/items/{id", Policy::new()).build().unwrap_err();
/// assert_eq!(refused.kind(), ErrorKind::Pattern);
/// assert!(refused.to_string().contains("/items/{id"));
/// ```
#[derive(Clone)]
pub struct Error {
    inner: Arc<Inner>,
}

struct Inner {
    kind: ErrorKind,
    message: String,
    source: Option<Box<dyn error::Error + Send + Sync>>,
}

/// What an [`Error`] is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A setting has a value that can not work.
    Configuration,
    /// A route pattern can not be read or overlaps another.
    Pattern,
    /// A tag or a tag template breaks the rules for tags.
    Tag,
    /// A stored entry can not be decoded.
    Entry,
    /// A structure can not do what it is asked for: its name, its kind or its size is against it.
    Structure,
    /// A queue has as many writes as it may; try again later.
    Full,
    /// What keeps the data gave no answer; whether it did what it was asked to is not known.
    Unavailable,
    /// A value can not be written down, or read as the type that is asked for.
    Value,
}

impl Error {
    /// Returns an error of `kind` with a message.
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            inner: Arc::new(Inner {
                kind,
                message: message.into(),
                source: None,
            }),
        }
    }

    /// Returns one error for all of `errors`, a line each.
    ///
    /// The kind is that of the first; `None` when there is none.
    pub(crate) fn all(errors: &[Self]) -> Option<Self> {
        let first = errors.first()?;
        let lines: Vec<String> = errors.iter().map(Self::to_string).collect();
        Some(Self::new(first.kind(), lines.join("\n")))
    }

    /// Returns what the error is about.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.inner.kind
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.inner.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.inner.kind)
            .field("message", &self.inner.message)
            .finish_non_exhaustive()
    }
}

impl error::Error for Error {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        self.inner.source.as_deref().map(|source| source as _)
    }
}

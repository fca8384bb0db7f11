//! Who may see and change the cache.

use std::{
    fmt,
    hash::{BuildHasher, RandomState},
    sync::Arc,
};

use http::{header, request::Parts};
use subtle::ConstantTimeEq;

/// Decides who is let in to the admin routes.
///
/// ```
/// use larder::admin::Auth;
///
/// let by_token = Auth::bearer("a long random text");
/// let by_network = Auth::custom(|request| request.headers.contains_key("x-from-our-proxy"));
/// ```
#[derive(Clone)]
pub struct Auth {
    check: Arc<dyn Fn(&Parts) -> bool + Send + Sync>,
}

impl Auth {
    /// Lets in who sends `Authorization: Bearer` and this token.
    ///
    /// How long the comparison takes says nothing about the token. An empty token lets nobody in: it
    /// is what a missing variable of the environment gives.
    #[must_use]
    pub fn bearer(token: impl AsRef<str>) -> Self {
        let digests = Digests::new();
        let expected = digests.of(token.as_ref().as_bytes());
        let is_empty = token.as_ref().is_empty();
        Self::custom(move |request| {
            let given = bearer(request).unwrap_or_default();
            let equal = digests.of(given).ct_eq(&expected);
            bool::from(equal) && !is_empty
        })
    }

    /// Lets in whom `check` lets in, such as by an extension that a layer for sign-in left.
    #[must_use]
    pub fn custom(check: impl Fn(&Parts) -> bool + Send + Sync + 'static) -> Self {
        Self {
            check: Arc::new(check),
        }
    }

    /// Lets everybody in: only for a listener that nobody else can reach.
    #[must_use]
    pub fn insecure() -> Self {
        Self::custom(|_| true)
    }

    pub(super) fn lets_in(&self, request: &Parts) -> bool {
        (self.check)(request)
    }
}

impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Auth")
    }
}

/// Returns the token of a request that has exactly one.
fn bearer(request: &Parts) -> Option<&[u8]> {
    let mut lines = request.headers.get_all(header::AUTHORIZATION).iter();
    let line = lines.next()?.as_bytes();
    if lines.next().is_some() {
        return None;
    }
    let (scheme, token) = line.split_at_checked("bearer ".len())?;
    scheme
        .eq_ignore_ascii_case(b"bearer ")
        .then(|| token.trim_ascii())
}

/// Makes digests of one length, so that a comparison does not tell how long the token is. They are
/// keyed with numbers that nobody outside of this process knows, so nobody can look for a text with
/// the digest of the token.
struct Digests([RandomState; 2]);

impl Digests {
    fn new() -> Self {
        Self([RandomState::new(), RandomState::new()])
    }

    fn of(&self, text: &[u8]) -> [u8; 16] {
        let [first, second] = &self.0;
        let both = u128::from(first.hash_one(text)) << 64 | u128::from(second.hash_one(text));
        both.to_le_bytes()
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderValue, Request};

    use super::*;

    fn lets_in(auth: &Auth, lines: &[&str]) -> bool {
        let (mut parts, ()) = Request::new(()).into_parts();
        for line in lines {
            let value = HeaderValue::from_str(line).unwrap();
            parts.headers.append(header::AUTHORIZATION, value);
        }
        auth.lets_in(&parts)
    }

    #[test]
    fn only_the_whole_token_lets_in() {
        let auth = Auth::bearer("secret");
        for line in ["Bearer secret", "bearer secret", "BEARER  secret "] {
            assert!(lets_in(&auth, &[line]), "{line}");
        }
        for lines in [
            &[][..],
            &[""],
            &["Bearer"],
            &["Bearer "],
            &["Bearer secre"],
            &["Bearer secrets"],
            &["Bearer Secret"],
            &["Basic secret"],
            &["secret"],
            &["Bearer secret", "Bearer secret"],
        ] {
            assert!(!lets_in(&auth, lines), "{lines:?}");
        }
    }

    #[test]
    fn an_empty_token_lets_nobody_in() {
        let auth = Auth::bearer("");
        for line in ["Bearer ", "Bearer", "", "Bearer x"] {
            assert!(!lets_in(&auth, &[line]), "{line}");
        }
    }

    #[test]
    fn the_token_is_not_told_to_those_who_look() {
        assert!(!format!("{:?}", Auth::bearer("secret")).contains("secret"));
    }
}

//! Which texts may be tags, and what becomes of those that may not?
//!
//! What is written in code is refused when it is built. What is only known at run time (a value
//! from a URL, a tag from a handler) is made to fit instead of being dropped: an entry that lost a
//! tag would outlive the purge of that tag, while two tags made equal are only purged together.

use std::{borrow::Cow, sync::Arc};

use super::{CacheHint, Params, Policy, Template};
use crate::error::{Error, ErrorKind};

/// The most bytes a tag has; what is longer is cut there. The project's own choice.
pub(crate) const MAX_BYTES: usize = 128;

/// The most tags a response may have to be stored. The project's own choice: with more of them
/// each check of an entry gets slow, and one invalidation voids half of the cache.
pub(crate) const MAX_PER_RESPONSE: usize = 64;

/// Returns why `tag`, as written in code, is no good; `None` if it is.
pub(crate) fn fault(tag: &str) -> Option<Error> {
    let reason = if tag.is_empty() {
        "is empty".to_owned()
    } else if let Some(control) = tag.chars().find(|letter| letter.is_control()) {
        format!("has the control character {control:?}; leave it out")
    } else if tag.len() > MAX_BYTES {
        format!("is {} bytes long; shorten it to {MAX_BYTES}", tag.len())
    } else {
        return None;
    };
    let message = format!("tag `{}` {reason}", tag.escape_debug());
    Some(Error::new(ErrorKind::Tag, message))
}

/// Reads a tag with route parameters in it, as written in code.
///
/// # Errors
///
/// Says what is wrong with the template, or with the tag that it is.
pub(crate) fn template(source: &str) -> Result<Template, Error> {
    match fault(source) {
        Some(error) => Err(error),
        None => Template::parse(source),
    }
}

/// Returns `tag` made to fit: control characters become U+FFFD, and it is cut at the length limit.
pub(crate) fn fitted(tag: &str) -> Cow<'_, str> {
    let clean = if tag.contains(char::is_control) {
        Cow::Owned(tag.replace(char::is_control, "\u{FFFD}"))
    } else {
        Cow::Borrowed(tag)
    };
    if clean.len() <= MAX_BYTES {
        return clean;
    }
    let end = (0..=MAX_BYTES)
        .rev()
        .find(|end| clean.is_char_boundary(*end));
    let short = clean.get(..end.unwrap_or_default()).unwrap_or_default();
    Cow::Owned(short.to_owned())
}

/// Returns the tags of a response, those of its policy and those of its hint, each once.
///
/// Returns `None` if it may not be stored for their sake: because they are too many, or because a
/// template of the policy names a parameter that the path does not have, so that a purge of that
/// tag would not reach it.
pub(crate) fn of_response(
    policy: &Policy,
    hint: Option<&CacheHint>,
    params: &Params<'_>,
) -> Option<Vec<Arc<str>>> {
    let mut tags: Vec<Arc<str>> = Vec::new();
    for template in &policy.tags {
        tags.push(fitted(&template.expand(params)?).into());
    }
    tags.extend(hint.into_iter().flat_map(|hint| hint.tags.iter().cloned()));
    tags.sort_unstable();
    tags.dedup();
    (tags.len() <= MAX_PER_RESPONSE).then_some(tags)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Pattern;

    #[test]
    fn a_response_has_the_tags_of_its_policy_and_of_its_hint() {
        let pattern = Pattern::parse("/products/{id}").unwrap();
        let policy = Policy::new().tags(["product:{id}", "products"]);
        let hint = CacheHint::new().tags(["shop", "products"]);
        let tags = |hint, path| of_response(&policy, hint, &pattern.params(path));
        let names = |tags: Option<Vec<Arc<str>>>| tags.unwrap().join(" ");
        assert_eq!(names(tags(None, "/products/7")), "product:7 products");
        assert_eq!(
            names(tags(Some(&hint), "/products/7")),
            "product:7 products shop"
        );
        assert_eq!(
            names(tags(None, "/products/7%0a")),
            "product:7\u{FFFD} products"
        );
        assert_eq!(tags(None, "/elsewhere"), None);
    }

    #[test]
    fn a_response_with_too_many_tags_has_none_to_be_stored_with() {
        let of = |count: usize| {
            let hint = CacheHint::new().tags((0..count).map(|tag| tag.to_string()));
            of_response(&Policy::new().tag("0"), Some(&hint), &Params::default())
        };
        assert_eq!(of(64).unwrap().len(), 64);
        assert_eq!(of(65), None);
    }

    #[test]
    fn plain_tags_are_good_as_they_are() {
        for tag in ["product:7", "a, b", "crème", &"x".repeat(MAX_BYTES)] {
            assert!(fault(tag).is_none());
            assert_eq!(fitted(tag), tag);
        }
    }

    #[test]
    fn a_bad_tag_is_refused_with_its_text_and_the_fix() {
        let long = "x".repeat(MAX_BYTES + 1);
        for (tag, says) in [
            ("", "empty"),
            ("a\r\nb", r"`a\r\nb`"),
            ("\0", "control"),
            (&long, "128"),
        ] {
            let error = fault(tag).unwrap();
            assert_eq!(error.kind(), ErrorKind::Tag);
            assert!(error.to_string().contains(says), "{error}");
        }
    }

    #[test]
    fn a_bad_tag_at_run_time_is_made_to_fit() {
        assert_eq!(fitted("a\r\nb\0"), "a\u{FFFD}\u{FFFD}b\u{FFFD}");
        assert_eq!(fitted(&"é".repeat(65)), "é".repeat(64));
        assert_eq!(fitted(&"\0".repeat(1 << 20)).len(), 126);
    }
}

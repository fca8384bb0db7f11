//! Which named groups does a response belong to, and which does an answer declare void?
//!
//! Groups are opaque names (RFC 9875), compared byte by byte and only within one origin: the reader
//! adds the origin. Not covered: who may send the fields, and what else an invalidation reaches.

use http::{HeaderMap, HeaderName, Method};
use sfv::{BareItem, List, ListEntry};

use super::{fields::structured, methods};

/// The field that lists the groups of a response.
static CACHE_GROUPS: HeaderName = HeaderName::from_static("cache-groups");

/// The field by which the answer to a change declares groups void.
static CACHE_GROUP_INVALIDATION: HeaderName = HeaderName::from_static("cache-group-invalidation");

/// How many groups a response may belong to. RFC 9875 §2 asks for 32 at least; each is compared
/// whenever the response is read after a change.
const MOST_GROUPS: usize = 64;

/// How many bytes the name of a group may have. RFC 9875 §2 asks for 32 characters at least.
const LONGEST_NAME: usize = 128;

/// A response has more groups, or longer ones, than are kept. It is not to be stored, since some
/// invalidation would pass it by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooManyGroups;

/// Returns the groups of a response. A field that is not a list of strings counts as absent.
///
/// # Errors
///
/// When there are more than 64, or one is longer than 128 bytes.
pub(crate) fn groups(response: &HeaderMap) -> Result<Vec<String>, TooManyGroups> {
    let groups = strings(response, &CACHE_GROUPS);
    if groups.len() > MOST_GROUPS || groups.iter().any(|name| name.len() > LONGEST_NAME) {
        return Err(TooManyGroups);
    }
    Ok(groups)
}

/// Returns the groups that the answer to a request declares void: none for a safe method.
///
/// All are returned, however many; names that no stored response can have are left out.
pub(crate) fn invalidated(method: &Method, response: &HeaderMap) -> Vec<String> {
    if methods::is_safe(method) {
        return Vec::new();
    }
    let mut groups = strings(response, &CACHE_GROUP_INVALIDATION);
    groups.retain(|name| name.len() <= LONGEST_NAME);
    groups
}

/// Returns the members of a list of strings; parameters are ignored.
fn strings(response: &HeaderMap, name: &HeaderName) -> Vec<String> {
    let members: List = structured(response, name).unwrap_or_default();
    let strings: Option<Vec<String>> = members.into_iter().map(string).collect();
    strings.unwrap_or_default()
}

fn string(member: ListEntry) -> Option<String> {
    match member {
        ListEntry::Item(item) => match item.bare_item {
            BareItem::String(name) => Some(name.into()),
            _ => None,
        },
        ListEntry::InnerList(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::semantics::samples::headers;

    fn of(lines: &[&str]) -> Vec<String> {
        let lines: Vec<_> = lines.iter().map(|line| ("cache-groups", *line)).collect();
        groups(&headers(&lines)).unwrap()
    }

    fn voided(method: &Method, line: &str) -> Vec<String> {
        invalidated(method, &headers(&[("cache-group-invalidation", line)]))
    }

    /// Cache groups, rule 1.
    #[test]
    fn groups_are_a_list_of_strings_over_all_lines() {
        assert_eq!(of(&[r#""a", "b, c";x=1"#, r#""A""#]), ["a", "b, c", "A"]);
        assert_eq!(of(&[]), [""; 0]);
    }

    /// Cache groups, rule 1.
    #[test]
    fn a_field_that_is_no_list_of_strings_is_ignored() {
        for line in [
            "a",
            r#""a", b"#,
            r#""a", ("b")"#,
            "\"a",
            "\"a\",",
            "1",
            "\"é\"",
        ] {
            assert_eq!(of(&[line]), [""; 0], "{line}");
        }
    }

    /// Cache groups, rule 2.
    #[test]
    fn only_the_answer_to_a_change_declares_groups_void() {
        assert_eq!(voided(&Method::POST, r#""a", "b""#), ["a", "b"]);
        assert_eq!(voided(&Method::PUT, r#"a"#), [""; 0]);
        for method in [Method::GET, Method::HEAD, Method::OPTIONS] {
            assert_eq!(voided(&method, r#""a""#), [""; 0]);
        }
    }

    /// Cache groups, rule 5.
    #[test]
    fn thirty_two_groups_of_thirty_two_characters_and_more_are_kept() {
        let field = |count: usize, length: usize| {
            let name = "x".repeat(length);
            let names: Vec<String> = (0..count).map(|_| format!("\"{name}\"")).collect();
            headers(&[("cache-groups", &names.join(", "))])
        };
        assert_eq!(groups(&field(32, 32)).unwrap().len(), 32);
        assert_eq!(groups(&field(64, 128)).unwrap().len(), 64);
        assert_eq!(groups(&field(65, 1)), Err(TooManyGroups));
        assert_eq!(groups(&field(1, 129)), Err(TooManyGroups));
    }

    #[test]
    fn an_invalidation_drops_no_group_that_something_stored_may_have() {
        let many: Vec<String> = (0..200).map(|index| format!("\"{index}\"")).collect();
        assert_eq!(voided(&Method::POST, &many.join(", ")).len(), 200);
        let long = format!("\"a\", \"{}\"", "x".repeat(129));
        assert_eq!(voided(&Method::POST, &long), ["a"]);
    }

    proptest! {
        #[test]
        fn any_field_is_read_without_harm(line in "[ -~]{0,40}") {
            let map = headers(&[("cache-groups", &line), ("cache-group-invalidation", &line)]);
            let same = groups(&map) == Ok(invalidated(&Method::POST, &map));
            prop_assert!(same);
        }
    }
}

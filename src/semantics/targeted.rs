//! Which field decides about a response: one that is addressed to this cache, or Cache-Control?
//!
//! The first of the configured fields with a valid value decides alone; then Cache-Control and
//! Expires have no say in storing and reuse (RFC 9213 §2.2). A targeted field is a Structured
//! Field Dictionary: one slip anywhere and it counts as absent.

use http::{HeaderMap, HeaderName};
use sfv::{BareItem, Dictionary, ListEntry, Parser};

use super::directives::{Argument, Flag, Name, ResponseDirectives};

impl ResponseDirectives {
    /// Returns the directives of the first valid field among `targets`, else of Cache-Control.
    ///
    /// `no-transform` is taken from Cache-Control in any case: it is not about caching.
    pub(crate) fn of(headers: &HeaderMap, targets: &[HeaderName]) -> Self {
        let shared = Self::of_cache_control(headers);
        let Some(members) = targets.iter().find_map(|name| dictionary(headers, name)) else {
            return shared;
        };
        let mut all = Self::default();
        all.set_targeted(shared.has(Flag::NoTransform));
        for (key, entry) in &members {
            add(&mut all, Name::of(key.as_str().as_bytes()), entry);
        }
        all
    }
}

/// Returns the members of all lines of `name`; `None` when there are none or they can not be read.
fn dictionary(headers: &HeaderMap, name: &HeaderName) -> Option<Dictionary> {
    if !headers.contains_key(name) {
        return None;
    }
    let lines: Vec<&[u8]> = headers
        .get_all(name)
        .iter()
        .map(http::HeaderValue::as_bytes)
        .collect();
    let members: Dictionary = Parser::new(&lines.join(&b", "[..])).parse().ok()?;
    (!members.is_empty()).then_some(members)
}

/// Adds a member. Parameters are ignored; a time of another type than Integer is not consumed
/// (RFC 9213 §2.1), and neither is a permission of another type than Boolean. A restriction of the
/// wrong type still restricts.
fn add(all: &mut ResponseDirectives, name: Option<Name>, entry: &ListEntry) {
    let value = match entry {
        ListEntry::Item(item) => Some(&item.bare_item),
        ListEntry::InnerList(_) => None,
    };
    let is_number = name.is_some_and(Name::is_number);
    match value {
        Some(BareItem::Boolean(false)) => all.add(None, Argument::None),
        Some(BareItem::Integer(number)) if is_number => {
            all.add(name, Argument::Text(number.to_string().as_bytes()));
        }
        _ if is_number => all.add(None, Argument::None),
        Some(BareItem::Boolean(true)) => all.add(name, Argument::None),
        Some(BareItem::String(text)) => all.add(name, Argument::Text(text.as_str().as_bytes())),
        _ => all.add(name, Argument::Malformed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::semantics::{
        directives::Scope,
        samples::{directives, headers},
        seconds::MAX_SECONDS,
    };

    const TARGETS: [HeaderName; 2] = [
        HeaderName::from_static("larder-cache-control"),
        HeaderName::from_static("cdn-cache-control"),
    ];

    fn of(lines: &[(&str, &str)]) -> ResponseDirectives {
        ResponseDirectives::of(&headers(lines), &TARGETS)
    }

    /// Returns the directives of a targeted field beside a Cache-Control of `max-age=1`.
    fn cdn(line: &str) -> ResponseDirectives {
        of(&[("cache-control", "max-age=1"), ("cdn-cache-control", line)])
    }

    // part 6 rules 1 and 2
    #[test]
    fn the_first_target_on_the_list_decides_alone() {
        let all = of(&[
            ("cache-control", "no-store"),
            ("cdn-cache-control", "max-age=2"),
            ("larder-cache-control", "max-age=1"),
        ]);
        assert!(all.has(Flag::Targeted) && !all.has(Flag::NoStore));
        assert_eq!(all.max_age, Some(1));
    }

    // part 6 rule 3
    #[test]
    fn a_field_that_is_no_dictionary_counts_as_absent() {
        let all = of(&[
            ("larder-cache-control", "max-age=1, &&&"),
            ("cdn-cache-control", "max-age=2"),
        ]);
        assert_eq!(all.max_age, Some(2));
        for line in [
            "",
            "MaX-aGe=3600",
            "max-age =100",
            "max-age= 100",
            "max-age=10,",
            "caf\u{e9}",
        ] {
            assert_eq!(cdn(line), directives("max-age=1"), "{line}");
        }
    }

    // part 6 rule 3
    #[test]
    fn several_lines_are_one_dictionary_and_the_last_duplicate_wins() {
        let all = of(&[
            ("cdn-cache-control", "max-age=1, no-cache"),
            ("cdn-cache-control", "max-age=9"),
        ]);
        assert_eq!((all.max_age, all.no_cache), (Some(9), Scope::Whole));
    }

    // part 6 rule 4
    #[test]
    fn a_time_that_is_no_integer_is_not_consumed() {
        for line in [
            "max-age=\"60\"",
            "max-age=60.0",
            "max-age=?1",
            "max-age",
            "max-age=(60)",
        ] {
            let all = cdn(line);
            assert!(all.has(Flag::Targeted), "{line}");
            assert_eq!(all.max_age, None, "{line}");
        }
        assert_eq!(cdn("max-age=60;a=b").max_age, Some(60));
        assert_eq!(cdn("max-age=-5").max_age, Some(0));
        assert_eq!(cdn("max-age=99999999999").max_age, Some(MAX_SECONDS));
    }

    // part 6 rule 4
    #[test]
    fn a_restriction_of_the_wrong_type_still_restricts() {
        for line in ["no-store=1", "no-store=a", "no-store=()", "no-store;a=b"] {
            assert!(cdn(line).has(Flag::NoStore), "{line}");
        }
        for line in ["private=1", "private=(\"a\")", "private=token"] {
            assert_eq!(cdn(line).private, Scope::Whole, "{line}");
        }
        for line in ["public=1", "public=a", "immutable=?0"] {
            assert!(
                !cdn(line).has(Flag::Public) && !cdn(line).has(Flag::Immutable),
                "{line}"
            );
        }
        assert!(!cdn("no-store=?0").has(Flag::NoStore));
        let named = Scope::Fields(vec![HeaderName::from_static("a")]);
        assert_eq!(cdn("private=\"a\"").private, named);
    }

    // part 6 rule 5, part 3 rule 10
    #[test]
    fn all_directives_mean_the_same_as_in_cache_control() {
        let line = "max-age=1, s-maxage=2, stale-while-revalidate=3, stale-if-error=4, private, \
                    no-cache=\"a\", no-store, public, must-revalidate, proxy-revalidate, \
                    must-understand, immutable";
        let mut expected = directives(line);
        expected.set_targeted(false);
        assert_eq!(of(&[("cdn-cache-control", line)]), expected);
    }

    // part 6 rule 5
    #[test]
    fn a_dictionary_of_unknown_members_blanks_out_cache_control() {
        let all = cdn("foo, bar=1");
        assert!(all.has(Flag::Targeted) && all.has(Flag::Present));
        assert_eq!(all.max_age, None);
    }

    // part 6 rules 6 and 7
    #[test]
    fn fields_that_are_not_on_the_list_change_nothing() {
        let all = of(&[
            ("cache-control", "max-age=1"),
            ("surrogate-control", "max-age=60"),
            ("other-cache-control", "no-store"),
        ]);
        assert_eq!(all, directives("max-age=1"));
    }

    #[test]
    fn no_transform_of_cache_control_holds_beside_a_targeted_field() {
        let all = of(&[
            ("cache-control", "no-store, no-transform"),
            ("cdn-cache-control", "max-age=60"),
        ]);
        assert!(all.has(Flag::NoTransform) && !all.has(Flag::NoStore));
    }
}

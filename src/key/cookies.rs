//! Which cookies does a request carry, and are all of them accounted for?
//!
//! Cookies are told apart leniently: every `Cookie` line, split on `;`, names cut at the first `=`
//! and stripped of blanks, as the lenient readers do. Quotes mean nothing. What a strict reader
//! would drop counts as a cookie that nobody declared, so that a doubt makes the request pass by.

use http::{HeaderMap, header};

use crate::policy::Policy;

/// Returns the raw cookies called `name`, each as `name=value`, in their order.
pub(super) fn named<'a>(headers: &'a HeaderMap, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
    cookies(headers).filter(move |cookie| name_of(cookie) == Some(name.as_bytes()))
}

/// Returns whether the policy accounts for each cookie of the request: keyed, or to be ignored.
pub(crate) fn all_declared(headers: &HeaderMap, policy: &Policy) -> bool {
    let whole_header = policy.vary.contains(&header::COOKIE);
    let declared = || {
        policy
            .key_cookies
            .iter()
            .chain(policy.ignore_cookies.iter().flatten())
    };
    whole_header
        || cookies(headers).all(|cookie| {
            name_of(cookie).is_some_and(|name| declared().any(|known| known.as_bytes() == name))
        })
}

fn cookies(headers: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    let lines = headers.get_all(header::COOKIE).into_iter();
    let cookies = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b';'));
    cookies
        .map(<[u8]>::trim_ascii)
        .filter(|cookie| !cookie.is_empty())
}

fn name_of(cookie: &[u8]) -> Option<&[u8]> {
    let end = cookie.iter().position(|byte| *byte == b'=')?;
    cookie.get(..end).map(<[u8]>::trim_ascii)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(lines: &[&str]) -> HeaderMap {
        let lines = lines
            .iter()
            .map(|line| (header::COOKIE, HeaderValue::from_str(line).unwrap()));
        lines.collect()
    }

    #[test]
    fn cookies_are_found_on_every_line_in_their_order() {
        let headers = headers(&["a=1;b=2; a=3", " a =4", "c=a=5"]);
        let found: Vec<_> = named(&headers, "a").collect();
        assert_eq!(found, [b"a=1".as_slice(), b"a=3", b"a =4"]);
        assert_eq!(named(&headers, "A").count(), 0);
    }

    #[test]
    fn a_cookie_that_is_neither_keyed_nor_ignored_is_noticed() {
        let policy = Policy::new().key_cookies(["theme"]).ignore_cookies(["_ga"]);
        let all = |lines: &[&str]| all_declared(&headers(lines), &policy);
        assert!(all(&[]));
        assert!(all(&["", "; ;"]));
        assert!(all(&["theme=dark; _ga=1", "_ga=2"]));
        for line in [
            "sid=alice",
            "theme=dark; sid=alice",
            "theme",
            "=x",
            "Theme=dark",
            "%74heme=x",
        ] {
            assert!(!all(&[line]), "{line}");
        }
        assert!(!all(&["theme=dark", "sid=alice"]));
        assert!(!all(&["theme=\"a;sid=alice\""]));
    }

    #[test]
    fn a_key_of_the_whole_header_accounts_for_all_cookies() {
        let headers = headers(&["sid=alice; theme"]);
        assert!(!all_declared(&headers, &Policy::new()));
        assert!(all_declared(&headers, &Policy::new().vary(["Cookie"])));
    }
}

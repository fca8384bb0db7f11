//! Which parameters of a query does an answer depend on?
//!
//! A query is split as form decoding does it, on `&` and nothing else, and names are compared
//! decoded: what counts as a parameter here is what counts as one in the handler. The text of a
//! pair is never decoded or rewritten.

use http::{
    Uri,
    uri::{Parts, PathAndQuery},
};

use crate::policy::percent;

/// Returns the raw pairs whose decoded name is `name`, in their order.
pub(super) fn named<'a>(query: Option<&'a str>, name: &'a str) -> impl Iterator<Item = &'a str> {
    pairs(query).filter(move |pair| has_name(pair, name))
}

/// Returns `uri` with the parameters of `names` alone, as the handler may see it.
///
/// Their order stays; empty pairs go, and so does the question mark if nothing is left, so that
/// requests of one key differ at most in the order of different names. Returns `None` if the result
/// is no URI, which no reader of a query may see uncut: let the request pass by the cache.
pub(crate) fn keep_listed(uri: &Uri, names: &[Box<str>]) -> Option<Uri> {
    let Some(query) = uri.query() else {
        return Some(uri.clone());
    };
    let listed = |pair: &&str| names.iter().any(|name| has_name(pair, name));
    let mut kept = String::with_capacity(uri.path().len() + 1 + query.len());
    kept.push_str(uri.path());
    let mut mark = '?';
    for pair in pairs(Some(query)).filter(listed) {
        kept.push(mark);
        kept.push_str(pair);
        mark = '&';
    }
    if kept.len() == uri.path().len() + 1 + query.len() {
        return Some(uri.clone());
    }
    let mut parts = Parts::from(uri.clone());
    parts.path_and_query = Some(PathAndQuery::try_from(kept).ok()?);
    Uri::from_parts(parts).ok()
}

fn pairs(query: Option<&str>) -> impl Iterator<Item = &str> {
    let pairs = query.into_iter().flat_map(|query| query.split('&'));
    pairs.filter(|pair| !pair.is_empty())
}

fn has_name(pair: &str, name: &str) -> bool {
    let raw = pair.split_once('=').map_or(pair, |(raw, _)| raw);
    raw == name && !raw.contains(['%', '+']) || percent::form_bytes(raw).eq(name.bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(uri: &str, names: &[&str]) -> String {
        let names: Vec<Box<str>> = names.iter().map(|name| (*name).into()).collect();
        keep_listed(&uri.parse().unwrap(), &names)
            .unwrap()
            .to_string()
    }

    #[test]
    fn unlisted_parameters_are_cut_and_listed_ones_stay_as_they_are() {
        assert_eq!(
            kept("/q?p=1&utm=x&p=2&s=%31+", &["p", "s"]),
            "/q?p=1&p=2&s=%31+"
        );
        assert_eq!(kept("/q?utm='evil", &["p"]), "/q");
        assert_eq!(kept("/q?p", &["p"]), "/q?p");
        assert_eq!(kept("/q?p=a=b", &["p"]), "/q?p=a=b");
    }

    #[test]
    fn a_semicolon_does_not_begin_a_parameter() {
        assert_eq!(kept("/q?p=1&utm=x;p=evil", &["p"]), "/q?p=1");
        assert_eq!(kept("/q?p=1;utm=x", &["p"]), "/q?p=1;utm=x");
    }

    #[test]
    fn names_are_compared_decoded() {
        assert_eq!(
            kept("/q?%70=evil&a+b=1&a%20b=2", &["p", "a b"]),
            "/q?%70=evil&a+b=1&a%20b=2"
        );
        assert_eq!(kept("/q?a+b=1&a%2Bb=2", &["a+b"]), "/q?a%2Bb=2");
        assert_eq!(kept("/q?P=1&%ff=1", &["p", "\u{FFFD}"]), "/q");
    }

    #[test]
    fn nothing_left_and_nothing_there_look_alike() {
        for uri in ["/q", "/q?", "/q?&&", "/q?utm=1", "/q?&utm"] {
            assert_eq!(kept(uri, &["p"]), "/q", "{uri}");
        }
        assert_eq!(kept("/q?&p=1&&", &["p"]), "/q?p=1");
    }

    #[test]
    fn the_rest_of_the_uri_stays() {
        assert_eq!(
            kept("https://a.test:8/q?x=1&p=2", &["p"]),
            "https://a.test:8/q?p=2"
        );
        assert_eq!(kept("*", &["p"]), "*");
        assert_eq!(kept("a.test:80", &["p"]), "a.test:80");
    }

    #[test]
    fn named_pairs_keep_their_order() {
        let of = |name| named(Some("a=1&b=2&a=0&%61=3&&a"), name).collect::<Vec<_>>();
        assert_eq!(of("a"), ["a=1", "a=0", "%61=3", "a"]);
        assert_eq!(of("b"), ["b=2"]);
        assert!(of("").is_empty());
        assert_eq!(named(None, "a").count(), 0);
    }
}

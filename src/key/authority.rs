//! Which site is a request for? Its answer must never reach another site of the same server.
//!
//! HTTP/2 and absolute-form requests say it in their URI, the others in `Host`. A request that says
//! nothing, says it twice, or says two things, is not for the cache to judge: it passes by.
//!
//! The text is kept as it came, but in small letters: `a.test`, `a.test.` and `a.test:80` have
//! entries of their own. That costs a hit where clients differ, and can not be wrong.

use std::borrow::Cow;

use http::{HeaderMap, Uri, header};

/// The longest authority in bytes: a DNS name of 253, a dot, a colon and a port of 5 digits.
const MAX_BYTES: usize = 260;

/// Why a request has no authority that a key could hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// Neither the URI nor a `Host` names one.
    Missing,
    /// There are several `Host` lines.
    Several,
    /// It is no host with an optional port.
    Invalid,
    /// The URI and `Host` name different ones.
    Conflict,
}

/// Returns the authority of a request in small letters; allocates only if it had capitals.
///
/// Rule: RFC 9110 §7.2 and RFC 9112 §3.2, stricter where a doubt would be shared: `Host` beside an
/// authority in the URI must agree with it, and names with other characters than letters, digits,
/// `.`, `-` and `_` are refused although a URI may have them.
pub(crate) fn authority<'a>(uri: &'a Uri, headers: &'a HeaderMap) -> Result<Cow<'a, str>, Refused> {
    let mut lines = headers.get_all(header::HOST).iter();
    let host = lines.next();
    if lines.next().is_some() {
        return Err(Refused::Several);
    }
    let host = host
        .map(|line| line.to_str().map_err(|_| Refused::Invalid))
        .transpose()?;
    let named = match (uri.authority(), host) {
        (Some(authority), Some(host)) if !authority.as_str().eq_ignore_ascii_case(host) => {
            return Err(Refused::Conflict);
        }
        (Some(authority), _) => authority.as_str(),
        (None, Some(host)) => host,
        (None, None) => return Err(Refused::Missing),
    };
    if !is_authority(named) {
        return Err(Refused::Invalid);
    }
    if named.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Ok(Cow::Owned(named.to_ascii_lowercase()));
    }
    Ok(Cow::Borrowed(named))
}

fn is_authority(text: &str) -> bool {
    if text.len() > MAX_BYTES {
        return false;
    }
    // The colons of an IPv6 address are inside its brackets.
    let (host, port) = match text
        .strip_prefix('[')
        .and_then(|inner| inner.split_once(']'))
    {
        Some((address, rest)) => {
            let is_address = !address.is_empty()
                && address
                    .bytes()
                    .all(|byte| byte.is_ascii_hexdigit() || b":.".contains(&byte));
            (
                is_address,
                rest.strip_prefix(':')
                    .or_else(|| rest.is_empty().then_some("0")),
            )
        }
        None => {
            let (name, port) = text.split_once(':').unwrap_or((text, "0"));
            (is_name(name), Some(port))
        }
    };
    host && port.is_some_and(|port| {
        (1..=5).contains(&port.len()) && port.bytes().all(|byte| byte.is_ascii_digit())
    })
}

fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn of(uri: &str, hosts: &[&str]) -> Result<String, Refused> {
        let mut headers = HeaderMap::new();
        for host in hosts {
            headers.append(header::HOST, HeaderValue::from_str(host).unwrap());
        }
        authority(&uri.parse().unwrap(), &headers).map(Cow::into_owned)
    }

    #[test]
    fn two_hosts_are_two_authorities_on_both_protocols() {
        assert_eq!(of("/", &["a.test"]).unwrap(), "a.test");
        assert_eq!(of("/", &["b.test:8080"]).unwrap(), "b.test:8080");
        assert_eq!(of("https://a.test/", &[]).unwrap(), "a.test");
        assert_eq!(of("https://b.test:8080/", &[]).unwrap(), "b.test:8080");
        assert_eq!(of("/", &["[::1]:3000"]).unwrap(), "[::1]:3000");
    }

    #[test]
    fn no_host_an_empty_one_two_or_a_malformed_one_is_refused() {
        assert_eq!(of("/", &[]), Err(Refused::Missing));
        assert_eq!(of("/", &["a.test", "b.test"]), Err(Refused::Several));
        assert_eq!(of("/", &["a.test", "a.test"]), Err(Refused::Several));
        let long = "a".repeat(261);
        for host in [
            "",
            " ",
            ":80",
            "a.test/x?y@z",
            "user@a.test",
            "a.test:",
            "a.test:123456",
            "a.test:8a",
            "a.test, b.test",
            "a.test b",
            "a%2ftest",
            "[::1",
            "[]",
            "[::1]x",
            "[::1]:",
            "[g::1]",
            "a:b:1",
            "a\t",
            &long,
        ] {
            assert_eq!(of("/", &[host]), Err(Refused::Invalid), "{host}");
        }
    }

    #[test]
    fn bytes_outside_of_ascii_are_refused() {
        let mut headers = HeaderMap::new();
        headers.insert(
            header::HOST,
            HeaderValue::from_bytes(b"caf\xc3\xa9.test").unwrap(),
        );
        assert_eq!(
            authority(&Uri::from_static("/"), &headers),
            Err(Refused::Invalid)
        );
    }

    #[test]
    fn credentials_in_the_uri_are_refused() {
        assert_eq!(of("http://user:pass@a.test/", &[]), Err(Refused::Invalid));
    }

    #[test]
    fn the_absolute_form_is_keyed_by_its_authority_and_must_agree_with_host() {
        assert_eq!(of("http://a.test/me", &["A.test"]).unwrap(), "a.test");
        assert_eq!(of("http://a.test/me", &["b.test"]), Err(Refused::Conflict));
        assert_eq!(
            of("http://a.test/me", &["a.test:80"]),
            Err(Refused::Conflict)
        );
        assert_eq!(
            of("http://a.test/me", &["a.test", "a.test"]),
            Err(Refused::Several)
        );
    }

    #[test]
    fn capitals_are_one_authority_but_a_dot_and_a_port_are_others() {
        assert_eq!(of("/", &["A.TEST"]), of("/", &["a.test"]));
        assert_eq!(of("/", &["a.test."]).unwrap(), "a.test.");
        assert_eq!(of("/", &["a.test:80"]).unwrap(), "a.test:80");
    }

    #[test]
    fn small_letters_are_borrowed() {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, HeaderValue::from_static("a.test:80"));
        let uri = Uri::from_static("/");
        assert!(matches!(
            authority(&uri, &headers),
            Ok(Cow::Borrowed("a.test:80"))
        ));
    }
}

//! Which site is a request for? Its answer must never reach another site of the same server.
//!
//! HTTP/2 and absolute-form requests say it in their URI, the others in `Host`. A request that says
//! nothing, says it twice, or says two things, is not for the cache to judge: it passes by.
//!
//! The text is kept as it came, but in small letters: `a.test`, `a.test.` and `a.test:80` have
//! entries of their own. That costs a hit where clients differ, and can not be wrong.

use std::borrow::Cow;

use http::{HeaderMap, HeaderValue, Uri, header};

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

/// What the `Host` lines of a request come to.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) enum Host<'a> {
    /// There is none.
    #[default]
    Missing,
    /// There is one.
    One(&'a HeaderValue),
    /// There are several.
    Several,
}

impl<'a> Host<'a> {
    fn of(headers: &'a HeaderMap) -> Self {
        let lines = headers.get_all(header::HOST).into_iter();
        lines.fold(Self::Missing, Self::and)
    }

    /// Returns what the lines so far and one more come to.
    pub(crate) const fn and(self, line: &'a HeaderValue) -> Self {
        match self {
            Self::Missing => Self::One(line),
            Self::One(_) | Self::Several => Self::Several,
        }
    }
}

/// Returns the authority of a request in small letters; allocates only if it had capitals.
///
/// Rule: RFC 9110 §7.2 and RFC 9112 §3.2, stricter where a doubt would be shared: `Host` beside an
/// authority in the URI must agree with it, and names with other characters than letters, digits,
/// `.`, `-` and `_` are refused although a URI may have them.
pub(crate) fn authority<'a>(uri: &'a Uri, headers: &'a HeaderMap) -> Result<Cow<'a, str>, Refused> {
    authority_with(uri, Host::of(headers))
}

/// Returns the [`authority`] of a request whose `Host` lines have been found already.
#[inline]
pub(crate) fn authority_with<'a>(uri: &'a Uri, host: Host<'a>) -> Result<Cow<'a, str>, Refused> {
    let host = match host {
        Host::Missing => None,
        Host::One(line) => Some(line.to_str().map_err(|_| Refused::Invalid)?),
        Host::Several => return Err(Refused::Several),
    };
    let named = match (uri.authority(), host) {
        (Some(authority), Some(host)) if !authority.as_str().eq_ignore_ascii_case(host) => {
            return Err(Refused::Conflict);
        }
        (Some(authority), _) => authority.as_str(),
        (None, Some(host)) => host,
        (None, None) => return Err(Refused::Missing),
    };
    let letters = letters(named).ok_or(Refused::Invalid)?;
    if letters & CAPITAL != 0 {
        return Ok(Cow::Owned(named.to_ascii_lowercase()));
    }
    Ok(Cow::Borrowed(named))
}

/// A character that a name may have.
const NAME: u8 = 1;

/// A capital, which a name may have too.
const CAPITAL: u8 = 2;

/// What each byte may be. A table, since every hit reads its authority once.
#[expect(
    clippy::indexing_slicing,
    reason = "evaluated when it is compiled, for bytes below 128"
)]
const CLASSES: [u8; 256] = {
    let mut classes = [0; 256];
    let mut byte = 0_u8;
    while byte < 128 {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_') {
            classes[byte as usize] = NAME;
        }
        if byte.is_ascii_uppercase() {
            classes[byte as usize] = NAME | CAPITAL;
        }
        byte += 1;
    }
    classes
};

/// Returns the classes of the characters of an authority, or nothing if it is none.
fn letters(text: &str) -> Option<u8> {
    if text.len() > MAX_BYTES {
        return None;
    }
    if let Some(inner) = text.strip_prefix('[') {
        return address(inner);
    }
    let mut seen = 0;
    let mut length = 0;
    for byte in text.as_bytes() {
        let class = CLASSES.get(usize::from(*byte)).map_or(0, |class| *class);
        if class == 0 {
            break;
        }
        seen |= class;
        length += 1;
    }
    let is_end = length == text.len()
        || text
            .get(length..)
            .is_some_and(|rest| rest.strip_prefix(':').is_some_and(is_port));
    (length > 0 && is_end).then_some(seen)
}

/// Reads an IPv6 address behind its opening bracket; its colons are inside of them.
fn address(inner: &str) -> Option<u8> {
    let (address, rest) = inner.split_once(']')?;
    let good = |byte: u8| byte.is_ascii_hexdigit() || b":.".contains(&byte);
    let is_address = !address.is_empty() && address.bytes().all(good);
    let is_end = rest.is_empty() || rest.strip_prefix(':').is_some_and(is_port);
    let has_capitals = address.bytes().any(|byte| byte.is_ascii_uppercase());
    (is_address && is_end).then_some(if has_capitals { NAME | CAPITAL } else { NAME })
}

fn is_port(text: &str) -> bool {
    (1..=5).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
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

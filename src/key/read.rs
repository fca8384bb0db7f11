//! Reading a key back, for those who look into the cache.
//!
//! What was put into it to tell users apart is not told: of cookies and header fields the names, of
//! an owner that there is one.

#[cfg(feature = "data")]
use super::value::CLASS_VALUE;
use super::{
    buffer::{ABSENT, END, MORE},
    recipe::{CLASS_READ, FORMAT, QUERY_LISTED, QUERY_NONE, QUERY_RAW, SHAPE_ROUTE, SHAPE_URL},
};
use crate::policy::{Pattern, percent};

/// What a key says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KeyText {
    pub(crate) scheme: String,
    pub(crate) authority: String,
    /// The raw path; where the key holds a route and its parameters, one of its raw paths.
    pub(crate) path: String,
    /// The pattern, where the key holds that instead of a path.
    pub(crate) route: Option<String>,
    pub(crate) query: Option<String>,
    /// The header fields that are part of the key.
    pub(crate) fields: Vec<String>,
    /// The cookies that are part of the key.
    pub(crate) cookies: Vec<String>,
    /// Whether it belongs to one owner.
    pub(crate) owned: bool,
}

impl KeyText {
    /// Reads a key; nothing if it is not that of a GET.
    pub(crate) fn of(key: &[u8]) -> Option<Self> {
        let mut reader = Reader(key);
        if reader.byte()? != FORMAT || reader.byte()? != CLASS_READ {
            return None;
        }
        let _namespace = reader.part()?;
        let scheme = text(reader.part()?);
        let authority = text(reader.part()?);
        let (path, route) = reader.path()?;
        let query = reader.query()?;
        let fields = reader.row()?.into_iter().map(|(name, _)| name).collect();
        let cookies = reader.row()?.into_iter().map(|(name, _)| name).collect();
        let owned = reader.maybe()?.is_some();
        // With `No-Vary-Search` the query that all equivalent ones share comes last.
        let canonical = reader.part().map(text);
        Some(Self {
            scheme,
            authority,
            path,
            route,
            query: canonical.or(query),
            fields,
            cookies,
            owned,
        })
    }

    /// Tells whether the URL alone says which requests have this key.
    pub(crate) fn is_plain(&self) -> bool {
        self.fields.is_empty() && self.cookies.is_empty() && !self.owned
    }

    /// Returns the URL, as the handler sees it.
    pub(crate) fn url(&self) -> String {
        let query = self.query.as_deref().map(|query| format!("?{query}"));
        let query = query.unwrap_or_default();
        format!("{}://{}{}{query}", self.scheme, self.authority, self.path)
    }
}

/// Returns kind and id of a value, as the tag of it names them; nothing if the key is not that of a
/// value.
#[cfg(feature = "data")]
pub(crate) fn value_text(key: &[u8]) -> Option<String> {
    let mut reader = Reader(key);
    if reader.byte()? != FORMAT || reader.byte()? != CLASS_VALUE {
        return None;
    }
    let _namespace = reader.part()?;
    let entity = text(reader.part()?);
    Some(format!("{entity}:{}", text(reader.part()?)))
}

/// There are no values.
#[cfg(not(feature = "data"))]
pub(crate) fn value_text(_: &[u8]) -> Option<String> {
    None
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn length(&mut self) -> Option<u32> {
        let (length, rest) = self.0.split_first_chunk::<4>()?;
        self.0 = rest;
        Some(u32::from_le_bytes(*length))
    }

    fn part(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.length()?).ok()?;
        let (part, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(part)
    }

    /// Reads a part that may be absent.
    #[expect(
        clippy::option_option,
        reason = "an absent part is no fault of the key"
    )]
    fn maybe(&mut self) -> Option<Option<&'a [u8]>> {
        if self.0.starts_with(&ABSENT.to_le_bytes()) {
            self.length()?;
            return Some(None);
        }
        self.part().map(Some)
    }

    fn path(&mut self) -> Option<(String, Option<String>)> {
        match self.byte()? {
            SHAPE_URL => Some((text(self.part()?), None)),
            SHAPE_ROUTE => {
                let route = text(self.part()?);
                let pattern = Pattern::parse(&route).ok()?;
                let values: Option<Vec<_>> = pattern.names().iter().map(|_| self.part()).collect();
                Some((filled(&route, &values?), Some(route)))
            }
            _ => None,
        }
    }

    #[expect(
        clippy::option_option,
        reason = "a missing query is no fault of the key"
    )]
    fn query(&mut self) -> Option<Option<String>> {
        match self.byte()? {
            QUERY_NONE => Some(None),
            QUERY_RAW => Some(Some(text(self.part()?))),
            QUERY_LISTED => {
                let pairs: Vec<String> = self
                    .row()?
                    .into_iter()
                    // Each is a whole pair, as it stood in the query.
                    .flat_map(|(_, pairs)| pairs)
                    .collect();
                Some((!pairs.is_empty()).then(|| pairs.join("&")))
            }
            _ => None,
        }
    }

    /// Reads a row of groups: names, and the parts of each.
    fn row(&mut self) -> Option<Vec<(String, Vec<String>)>> {
        let mut groups = Vec::new();
        loop {
            match self.byte()? {
                MORE => {}
                END => return Some(groups),
                _ => return None,
            }
            let name = text(self.part()?);
            let mut parts = Vec::new();
            while self.byte()? == MORE {
                parts.push(text(self.part()?));
            }
            groups.push((name, parts));
        }
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Returns a raw path of a pattern with decoded values in the places of its parameters.
fn filled(pattern: &str, values: &[&[u8]]) -> String {
    let mut values = values.iter();
    let mut path = String::with_capacity(pattern.len());
    let mut rest = pattern;
    while let Some(at) = rest.find(['{', '}']) {
        let (before, brace) = rest.split_at(at);
        path.push_str(before);
        if brace.starts_with("{{") || brace.starts_with("}}") {
            path.push_str(brace.get(..1).unwrap_or_default());
            rest = brace.get(2..).unwrap_or_default();
        } else if let Some(end) = brace.find('}') {
            let whole = brace.starts_with("{*");
            percent::encode(values.next().copied().unwrap_or_default(), whole, &mut path);
            rest = brace.get(end + 1..).unwrap_or_default();
        } else {
            break;
        }
    }
    path.push_str(rest);
    path
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue};

    use super::*;
    use crate::{
        key::{KeyBuffer, KeyRecipe, KeyedRequest},
        policy::{Key, Policy},
    };

    fn read(policy: &Policy, path: &str, query: Option<&str>, pattern: &str) -> KeyText {
        let mut headers = HeaderMap::new();
        headers.insert("cookie", HeaderValue::from_static("theme=dark; sid=secret"));
        headers.insert("x-tenant", HeaderValue::from_static("secret"));
        let pattern = Pattern::parse(pattern).unwrap();
        let request = KeyedRequest {
            path,
            query,
            headers: &headers,
            pattern: Some(&pattern),
            identity: Some("secret"),
        };
        let mut key = KeyBuffer::default();
        let recipe = KeyRecipe::new("shop", "https");
        recipe.begin("a.test:8080", &mut key);
        recipe.finish(policy, &request, &mut key);
        KeyText::of(key.as_bytes()).unwrap()
    }

    #[test]
    fn a_key_reads_as_the_url_it_was_written_for() {
        let read = read(&Policy::new(), "/a/%2F1", Some("x=1&x"), "/a/{id}");
        assert_eq!(read.url(), "https://a.test:8080/a/%2F1?x=1&x");
        assert_eq!((read.route, read.owned), (None, true));
    }

    #[test]
    fn a_route_key_reads_as_one_of_its_urls() {
        let policy = Policy::new().key(Key::route()).query(["b", "a"]);
        let read = read(
            &policy,
            "/a/%31%2f/b%20c/d",
            Some("a=1&c=2&b=3"),
            "/a/{id}/{*rest}",
        );
        assert_eq!(read.url(), "https://a.test:8080/a/1%2F/b%20c/d?a=1&b=3");
        assert_eq!(read.route.as_deref(), Some("/a/{id}/{*rest}"));
    }

    #[test]
    fn what_tells_users_apart_is_not_told() {
        let policy = Policy::new().vary(["x-tenant"]).key_cookies(["sid"]);
        let read = read(&policy, "/a", None, "/a");
        assert_eq!(
            (read.fields.join(","), read.cookies.join(",")),
            ("x-tenant".into(), "sid".into())
        );
        assert!(!format!("{read:?}").contains("secret"));
    }

    #[test]
    fn what_is_no_key_is_read_as_none() {
        for bytes in [
            &b""[..],
            b"\x01",
            b"\x01R\xff\xff\xff\xff",
            b"\x02R",
            &[1; 64],
        ] {
            assert_eq!(KeyText::of(bytes), None);
        }
    }
}

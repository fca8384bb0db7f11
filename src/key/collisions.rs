//! A million pairs of requests, none of which may share a key unless they mean the same.
//!
//! What a request means to the cache is worked out twice: once as a key, and once plainly, as lists
//! of texts. Requests are drawn close to each other, from letters that separate something somewhere,
//! so that a part that could run into its neighbour soon does.

use std::collections::HashMap;

use http::{HeaderMap, HeaderName, HeaderValue};
use proptest::{collection::vec, option, prelude::*, sample::select};

use super::*;
use crate::policy::{Key as KeyForm, Pattern, Policy};

type Texts = Vec<String>;

/// A request, and what is declared for it.
#[derive(Clone, Debug)]
struct Sample {
    layer: (&'static str, &'static str, String),
    path: String,
    pattern: Option<&'static str>,
    query: Option<String>,
    lines: Vec<(&'static str, String)>,
    owner: Option<String>,
    listed: Option<&'static [&'static str]>,
    vary: &'static [&'static str],
    cookies: &'static [&'static str],
}

/// What it means to the cache: two samples that mean the same share a key, others do not.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Meaning {
    layer: (&'static str, &'static str, String),
    path: Result<String, (&'static str, Vec<Vec<u8>>)>,
    query: Result<Option<String>, Vec<(&'static str, Texts)>>,
    headers: Vec<(&'static str, Texts)>,
    cookies: Vec<(&'static str, Texts)>,
    owner: Option<String>,
}

impl Sample {
    fn key(&self) -> Key {
        let policy = Policy::new().vary(self.vary).key_cookies(self.cookies);
        let policy = match self.listed {
            Some(names) => policy.query(names),
            None => policy,
        };
        let pattern = self.pattern.map(|text| Pattern::parse(text).unwrap());
        let form = pattern
            .as_ref()
            .map_or(KeyForm::url(), |_| KeyForm::route().params());
        let headers: HeaderMap = self
            .lines
            .iter()
            .map(|(name, line)| {
                (
                    HeaderName::from_static(name),
                    HeaderValue::from_str(line).unwrap(),
                )
            })
            .collect();
        let request = KeyedRequest {
            path: &self.path,
            query: self.query.as_deref(),
            headers: &headers,
            pattern: pattern.as_ref(),
            identity: self.owner.as_deref(),
        };
        let mut key = KeyBuffer::default();
        let recipe = KeyRecipe::new(self.layer.0, self.layer.1);
        recipe.begin(&self.layer.2, &mut key);
        recipe.finish(&policy.key(form), &request, &mut key);
        key.to_key()
    }

    fn meaning(&self) -> Meaning {
        let each = |names: &'static [&'static str], of: &dyn Fn(&str) -> Texts| {
            names
                .iter()
                .map(|name| (*name, of(name)))
                .collect::<Vec<_>>()
        };
        Meaning {
            layer: self.layer.clone(),
            path: match self.pattern.and_then(|pattern| self.params(pattern)) {
                Some(params) => Err(params),
                None => Ok(self.path.clone()),
            },
            query: match self.listed {
                Some(names) => Err(each(names, &|name| self.pairs(name))),
                None => Ok(self.query.clone()),
            },
            headers: each(self.vary, &|name| self.lines(name)),
            cookies: each(self.cookies, &|name| self.cookies(name)),
            owner: self.owner.clone(),
        }
    }

    fn params(&self, pattern: &'static str) -> Option<(&'static str, Vec<Vec<u8>>)> {
        let path = self.path.strip_prefix('/')?;
        let params = match pattern {
            "/{x}" => vec![path]
                .into_iter()
                .filter(|x| !x.contains('/'))
                .collect(),
            "/{*rest}" => vec![path],
            "/{x}/a" => vec![path.strip_suffix("/a").filter(|x| !x.contains('/'))?],
            _ => path.split_once('/').map(|(x, rest)| vec![x, rest])?,
        };
        let whole = !params.is_empty() && params.iter().all(|value| !value.is_empty());
        whole.then(|| {
            (
                pattern,
                params
                    .into_iter()
                    .map(|value| unquoted(value, false))
                    .collect(),
            )
        })
    }

    fn pairs(&self, name: &str) -> Texts {
        let pairs = self
            .query
            .iter()
            .flat_map(|query| query.split('&'))
            .filter(|pair| !pair.is_empty());
        let named =
            pairs.filter(|pair| unquoted(pair.split('=').next().unwrap(), true) == name.as_bytes());
        named.map(str::to_owned).collect()
    }

    fn lines(&self, name: &str) -> Texts {
        let named = self.lines.iter().filter(|line| line.0 == name);
        named.map(|line| line.1.clone()).collect()
    }

    fn cookies(&self, name: &str) -> Texts {
        let all = self.lines("cookie").join(";");
        let named = all.split(';').map(str::trim).filter(|cookie| {
            cookie
                .split_once('=')
                .is_some_and(|(other, _)| other.trim() == name)
        });
        named.map(str::to_owned).collect()
    }
}

/// Decodes the few escapes that the letters below can spell.
fn unquoted(raw: &str, plus: bool) -> Vec<u8> {
    let spaced = if plus {
        raw.replace('+', " ")
    } else {
        raw.to_owned()
    };
    spaced
        .replace("%61", "a")
        .replace("%2f", "/")
        .replace("%00", "\0")
        .into_bytes()
}

fn text(letters: &'static [&'static str]) -> impl Strategy<Value = String> {
    vec(select(letters), 0..4).prop_map(|letters| letters.concat())
}

fn samples() -> impl Strategy<Value = Sample> {
    const NAMES: [&[&str]; 4] = [&[], &["a"], &["b"], &["a", "b"]];
    let layer = (
        select(&["", "a", "ab"][..]),
        select(&["", "b"][..]),
        text(&["a", "b", "\0"]),
    );
    let path = text(&["/", "a", "b", "/a", "%2f", "%61", "%00", "?", "\0"]);
    let pattern = select(
        &[
            None,
            Some("/{x}"),
            Some("/{x}/a"),
            Some("/{*rest}"),
            Some("/{x}/{*rest}"),
        ][..],
    );
    let query = option::of(text(&[
        "a", "b", "=", "&", "%61", ";", "+", "a=", "&b=", "&a=",
    ]));
    let value = text(&["a", "b", "=", ";", ",", " ", "a=", ";a="]);
    let line = (select(&["a", "b", "c", "cookie", "cookie"][..]), value);
    let lists = (
        option::of(select(&NAMES[..])),
        select(&NAMES[..]),
        select(&NAMES[..]),
    );
    let request = (
        layer,
        path,
        pattern,
        query,
        vec(line, 0..3),
        option::of(text(&["a", "b", "\0"])),
    );
    (request, lists).prop_map(
        |((layer, path, pattern, query, lines, owner), (listed, vary, cookies))| Sample {
            layer,
            path: format!("/{path}"),
            pattern,
            query,
            lines,
            owner,
            listed,
            vary,
            cookies,
        },
    )
}

/// Samples that differ from the first one in a quarter of their parts only.
fn neighbours() -> impl Strategy<Value = Vec<Sample>> {
    let changes = proptest::array::uniform9(prop::bool::weighted(0.25));
    (samples(), vec((samples(), changes), 91)).prop_map(|(first, others)| {
        let near = |(other, changed): (Sample, [bool; 9])| Sample {
            layer: if changed[0] {
                other.layer
            } else {
                first.layer.clone()
            },
            path: if changed[1] {
                other.path
            } else {
                first.path.clone()
            },
            pattern: if changed[2] {
                other.pattern
            } else {
                first.pattern
            },
            query: if changed[3] {
                other.query
            } else {
                first.query.clone()
            },
            lines: if changed[4] {
                other.lines
            } else {
                first.lines.clone()
            },
            owner: if changed[5] {
                other.owner
            } else {
                first.owner.clone()
            },
            listed: if changed[6] {
                other.listed
            } else {
                first.listed
            },
            vary: if changed[7] { other.vary } else { first.vary },
            cookies: if changed[8] {
                other.cookies
            } else {
                first.cookies
            },
        };
        others.into_iter().map(near).collect()
    })
}

proptest! {
    // 256 times 91 requests are a million pairs.
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn two_requests_share_a_key_only_if_they_mean_the_same(samples in neighbours()) {
        let mut by_key = HashMap::new();
        let mut by_meaning = HashMap::new();
        for sample in samples {
            let (key, meaning) = (sample.key(), sample.meaning());
            let other = by_key.entry(key.clone()).or_insert_with(|| meaning.clone());
            prop_assert_eq!(&*other, &meaning);
            let other = by_meaning.entry(meaning).or_insert_with(|| key.clone());
            prop_assert_eq!(&*other, &key);
        }
    }
}

//! What is said on the channel `larder:{ns}:invalidate`, to and by other programs.
//!
//! ```json
//! {"id": "any text of your own", "tags": ["product:7"], "urls": ["/products/7"]}
//! {"id": "another one", "all": true}
//! ```
//!
//! Besides `tags` and `urls` there are `prefixes`, `routes` and `hosts`, each a list of literal
//! texts: nothing in them is a pattern. With `"soft": true` what is hit goes stale instead of void.
//! Nodes hear each message at the same time; the one that claims the `id` first acts on it, so an id
//! is used once. larder's own messages have a `seq`, and are not acted on again: the log has told
//! them. They also say which `node` they are from and, if it is known, `by` what.

use std::fmt::Write;

use serde_json::{Map, Value};

use crate::{
    invalidate::{Purge, Source},
    policy::Target,
};

/// The longest message that is read, in bytes. The project's own choice: some thousand targets.
const LONGEST: usize = 256 << 10;

/// The most targets that one message may name; beyond them everything is invalidated.
const MOST_TARGETS: usize = 1000;

/// The longest id that is read, in bytes.
const LONGEST_ID: usize = 256;

/// The longest source that is told, in characters.
const LONGEST_SOURCE: usize = 256;

/// The lists of a message, and how what is in them is read.
const LISTS: [(&str, fn(&str) -> Target); 5] = [
    ("tags", Target::tag),
    ("urls", Target::url),
    ("prefixes", prefix),
    ("routes", Target::route),
    ("hosts", Target::host),
];

/// What another program wants to be invalidated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Outside {
    pub(crate) id: String,
    pub(crate) purge: Purge,
}

/// What a node says that it has invalidated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Told {
    /// What the node calls itself.
    pub(crate) node: String,
    pub(crate) purge: Purge,
}

/// Who tells the others of an invalidation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Teller<'a> {
    pub(crate) node: &'a str,
    pub(crate) source: Option<&'a Source>,
}

/// What a message turned out to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    Node(Told),
    Outside(Outside),
    /// Nothing that can be read.
    Garbage,
}

/// Reads a message.
pub(crate) fn heard(bytes: &[u8]) -> Heard {
    if bytes.len() > LONGEST {
        return Heard::Garbage;
    }
    let Ok(Value::Object(message)) = serde_json::from_slice(bytes) else {
        return Heard::Garbage;
    };
    let Some(purge) = purge(&message) else {
        return Heard::Garbage;
    };
    let text = |name| message.get(name).and_then(Value::as_str);
    if message.contains_key("seq") {
        let node = text("node").unwrap_or_default().to_owned();
        let source = Source::Node(text("by").map(Box::from));
        let purge = purge.by(source);
        return Heard::Node(Told { node, purge });
    }
    match text("id").unwrap_or_default() {
        "" => Heard::Garbage,
        id if id.len() > LONGEST_ID => Heard::Garbage,
        id => Heard::Outside(Outside {
            id: id.to_owned(),
            purge: purge.by(Source::Program),
        }),
    }
}

/// Returns what a message invalidates, if it can be read to the letter.
fn purge(message: &Map<String, Value>) -> Option<Purge> {
    let mut targets = Vec::new();
    for (name, read) in LISTS {
        match message.get(name) {
            None => {}
            Some(Value::Array(texts)) => {
                let texts = texts.iter().take(MOST_TARGETS + 1);
                let read: Option<Vec<_>> = texts.map(|text| text.as_str().map(read)).collect();
                targets.extend(read?);
            }
            Some(_) => return None,
        }
    }
    if message.get("all") == Some(&Value::Bool(true)) || targets.len() > MOST_TARGETS {
        targets = vec![Target::Everything];
    }
    match message.get("soft") {
        _ if targets.is_empty() => None,
        Some(Value::Bool(true)) => Some(Purge::soft(targets)),
        None | Some(Value::Bool(false)) => Some(Purge::hard(targets)),
        Some(_) => None,
    }
}

fn prefix(text: &str) -> Target {
    let authority = |rest: &str| rest.find('/').filter(|at| *at > 0);
    match text.split_once("://") {
        Some((_, rest)) => match authority(rest).and_then(|at| rest.split_at_checked(at)) {
            Some((authority, path)) => Target::prefix(Some(authority), path),
            None => Target::prefix(Some(rest), "/"),
        },
        None => Target::prefix(None, text),
    }
}

/// Returns what of an own message comes after its number: all targets, who tells, and the end.
pub(crate) fn told(targets: &[Target], is_soft: bool, teller: Teller<'_>) -> String {
    let mut text = String::new();
    if targets.contains(&Target::Everything) {
        text.push_str(r#","all":true"#);
    }
    for (name, _) in LISTS {
        let mut named = targets.iter().filter_map(|target| named(name, target));
        if let Some(first) = named.next() {
            // Writing to a `String` can not fail.
            let _ = write!(text, r#","{name}":[{}"#, Value::String(first));
            for next in named {
                let _ = write!(text, ",{}", Value::String(next));
            }
            text.push(']');
        }
    }
    if is_soft {
        text.push_str(r#","soft":true"#);
    }
    let _ = write!(text, r#","node":"{}""#, teller.node);
    if let Some(source) = teller.source {
        let source = source.to_string().chars().take(LONGEST_SOURCE).collect();
        let _ = write!(text, r#","by":{}"#, Value::String(source));
    }
    text.push('}');
    text
}

/// Returns the text of a target if it belongs into the list `name`.
fn named(name: &str, target: &Target) -> Option<String> {
    let url = |authority: &Option<std::sync::Arc<str>>, rest: String| match authority {
        Some(authority) => format!("http://{authority}{rest}"),
        None => rest,
    };
    match (name, target) {
        ("tags", Target::Tag(text))
        | ("routes", Target::Route(text))
        | ("hosts", Target::Host(text)) => Some(text.to_string()),
        ("urls", Target::Resource { authority, path }) => Some(url(authority, path.to_string())),
        (
            "urls",
            Target::Exact {
                authority,
                path,
                query,
            },
        ) => Some(url(authority, format!("{path}?{query}"))),
        ("prefixes", Target::Prefix { authority, path }) => Some(url(
            authority,
            if path.is_empty() {
                "/".to_owned()
            } else {
                path.to_string()
            },
        )),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TELLER: Teller<'_> = Teller {
        node: "one",
        source: Some(&Source::Call),
    };

    fn outside(text: &str) -> Purge {
        match heard(text.as_bytes()) {
            Heard::Outside(outside) => {
                assert_eq!(outside.purge.source, Source::Program, "{text}");
                outside.purge.by(Source::Call)
            }
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn a_message_names_its_targets_literally() {
        let text = r#"{"id":"7","tags":["a*"],"urls":["/x?y=1","http://a.test/z"],
            "prefixes":["/docs","https://b.test/p"],"routes":["/i/{id}"],"hosts":["C.test"]}"#;
        let expected = Purge::hard([
            Target::tag("a*"),
            Target::url("/x?y=1"),
            Target::url("http://a.test/z"),
            Target::prefix(None, "/docs"),
            Target::prefix(Some("b.test"), "/p"),
            Target::route("/i/{id}"),
            Target::host("c.test"),
        ]);
        assert_eq!(outside(text), expected);
        let soft = outside(r#"{"id":"8","tags":["a"],"soft":true}"#);
        assert_eq!(soft, Purge::soft([Target::tag("a")]));
    }

    #[test]
    fn all_is_everything_and_so_are_more_targets_than_may_be() {
        let everything = Purge::hard([Target::Everything]);
        assert_eq!(outside(r#"{"id":"7","all":true,"tags":["a"]}"#), everything);
        let tags: Vec<String> = (0..=MOST_TARGETS).map(|tag| format!("\"{tag}\"")).collect();
        let many = format!(r#"{{"id":"7","tags":[{}]}}"#, tags.join(","));
        assert_eq!(outside(&many), everything);
    }

    #[test]
    fn what_can_not_be_read_to_the_letter_is_ignored() {
        let deep = "[".repeat(100_000);
        let long = format!(r#"{{"id":"{}","all":true}}"#, "x".repeat(LONGEST_ID + 1));
        let huge = format!(r#"{{"id":"1","tags":["{}"]}}"#, "x".repeat(LONGEST));
        for text in [
            "",
            "product:7",
            "[]",
            r#"{"tags":["a"]}"#,
            r#"{"id":"","tags":["a"]}"#,
            r#"{"id":7,"tags":["a"]}"#,
            r#"{"id":"1"}"#,
            r#"{"id":"1","tags":[]}"#,
            r#"{"id":"1","tags":"a"}"#,
            r#"{"id":"1","tags":[1]}"#,
            r#"{"id":"1","tags":["a"],"soft":"yes"}"#,
            r#"{"id":"1","all":"true"}"#,
            &deep,
            &long,
            &huge,
        ] {
            let shown: String = text.chars().take(60).collect();
            assert_eq!(heard(text.as_bytes()), Heard::Garbage, "{shown}");
        }
        assert_eq!(heard(&[0xff, 0]), Heard::Garbage);
    }

    #[test]
    fn what_is_told_is_what_would_be_heard_but_for_its_number() {
        let targets = vec![
            Target::tag("a\"b"),
            Target::url("/x?y=1"),
            Target::url("http://a.test/z"),
            Target::prefix(None, "/"),
            Target::prefix(Some("b.test"), "/p"),
            Target::route("/i/{id}"),
            Target::host("c.test"),
        ];
        for soft in [false, true] {
            let rest = told(&targets, soft, TELLER);
            let purge = if soft {
                Purge::soft(targets.clone())
            } else {
                Purge::hard(targets.clone())
            };
            assert_eq!(outside(&format!(r#"{{"id":"1"{rest}"#)), purge);
            let told = Told {
                node: "one".into(),
                purge: purge.by(Source::Node(Some("the application".into()))),
            };
            assert_eq!(
                heard(format!(r#"{{"id":"1","seq":7{rest}"#).as_bytes()),
                Heard::Node(told)
            );
        }
        let all = told(&[Target::Everything], false, TELLER);
        assert_eq!(
            outside(&format!(r#"{{"id":"1"{all}"#)),
            Purge::hard([Target::Everything])
        );
    }
}

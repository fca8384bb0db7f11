//! What must never share a key, and the few things that do.

use std::collections::HashMap;

use http::{HeaderMap, HeaderName, HeaderValue};

use super::*;
use crate::policy::{Key as KeyForm, Pattern, Policy};

/// A request as a test writes it.
#[derive(Clone, Debug)]
struct Request {
    namespace: &'static str,
    scheme: &'static str,
    authority: String,
    path: String,
    query: Option<String>,
    headers: Vec<(&'static str, Vec<u8>)>,
    identity: Option<String>,
}

impl Request {
    fn get(url: &str) -> Self {
        let (path, query) = match url.split_once('?') {
            Some((path, query)) => (path, Some(query.to_owned())),
            None => (url, None),
        };
        Self {
            namespace: "shop",
            scheme: "http",
            authority: "a.test".to_owned(),
            path: path.to_owned(),
            query,
            headers: Vec::new(),
            identity: None,
        }
    }

    fn with(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.as_bytes().to_vec()));
        self
    }

    fn header_map(&self) -> HeaderMap {
        let lines = self.headers.iter().map(|(name, value)| {
            (
                HeaderName::from_static(name),
                HeaderValue::from_bytes(value).unwrap(),
            )
        });
        lines.collect()
    }

    fn key(&self, policy: &Policy, pattern: Option<&Pattern>) -> Key {
        let request = KeyedRequest {
            path: &self.path,
            query: self.query.as_deref(),
            headers: &self.header_map(),
            pattern,
            identity: self.identity.as_deref(),
        };
        let mut key = KeyBuffer::default();
        key.part(b"what was written before");
        let recipe = KeyRecipe::new(self.namespace, self.scheme);
        recipe.begin(&self.authority, &mut key);
        recipe.finish(policy, &request, &mut key);
        key.to_key()
    }
}

/// Asserts that no two of the requests have one key under `policy`.
fn all_differ(policy: &Policy, requests: &[Request]) {
    let mut seen = HashMap::new();
    for request in requests {
        if let Some(other) = seen.insert(request.key(policy, None), request) {
            panic!("{request:?} and {other:?} share a key");
        }
    }
}

fn all_urls_differ(policy: &Policy, urls: &[&str]) {
    let requests: Vec<_> = urls.iter().map(|url| Request::get(url)).collect();
    all_differ(policy, &requests);
}

fn same(policy: &Policy, one: &str, other: &str) -> bool {
    Request::get(one).key(policy, None) == Request::get(other).key(policy, None)
}

#[test]
fn another_host_namespace_scheme_or_owner_is_another_key() {
    let plain = Request::get("/");
    let host = Request {
        authority: "b.test".to_owned(),
        ..plain.clone()
    };
    let dotted = Request {
        authority: "a.test.".to_owned(),
        ..plain.clone()
    };
    let port = Request {
        authority: "a.test:80".to_owned(),
        ..plain.clone()
    };
    let scheme = Request {
        scheme: "https",
        ..plain.clone()
    };
    let namespace = Request {
        namespace: "shop2",
        ..plain.clone()
    };
    let owner = Request {
        identity: Some("alice".to_owned()),
        ..plain.clone()
    };
    let other = Request {
        identity: Some("bob".to_owned()),
        ..plain.clone()
    };
    let nameless = Request {
        identity: Some(String::new()),
        ..plain.clone()
    };
    all_differ(
        &Policy::new(),
        &[
            plain, host, dotted, port, scheme, namespace, owner, other, nameless,
        ],
    );
}

#[test]
fn parts_can_not_run_into_each_other() {
    let moved = |namespace, authority: &str, path: &str| Request {
        namespace,
        authority: authority.to_owned(),
        ..Request::get(path)
    };
    all_differ(
        &Policy::new().vary(["x-a"]),
        &[
            moved("shop", "a.test", "/b/c"),
            moved("shop", "a.test/b", "/c"),
            moved("shopa", ".test", "/b/c"),
            moved("shop", "a.test", "/b/c").with("x-a", ""),
            moved("shop", "a.test", "/b/c").with("x-a", "1"),
            moved("shop", "a.test", "/b/c|x-a=1"),
            moved("shop", "a.test", "/b/c%00"),
            moved("shop", "a.test", "/b/c?"),
            moved("shop", "a.test", "/b/c?|x-a=1"),
        ],
    );
}

#[test]
fn delimiters_and_encodings_of_a_path_are_kept_apart() {
    all_urls_differ(
        &Policy::new(),
        &[
            "/me",
            "/me/",
            "//me",
            "/me//",
            "/\\me",
            "/me.css",
            "/me/x.css",
            "/me%2fx.css",
            "/me%2Fx.css",
            "/me;x.css",
            "/me%3fx.css",
            "/me?x.css",
            "/me%23x.css",
            "/me%00x.css",
            "/me%0ax.css",
            "/me!x.css",
            "/me,x.css",
            "/%6de",
            "/ME",
        ],
    );
}

#[test]
fn dot_segments_are_not_resolved() {
    all_urls_differ(
        &Policy::new(),
        &[
            "/me",
            "/static/../me",
            "/static/..%2fme",
            "/static/%2e%2e/me",
            "/static/./../me",
        ],
    );
    all_urls_differ(
        &Policy::new(),
        &[
            "/me",
            "/files/..%2f..%2fme",
            "/files/../../me",
            "/files/%2e%2e/%2e%2e/me",
        ],
    );
}

#[test]
fn nested_routers_with_one_tail_have_their_own_keys() {
    // The path that counts is the client's, not what the outer router left of it.
    all_urls_differ(&Policy::new(), &["/v1/thing/1", "/v2/thing/1", "/thing/1"]);
}

#[test]
fn a_raw_query_is_kept_to_the_letter() {
    all_urls_differ(
        &Policy::new(),
        &[
            "/q",
            "/q?",
            "/q?&",
            "/q?p",
            "/q?p=",
            "/q?p=1",
            "/q?%70=1",
            "/q?p=%31",
            "/q?p=+",
            "/q?p=%20",
            "/q?p=1&p=2",
            "/q?p=2&p=1",
            "/q?p=1&",
            "/q?&p=1",
            "/q?p=1;p=2",
            "/q?P=1",
        ],
    );
}

#[test]
fn listed_parameters_are_kept_raw_and_in_order_among_equals() {
    let policy = Policy::new().query(["s", "p"]);
    all_urls_differ(
        &policy,
        &[
            "/q",
            "/q?p",
            "/q?p=",
            "/q?p=1",
            "/q?%70=1",
            "/q?p=%31",
            "/q?p=+",
            "/q?p=%20",
            "/q?p=1&p=2",
            "/q?p=2&p=1",
            "/q?s=1",
            "/q?p=1&s=1",
            "/q?p=1;s=1",
            "/q?p=1%26s=1",
            "/q?p=1&p=",
        ],
    );
    assert!(same(&policy, "/q?p=1&s=2&p=3", "/q?p=1&p=3&s=2"));
    assert!(same(&policy, "/q?s=2&p=1", "/q?p=1&&s=2&utm=x"));
    assert!(same(&policy, "/q", "/q?"));
}

#[test]
fn a_parameter_behind_a_semicolon_is_not_one_of_its_own() {
    let policy = Policy::new().query(["p"]);
    assert!(same(&policy, "/q?p=1&utm=x;p=evil", "/q?p=1"));
    assert!(!same(&policy, "/q?p=1;utm=x", "/q?p=1"));
}

#[test]
fn requests_that_share_a_listed_key_show_the_handler_the_same_parameters() {
    let policy = Policy::new().query(["p"]);
    let names: Vec<Box<str>> = vec!["p".into()];
    let urls = [
        "/q",
        "/q?utm='evil",
        "/q?p=1",
        "/q?utm=1&p=1",
        "/q?p=1&%75tm=2",
        "/q?p=1&p=2",
    ];
    let mut seen = HashMap::new();
    for url in urls {
        let shown = keep_listed(&url.parse().unwrap(), &names)
            .unwrap()
            .to_string();
        let key = Request::get(url).key(&policy, None);
        assert_eq!(
            *seen.entry(key).or_insert_with(|| shown.clone()),
            shown,
            "{url}"
        );
    }
    assert_eq!(seen.len(), 3);
}

#[test]
fn lines_of_a_declared_header_are_kept_apart() {
    let policy = Policy::new().vary(["x-a", "x-b"]);
    let plain = Request::get("/");
    all_differ(
        &policy,
        &[
            plain.clone(),
            plain.clone().with("x-a", ""),
            plain.clone().with("x-b", ""),
            plain.clone().with("x-a", "a"),
            plain.clone().with("x-b", "a"),
            plain.clone().with("x-a", "a, X-B=b"),
            plain.clone().with("x-a", "a").with("x-b", "b"),
            plain.clone().with("x-a", "a, b"),
            plain.clone().with("x-a", "a").with("x-a", "b"),
            plain.clone().with("x-a", "b").with("x-a", "a"),
            plain.clone().with("x-a", "a").with("x-a", ""),
        ],
    );
    assert_eq!(
        plain.key(&policy, None),
        plain.with("x-c", "1").key(&policy, None)
    );
}

#[test]
fn a_header_a_cookie_and_a_parameter_of_one_name_are_kept_apart() {
    let policy = Policy::new()
        .vary(["sid"])
        .key_cookies(["sid"])
        .query(["sid"]);
    let plain = Request::get("/");
    all_differ(
        &policy,
        &[
            plain.clone(),
            Request::get("/?sid=1"),
            plain.clone().with("sid", "1"),
            plain.clone().with("sid", "sid=1"),
            plain.clone().with("cookie", "sid=1"),
            plain.clone().with("cookie", "sid = 1"),
            plain.clone().with("cookie", "sid="),
            plain.clone().with("cookie", "sid=1; sid=2"),
            plain.clone().with("cookie", "sid=2; sid=1"),
            plain.clone().with("cookie", "sid=1, sid=2"),
            Request {
                identity: Some("sid=1".to_owned()),
                ..plain
            },
        ],
    );
}

#[test]
fn a_route_and_its_parameters_stand_for_all_spellings_of_a_path() {
    let policy = Policy::new().key(KeyForm::route().params());
    let short = Pattern::parse("/a/{x}").unwrap();
    let long = Pattern::parse("/a/{x}/b").unwrap();
    let of = |url, pattern| Request::get(url).key(&policy, Some(pattern));
    assert_eq!(of("/a/%31", &short), of("/a/1", &short));
    assert_ne!(of("/a/1%2fb", &short), of("/a/1/b", &long));
    assert_ne!(of("/a/%ff", &short), of("/a/%fe", &short));
    assert_ne!(of("/a/1", &short), of("/a/1?q", &short));
    assert_ne!(of("/a/1", &short), Request::get("/a/1").key(&policy, None));
    let elsewhere = Request {
        authority: "b.test".to_owned(),
        ..Request::get("/a/1")
    };
    assert_ne!(of("/a/1", &short), elsewhere.key(&policy, Some(&short)));
}

#[test]
fn parameters_that_were_forgotten_are_in_the_key_all_the_same() {
    let policy = Policy::new().key(KeyForm::route());
    let pattern = Pattern::parse("/a/{x}").unwrap();
    let of = |url| Request::get(url).key(&policy, Some(&pattern));
    assert_ne!(of("/a/1"), of("/a/2"));
    assert_ne!(of("/elsewhere/1"), of("/elsewhere/2"));
}

#[test]
fn policies_with_other_lists_do_not_read_each_others_entries() {
    let request = Request::get("/q?page=2&sort=up");
    let lists: [&[&str]; 4] = [&[], &["page"], &["page", "sort"], &["page", "size", "sort"]];
    let mut keys: Vec<_> = lists
        .map(|names| request.key(&Policy::new().query(names), None))
        .into();
    keys.push(request.key(&Policy::new(), None));
    keys.push(request.key(&Policy::new().vary(["page"]), None));
    keys.push(request.key(&Policy::new().key_cookies(["page"]), None));
    let distinct: std::collections::HashSet<_> = keys.iter().collect();
    assert_eq!(distinct.len(), keys.len());
}

#[test]
fn a_buffer_that_is_used_again_does_not_grow() {
    let policy = Policy::new().vary(["accept-language"]).query(["page"]);
    let request = Request::get("/products?page=2&utm=x").with("accept-language", "fr");
    let headers = request.header_map();
    let keyed = KeyedRequest {
        path: &request.path,
        query: request.query.as_deref(),
        headers: &headers,
        pattern: None,
        identity: None,
    };
    let recipe = KeyRecipe::new("shop", "http");
    let mut key = KeyBuffer::default();
    recipe.begin(&request.authority, &mut key);
    recipe.finish(&policy, &keyed, &mut key);
    let (before, first) = (key.capacity(), key.to_key());
    recipe.begin(&request.authority, &mut key);
    recipe.finish(&policy, &keyed, &mut key);
    assert_eq!((key.capacity(), key.to_key()), (before, first));
}

#[test]
fn a_key_is_begun_again_for_the_same_layer_and_authority_alone() {
    let headers = HeaderMap::new();
    let keyed = KeyedRequest {
        path: "/a",
        query: None,
        headers: &headers,
        pattern: None,
        identity: None,
    };
    let recipe = KeyRecipe::new("shop", "http");
    let mut key = KeyBuffer::default();
    assert!(!recipe.begin_again(b"a.test", &mut key));
    recipe.begin("a.test", &mut key);
    recipe.finish(&Policy::new(), &keyed, &mut key);
    let whole = key.to_key();
    for other in ["", "a", "a.tes", "a.test:80", "A.test", "b.test", "/a"] {
        assert!(!recipe.begin_again(other.as_bytes(), &mut key), "{other}");
    }
    assert!(!KeyRecipe::new("shop", "https").begin_again(b"a.test", &mut key));
    assert!(!KeyRecipe::new("sho", "http").begin_again(b"a.test", &mut key));
    assert_eq!(key.to_key(), whole);
    assert!(recipe.begin_again(b"a.test", &mut key));
    recipe.finish(&Policy::new(), &keyed, &mut key);
    assert_eq!(key.to_key(), whole);
}

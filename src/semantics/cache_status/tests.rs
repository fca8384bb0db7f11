use http::HeaderValue;
use proptest::prelude::*;
use sfv::{Item, Parser};

use super::*;

fn larder() -> Name {
    Name::new("larder").unwrap()
}

/// A member of the cache `name` that was answered from the store.
fn hit(name: &Name) -> Member<'_> {
    Member {
        name,
        handling: Handling::Hit,
        ttl: None,
        key: None,
        detail: None,
    }
}

/// How a request that went forward for `reason` is handled when nothing else is to be said.
fn forwarded(reason: Forward) -> Handling {
    Handling::Forwarded {
        reason,
        status: None,
        stored: false,
        collapsed: None,
    }
}

fn written(member: &Member<'_>) -> String {
    let mut out = BytesMut::new();
    member.write(&mut out);
    String::from_utf8(out.to_vec()).unwrap()
}

/// Cache-Status, rule 2.
#[test]
fn a_name_is_a_token_or_a_string() {
    for (name, text) in [
        ("larder", Some("larder")),
        ("*cache:1/a", Some("*cache:1/a")),
        ("my cache", Some("\"my cache\"")),
        ("1st", Some("\"1st\"")),
        ("a\"b\\c", Some(r#""a\"b\\c""#)),
        ("", None),
        ("caché", None),
        ("a\nb", None),
    ] {
        let written = Name::new(name).map(|name| name.0);
        assert_eq!(written.as_deref(), text, "{name:?}");
    }
}

/// Cache-Status, rule 4.
#[test]
fn a_hit_says_so_and_nothing_of_going_forward() {
    assert_eq!(written(&hit(&larder())), "larder; hit");
}

/// Cache-Status, rule 5.
#[test]
fn a_request_that_went_forward_says_why() {
    for (reason, word) in [
        (Forward::Bypass, "bypass"),
        (Forward::Method, "method"),
        (Forward::UriMiss, "uri-miss"),
        (Forward::VaryMiss, "vary-miss"),
        (Forward::Miss, "miss"),
        (Forward::Request, "request"),
        (Forward::Stale, "stale"),
    ] {
        let name = larder();
        let member = Member {
            handling: forwarded(reason),
            ..hit(&name)
        };
        assert_eq!(written(&member), format!("larder; fwd={word}"));
    }
}

/// Cache-Status, rules 6 and 8.
#[test]
fn what_became_of_a_forwarded_request_follows_the_reason() {
    let name = larder();
    let with = |status, stored, collapsed| {
        written(&Member {
            handling: Handling::Forwarded {
                reason: Forward::Stale,
                status,
                stored,
                collapsed,
            },
            ..hit(&name)
        })
    };
    assert_eq!(
        with(Some(304), true, None),
        "larder; fwd=stale; fwd-status=304; stored"
    );
    assert_eq!(
        with(None, false, Some(true)),
        "larder; fwd=stale; collapsed"
    );
    assert_eq!(
        with(None, false, Some(false)),
        "larder; fwd=stale; collapsed=?0"
    );
}

/// Cache-Status, rule 7.
#[test]
fn the_seconds_of_freshness_left_may_be_negative() {
    let name = larder();
    for (ttl, text) in [
        (0, "0"),
        (7, "7"),
        (10, "10"),
        (376, "376"),
        (-412, "-412"),
        (i64::MAX, "999999999999999"),
        (i64::MIN, "-999999999999999"),
    ] {
        let member = Member {
            ttl: Some(ttl),
            ..hit(&name)
        };
        assert_eq!(written(&member), format!("larder; hit; ttl={text}"));
    }
}

/// Cache-Status, rule 9.
#[test]
fn key_and_detail_are_written_as_what_they_are() {
    let name = larder();
    let member = Member {
        key: Some(b"GET\0/a \"b\"\xff"),
        detail: Some("MEMORY"),
        ..hit(&name)
    };
    assert_eq!(
        written(&member),
        r#"larder; hit; key="GET%00/a \"b\"%FF"; detail=MEMORY"#
    );
    let detail = |detail| {
        written(&Member {
            detail: Some(detail),
            ..hit(&name)
        })
    };
    assert_eq!(detail("a cookie"), "larder; hit; detail=\"a cookie\"");
    assert_eq!(detail("a\r\nb: c"), "larder; hit");
}

proptest! {
    #[test]
    fn whatever_is_said_reads_back_as_a_structured_field(
        name in "[ -~]{1,12}",
        ttl: Option<i64>,
        key: Option<Vec<u8>>,
        detail: Option<String>,
    ) {
        let name = Name::new(&name).unwrap();
        let text = written(&Member {
            name: &name,
            handling: Handling::Hit,
            ttl,
            key: key.as_deref(),
            detail: detail.as_deref(),
        });
        prop_assert!(Parser::new(&text).parse::<Item>().is_ok(), "{}", text);
        prop_assert!(HeaderValue::from_str(&text).is_ok());
    }
}

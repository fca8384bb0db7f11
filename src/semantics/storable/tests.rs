mod statuses;

use http::HeaderName;
use proptest::prelude::*;

use super::*;
use crate::semantics::samples::{any_headers, headers};

/// A response to be judged, plain unless said otherwise.
struct Case {
    method: Method,
    target: &'static str,
    request: &'static str,
    authorized: bool,
    status: u16,
    rules: StoreRules,
    policy_lifetime: bool,
}

fn application() -> Case {
    Case {
        method: Method::GET,
        target: "http://a.test/x?y",
        request: "",
        authorized: false,
        status: 200,
        rules: StoreRules::application(),
        policy_lifetime: false,
    }
}

fn gateway() -> Case {
    Case {
        rules: StoreRules::gateway(),
        ..application()
    }
}

impl Case {
    fn refusal(&self, lines: &[(&str, &str)]) -> Option<Refusal> {
        let response = headers(lines);
        let target = self.target.parse().unwrap();
        let targets = [HeaderName::from_static("cdn-cache-control")];
        refusal(&StoreQuestion {
            method: &self.method,
            target: &target,
            request: &RequestDirectives::of(&headers(&[("cache-control", self.request)])),
            authorized: self.authorized,
            status: StatusCode::from_u16(self.status).unwrap(),
            response: &response,
            directives: &ResponseDirectives::of(&response, &targets),
            vary: &Vary::of(&response),
            rules: &self.rules,
            policy_lifetime: self.policy_lifetime,
        })
    }

    /// The same with a Cache-Control line and nothing else.
    fn with(&self, line: &str) -> Option<Refusal> {
        self.refusal(&[("cache-control", line)])
    }
}

const FRESH: (&str, &str) = ("cache-control", "max-age=60");
const TAGGED: (&str, &str) = ("etag", "\"a\"");

// part 1 rule 1
#[test]
fn a_plain_response_with_a_lifetime_is_stored() {
    for case in [application(), gateway()] {
        assert_eq!(case.with("max-age=60"), None);
        assert_eq!(case.with("s-maxage=60"), None);
        assert_eq!(
            case.refusal(&[("expires", "Sun, 06 Nov 1994 08:49:37 GMT")]),
            None
        );
        let by_policy = Case {
            policy_lifetime: true,
            ..case
        };
        assert_eq!(by_policy.refusal(&[]), None);
    }
}

// part 1 rule 1
#[test]
fn the_application_preset_stores_nothing_without_an_explicit_lifetime() {
    for lines in [
        &[][..],
        &[("cache-control", "public")],
        &[("last-modified", "Sun, 06 Nov 1994 08:49:37 GMT")],
        &[TAGGED],
        &[("cache-control", "no-cache"), TAGGED],
        &[("cache-control", "stale-while-revalidate=60")],
    ] {
        assert_eq!(
            application().refusal(lines),
            Some(Refusal::NoLifetime),
            "{lines:?}"
        );
    }
}

// part 1 rules 1 and 27
#[test]
fn the_gateway_preset_stores_what_can_be_confirmed_if_the_status_or_public_permits_it() {
    let case = |status| Case {
        status,
        ..gateway()
    };
    assert_eq!(case(200).refusal(&[TAGGED]), None);
    assert_eq!(
        case(404).refusal(&[("last-modified", "Sun, 06 Nov 1994 08:49:37 GMT")]),
        None
    );
    assert_eq!(case(200).refusal(&[]), Some(Refusal::NoLifetime));
    for status in [201, 202, 403, 502, 503, 504, 599] {
        assert_eq!(
            case(status).refusal(&[TAGGED]),
            Some(Refusal::NoLifetime),
            "{status}"
        );
        assert_eq!(
            case(status).refusal(&[("cache-control", "public"), TAGGED]),
            None,
            "{status}"
        );
    }
}

// part 1 rule 1
#[test]
fn a_response_with_no_store_is_not_stored() {
    for case in [application(), gateway()] {
        let by_policy = Case {
            policy_lifetime: true,
            ..case
        };
        for line in [
            "no-store",
            "No-Store, max-age=60",
            "max-age=60,no-store",
            "\tno-store \t, max-age=60",
        ] {
            assert_eq!(by_policy.with(line), Some(Refusal::NoStore), "{line}");
        }
        let obscured = [("cache-control", "caf\u{e9}, no-store"), FRESH];
        assert_eq!(by_policy.refusal(&obscured), Some(Refusal::NoStore));
    }
}

// part 1 rule 1
#[test]
fn a_private_response_is_not_stored() {
    for case in [application(), gateway()] {
        let by_policy = Case {
            policy_lifetime: true,
            ..case
        };
        for line in [
            "private",
            "PRIVATE",
            "max-age=60, private",
            "private=\"\"",
            "Private , max-age=60",
        ] {
            assert_eq!(by_policy.with(line), Some(Refusal::Private), "{line}");
        }
    }
}

// part 1 rule 2
#[test]
fn a_response_with_private_fields_is_stored_without_them_by_the_gateway_preset_alone() {
    let line = "max-age=60, private=\"x\"";
    assert_eq!(gateway().with(line), None);
    assert_eq!(application().with(line), Some(Refusal::Private));
    assert_eq!(application().with("max-age=60, no-cache=\"x\""), None);
}

// part 1 rule 1
#[test]
fn a_response_with_no_cache_is_stored_only_to_be_confirmed() {
    for case in [application(), gateway()] {
        let line = ("cache-control", "No-Cache, max-age=60");
        assert_eq!(case.refusal(&[line]), Some(Refusal::NoCache));
        assert_eq!(case.refusal(&[line, TAGGED]), None);
    }
    assert_eq!(
        gateway().refusal(&[("cache-control", "no-cache"), TAGGED]),
        None
    );
}

// part 1 rule 1
#[test]
fn a_request_with_no_store_forbids_storing() {
    for case in [application(), gateway()] {
        let case = Case {
            request: "No-Store",
            ..case
        };
        assert_eq!(case.with("max-age=60"), Some(Refusal::RequestNoStore));
    }
}

// part 1 rule 1
#[test]
fn the_gateway_preset_stores_answers_to_authorized_requests_only_if_they_are_declared_shared() {
    let case = Case {
        authorized: true,
        ..gateway()
    };
    for line in [
        "public, max-age=60",
        "must-revalidate, max-age=60",
        "s-maxage=60",
    ] {
        assert_eq!(case.with(line), None, "{line}");
    }
    for line in [
        "max-age=60",
        "proxy-revalidate, max-age=60",
        "public=1, max-age=60",
    ] {
        assert_eq!(case.with(line), Some(Refusal::Authorization), "{line}");
    }
    let targeted = [
        ("cache-control", "public"),
        ("cdn-cache-control", "max-age=60"),
    ];
    assert_eq!(case.refusal(&targeted), Some(Refusal::Authorization));
}

// part 1 rule 1
#[test]
fn the_application_preset_stores_answers_to_authorized_requests_only_if_the_key_tells_users_apart()
{
    let mut case = Case {
        authorized: true,
        ..application()
    };
    assert_eq!(
        case.with("public, s-maxage=60"),
        Some(Refusal::Authorization)
    );
    case.rules.identity_in_key = true;
    assert_eq!(case.with("max-age=60"), None);
    assert_eq!(case.with("max-age=60, private"), Some(Refusal::Private));
}

// part 1 rule 6
#[test]
fn what_a_head_brought_is_not_stored() {
    for case in [application(), gateway()] {
        for method in [Method::HEAD, Method::PUT, Method::DELETE, Method::OPTIONS] {
            let case = Case {
                method,
                rules: case.rules.clone(),
                ..application()
            };
            assert_eq!(case.with("max-age=60"), Some(Refusal::Method));
        }
    }
}

// part 1 rule 7
#[test]
fn a_post_is_stored_only_with_a_lifetime_and_its_own_location() {
    let post = Case {
        method: Method::POST,
        ..gateway()
    };
    let at = |location| post.refusal(&[FRESH, ("content-location", location)]);
    assert_eq!(at("/x?y"), None);
    assert_eq!(at("http://A.test/x?y"), None);
    for other in [
        "/x",
        "/x?z",
        "http://b.test/x?y",
        "https://a.test/x?y",
        "x?y",
        "",
        "\u{e9}",
    ] {
        assert_eq!(at(other), Some(Refusal::Method), "{other}");
    }
    assert_eq!(post.refusal(&[FRESH]), Some(Refusal::Method));
    let unlimited = [TAGGED, ("content-location", "/x?y")];
    assert_eq!(post.refusal(&unlimited), Some(Refusal::Method));
    let origin_form = Case {
        target: "/x?y",
        ..post
    };
    let absolute = [FRESH, ("content-location", "http://a.test/x?y")];
    assert_eq!(origin_form.refusal(&absolute), Some(Refusal::Method));
    let application = Case {
        method: Method::POST,
        ..application()
    };
    assert_eq!(
        application.refusal(&[FRESH, ("content-location", "/x?y")]),
        Some(Refusal::Method)
    );
}

// part 1 rule 1
#[test]
fn a_response_that_varies_on_anything_is_not_stored() {
    for case in [application(), gateway()] {
        let by_policy = Case {
            policy_lifetime: true,
            ..case
        };
        for lines in [
            &[("vary", "*")][..],
            &[("vary", "Accept, *")],
            &[("vary", "accept"), ("vary", "*, *")],
            &[("vary", "not a name")],
        ] {
            assert_eq!(
                by_policy.refusal(lines),
                Some(Refusal::VaryAny),
                "{lines:?}"
            );
        }
    }
}

#[test]
fn the_application_preset_stores_no_response_that_varies_on_who_asks() {
    for name in ["Cookie", "authorization", "Accept, COOKIE"] {
        let lines = [FRESH, ("vary", name)];
        assert_eq!(
            application().refusal(&lines),
            Some(Refusal::VaryIdentity),
            "{name}"
        );
        assert_eq!(gateway().refusal(&lines), None, "{name}");
        let mut keyed = application();
        keyed.rules.identity_in_key = true;
        assert_eq!(keyed.refusal(&lines), None, "{name}");
    }
    assert_eq!(
        application().refusal(&[FRESH, ("vary", "accept, x-cookie")]),
        None
    );
}

// part 1 rule 28
#[test]
fn a_response_that_sets_a_cookie_is_stored_only_if_the_rules_say_so() {
    for name in ["set-cookie", "set-cookie2"] {
        let lines = [FRESH, (name, "a=b")];
        assert_eq!(application().refusal(&lines), Some(Refusal::SetCookie));
        assert_eq!(gateway().refusal(&lines), None);
        let mut allowed = application();
        allowed.rules.set_cookie = true;
        assert_eq!(allowed.refusal(&lines), None);
    }
}

// part 6 rule 2
#[test]
fn a_targeted_field_decides_about_storing_against_cache_control_and_expires() {
    for case in [application(), gateway()] {
        let beside = |target, line| {
            case.refusal(&[
                ("cdn-cache-control", target),
                ("cache-control", line),
                ("expires", "0"),
            ])
        };
        assert_eq!(beside("max-age=60", "no-store"), None);
        assert_eq!(beside("max-age=60", "private"), None);
        assert_eq!(beside("no-store", "max-age=60"), Some(Refusal::NoStore));
        assert_eq!(beside("private", "max-age=60"), Some(Refusal::Private));
        assert_eq!(beside("foo", "max-age=60"), Some(Refusal::NoLifetime));
        assert_eq!(
            beside("max-age=\"60\"", "no-store"),
            Some(Refusal::NoLifetime)
        );
        assert_eq!(beside("max-age=60, &&", "no-store"), Some(Refusal::NoStore));
    }
}

#[test]
fn lifetimes_that_can_not_be_read_or_are_huge_do_no_harm() {
    for value in [
        "99999999999999999999",
        "-1",
        "1.5",
        "\"60\"",
        "",
        "60, max-age=x",
    ] {
        assert_eq!(gateway().with(&format!("max-age={value}")), None, "{value}");
    }
    let long = format!("{}, no-store", "x".repeat(65_536));
    assert_eq!(gateway().with(&long), Some(Refusal::NoStore));
}

proptest! {
    #[test]
    fn the_application_preset_stores_nothing_that_the_gateway_preset_refuses(
        response in any_headers(), status in 100_u16..1000, authorized: bool,
    ) {
        let all = ResponseDirectives::of(&response, &[]);
        let [application, gateway] = [StoreRules::application(), StoreRules::gateway()];
        let judge = |rules: &StoreRules| refusal(&StoreQuestion {
            method: &Method::GET,
            target: &Uri::from_static("/"),
            request: &RequestDirectives::default(),
            authorized,
            status: StatusCode::from_u16(status).unwrap(),
            response: &response,
            directives: &all,
            vary: &Vary::of(&response),
            rules,
            policy_lifetime: false,
        });
        if judge(&application).is_none() {
            prop_assert_eq!(judge(&gateway), None);
            prop_assert!(!response.contains_key(SET_COOKIE));
            prop_assert_eq!(all.private, Scope::No);
        }
    }
}

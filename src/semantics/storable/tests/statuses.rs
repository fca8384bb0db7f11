//! What the status alone decides.

use super::*;

// part 1 rule 1
#[test]
fn interim_responses_and_parts_are_never_stored() {
    for case in [application(), gateway()] {
        let judge = |status| {
            let case = Case {
                status,
                rules: case.rules.clone(),
                ..application()
            };
            case.with("public, max-age=60")
        };
        assert_eq!(judge(103), Some(Refusal::Interim));
        assert_eq!(judge(206), Some(Refusal::Partial));
        assert_eq!(judge(304), Some(Refusal::NotModified));
    }
    let ranged = [FRESH, ("content-range", "bytes 0-0/9")];
    assert_eq!(application().refusal(&ranged), Some(Refusal::Partial));
    assert_eq!(gateway().refusal(&ranged), None);
}

#[test]
fn the_application_preset_stores_four_statuses_and_five_more_if_asked_to() {
    let every: Vec<StatusCode> = (200..600)
        .map(|code| StatusCode::from_u16(code).unwrap())
        .collect();
    let stored = |statuses: &[StatusCode]| -> Vec<u16> {
        let rules = StoreRules {
            statuses: statuses.to_vec(),
            ..StoreRules::application()
        };
        let stores = |status: &&StatusCode| {
            let case = Case {
                status: status.as_u16(),
                rules: rules.clone(),
                ..application()
            };
            case.with("public, max-age=60").is_none()
        };
        every
            .iter()
            .filter(stores)
            .map(StatusCode::as_u16)
            .collect()
    };
    assert_eq!(stored(&[]), [200, 203, 301, 308]);
    assert_eq!(stored(&[StatusCode::NOT_FOUND]), [200, 203, 301, 308, 404]);
    assert_eq!(
        stored(&every),
        [200, 203, 204, 301, 302, 307, 308, 404, 410]
    );
}

// part 1 rule 1
#[test]
fn the_gateway_preset_stores_any_final_status_with_a_lifetime() {
    for status in [
        200, 203, 204, 299, 301, 302, 303, 307, 308, 400, 404, 410, 499, 500, 502, 599,
    ] {
        let case = Case {
            status,
            ..gateway()
        };
        assert_eq!(case.with("max-age=60"), None, "{status}");
    }
    for status in [412, 416, 428, 429, 431, 511, 600, 999] {
        let case = Case {
            status,
            ..gateway()
        };
        assert_eq!(
            case.with("public, max-age=60"),
            Some(Refusal::Status),
            "{status}"
        );
    }
}

// part 1 rule 25
#[test]
fn must_understand_overrules_no_store_for_a_status_that_is_understood() {
    let understood = "max-age=60, no-store, must-understand";
    assert_eq!(gateway().with(understood), None);
    assert_eq!(application().with(understood), None);
    let unknown = Case {
        status: 599,
        ..gateway()
    };
    assert_eq!(unknown.with(understood), Some(Refusal::NotUnderstood));
    assert_eq!(
        unknown.with("max-age=60, must-understand"),
        Some(Refusal::NotUnderstood)
    );
    assert_eq!(
        gateway().with("max-age=60, private, must-understand"),
        Some(Refusal::Private)
    );
}

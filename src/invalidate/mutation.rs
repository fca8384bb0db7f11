//! The targets that the answer to a mutating request names, and whether it counts.

use http::{HeaderMap, HeaderName, Method, StatusCode, Uri, header};

use crate::{
    policy::Target,
    semantics::{fields, groups, storable::Preset},
};

/// Returns whether a request that was answered so may have changed something.
///
/// 2xx and 3xx have (RFC 9111 §4.4). An application also has to fear 5xx: the change may have been
/// committed before the failure. 4xx are refusals, and anybody can provoke one.
pub(crate) fn may_have_changed(status: StatusCode, preset: Preset) -> bool {
    status.is_success()
        || status.is_redirection()
        || status.is_server_error() && preset == Preset::Application
}

/// Returns what the response names: `Location` and `Content-Location` on the same authority (RFC
/// 9111 §4.4), and groups to invalidate (RFC 9875 §2.2).
pub(crate) fn of_response(
    method: &Method,
    authority: Option<&str>,
    path: &str,
    response: &HeaderMap,
) -> Vec<Target> {
    let located = [header::LOCATION, header::CONTENT_LOCATION];
    let mut targets: Vec<Target> = located
        .iter()
        .filter_map(|name| located_path(authority, path, response, name))
        .map(|path| Target::resource(authority, &path))
        .collect();
    let groups = groups::invalidated(method, response);
    targets.extend(groups.iter().map(|name| group(authority, name)));
    targets
}

/// Returns the target of a cache group, which belongs to one origin (RFC 9875 §2).
fn group(authority: Option<&str>, name: &str) -> Target {
    Target::group(authority.unwrap_or_default(), name)
}

/// Returns the path that a location field leads to, if it is on `authority`.
fn located_path(
    authority: Option<&str>,
    base: &str,
    response: &HeaderMap,
    name: &HeaderName,
) -> Option<String> {
    let text = fields::single(response, name)?.to_str().ok()?;
    let text = text.split('#').next()?;
    if let Some(rest) = text.strip_prefix("//") {
        let rest = format!("http://{rest}").parse::<Uri>().ok()?;
        return on(authority, &rest);
    }
    if text.starts_with('/') {
        return Some(text.split('?').next()?.to_owned());
    }
    if text.contains("://") {
        return on(authority, &text.parse::<Uri>().ok()?);
    }
    let folder = base.rfind('/').and_then(|at| base.get(..=at))?;
    let joined = format!("{folder}{}", text.split('?').next()?);
    (!joined.contains("/../") && !joined.contains("/./")).then_some(joined)
}

fn on(authority: Option<&str>, location: &Uri) -> Option<String> {
    let there = location.authority()?.as_str();
    let same = authority.is_some_and(|here| here.eq_ignore_ascii_case(there));
    same.then(|| location.path().to_owned())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn located(name: HeaderName, value: &str) -> Vec<Target> {
        let headers = HeaderMap::from_iter([(name, HeaderValue::from_str(value).unwrap())]);
        of_response(&Method::POST, Some("a.test"), "/items/7", &headers)
    }

    #[test]
    fn locations_on_the_same_authority_count_in_every_form() {
        let wanted = Target::resource(Some("a.test"), "/items/8");
        for text in [
            "/items/8",
            "/items/8?x=1",
            "http://A.test/items/8",
            "//a.test/items/8",
            "8",
        ] {
            for name in [header::LOCATION, header::CONTENT_LOCATION] {
                assert_eq!(located(name, text), std::slice::from_ref(&wanted), "{text}");
            }
        }
    }

    #[test]
    fn locations_elsewhere_never_count() {
        for text in [
            "http://b.test/items/8",
            "//b.test/items/8",
            "http://a.test:81/items/8",
        ] {
            assert!(located(header::LOCATION, text).is_empty(), "{text}");
        }
    }

    #[test]
    fn refusals_change_nothing_and_failures_may_have() {
        let changed =
            |status, preset| may_have_changed(StatusCode::from_u16(status).unwrap(), preset);
        for status in [200, 201, 204, 303] {
            assert!(changed(status, Preset::Application) && changed(status, Preset::Gateway));
        }
        for status in [400, 401, 403, 404, 409] {
            assert!(!changed(status, Preset::Application) && !changed(status, Preset::Gateway));
        }
        assert!(changed(500, Preset::Application) && !changed(500, Preset::Gateway));
    }
}

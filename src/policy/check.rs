//! Which settings can not work, and how they are mended?

use std::time::Duration;

use http::StatusCode;

use super::{Compress, Pattern, Policy, key_form::Shape, tag};
use crate::error::{Error, ErrorKind};

/// The longest lifetime and window: a week, so that every entry ends. The project's own choice.
pub(crate) const MAX_TTL: Duration = Duration::from_secs(7 * 24 * 3600);

/// The longest lifetime of a 404 or 410: whoever guesses URLs must not pin their absence.
pub(crate) const MAX_NEGATIVE_TTL: Duration = Duration::from_secs(10);

/// The statuses that a policy may ask to be stored besides those that are stored anyway.
const OPTIONAL_STATUSES: [StatusCode; 5] = [
    StatusCode::NO_CONTENT,
    StatusCode::FOUND,
    StatusCode::TEMPORARY_REDIRECT,
    StatusCode::NOT_FOUND,
    StatusCode::GONE,
];

impl Policy {
    /// Finds settings that can not work; nothing else does, the cache merely leaves them out.
    ///
    /// # Errors
    ///
    /// Names each bad value and its fix, a line each.
    ///
    /// ```
    /// use larder::{Policy, secs};
    ///
    /// let refused = Policy::ttl(secs(10)).jitter(0.5).check().unwrap_err();
    /// assert!(refused.to_string().contains("jitter 0.5"));
    /// ```
    pub fn check(&self) -> Result<(), Error> {
        Error::all(&self.faults()).map_or(Ok(()), Err)
    }

    /// Returns all that is wrong with the policy by itself.
    pub(crate) fn faults(&self) -> Vec<Error> {
        let mut faults = self.mistakes.clone();
        let found = self
            .lifetime_faults()
            .into_iter()
            .chain(self.share_faults())
            .chain(self.storing_faults());
        faults.extend(found.map(|message| Error::new(ErrorKind::Configuration, message)));
        faults
    }

    /// Returns all that is wrong with the policy by itself or on a route of `pattern`.
    pub(crate) fn faults_on(&self, pattern: &Pattern) -> Vec<Error> {
        let mut faults = self.faults();
        let unknown = self
            .tags
            .iter()
            .flat_map(|tag| tag.unknown(pattern.names()));
        faults.extend(unknown);
        let route_alone = self.key.is_some_and(|key| key.shape == Shape::Route);
        if route_alone && !pattern.names().is_empty() {
            faults.push(Error::new(
                ErrorKind::Configuration,
                "`Key::route()` leaves the parameters out, so that all paths would share one entry; \
                 write `Key::route().params()`",
            ));
        }
        faults
    }

    fn lifetime_faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let week = [
            ("ttl", self.ttl),
            ("ttl_cap", self.ttl_cap),
            ("stale_while_revalidate", self.stale_while_revalidate),
            ("stale_if_error", self.stale_if_error),
        ];
        for (name, value) in week {
            if let Some(value) = value.filter(|value| *value > MAX_TTL) {
                faults.push(format!("{name} {value:?} is above 7 days; shorten it"));
            }
        }
        if let Some(ttl) = self.negative_ttl.filter(|ttl| *ttl > MAX_NEGATIVE_TTL) {
            faults.push(format!("negative_ttl {ttl:?} is above 10 s; shorten it"));
        }
        let refreshed = [
            (
                "stale_while_revalidate",
                self.stale_while_revalidate
                    .is_some_and(|window| !window.is_zero()),
            ),
            (
                "refresh_ahead",
                self.refresh_ahead.is_some_and(|share| share < 1.0),
            ),
        ];
        for (name, on) in refreshed {
            if on && self.ttl == Some(Duration::ZERO) {
                faults.push(format!(
                    "{name} with ttl 0s would start a refresh with every request; set a ttl above \
                     zero, or leave {name} out"
                ));
            }
        }
        for (name, value) in [
            ("wait_limit", self.wait_limit),
            ("soft_timeout", self.soft_timeout),
        ] {
            if value == Some(Duration::ZERO) {
                faults.push(format!(
                    "{name} is zero, which waits for nobody; set a time above it"
                ));
            }
        }
        faults
    }

    fn share_faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        if let Some(share) = self.jitter.filter(|share| !(0.0..=0.1).contains(share)) {
            faults.push(format!(
                "jitter {share} is not from 0 to 0.1; set a share in this range"
            ));
        }
        if let Some(share) = self
            .refresh_ahead
            .filter(|share| !(*share > 0.0 && *share <= 1.0))
        {
            faults.push(format!(
                "refresh_ahead {share} is not above 0 and at most 1; set a share of the ttl, \
                 or 1 for never"
            ));
        }
        if let Some(beta) = self
            .xfetch
            .filter(|beta| !(beta.is_finite() && *beta >= 0.0))
        {
            faults.push(format!(
                "xfetch {beta} is no number from 0 up; set 1, or 0 for off"
            ));
        }
        faults
    }

    fn storing_faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        for status in self.store_status.iter().flatten() {
            if !OPTIONAL_STATUSES.contains(status) {
                faults.push(format!(
                    "store_status {} can not be asked for; name some of 204, 302, 307, 404, 410",
                    status.as_u16()
                ));
            }
        }
        if self.max_body == Some(0) {
            faults.push("max_body 0 stores nothing; raise it, or say no_store".to_owned());
        }
        if self.tags.len() > tag::MAX_PER_RESPONSE {
            faults.push(format!(
                "{} tags are more than {}; name fewer, wider ones",
                self.tags.len(),
                tag::MAX_PER_RESPONSE
            ));
        }
        let missing = match self.compress {
            Some(Compress::Gzip) if !cfg!(feature = "gzip") => Some("gzip"),
            Some(Compress::Lz4) if !cfg!(feature = "lz4") => Some("lz4"),
            _ => None,
        };
        if let Some(feature) = missing {
            faults.push(format!(
                "compress needs the feature `{feature}` of larder; enable it"
            ));
        }
        faults
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{Key, mins, secs};

    #[test]
    fn a_policy_of_good_settings_has_no_faults() {
        let policy = Policy::ttl(mins(5))
            .ttl_cap(MAX_TTL)
            .stale_while_revalidate(secs(30))
            .refresh_ahead(1.0)
            .jitter(0.1)
            .xfetch(0.0)
            .vary(["Accept-Language"])
            .key_cookies(["theme"])
            .store_status(OPTIONAL_STATUSES)
            .negative_ttl(secs(10));
        assert!(policy.check().is_ok());
        assert!(
            Policy::ttl(Duration::ZERO)
                .refresh_ahead(1.0)
                .check()
                .is_ok()
        );
    }

    #[test]
    fn a_bad_setting_is_named_with_its_value_and_the_fix() {
        let week = Duration::from_secs(7 * 24 * 3600 + 1);
        let of = |status| Policy::new().store_status([StatusCode::from_u16(status).unwrap()]);
        let zero = || Policy::ttl(Duration::ZERO);
        let cases = [
            (Policy::ttl(week), "604801s is above 7 days; shorten it"),
            (Policy::new().ttl_cap(week), "ttl_cap"),
            (Policy::new().stale_if_error(week), "stale_if_error"),
            (
                zero().stale_while_revalidate(secs(1)),
                "set a ttl above zero",
            ),
            (zero().refresh_ahead(0.9), "set a ttl above zero"),
            (Policy::new().negative_ttl(secs(11)), "11s is above 10 s"),
            (Policy::new().jitter(0.11), "0.11 is not from 0 to 0.1"),
            (Policy::new().jitter(f64::NAN), "NaN"),
            (Policy::new().refresh_ahead(0.0), "above 0 and at most 1"),
            (Policy::new().refresh_ahead(1.1), "1.1"),
            (Policy::new().xfetch(-1.0), "xfetch -1"),
            (Policy::new().xfetch(f64::INFINITY), "xfetch inf"),
            (of(500), "store_status 500"),
            (of(206), "name some of 204, 302, 307, 404, 410"),
            (Policy::new().max_body(0), "no_store"),
            (
                Policy::new().wait_limit(Duration::ZERO),
                "wait_limit is zero",
            ),
            (Policy::new().vary(["a, b"]), "`a, b` is no header name"),
            (Policy::new().vary(["*"]), "`*` is no header name"),
            (
                Policy::new().key_cookies(["a=b"]),
                "`a=b` is no name of a cookie",
            ),
            (
                Policy::new().ignore_cookies([""]),
                "`` is no name of a cookie",
            ),
            (
                Policy::new().query([""]),
                "`` is no name of a query parameter",
            ),
            (Policy::new().tag("product:{id"), "product:{id"),
            (Policy::new().tag("a\nb"), r"`a\nb`"),
            (
                Policy::new().tags((0..65).map(|tag| tag.to_string())),
                "65 tags",
            ),
        ];
        for (policy, says) in cases {
            let error = policy.check().expect_err(says).to_string();
            assert!(error.contains(says), "{error:?} does not say {says:?}");
        }
    }

    #[test]
    fn all_faults_are_named_at_once() {
        let policy = Policy::new().jitter(1.0).max_body(0).vary(["\n"]);
        let error = policy.check().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration);
        assert_eq!(error.to_string().lines().count(), 3);
    }

    #[test]
    fn names_that_a_route_does_not_have_are_found_when_it_is_known() {
        let pattern = Pattern::parse("/products/{id}").unwrap();
        let faults = |policy: Policy| policy.faults_on(&pattern).len();
        assert_eq!(
            faults(Policy::new().tag("product:{id}").key(Key::route().params())),
            0
        );
        assert_eq!(faults(Policy::new().tag("{shop}:{id}:{page}")), 2);
        assert_eq!(faults(Policy::new().key(Key::route())), 1);
    }
}

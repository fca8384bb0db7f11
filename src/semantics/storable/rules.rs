//! What may be stored under which settings?

use http::StatusCode;

use crate::semantics::statuses;

/// Which rules are in force, apart from those that a setting changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Preset {
    Application,
    Gateway,
}

/// What the settings allow.
#[derive(Clone, Debug)]
pub(crate) struct StoreRules {
    pub(crate) preset: Preset,
    /// A response that does not say how long it is good is stored if it can be confirmed; its
    /// lifetime is guessed, or zero.
    pub(crate) heuristic: bool,
    /// Responses that set a cookie are stored.
    pub(crate) set_cookie: bool,
    /// The key tells apart who asks, so that Authorization does not inhibit storing.
    pub(crate) identity_in_key: bool,
    /// Statuses stored beyond those of the application preset; of use are 204, 302, 307, 404 and
    /// 410, all others stay refused.
    pub(crate) statuses: Vec<StatusCode>,
}

impl StoreRules {
    /// Returns the safe rules for a cache inside an application.
    pub(crate) const fn application() -> Self {
        Self {
            preset: Preset::Application,
            heuristic: false,
            set_cookie: false,
            identity_in_key: false,
            statuses: Vec::new(),
        }
    }

    /// Returns the rules of RFC 9111 for a shared cache.
    pub(crate) const fn gateway() -> Self {
        Self {
            preset: Preset::Gateway,
            heuristic: true,
            set_cookie: true,
            identity_in_key: false,
            statuses: Vec::new(),
        }
    }

    /// Returns whether a final status is one that these rules store.
    pub(super) fn stores(&self, status: StatusCode) -> bool {
        if statuses::is_never_stored(status) {
            return false;
        }
        match (self.preset, status.as_u16()) {
            (Preset::Gateway, _) | (Preset::Application, 200 | 203 | 301 | 308) => true,
            (Preset::Application, 204 | 302 | 307 | 404 | 410) => self.statuses.contains(&status),
            (Preset::Application, _) => false,
        }
    }
}

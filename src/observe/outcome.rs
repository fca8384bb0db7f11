//! How a request was answered, and why a request did not take part in caching.

/// How larder answered a request. One word of it stands in counters and in the `Cache-Status`
/// field (RFC 9211) alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Outcome {
    /// Answered from a fresh stored response.
    Hit,
    /// Answered from a stale stored response, within what its windows allow.
    Stale,
    /// The handler ran and its answer was stored, or could have been.
    Miss,
    /// Waited for another request's handler run and shared its answer.
    Collapsed,
    /// The handler confirmed a stored response, or replaced it.
    Revalidated,
    /// The request does not take part in caching; the handler answered.
    Bypass,
    /// The route neither declares nor has shown that its answers may be stored.
    Pass,
    /// A request that changes state went to the handler.
    Mutation,
    /// larder itself answered: 503 to those who waited for a run that failed, or 504 where only a
    /// stored response was asked for.
    Refused,
}

impl Outcome {
    /// How many outcomes there are.
    pub(crate) const COUNT: usize = 9;

    /// Every outcome, in the order of its number.
    pub const ALL: [Self; Self::COUNT] = [
        Self::Hit,
        Self::Stale,
        Self::Miss,
        Self::Collapsed,
        Self::Revalidated,
        Self::Bypass,
        Self::Pass,
        Self::Mutation,
        Self::Refused,
    ];

    /// Returns the word that stands for it in counters and traces.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Stale => "stale",
            Self::Miss => "miss",
            Self::Collapsed => "collapsed",
            Self::Revalidated => "revalidated",
            Self::Bypass => "bypass",
            Self::Pass => "pass",
            Self::Mutation => "mutation",
            Self::Refused => "refused",
        }
    }
}

/// Why a request on a cacheable route is neither looked up, nor stored, nor joined with others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Bypass {
    Authorization,
    Cookie,
    /// A field that overrides the URL or the method, or says who asks.
    UnkeyedField,
    NoStore,
    Range,
    Body,
    Upgrade,
    EventStream,
    Host,
    LongUri,
    WideField,
    Policy,
    /// An administrator paused the route.
    Paused,
    /// The key was found uncacheable a short while ago.
    Marker,
}

impl Bypass {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Authorization => "authorization",
            Self::Cookie => "cookie",
            Self::UnkeyedField => "unkeyed-field",
            Self::NoStore => "no-store",
            Self::Range => "range",
            Self::Body => "body",
            Self::Upgrade => "upgrade",
            Self::EventStream => "event-stream",
            Self::Host => "host",
            Self::LongUri => "long-uri",
            Self::WideField => "wide-field",
            Self::Policy => "policy",
            Self::Paused => "paused",
            Self::Marker => "uncacheable",
        }
    }
}

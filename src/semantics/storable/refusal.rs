//! Which rule kept a response out of the store?

/// Why a response is not stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Refusal {
    /// The method is one whose answers are not kept; those to HEAD are not, either.
    Method,
    /// The client asked that nothing be kept.
    RequestNoStore,
    /// The request carried Authorization, and nothing says that the answer is for all.
    Authorization,
    /// The status is an interim one.
    Interim,
    /// The response is a 304, which has no body of its own.
    NotModified,
    /// The response is a part of the whole.
    Partial,
    /// The status is none of those that are kept.
    Status,
    /// The response says `must-understand`, and the status is unknown.
    NotUnderstood,
    NoStore,
    Private,
    /// Each use would have to be confirmed, and there is no validator to ask with.
    NoCache,
    /// The response depends on something outside the request.
    VaryAny,
    /// The response depends on who asks.
    VaryIdentity,
    SetCookie,
    /// Neither the response nor a policy says how long it is good.
    NoLifetime,
}

impl Refusal {
    /// Returns the reason in kebab-case.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Method => "method",
            Self::RequestNoStore => "request-no-store",
            Self::Authorization => "authorization",
            Self::Interim => "interim",
            Self::NotModified => "not-modified",
            Self::Partial => "partial",
            Self::Status => "status",
            Self::NotUnderstood => "not-understood",
            Self::NoStore => "no-store",
            Self::Private => "private",
            Self::NoCache => "no-cache",
            Self::VaryAny => "vary-any",
            Self::VaryIdentity => "vary-identity",
            Self::SetCookie => "set-cookie",
            Self::NoLifetime => "no-lifetime",
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_refusal_is_on_the_page_about_routes() {
        let page = include_str!("../../docs/routes.md");
        let told: Vec<&str> = include_str!("refusal.rs")
            .lines()
            .filter_map(|line| line.trim().strip_prefix("Self::")?.split('"').nth(1))
            .collect();
        assert_eq!(told.len(), 15);
        for word in told {
            assert!(page.contains(&format!("`{word}`")), "{word}");
        }
    }
}

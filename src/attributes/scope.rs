//! The request that a handler runs for, as far as an invalidation has to know it.

use axum::extract::{FromRequest, FromRequestParts, MatchedPath, OriginalUri, Request};
use http::{Extensions, Uri, request::Parts};

use super::Targets;
use crate::policy::{Invalidations, Params, Pattern};

/// Where a handler notes what it invalidates, with the route by which it was found.
#[derive(Debug)]
pub struct Scope {
    invalidations: Invalidations,
    pattern: Option<Pattern>,
    path: String,
}

impl Scope {
    fn of(extensions: &Extensions, uri: &Uri) -> Self {
        let pattern = extensions.get::<MatchedPath>();
        let whole = extensions.get::<OriginalUri>().map_or(uri, |uri| &uri.0);
        Self {
            invalidations: extensions.get().cloned().unwrap_or_default(),
            pattern: pattern.and_then(|pattern| Pattern::parse(pattern.as_str()).ok()),
            path: whole.path().to_owned(),
        }
    }

    /// Notes the targets, with the parameters of the route in their places. With one that the route
    /// does not have, everything is invalidated.
    pub fn note(&self, targets: &Targets) {
        let pattern = self.pattern.as_ref();
        let params = pattern.map_or_else(Params::default, |pattern| pattern.params(&self.path));
        for target in targets.0.targets(&params) {
            self.invalidations.add(target);
        }
    }
}

impl<S: Sync> FromRequestParts<S> for Scope {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(Self::of(&parts.extensions, &parts.uri))
    }
}

/// An extractor with the scope of the request before it.
#[derive(Debug)]
pub struct Scoped<T> {
    /// What the extractor found.
    pub value: T,
    /// The scope.
    pub scope: Scope,
}

impl<S, T> FromRequestParts<S> for Scoped<T>
where
    S: Send + Sync,
    T: FromRequestParts<S>,
{
    type Rejection = T::Rejection;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Self::Rejection> {
        let scope = Scope::of(&parts.extensions, &parts.uri);
        let value = T::from_request_parts(parts, state).await?;
        Ok(Self { value, scope })
    }
}

impl<S, T> FromRequest<S> for Scoped<T>
where
    S: Send + Sync,
    T: FromRequest<S>,
{
    type Rejection = T::Rejection;

    async fn from_request(request: Request, state: &S) -> Result<Self, Self::Rejection> {
        let scope = Scope::of(request.extensions(), request.uri());
        let value = T::from_request(request, state).await?;
        Ok(Self { value, scope })
    }
}

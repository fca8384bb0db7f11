//! Asks the second tier for requests that lead no run of the handler.

use std::{future::poll_fn, sync::Arc};

use http::{Request, Response};
use tower_service::Service;

use super::{
    Answer,
    future::{After, finish},
};
use crate::{
    observe::Outcome,
    service::{
        answer::only_if_cached_miss,
        look::{Fetch, Otherwise},
        pump::Fillable,
        second,
    },
};

/// Answers a HEAD out of the second tier, else by the handler.
pub(super) async fn head<S, R, B>(
    wanted: Box<Fetch>,
    service: S,
    request: Request<R>,
) -> Answer<B, S::Error>
where
    S: Service<Request<R>, Response = Response<B>>,
    B: Fillable,
{
    let compare = |wanted: Box<Fetch>| {
        wanted.kept.answered(Outcome::Miss);
        Some(After::Compare(wanted))
    };
    ask(wanted, compare, service, request).await
}

/// Answers out of the second tier what may not lead a run of the handler: a part of a page, or what
/// is wanted only if it is stored. Where there is nothing, it is as if nobody had been asked.
pub(super) async fn elsewhere<S, R, B>(
    wanted: Box<Fetch>,
    otherwise: Otherwise,
    service: S,
    request: Request<R>,
) -> Answer<B, S::Error>
where
    S: Service<Request<R>, Response = Response<B>>,
    B: Fillable,
{
    let step_aside = |wanted: Box<Fetch>| {
        let kept = &wanted.kept;
        let reason = match otherwise {
            Otherwise::Refuse => {
                kept.answered(Outcome::Refused);
                return None;
            }
            Otherwise::Bypass(reason) => reason,
        };
        kept.answered(Outcome::Bypass);
        if let Some(known) = &kept.matched.known
            && known.warn_once()
        {
            warn(reason.as_str());
        }
        Some(After::Tell(Arc::clone(&kept.shared), reason))
    };
    ask(wanted, step_aside, service, request).await
}

/// Answers out of the second tier, else by the handler, with whose answer is done what `otherwise`
/// says; where that is nothing, the client is told that nothing is stored.
async fn ask<S, R, B>(
    mut wanted: Box<Fetch>,
    otherwise: impl FnOnce(Box<Fetch>) -> Option<After>,
    mut service: S,
    request: Request<R>,
) -> Answer<B, S::Error>
where
    S: Service<Request<R>, Response = Response<B>>,
    B: Fillable,
{
    if let Some(response) = second::answer_alone(&mut wanted).await {
        return Ok(response);
    }
    let Some(after) = otherwise(wanted) else {
        return Ok(only_if_cached_miss());
    };
    poll_fn(|context| service.poll_ready(context)).await?;
    let response = service.call(request).await?;
    Ok(finish(response, after))
}

#[cfg(feature = "tracing")]
pub(super) fn warn(reason: &str) {
    tracing::warn!(
        reason,
        "a request on a cacheable route was not cached; this is said once"
    );
}

#[cfg(not(feature = "tracing"))]
pub(super) fn warn(_: &str) {}

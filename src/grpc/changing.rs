//! Calls that may change something: their answer is held until it is known how they ended, and what
//! they may have changed is stamped before it is let go.
//!
//! Which calls those are is often not known beforehand: an attribute notes its tags when the handler
//! begins. So every call is given a place for notes, and only one that has something to stamp is
//! held, for a short while and no more than one message: a stream would never end.

use std::{future::poll_fn, sync::Arc, time::Duration};

use http::{Request, Response};
use tokio::time::{Instant, timeout_at};
use tower_service::Service;

use super::{answer::GrpcResponseBody, body::GrpcBody, methods::Rule, status, wire};
use crate::{
    handle::{Answered, Core},
    invalidate::{Purge, Source},
    observe::Outcome,
    policy::Invalidations,
    service::{Fillable, Mark, Pending, original_uri},
};

/// How long an answer is held whose end does not come. A unary call ends with its message.
const HELD: Duration = Duration::from_millis(100);

/// How much of an answer is held, in bytes: what other implementations take for a whole message.
const MOST_HELD: usize = 4 << 20;

/// Answers a call that is not for the cache. `message` is what it asks, where that is at hand.
pub(super) async fn call<S, R, B>(
    core: &Arc<Core>,
    mut service: S,
    mut request: Request<GrpcBody<R>>,
    rule: Option<&Rule>,
    message: Option<&[u8]>,
) -> Result<Response<GrpcResponseBody<B>>, S::Error>
where
    S: Service<Request<GrpcBody<R>>, Response = Response<B>>,
    B: Fillable,
{
    let collector = Invalidations::active();
    request.extensions_mut().insert(collector.clone());
    let purge = rule.map_or_else(Purge::default, |rule| rule.purge(message));
    count(core, &request, rule);
    let path = original_uri(&request).path().into();
    let purge = purge.by(Source::Request(request.method().clone(), path));
    let mut pending = Pending::new(core, purge, collector);
    poll_fn(|context| service.poll_ready(context)).await?;
    pending.arm();
    match service.call(request).await {
        Ok(response) => Ok(released(core, response, pending).await),
        Err(error) => {
            pending.stamp().await;
            pending.disarm();
            Err(error)
        }
    }
}

fn count<R>(core: &Core, request: &Request<R>, rule: Option<&Rule>) {
    let uri = original_uri(request);
    let declared = rule.map(|_| core.routes.of(uri.path()));
    let changes = rule.is_some_and(|rule| rule.invalidates.is_some());
    let answered = Answered {
        state: declared.as_ref().unwrap_or(core.routes.other()),
        outcome: if changes {
            Outcome::Mutation
        } else {
            Outcome::Pass
        },
        method: request.method(),
        uri,
    };
    core.answered(&answered, None);
}

/// Lets an answer go once what the call has changed is stamped.
async fn released<B: Fillable>(
    core: &Arc<Core>,
    response: Response<B>,
    mut pending: Pending,
) -> Response<GrpcResponseBody<B>> {
    let (mut parts, body) = response.into_parts();
    let mut body = GrpcBody::whole(body);
    let refused = parts.status.is_client_error()
        || status::code(&parts.headers).is_some_and(|code| !status::may_have_changed(Some(code)));
    if refused {
        pending.disarm();
        return Response::from_parts(parts, GrpcResponseBody::of(body));
    }
    if pending.is_empty() {
        return Response::from_parts(parts, GrpcResponseBody::watched(body, pending));
    }
    Mark::add(core, &mut parts.extensions);
    let ended = status::code(&parts.headers).is_some() || hold(core, &mut body).await;
    let code = status::code(&parts.headers).or_else(|| body.trailers().and_then(status::code));
    if ended && !status::may_have_changed(code) {
        pending.disarm();
        return Response::from_parts(parts, GrpcResponseBody::of(body));
    }
    let ack = pending.stamp().await;
    parts.extensions.insert(ack);
    if ended {
        pending.disarm();
        return Response::from_parts(parts, GrpcResponseBody::of(body));
    }
    // It goes on, and so may the change.
    Response::from_parts(parts, GrpcResponseBody::watched(body, pending))
}

/// Reads an answer until it ends. Returns false if it does not, within what is held.
async fn hold<B: Fillable>(core: &Core, body: &mut GrpcBody<B>) -> bool {
    let timed = core.has_background();
    let until = Instant::now() + HELD;
    loop {
        let more = if timed {
            match timeout_at(until, body.read()).await {
                Ok(more) => more,
                Err(_) => return false,
            }
        } else {
            body.read().await
        };
        if !more {
            return true;
        }
        if body.length() > MOST_HELD || wire::has_second(&body.data()) {
            return false;
        }
    }
}

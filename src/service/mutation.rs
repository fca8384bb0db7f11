//! Requests that change something: the handler runs, and what it may have changed is stamped before
//! its answer is let go.
//!
//! The stamp comes after the handler, since a fill that begins in between may read the old value,
//! and before the client can know of the change. If the run ends without an answer (the client left,
//! the handler panicked), the change may have been made, or may still be: it is stamped at once, and
//! again a little later.

use std::{future::poll_fn, sync::Arc, time::Duration};

use http::{Method, Request, Response};
use tower_service::Service;

use super::{
    cache::CacheBody,
    kept::{Kept, original_uri},
    look::keep_post,
    pump::{Fillable, keep_answer},
    settings::{Matched, Shared},
};
use crate::{
    handle::{Answered, Core},
    invalidate::{Ack, Purge, Source, may_have_changed, of_response},
    key,
    observe::Outcome,
    policy::{Invalidate, Invalidations, Params, Target},
    semantics::storable::Preset,
};

/// When a run that ended without an answer is stamped again: two seconds, after which a commit that
/// was under way has been made or never will be.
const STAMPED_AGAIN: Duration = Duration::from_secs(2);

/// Answers a request that may change something.
pub(crate) async fn mutate<S, R, B>(
    shared: Arc<Shared>,
    mut service: S,
    mut request: Request<R>,
) -> Result<Response<CacheBody<B>>, S::Error>
where
    S: Service<Request<R>, Response = Response<B>>,
    R: 'static,
    B: Fillable,
{
    let mut posted = keep_post(&shared, &request, shared.core.clock.now());
    let collector = Invalidations::active();
    request.extensions_mut().insert(collector.clone());
    let mut pending = Pending::of(&shared, &request, collector);
    let answered = Answered {
        state: pending.matched.state(&shared.core),
        outcome: Outcome::Mutation,
        method: request.method(),
        uri: original_uri(&request),
    };
    shared.core.answered(&answered, None);
    poll_fn(|context| service.poll_ready(context))
        .await
        .inspect_err(|_| pending.disarm())?;
    let run = service.call(request);
    let ended = match &posted {
        Some(kept) => kept.reading(run).await,
        None => run.await,
    };
    match ended {
        Ok(mut response) => {
            if may_have_changed(response.status(), shared.preset) {
                pending.answered(&response);
                let ack = pending.stamp().await;
                response.extensions_mut().insert(ack);
                pending.hold();
            }
            pending.disarm();
            // Everything that was stored before is void from here on; the answer is newer than that.
            Ok(match posted.take().and_then(Kept::past_own_stamp) {
                Some(kept) => keep_answer(response, &kept),
                None => response.map(CacheBody::inner),
            })
        }
        Err(error) => {
            if shared.preset == Preset::Application {
                pending.stamp().await;
            }
            pending.disarm();
            Err(error)
        }
    }
}

/// What a running mutation will have made void; stamps it if the run ends without an answer.
struct Pending {
    core: Arc<Core>,
    method: Method,
    authority: Option<Box<str>>,
    path: Box<str>,
    purge: Purge,
    matched: Matched,
    collector: Invalidations,
    hold: Option<Duration>,
    armed: bool,
}

impl Pending {
    fn of<R>(shared: &Arc<Shared>, request: &Request<R>, collector: Invalidations) -> Self {
        let uri = original_uri(request);
        let authority = key::authority(uri, request.headers()).ok();
        let matched = shared.matched(request, uri.path());
        // A request without a good authority may have reached any of them.
        let resource = Target::resource(authority.as_deref(), uri.path());
        let mut pending = Self {
            core: Arc::clone(&shared.core),
            method: request.method().clone(),
            authority: authority.as_deref().map(Into::into),
            path: uri.path().into(),
            purge: Purge::hard([resource])
                .by(Source::Request(request.method().clone(), uri.path().into())),
            matched: matched.clone(),
            collector,
            hold: matched.policy.hold,
            armed: shared.preset == Preset::Application,
        };
        if let Some(route) = &matched.route {
            let params = route.params(uri.path());
            for declared in route.invalidates(request.method()) {
                pending.add(declared, &params);
            }
        }
        pending
    }

    fn add(&mut self, declared: &Invalidate, params: &Params<'_>) {
        let targets = declared.targets(params);
        if declared.is_soft() {
            self.purge.soft.extend(targets);
        } else {
            self.purge.hard.extend(targets);
        }
    }

    /// Adds what the answer names: other locations, groups, and what its handler says.
    fn answered<B>(&mut self, response: &Response<B>) {
        let authority = self.authority.as_deref();
        let named = of_response(&self.method, authority, &self.path, response.headers());
        self.purge.hard.extend(named);
        if let Some(added) = response.extensions().get::<Invalidate>() {
            let (matched, path) = (self.matched.clone(), self.path.clone());
            let pattern = matched.pattern();
            let params = pattern.map_or_else(Params::default, |pattern| pattern.params(&path));
            self.add(added, &params);
        }
    }

    /// Stamps, and returns when that is acknowledged. From here on a client that leaves no longer
    /// ends the run without a stamp, whatever the preset: the change has been made.
    async fn stamp(&mut self) -> Ack {
        self.armed = true;
        self.collect();
        self.core.invalidate(&self.purge).await
    }

    /// Takes in what the handler named while it ran.
    fn collect(&mut self) {
        self.purge.hard.extend(self.collector.take());
    }

    /// Stamps once more after the time that a policy gives replicas to catch up.
    fn hold(&self) {
        if let Some(after) = self.hold {
            self.stamp_later(after);
        }
    }

    fn stamp_later(&self, after: Duration) {
        if !self.core.has_background() {
            return;
        }
        let (core, purge) = (Arc::clone(&self.core), self.purge.clone());
        self.core.spawn(async move {
            tokio::time::sleep(after).await;
            core.invalidate(&purge).await;
        });
    }

    fn disarm(&mut self) {
        self.armed = false;
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        if self.armed {
            self.collect();
            self.core.invalidate_here(&self.purge);
            self.stamp_later(STAMPED_AGAIN);
        }
    }
}

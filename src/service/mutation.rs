//! Requests that change something: the handler runs, and what it may have changed is stamped before
//! its answer is let go.

use std::{future::poll_fn, sync::Arc, time::Duration};

use http::{Method, Request, Response};
use tower_service::Service;

use super::{
    cache::{Answer, CacheBody},
    kept::{Kept, original_uri},
    look::keep_post,
    pending::Pending,
    pump::{Fillable, is_marked, keep_answer},
    settings::{Matched, Shared},
};
use crate::{
    handle::Answered,
    invalidate::{Purge, Source, may_have_changed, of_response},
    key,
    observe::Outcome,
    policy::{Invalidate, Invalidations, Params, Target},
    semantics::storable::Preset,
};

/// Answers a request that may change something.
pub(crate) async fn mutate<S, R, B>(
    shared: Arc<Shared>,
    mut service: S,
    mut request: Request<R>,
) -> Answer<B, S::Error>
where
    S: Service<Request<R>, Response = Response<B>>,
    R: 'static,
    B: Fillable,
{
    let mut posted = keep_post(&shared, &request, shared.core.clock.now());
    let collector = Invalidations::active();
    request.extensions_mut().insert(collector.clone());
    let mut mutation = Mutation::of(&shared, &request, collector);
    let answered = Answered {
        state: mutation.matched.state(&shared.core),
        outcome: Outcome::Mutation,
        method: request.method(),
        uri: original_uri(&request),
    };
    shared.core.answered(&answered, None);
    poll_fn(|context| service.poll_ready(context))
        .await
        .inspect_err(|_| mutation.pending.disarm())?;
    let run = service.call(request);
    let ended = match &posted {
        Some(kept) => kept.reading(run).await,
        None => run.await,
    };
    match ended {
        Ok(mut response) => {
            if is_marked(&response, &shared.core) {
                mutation.leave_resource_to_inner();
            }
            if may_have_changed(response.status(), shared.preset) && mutation.answered(&response) {
                let ack = mutation.pending.stamp().await;
                response.extensions_mut().insert(ack);
                mutation.hold();
            }
            mutation.pending.disarm();
            // Everything that was stored before is void from here on; the answer is newer than that.
            Ok(match posted.take().and_then(Kept::past_own_stamp) {
                Some(kept) => keep_answer(response, &kept),
                None => response.map(CacheBody::inner),
            })
        }
        Err(error) => {
            if shared.preset == Preset::Application {
                mutation.pending.stamp().await;
            }
            mutation.pending.disarm();
            Err(error)
        }
    }
}

/// A request that may change something, while it is answered.
struct Mutation {
    method: Method,
    authority: Option<Box<str>>,
    path: Box<str>,
    matched: Matched,
    pending: Pending,
    hold: Option<Duration>,
}

impl Mutation {
    fn of<R>(shared: &Arc<Shared>, request: &Request<R>, collector: Invalidations) -> Self {
        let uri = original_uri(request);
        let authority = key::authority(uri, request.headers()).ok();
        let matched = shared.matching(request.extensions(), uri.path()).kept();
        // A request without a good authority may have reached any of them.
        let resource = Target::resource(authority.as_deref(), uri.path());
        let purge = Purge::hard([resource])
            .by(Source::Request(request.method().clone(), uri.path().into()));
        let mut mutation = Self {
            method: request.method().clone(),
            authority: authority.as_deref().map(Into::into),
            path: uri.path().into(),
            hold: matched.policy.hold,
            matched: matched.clone(),
            pending: Pending::new(&shared.core, purge, collector),
        };
        if shared.preset == Preset::Application {
            mutation.pending.arm();
        }
        if let Some(route) = &matched.route {
            let params = route.params(uri.path());
            for declared in route.invalidates(request.method()) {
                mutation.add(declared, &params);
            }
        }
        mutation
    }

    fn add(&mut self, declared: &Invalidate, params: &Params<'_>) {
        let targets = declared.targets(params);
        if declared.is_soft() {
            self.pending.purge.soft.extend(targets);
        } else {
            self.pending.purge.hard.extend(targets);
        }
    }

    /// A layer nearer to the handler knows what this was, such as a call that only reads: that it
    /// came by a method that may change something does not void what is stored of its path.
    fn leave_resource_to_inner(&mut self) {
        let own = Target::resource(self.authority.as_deref(), &self.path);
        self.pending.purge.hard.retain(|target| *target != own);
    }

    /// Adds what the answer names: other locations, groups, and what its handler says. Returns
    /// whether there is anything to stamp.
    fn answered<B>(&mut self, response: &Response<B>) -> bool {
        let authority = self.authority.as_deref();
        let named = of_response(&self.method, authority, &self.path, response.headers());
        self.pending.purge.hard.extend(named);
        if let Some(added) = response.extensions().get::<Invalidate>() {
            let (matched, path) = (self.matched.clone(), self.path.clone());
            let pattern = matched.pattern();
            let params = pattern.map_or_else(Params::default, |pattern| pattern.params(&path));
            self.add(added, &params);
        }
        !self.pending.is_empty()
    }

    /// Stamps once more after the time that a policy gives replicas to catch up.
    fn hold(&self) {
        if let Some(after) = self.hold {
            self.pending.stamp_later(after);
        }
    }
}

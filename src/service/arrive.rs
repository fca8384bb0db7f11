//! What a handler run brings: a new response, the confirmation of a stored one, or a failure.

use std::{any::Any, sync::Arc};

use http::{HeaderMap, Method, Request, Response, StatusCode, header};

use super::{
    answer::refused,
    cache::CacheBody,
    facts::hides_origin,
    judge::{Judged, judge, unstored},
    kept::Kept,
    launch::Run,
    look::Fetch,
    pump::{self, Fillable, FlightLeader, Mark, Waiting, begin, is_marked},
    second, status,
};
use crate::{
    entry::{CACHE_STATUS, Entry},
    flight::Landing,
    observe::Event,
    semantics::{
        cache_status::Forward,
        dates,
        directives::ResponseDirectives,
        fields::freshen,
        reuse::{is_failure, is_of_one_request},
        validators::{Agreement, Validators, answered_by, ask, head_agrees},
        vary::{Vary, too_long},
    },
};

/// Returns what the handler may be asked to confirm: what is stored under the key and not void.
///
/// To be called after the position of the run was taken. What was found when the request came is
/// judged again: it may have been purged while the request waited for another's run, and what is
/// confirmed counts as new.
pub(crate) fn candidates(fetch: &Fetch) -> Vec<Arc<Entry>> {
    let Some(stale) = &fetch.stale else {
        return Vec::new();
    };
    let core = &fetch.kept.shared.core;
    let mut all = core.store.candidates(&fetch.kept.key);
    all.retain(|entry| !Arc::ptr_eq(&entry.head, &stale.head));
    all.insert(0, Arc::clone(stale));
    all.retain(|entry| !core.is_dead(&entry.seal));
    all
}

/// Makes the request ask about the candidates instead of what the client asked.
pub(crate) fn question<R>(request: &mut Request<R>, candidates: &[Arc<Entry>]) -> bool {
    let heads: Vec<_> = candidates.iter().map(|entry| entry.headers()).collect();
    let validators: Vec<_> = heads.iter().map(Validators::of).collect();
    *request.method_mut() = Method::GET;
    ask(request.headers_mut(), &validators)
}

/// A handler run that has ended, and all who are to be told.
pub(crate) struct Arrival<'a> {
    pub(crate) kept: &'a Kept,
    pub(crate) candidates: &'a [Arc<Entry>],
    pub(crate) asks: bool,
    pub(crate) reason: Forward,
    pub(crate) leader: FlightLeader,
}

impl Arrival<'_> {
    pub(crate) fn arrive<B: Fillable, E>(
        self,
        ended: Result<Result<Response<B>, E>, Box<dyn Any + Send>>,
    ) -> Run<B, E> {
        match ended {
            // Dropping the leader tells the followers that the run is lost.
            Err(payload) => {
                self.failed();
                Run::Panicked(payload)
            }
            Ok(Err(error)) => {
                self.failed();
                self.kept.brings_nothing_to_share();
                self.leader.land(Landing::Failed);
                Run::Error(error)
            }
            Ok(Ok(response)) => self.response(response),
        }
    }

    fn failed(&self) {
        let core = &self.kept.shared.core;
        core.counters.note(Event::Failed);
        if let Some(stale) = self.candidates.first() {
            stale.put_off(core.clock.now());
        }
    }

    fn response<B: Fillable, E>(self, response: Response<B>) -> Run<B, E> {
        let core = &self.kept.shared.core;
        if is_marked(&response, core) {
            self.kept.leave_to_inner();
            self.leader.land(Landing::Declined);
            return Run::Response(response.map(CacheBody::inner));
        }
        if self.asks && response.status() == StatusCode::NOT_MODIFIED {
            return self.not_modified(response);
        }
        if is_failure(response.status()) {
            self.failed();
        }
        let reason = self.reason;
        let (mut parts, body) = response.into_parts();
        let judged = judge(self.kept, &mut parts, body.size_hint().exact());
        if !matches!(judged, Judged::Store(_)) {
            self.kept.brings_nothing_to_share();
        }
        match judged {
            Judged::Store(head) | Judged::Share(head) => {
                let response = Response::from_parts(parts, body);
                let waiting = Waiting::Followers(self.leader);
                Run::Response(begin(self.kept, head, response, waiting, reason))
            }
            Judged::Unkeyed => {
                if !self.kept.matched.has_learned() {
                    let until = core.clock.now().after(pump::MARKED_FOR);
                    core.store.mark_uncacheable(&self.kept.key, until);
                }
                pump::tell_unkeyed(core, &mut parts.headers);
                Mark::add(core, &mut parts.extensions);
                self.leader.land(Landing::Declined);
                Run::Response(Response::from_parts(parts, CacheBody::inner(body)))
            }
            Judged::Decline(why) => {
                self.declined(&parts);
                Mark::add(core, &mut parts.extensions);
                let mut response = Response::from_parts(parts, CacheBody::inner(body));
                if let Some(member) = status::forwarded(core, reason, None, false, None, Some(why))
                {
                    response.headers_mut().append(CACHE_STATUS, member);
                }
                Run::Response(response)
            }
        }
    }

    /// An answer that may not be kept takes the place of what was kept, unless it is a failure, or
    /// is due to what this one client asked.
    fn declined(self, response: &http::response::Parts) {
        let core = &self.kept.shared.core;
        core.counters.note(Event::Declined);
        let request = &self.kept.headers;
        let is_own = self.kept.is_particular()
            || is_of_one_request(response.status)
            || hides_origin(request, &response.headers)
            || matches!(Vary::of(&response.headers), Vary::Names(names) if too_long(&names, request));
        if !is_failure(response.status) && !is_own {
            if !self.candidates.is_empty() {
                second::remove(self.kept);
            }
            let until = core.clock.now().after(pump::MARKED_FOR);
            core.store.mark_uncacheable(&self.kept.key, until);
        }
        self.leader.land(Landing::Declined);
    }

    /// The handler confirmed one of the candidates, or several.
    fn not_modified<B: Fillable, E>(self, response: Response<B>) -> Run<B, E> {
        let (parts, _) = response.into_parts();
        let heads: Vec<_> = self
            .candidates
            .iter()
            .map(|entry| entry.headers())
            .collect();
        let validators: Vec<_> = heads.iter().map(Validators::of).collect();
        let mut confirmed = None;
        for at in answered_by(&parts.headers, &validators) {
            let (Some(entry), Some(headers)) = (self.candidates.get(at), heads.get(at)) else {
                continue;
            };
            let renewed = renewed(self.kept, entry, headers.clone(), &parts);
            confirmed.get_or_insert(renewed);
        }
        match confirmed {
            Some(Renewed::Stored(entry)) => {
                self.leader.land(Landing::Landed(Arc::clone(&entry)));
                Run::Confirmed(entry)
            }
            Some(Renewed::ForOne(entry)) => {
                self.kept.brings_nothing_to_share();
                second::remove(self.kept);
                self.leader.land(Landing::Declined);
                Run::Confirmed(entry)
            }
            // It confirmed something that nobody asked about. Dropping the leader lets a follower
            // ask anew, without what is stored.
            None => {
                second::remove(self.kept);
                Run::Response(refused())
            }
        }
    }
}

/// A stored response that the handler has confirmed.
enum Renewed {
    Stored(Arc<Entry>),
    /// What came with the confirmation keeps it from being stored: it is for the one who asked.
    ForOne(Arc<Entry>),
}

/// Returns a confirmed entry with its fields and its lifetime made new (RFC 9111 §4.3.4), and
/// stores it. It is sealed with the position of the run that confirmed it.
fn renewed(
    kept: &Kept,
    entry: &Arc<Entry>,
    mut headers: HeaderMap,
    confirmation: &http::response::Parts,
) -> Renewed {
    let core = &kept.shared.core;
    let mut newer = confirmation.headers.clone();
    let directives = ResponseDirectives::of(&newer, &kept.shared.targeted);
    for name in directives.withheld_fields() {
        newer.remove(name);
    }
    freshen(&mut headers, &newer);
    if !newer.contains_key(header::DATE) {
        headers.insert(header::DATE, dates::format(core.clock.wall()));
    }
    let mut response = Response::new(());
    *response.status_mut() = entry.status;
    *response.headers_mut() = headers;
    *response.extensions_mut() = confirmation.extensions.clone();
    let (mut parts, ()) = response.into_parts();
    let (head, stored) = match judge(kept, &mut parts, Some(entry.body.length)) {
        Judged::Store(head) => (head, true),
        Judged::Share(_) | Judged::Unkeyed | Judged::Decline(_) => (
            Arc::new(unstored(kept, parts.status, &parts.headers)),
            false,
        ),
    };
    // Nobody else has the head yet, so that the second way is never taken.
    let head =
        Arc::into_inner(head).unwrap_or_else(|| unstored(kept, parts.status, &parts.headers));
    let renewed = Arc::new(Entry::new(
        Arc::new(head.renewing(entry)),
        entry.body.clone(),
        entry.trailers.clone(),
    ));
    if !stored {
        return Renewed::ForOne(renewed);
    }
    if !core.is_dead(&renewed.seal) {
        core.keep(&renewed.key, &renewed, second::whence(kept));
    }
    Renewed::Stored(renewed)
}

/// Lets the answer to a HEAD make a stored GET new, or void (RFC 9111 §4.3.5).
///
/// An answer without a validator agrees with every body of one length. The RFC lets it confirm the
/// stored one; here it does not, since it would keep an old body for as long as somebody asks by HEAD,
/// and put the fields of a newer one above it.
pub(crate) fn compare<B>(response: &Response<B>, fetch: &Fetch) {
    let Some(entry) = &fetch.stale else { return };
    let kept = &fetch.kept;
    let is_void = kept.shared.core.is_dead(&entry.seal);
    if is_void || response.status() != StatusCode::OK {
        return;
    }
    let stored = entry.headers();
    match head_agrees(response.headers(), &stored, entry.body.length) {
        Agreement::Undecided => {}
        Agreement::Confirmed => {
            let mut confirmation = Response::new(());
            confirmation.headers_mut().clone_from(response.headers());
            let (parts, ()) = confirmation.into_parts();
            renewed(kept, entry, stored, &parts);
        }
        Agreement::Differs => second::remove(kept),
    }
}

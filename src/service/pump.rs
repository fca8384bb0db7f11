//! Brings a response from the handler into the store, while its readers stream along.
//!
//! The handler's body is read by a task of its own, into one buffer that all readers share: a slow
//! reader holds nobody up, and one that leaves ends nothing. The buffer never grows beyond what may
//! be stored. When it turns out that the body may not be stored after all (too long, too slow, no
//! room), the first reader is handed the handler's body and goes on by itself.

mod later;

use std::{
    error,
    future::poll_fn,
    pin::{Pin, pin},
    sync::Arc,
    time::Duration,
};

use bytes::Buf;
use http::{Extensions, HeaderMap, Response};
use http_body::Body;
use tokio::{sync::oneshot, time::timeout};

use self::later::Plain;
use super::{
    cache::CacheBody,
    follow::WAIT_LIMIT,
    gathered::Reads,
    judge::{Judged, judge},
    kept::Kept,
    second, status,
};
use crate::{
    clock::Stopwatch,
    entry::{
        CACHE_STATUS, Coding, Entry, Head, StoredBody,
        compress::{compressible, pack, packs_long},
    },
    flight::{BodyEnd, BodyReader, Landing, Leader, Place, SharedBody},
    handle::{Core, Draft},
    key::Key,
    observe::{Event, RouteState},
    policy::Compress,
    semantics::{cache_status::Forward, fields},
    store::Whence,
};

/// How long a handler run is waited for, and how long its body may take: then its key is free for
/// another run, and what it brings is not stored. Thirty seconds is what proxies commonly allow.
pub(crate) const FILL_LIMIT: Duration = Duration::from_secs(30);

/// How long a key that was found uncacheable is not waited for: two minutes, as Varnish does.
pub(crate) const MARKED_FOR: Duration = Duration::from_secs(120);

/// A body that can be brought into the store.
pub(crate) trait Fillable:
    Body<Error: Into<Box<dyn error::Error + Send + Sync>>> + Send + 'static
{
}

impl<B> Fillable for B where
    B: Body<Error: Into<Box<dyn error::Error + Send + Sync>>> + Send + 'static
{
}

/// What runs a flight: its followers are told through it.
pub(crate) type FlightLeader = Leader<Draft, Arc<Entry>>;

/// Who waits for a fill to end.
#[derive(Debug)]
pub(crate) enum Waiting {
    Nobody,
    /// The followers of the flight that it is.
    Followers(FlightLeader),
    /// Others who have waited in vain before, for the place that it takes.
    Stragglers(#[expect(dead_code, reason = "dropping it is what it is for")] Place),
}

impl Waiting {
    /// Says how it ended.
    fn land(self, landing: Landing<Draft, Arc<Entry>>) {
        if let Self::Followers(leader) = self {
            leader.land(landing);
        }
    }
}

/// Says in a response that a layer of this handle has dealt with it, for outer ones.
#[derive(Clone, Debug)]
pub(crate) struct Mark(pub(crate) Arc<Core>);

impl Mark {
    /// Marks a response, if there may be an outer layer to see it.
    #[inline]
    pub(crate) fn add(core: &Arc<Core>, extensions: &mut Extensions) {
        if core.has_layers() {
            extensions.insert(Self(Arc::clone(core)));
        }
    }
}

/// Returns whether another layer of the handle, nearer to the handler, has dealt with a response.
pub(crate) fn is_marked<B>(response: &Response<B>, core: &Arc<Core>) -> bool {
    response
        .extensions()
        .get::<Mark>()
        .is_some_and(|mark| Arc::ptr_eq(&mark.0, core))
}

/// Stores the answer to a request that nobody joined, if it may be, and learns its route.
pub(crate) fn learn<B: Fillable>(
    response: Response<B>,
    kept: &Kept,
    waiting: Waiting,
) -> Response<CacheBody<B>> {
    let core = &kept.shared.core;
    if is_marked(&response, core) {
        kept.leave_to_inner();
        return response.map(CacheBody::inner);
    }
    let (mut parts, body) = response.into_parts();
    let length = body.size_hint().exact();
    match judge(kept, &mut parts, length) {
        Judged::Store(head) => {
            if let Some(known) = &kept.matched.known {
                known.learn();
            }
            return begin(
                kept,
                head,
                Response::from_parts(parts, body),
                waiting,
                Forward::UriMiss,
            );
        }
        Judged::Unkeyed => {
            if let Some(known) = &kept.matched.known
                && kept.matched.has_learned()
            {
                known.learn();
            }
            tell_unkeyed(core, &mut parts.headers);
        }
        Judged::Share(_) | Judged::Decline(_) => {
            if let Some(known) = &kept.matched.known {
                known.was_unfit();
            }
        }
    }
    if kept.matched.looked_up {
        Mark::add(core, &mut parts.extensions);
    }
    Response::from_parts(parts, CacheBody::inner(body))
}

/// Says that the answer is not shared since the handler has only now said what the key is made of.
pub(crate) fn tell_unkeyed(core: &Core, headers: &mut HeaderMap) {
    let (reason, detail) = (Forward::UriMiss, Some("unkeyed"));
    if let Some(member) = status::forwarded(core, reason, None, false, None, detail) {
        headers.append(CACHE_STATUS, member);
    }
}

/// Stores the answer to a POST if it says that it is what a GET of the same URL would get.
pub(crate) fn keep_answer<B: Fillable>(
    response: Response<B>,
    kept: &Kept,
) -> Response<CacheBody<B>> {
    if is_marked(&response, &kept.shared.core) {
        return response.map(CacheBody::inner);
    }
    let (mut parts, body) = response.into_parts();
    match judge(kept, &mut parts, body.size_hint().exact()) {
        Judged::Store(head) => {
            let response = Response::from_parts(parts, body);
            begin(kept, head, response, Waiting::Nobody, Forward::Method)
        }
        Judged::Share(_) | Judged::Unkeyed | Judged::Decline(_) => {
            Response::from_parts(parts, CacheBody::inner(body))
        }
    }
}

/// Starts bringing a response in, and returns it for the first reader.
pub(crate) fn begin<B: Fillable>(
    kept: &Kept,
    head: Arc<Head>,
    response: Response<B>,
    waiting: Waiting,
    reason: Forward,
) -> Response<CacheBody<B>> {
    let core = &kept.shared.core;
    let stored = head.life.gone_at > core.clock.now();
    let announced = fields::content_length(response.headers());
    let length = response.body().size_hint().exact().or(announced);
    let shared = Arc::new(SharedBody::default());
    // A body whose length its header alone tells may be made while it is read, of values that nobody
    // knows of yet: whoever comes after one of them became void must not have it.
    let is_made = Reads::may_grow(core) && response.body().size_hint().exact().is_none();
    let is_streamed = length.is_some() && !is_made;
    if let (Waiting::Followers(leader), true) = (&waiting, is_streamed) {
        let (head, body) = (Arc::clone(&head), Arc::clone(&shared));
        leader.stream(Draft { head, body, length });
    }
    let (mut parts, body) = response.into_parts();
    Mark::add(core, &mut parts.extensions);
    let ttl = stored.then(|| head.life.ttl(core.clock.now()));
    if let Some(member) = status::forwarded(core, reason, None, stored, ttl, None) {
        parts.headers.append(CACHE_STATUS, member);
    }
    let (rest, receiver) = oneshot::channel();
    let reader = BodyReader::new(Arc::clone(&shared));
    let pump = Pump {
        wish: wish(kept, &head),
        core: Arc::clone(core),
        primary: head.key.clone(),
        most: kept
            .matched
            .policy
            .max_body
            .map_or(core.max_body, |own| own.min(core.max_body)),
        head,
        shared,
        length,
        patience: (!is_streamed).then(|| kept.matched.policy.wait_limit.unwrap_or(WAIT_LIMIT)),
        stored,
        reserved: 0,
        whence: second::whence(kept),
        state: Arc::clone(kept.matched.state(core)),
        began: kept.began,
        reads: kept.reads.clone(),
    };
    let body = Box::pin(body);
    let body = if core.has_background() {
        core.spawn(pump.run(body, rest, waiting));
        CacheBody::shared(reader, length, Some(receiver))
    } else {
        CacheBody::driven(reader, length, receiver, pump.run_inline(body, rest))
    };
    Response::from_parts(parts, body)
}

/// Returns in which coding the body is to be kept.
fn wish(kept: &Kept, head: &Head) -> Coding {
    match kept.matched.policy.compress.unwrap_or(Compress::Gzip) {
        Compress::Gzip if head.negotiated => Coding::Gzip,
        Compress::Lz4 => Coding::Lz4,
        Compress::Gzip | Compress::Off => Coding::Identity,
    }
}

struct Pump {
    core: Arc<Core>,
    primary: Key,
    head: Arc<Head>,
    shared: Arc<SharedBody>,
    wish: Coding,
    /// The longest body that is stored.
    most: u64,
    length: Option<u64>,
    /// How long others are made to wait for the end of a body that they can not read along.
    patience: Option<Duration>,
    stored: bool,
    /// What it has taken of the room that all fills share.
    reserved: u64,
    /// Where the request went, if there is a second tier.
    whence: Option<Whence>,
    state: Arc<RouteState>,
    began: Stopwatch,
    /// The values that the handler has read, and its body reads.
    reads: Reads,
}

/// How reading the handler's body ended.
enum End {
    Complete(Option<HeaderMap>),
    Broken,
    /// It is not to be stored, for a reason that will hold for the next time too, or not.
    GivenUp {
        lasting: bool,
    },
}

impl Pump {
    async fn run<B: Fillable>(
        mut self,
        mut body: Pin<Box<B>>,
        rest: oneshot::Sender<Pin<Box<B>>>,
        waiting: Waiting,
    ) {
        let mut waiting = waiting;
        let end = self.read_in_time(&mut body, &mut waiting).await;
        match end {
            End::Complete(trailers) => {
                drop(body);
                if let Some(plain) = self.complete(trailers, waiting, true) {
                    self.repack(plain).await;
                }
            }
            // Dropping the leader tells those who wait; those who stream have met the error.
            End::Broken => self.core.counters.note(Event::Failed),
            End::GivenUp { lasting } => {
                self.give_up(body, rest, lasting);
                waiting.land(Landing::Declined);
            }
        }
    }

    /// Does the same without a task, a clock or threads to leave work to: nobody else waits for the
    /// body, its only reader decides how long it takes, and what would take long to pack stays plain.
    async fn run_inline<B: Fillable>(
        mut self,
        mut body: Pin<Box<B>>,
        rest: oneshot::Sender<Pin<Box<B>>>,
    ) {
        match self.read(&mut body).await {
            End::Complete(trailers) => drop(self.complete(trailers, Waiting::Nobody, false)),
            End::Broken => self.core.counters.note(Event::Failed),
            End::GivenUp { lasting } => self.give_up(body, rest, lasting),
        }
    }

    /// Hands the rest of the body to the first reader.
    fn give_up<B>(&self, body: Pin<Box<B>>, rest: oneshot::Sender<Pin<Box<B>>>, lasting: bool) {
        // The body first: whoever reads that it was handed over finds it there. If the first reader
        // is gone, so is the need for it.
        drop(rest.send(body));
        self.shared.end(BodyEnd::HandedOver);
        if lasting {
            mark(&self.core, &self.primary, self.whence.as_ref());
        }
        self.core.counters.note(Event::Declined);
    }

    /// Reads the body into the shared buffer, for as long as that may take. Those who wait for one that
    /// they can not read along are let go before, and whoever comes next does not wait at all: its
    /// handler answers at once, and it may never end.
    async fn read_in_time<B: Fillable>(
        &mut self,
        body: &mut Pin<Box<B>>,
        waiting: &mut Waiting,
    ) -> End {
        let too_slow = End::GivenUp { lasting: false };
        let Some(patience) = self.patience.filter(|patience| *patience < FILL_LIMIT) else {
            let read = timeout(FILL_LIMIT, self.read(body)).await;
            return read.unwrap_or(too_slow);
        };
        let (core, primary) = (Arc::clone(&self.core), self.primary.clone());
        let whence = self.whence.clone();
        let mut read = pin!(self.read(body));
        if let Ok(end) = timeout(patience, read.as_mut()).await {
            return end;
        }
        mark(&core, &primary, whence.as_ref());
        std::mem::replace(waiting, Waiting::Nobody).land(Landing::Declined);
        let rest = timeout(FILL_LIMIT - patience, read).await;
        rest.unwrap_or(too_slow)
    }

    /// Reads the body into the shared buffer.
    async fn read<B: Fillable>(&mut self, body: &mut Pin<Box<B>>) -> End {
        let mut trailers = None;
        let mut total = 0;
        loop {
            let read = poll_fn(|context| self.reads.within(|| body.as_mut().poll_frame(context)));
            let frame = match read.await {
                None => break,
                Some(Ok(frame)) => frame,
                Some(Err(error)) => {
                    self.shared.end(BodyEnd::Broken(Arc::from(error.into())));
                    return End::Broken;
                }
            };
            let mut data = match frame.into_data() {
                Ok(data) => data,
                Err(other) => {
                    trailers = other.into_trailers().ok().or(trailers);
                    continue;
                }
            };
            let length = u64::try_from(data.remaining()).unwrap_or(u64::MAX);
            let has_room = self.core.reserve(length);
            self.reserved += if has_room { length } else { 0 };
            total = self.shared.push(data.copy_to_bytes(data.remaining()));
            if total > self.most || !has_room {
                return End::GivenUp {
                    lasting: total > self.most,
                };
            }
        }
        // A body that is shorter than it said is not whole (RFC 9111 §3.3).
        if self.length.is_some_and(|length| length != total) {
            self.shared.end(BodyEnd::Broken(Arc::from(Box::<
                dyn error::Error + Send + Sync,
            >::from(
                "the body is shorter than its announced length",
            ))));
            return End::Broken;
        }
        self.head = self.reads.grown(&self.head);
        self.shared.end(BodyEnd::Complete(trailers.clone()));
        End::Complete(trailers)
    }

    /// Stores the body. With `later` to pack it in, what takes long is stored plain at first, since
    /// nobody waits for it then, and returned.
    fn complete(
        &self,
        trailers: Option<HeaderMap>,
        waiting: Waiting,
        later: bool,
    ) -> Option<Plain> {
        let bytes = self.shared.collect();
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        self.core.durations.fills.record(self.began.elapsed());
        self.state.count_filled(length);
        let wish = match self.wish {
            Coding::Gzip if !compressible(&self.head.headers(), length) => Coding::Identity,
            wish => wish,
        };
        let trailers = trailers.map(Box::new);
        let takes_long = packs_long(wish, length);
        let body = if takes_long {
            StoredBody {
                bytes: bytes.clone(),
                coding: Coding::Identity,
                length,
            }
        } else {
            pack(bytes.clone(), wish)
        };
        let head = Arc::clone(&self.head);
        let entry = Arc::new(Entry::new(head, body, trailers.clone()));
        let whence = self.store(&entry).cloned();
        let later = takes_long && later;
        if !later {
            self.core.send(&self.primary, &entry, whence.clone());
        }
        waiting.land(Landing::Landed(entry));
        (later && self.stored).then_some(Plain {
            bytes,
            wish,
            trailers,
            whence,
        })
    }

    /// Stores the entry unless it is void already: then it would only push a valid one out. Returns
    /// where its request went if it is to go to the second tier, in its last form.
    fn store(&self, entry: &Arc<Entry>) -> Option<&Whence> {
        if !self.stored {
            return None;
        }
        if self.core.is_fenced(&entry.seal) {
            return None;
        }
        let whence = self.whence.as_ref().filter(|whence| {
            let has_room = second::has_room(&self.core, &self.primary, &self.head);
            if !has_room {
                whence.stays_here();
            }
            has_room
        });
        if self.core.store.insert(&self.primary, Arc::clone(entry)) {
            self.core.counters.note(Event::Stored);
        }
        whence
    }
}

/// Lets nobody wait for a key for some time, on no node.
fn mark(core: &Core, primary: &Key, whence: Option<&Whence>) {
    if let Some(whence) = whence {
        whence.stays_here();
    }
    let until = core.clock.now().after(MARKED_FOR);
    core.store.mark_uncacheable(primary, until);
}

impl Drop for Pump {
    fn drop(&mut self) {
        self.core.release(self.reserved);
        // If the task was ended from outside, the readers must not wait for more.
        self.shared.end(BodyEnd::HandedOver);
    }
}

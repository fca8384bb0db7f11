//! What keeps responses.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use http::{HeaderMap, Uri};

use crate::{
    Larder, Target,
    clock::{Clock, SystemClock, Timestamp},
    entry::{Entry, Position, samples::Sample},
    fence::{Fence, Mode, Verdict},
    handle::Core,
    invalidate::{Purge, Trust},
    key::Key,
    policy::TargetId,
    store::{
        Found, SecondTier, Wanted, Whence,
        redis::{Connections, Layout, Settings, tests::server::Server},
    },
};

const MIB: u64 = 1 << 20;

/// More bytes than any of them takes as one body.
pub(super) const LARGEST: usize = 15 << 20;

/// How an invalidation comes.
#[derive(Clone, Copy, Debug)]
pub(super) enum Comes {
    Hard,
    Soft,
}

/// Something that keeps responses.
pub(super) trait Keeper: Sized {
    /// Whether what was put may be gone afterwards.
    const MAY_FORGET: bool = false;

    async fn start() -> Self;

    fn now(&self) -> Timestamp;

    /// Returns what a fill that begins now is sealed with.
    fn position(&self) -> Position;

    async fn put(&self, entry: &Arc<Entry>);

    /// Returns what it has for a request, if that has not come to its end.
    async fn find(&self, key: &str, request: &HeaderMap) -> Option<Arc<Entry>>;

    async fn remove(&self, key: &str, request: &HeaderMap);

    /// Invalidates a tag, and returns when that is known to whoever judges.
    async fn invalidate(&self, tag: &str, comes: Comes);

    fn judge(&self, entry: &Entry) -> Verdict;

    /// Returns a response that is good for a minute.
    fn sample(&self, key: &str) -> Sample {
        let (mut sample, now) = (Sample::new(key), self.now());
        let end = now.after(Duration::from_secs(60));
        sample.life.received = now;
        (sample.life.fresh_until, sample.life.gone_at) = (end, end);
        sample.position = self.position();
        sample.targets.clear();
        let Whence { authority, uri, .. } = whence();
        let targets = &mut sample.targets;
        TargetId::of_request(&authority, uri.path(), uri.query(), None, targets);
        sample
    }

    /// Adds tags, by which the response can be invalidated.
    fn tagged(&self, mut sample: Sample, tags: &[&str]) -> Sample {
        for tag in tags {
            sample.tags.push((*tag).to_owned());
            sample.targets.push(Target::tag(tag).id());
        }
        sample
    }
}

fn whence() -> Whence {
    Whence {
        authority: "shop.test".into(),
        uri: Uri::from_static("/items/1?page=2"),
        route: None,
        lock: None,
    }
}

fn key(text: &str) -> Key {
    Key::from(text.as_bytes())
}

fn current(found: Arc<Entry>, now: Timestamp) -> Option<Arc<Entry>> {
    (found.life.gone_at > now).then_some(found)
}

/// A clock, and an order of invalidations that nobody else has a part in.
struct Judge {
    clock: Arc<dyn Clock>,
    fence: Fence,
}

impl Judge {
    fn new() -> Self {
        Self {
            clock: Arc::new(SystemClock::new()),
            fence: Fence::new(),
        }
    }

    fn invalidate(&self, tag: &str, comes: Comes) {
        let Position {
            epoch, sequence, ..
        } = self.fence.position();
        let mode = match comes {
            Comes::Hard => Mode::Hard,
            Comes::Soft => Mode::Soft(self.clock.now()),
        };
        let targets = [Target::tag(tag).id()];
        self.fence.apply(epoch, sequence + 1, &targets, mode);
    }
}

/// The memory of this process.
pub(super) struct Memory {
    memory: crate::store::Memory,
    judge: Judge,
}

impl Keeper for Memory {
    async fn start() -> Self {
        Self {
            memory: crate::store::Memory::new(16 * MIB, MIB).unwrap(),
            judge: Judge::new(),
        }
    }

    fn now(&self) -> Timestamp {
        self.judge.clock.now()
    }

    fn position(&self) -> Position {
        self.judge.fence.position()
    }

    async fn put(&self, entry: &Arc<Entry>) {
        self.memory.insert(&entry.key, Arc::clone(entry));
    }

    async fn find(&self, key: &str, request: &HeaderMap) -> Option<Arc<Entry>> {
        match self.memory.find(key.as_bytes(), request) {
            Found::Hit(entry) => current(entry, self.now()),
            Found::OtherVariants(_) | Found::Miss => None,
        }
    }

    async fn remove(&self, key: &str, _: &HeaderMap) {
        self.memory.remove(key.as_bytes());
    }

    async fn invalidate(&self, tag: &str, comes: Comes) {
        self.judge.invalidate(tag, comes);
    }

    fn judge(&self, entry: &Entry) -> Verdict {
        self.judge.fence.judge(&entry.seal)
    }
}

/// A tier in Redis: what one node writes another one reads.
pub(super) struct Redis {
    writer: SecondTier,
    reader: SecondTier,
    judge: Judge,
    _server: Arc<Server>,
}

impl Redis {
    fn on(server: Arc<Server>, settings: Settings) -> Self {
        let judge = Judge::new();
        let tier = || {
            let (layout, clock) = (Layout::new("test"), Arc::clone(&judge.clock));
            let connections = Connections::new(&*server.url(), layout, settings, clock);
            let (tier, writer) = SecondTier::new(connections.unwrap(), 2 * MIB);
            tokio::spawn(writer.run(|_| true));
            tier
        };
        Self {
            writer: tier(),
            reader: tier(),
            judge,
            _server: server,
        }
    }
}

impl Keeper for Redis {
    async fn start() -> Self {
        // About what is read, not about how fast a busy machine is.
        let patient = Settings {
            request_budget: Duration::from_secs(5),
            background_budget: Duration::from_secs(5),
            connect_limit: Duration::from_secs(5),
            ..Settings::default()
        };
        Self::on(Arc::new(Server::start()), patient)
    }

    fn now(&self) -> Timestamp {
        self.judge.clock.now()
    }

    fn position(&self) -> Position {
        self.judge.fence.position()
    }

    async fn put(&self, entry: &Arc<Entry>) {
        self.writer.put(&entry.key, entry, whence());
        self.writer.flush().await;
    }

    async fn find(&self, text: &str, request: &HeaderMap) -> Option<Arc<Entry>> {
        let wanted = Wanted {
            primary: &key(text),
            request,
            names: None,
            place: None,
            local: self.position().local,
            now: self.now(),
        };
        let found = self.reader.find(wanted).await?;
        current(Arc::new(found), self.now())
    }

    async fn remove(&self, text: &str, _: &HeaderMap) {
        self.writer.remove(&key(text), None);
        self.writer.flush().await;
    }

    async fn invalidate(&self, tag: &str, comes: Comes) {
        self.judge.invalidate(tag, comes);
    }

    fn judge(&self, entry: &Entry) -> Verdict {
        self.judge.fence.judge(&entry.seal)
    }
}

/// Two nodes with both tiers: what one keeps the other finds, first in Redis, then in its memory.
pub(super) struct Tiered {
    one: Larder,
    other: Larder,
    _server: Server,
}

impl Tiered {
    async fn node(server: &Server) -> Larder {
        let patient = Duration::from_secs(5);
        let redis = crate::Redis::new(server.url()).budget(patient);
        let builder = Larder::builder().redis(redis.background_budget(patient));
        let builder = builder.memory_bytes(16 * MIB).max_body(MIB);
        let larder = builder.build().await.unwrap();
        eventually(|| larder.statistics().shared.sync_age.is_some()).await;
        larder
    }

    fn tier(core: &Core) -> &SecondTier {
        core.second.as_ref().unwrap()
    }

    async fn look(&self, text: &str, request: &HeaderMap) -> Option<Arc<Entry>> {
        let (core, key) = (self.other.core(), key(text));
        let local = core.position().local;
        if let Found::Hit(entry) = core.store.find(&key, request)
            && !core.is_dead(&entry.seal)
        {
            return current(entry, core.clock.now());
        }
        let wanted = Wanted {
            primary: &key,
            request,
            names: None,
            place: None,
            local,
            now: core.clock.now(),
        };
        let found = Self::tier(core).find(wanted).await?;
        let now = core.clock.now();
        let (entry, _) = core.promote(&key, found, Trust::Known, now, None)?;
        current(entry, now)
    }
}

impl Keeper for Tiered {
    async fn start() -> Self {
        let server = Server::start();
        Self {
            one: Self::node(&server).await,
            other: Self::node(&server).await,
            _server: server,
        }
    }

    fn now(&self) -> Timestamp {
        self.one.core().clock.now()
    }

    fn position(&self) -> Position {
        self.one.core().position()
    }

    async fn put(&self, entry: &Arc<Entry>) {
        let core = self.one.core();
        core.keep(&entry.key, entry, Some(whence()));
        Self::tier(core).flush().await;
        // Only what is new on the one node is of interest on the other.
        self.other.core().store.remove(&entry.key);
    }

    async fn find(&self, key: &str, request: &HeaderMap) -> Option<Arc<Entry>> {
        let first = self.look(key, request).await;
        let again = self.look(key, request).await;
        let bytes =
            |found: &Option<Arc<Entry>>| found.as_ref().map(|entry| entry.body.bytes.clone());
        assert!(bytes(&first) == bytes(&again), "{key:?} out of memory");
        again
    }

    async fn remove(&self, text: &str, request: &HeaderMap) {
        for node in [&self.one, &self.other] {
            node.core().forget(&key(text), request);
            Self::tier(node.core()).flush().await;
        }
    }

    async fn invalidate(&self, tag: &str, comes: Comes) {
        let targets = [Target::tag(tag)];
        let purge = match comes {
            Comes::Hard => Purge::hard(targets),
            Comes::Soft => Purge::soft(targets),
        };
        self.one.core().invalidate(&purge).await;
        let place = |node: &Larder| node.core().position().sequence;
        eventually(|| place(&self.other) == place(&self.one)).await;
    }

    fn judge(&self, entry: &Entry) -> Verdict {
        self.other.core().fence.judge(&entry.seal)
    }
}

/// A tier in a Redis that stops and goes on all the time, with the budgets that are the default.
pub(super) struct Guarded {
    redis: Redis,
    is_over: Arc<AtomicBool>,
    nemesis: Option<JoinHandle<()>>,
}

impl Keeper for Guarded {
    const MAY_FORGET: bool = true;

    async fn start() -> Self {
        let server = Arc::new(Server::start());
        let is_over = Arc::new(AtomicBool::new(false));
        let (over, frozen) = (Arc::clone(&is_over), Arc::clone(&server));
        let nemesis = thread::spawn(move || {
            while !over.load(Ordering::Relaxed) {
                frozen.freeze();
                thread::sleep(Duration::from_millis(60));
                frozen.thaw();
                thread::sleep(Duration::from_millis(90));
            }
        });
        Self {
            redis: Redis::on(server, Settings::default()),
            is_over,
            nemesis: Some(nemesis),
        }
    }

    fn now(&self) -> Timestamp {
        self.redis.now()
    }

    fn position(&self) -> Position {
        self.redis.position()
    }

    async fn put(&self, entry: &Arc<Entry>) {
        self.redis.put(entry).await;
    }

    async fn find(&self, key: &str, request: &HeaderMap) -> Option<Arc<Entry>> {
        self.redis.find(key, request).await
    }

    async fn remove(&self, key: &str, request: &HeaderMap) {
        self.redis.remove(key, request).await;
    }

    async fn invalidate(&self, tag: &str, comes: Comes) {
        self.redis.invalidate(tag, comes).await;
    }

    fn judge(&self, entry: &Entry) -> Verdict {
        self.redis.judge(entry)
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        if let Some(nemesis) = self.nemesis.take() {
            drop(nemesis.join());
        }
    }
}

/// Keeps nothing at all, which is not enough.
pub(super) struct Forgetful(Judge);

impl Keeper for Forgetful {
    const MAY_FORGET: bool = true;

    async fn start() -> Self {
        Self(Judge::new())
    }

    fn now(&self) -> Timestamp {
        self.0.clock.now()
    }

    fn position(&self) -> Position {
        self.0.fence.position()
    }

    async fn put(&self, _: &Arc<Entry>) {}

    async fn find(&self, _: &str, _: &HeaderMap) -> Option<Arc<Entry>> {
        None
    }

    async fn remove(&self, _: &str, _: &HeaderMap) {}

    async fn invalidate(&self, tag: &str, comes: Comes) {
        self.0.invalidate(tag, comes);
    }

    fn judge(&self, entry: &Entry) -> Verdict {
        self.0.fence.judge(&entry.seal)
    }
}

async fn eventually(mut holds: impl FnMut() -> bool) {
    let began = tokio::time::Instant::now();
    while !holds() {
        assert!(began.elapsed() < Duration::from_secs(10), "it never came");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

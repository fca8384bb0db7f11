//! Read-through: one load of a value, however many ask for it.
//!
//! Whoever comes first starts the load in a task of its own, so that a caller that leaves takes
//! nothing with it. The others wait at most the wait limit, and may use what it brings only if the
//! fence, asked when it is there, finds it alive: a reader that came after an invalidation is never
//! handed a value from before it.

use std::{any::Any, error, fmt, future::Future, panic::resume_unwind, sync::Arc};

use serde::{Serialize, de::DeserializeOwned};
use tokio::{
    sync::oneshot,
    time::{Instant, timeout_at},
};

use super::{
    Loading, Typed,
    look::{Stored, is_absence},
    run::Made,
    start::Start,
};
use crate::{
    entry::Entry,
    flight::{CatchPanic, Flight, Follower, Join, Landing, Leader},
    handle::{Asked, Gathered, Gathering, Load},
    observe::Event,
};

/// Why a value could not be loaded. Cheap to clone: all who waited for the load have it.
#[derive(Clone, Debug)]
pub struct LoadError {
    source: Option<Arc<dyn error::Error + Send + Sync>>,
}

impl LoadError {
    /// The load that was waited for panicked, or was ended by a shutdown.
    const LOST: Self = Self { source: None };

    pub(super) fn of(source: impl Into<Box<dyn error::Error + Send + Sync>>) -> Self {
        Self {
            source: Some(Arc::from(source.into())),
        }
    }

    /// Returns the error of the load, if it is of this type.
    #[must_use]
    pub fn downcast_ref<E: error::Error + 'static>(&self) -> Option<&E> {
        self.source.as_deref()?.downcast_ref()
    }
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.source {
            Some(source) => write!(f, "the value could not be loaded: {source}"),
            None => f.write_str("the load that this one waited for panicked or was ended"),
        }
    }
}

impl error::Error for LoadError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

type Loaded<T> = Result<Option<Arc<T>>, LoadError>;

/// A stored value is of another type, or damaged.
#[derive(Debug)]
pub(super) struct Unreadable;

/// How a load went, for the one who started it.
enum Ended<T> {
    Loaded(Loaded<T>),
    Panicked(Box<dyn Any + Send>),
}

/// What waiting for another one's load came to.
enum Waited<T> {
    Done(Loaded<T>),
    /// It took too long.
    Late,
    /// It panicked or was ended.
    Lost,
    /// It was for others: an invalidation has overtaken it, it was left to another node, or what it
    /// brought is of another type.
    Void,
}

type LoadFlight = Flight<(), Load>;

impl<T> Typed<T>
where
    T: Serialize + DeserializeOwned + Send + Sync + 'static,
{
    /// Returns the value; loads it if it is not stored. `None` is a value that does not exist, which
    /// is remembered, too ([`negative_ttl`](Self::negative_ttl)).
    ///
    /// Callers of one id at one time share one load. It runs in a task of its own: it needs
    /// what it uses to be its own, sees no task-locals of the caller, and goes on if all callers
    /// leave. A stale value within its window is returned at once, and this call's load is the
    /// refresh.
    ///
    /// # Errors
    ///
    /// Fails if the load does, and nothing that is stored may stand in for it. All who waited for
    /// that load get the same error; none of it is remembered.
    ///
    /// # Panics
    ///
    /// Panics if the load that this very call started does.
    pub async fn get_or_load<F, O, E>(&self, id: &str, load: F) -> Loaded<T>
    where
        F: FnOnce(Loading) -> O + Send + 'static,
        O: Future<Output = Result<Option<T>, E>> + Send + 'static,
        E: Into<Box<dyn error::Error + Send + Sync>> + Send + 'static,
    {
        let (stored, asked) = self.found(id).await;
        let spare = match stored {
            Stored::Fresh { entry, refresh } => {
                if let Ok(value) = self.answer(&entry) {
                    if refresh {
                        self.refresh(id, Some(&entry), load);
                    }
                    return Ok(value);
                }
                None
            }
            Stored::Stale(entry) => {
                if let Ok(value) = self.answer(&entry) {
                    self.refresh(id, Some(&entry), load);
                    return Ok(value);
                }
                None
            }
            Stored::Spare(entry) => Some(entry),
            Stored::Nothing => None,
        };
        let loaded = self.join(id, asked, load).await;
        match (loaded, spare) {
            (Err(error), Some(spare)) => match self.answer(&spare) {
                Ok(value) if !self.core.is_dead(&spare.seal) => {
                    spare.put_off(self.core.clock.now());
                    Ok(value)
                }
                _ => Err(error),
            },
            (loaded, _) => loaded,
        }
    }

    /// Returns what an entry says, if it can be read.
    pub(super) fn answer(&self, entry: &Entry) -> Result<Option<Arc<T>>, Unreadable> {
        if is_absence(entry) {
            return Ok(None);
        }
        self.value(entry).map(Some).ok_or(Unreadable)
    }

    /// Loads, or waits for a load that is under way.
    async fn join<F, O, E>(&self, id: &str, asked: Asked, load: F) -> Loaded<T>
    where
        F: FnOnce(Loading) -> O + Send + 'static,
        O: Future<Output = Result<Option<T>, E>> + Send + 'static,
        E: Into<Box<dyn error::Error + Send + Sync>> + Send + 'static,
    {
        let key = self.key(id);
        let deadline = Instant::now() + self.settings.wait_limit;
        let mut doomed: Option<Arc<LoadFlight>> = None;
        let mut lost = false;
        loop {
            let usable = |flight: &LoadFlight| {
                doomed
                    .as_ref()
                    .is_none_or(|doomed| !std::ptr::eq(&**doomed, flight))
                    && flight.passes(|seal| self.core.may_wait_for(seal, asked.trust, asked.at))
            };
            let mut follower = match self.core.values.loads.join(&key, usable, || None) {
                Join::Lead(leader) => return self.lead(id, leader, deadline, load).await,
                Join::Full => return self.alone(id, load).await,
                Join::Follow(follower) => follower,
            };
            match self.wait(&mut follower, asked, deadline).await {
                Waited::Done(loaded) => return loaded,
                Waited::Late => {
                    let _turn = follower.straggle().await;
                    return match self.found(id).await.0 {
                        Stored::Fresh { entry, .. } => match self.answer(&entry) {
                            Ok(value) => Ok(value),
                            Err(Unreadable) => self.alone(id, load).await,
                        },
                        _ => self.alone(id, load).await,
                    };
                }
                Waited::Lost if lost => return Err(LoadError::LOST),
                Waited::Lost => lost = true,
                Waited::Void => {}
            }
            doomed = Some(Arc::clone(follower.flight()));
        }
    }

    async fn wait(
        &self,
        follower: &mut Follower<(), Load>,
        asked: Asked,
        deadline: Instant,
    ) -> Waited<T> {
        let Ok(landing) = timeout_at(deadline, follower.wait(true)).await else {
            return Waited::Late;
        };
        match landing {
            Landing::Landed(Load::Brought(entry)) => {
                if !self.core.may_follow(&entry.seal, asked.trust, asked.at) {
                    self.core.note_unusable(&entry.seal, asked.trust, asked.at);
                    return Waited::Void;
                }
                Gathering::note(&*entry.tags, entry.life.received);
                match self.answer(&entry) {
                    Ok(value) => Waited::Done(Ok(value)),
                    Err(Unreadable) => Waited::Void,
                }
            }
            Landing::Landed(Load::Failed(source)) => Waited::Done(Err(LoadError {
                source: Some(source),
            })),
            Landing::Left => Waited::Void,
            Landing::Declined
            | Landing::Failed
            | Landing::Lost
            | Landing::Flying
            | Landing::Streaming(()) => Waited::Lost,
        }
    }

    /// Starts a load of which nobody waits for the outcome, unless one is under way.
    fn refresh<F, O, E>(&self, id: &str, old: Option<&Arc<Entry>>, load: F)
    where
        F: FnOnce(Loading) -> O + Send + 'static,
        O: Future<Output = Result<Option<T>, E>> + Send + 'static,
        E: Into<Box<dyn error::Error + Send + Sync>> + Send + 'static,
    {
        let now = self.core.clock.now();
        if !self.core.has_background() || old.is_some_and(|old| !old.may_retry(now)) {
            return;
        }
        let usable = |flight: &LoadFlight| flight.passes(|seal| self.core.is_current(seal));
        let loads = &self.core.values.loads;
        if let Some(leader) = loads.lead(&self.key(id), usable, || None) {
            self.core.counters.note(Event::Refreshed);
            let deadline = Instant::now() + self.settings.wait_limit;
            drop(self.launch(id, leader, old.cloned(), deadline, load));
        }
    }

    async fn lead<F, O, E>(
        &self,
        id: &str,
        leader: Leader<(), Load>,
        deadline: Instant,
        load: F,
    ) -> Loaded<T>
    where
        F: FnOnce(Loading) -> O + Send + 'static,
        O: Future<Output = Result<Option<T>, E>> + Send + 'static,
        E: Into<Box<dyn error::Error + Send + Sync>> + Send + 'static,
    {
        if !self.core.has_background() {
            // Dropping the leader tells the others, who come to the same.
            drop(leader);
            return self.alone(id, load).await;
        }
        match self.launch(id, leader, None, deadline, load).await {
            Ok(Ended::Loaded(loaded)) => loaded,
            Ok(Ended::Panicked(payload)) => resume_unwind(payload),
            Err(_) => Err(LoadError::LOST),
        }
    }

    /// Runs a load in a task of its own, which waits for those of other nodes until `deadline`.
    fn launch<F, O, E>(
        &self,
        id: &str,
        leader: Leader<(), Load>,
        old: Option<Arc<Entry>>,
        deadline: Instant,
        load: F,
    ) -> oneshot::Receiver<Ended<T>>
    where
        F: FnOnce(Loading) -> O + Send + 'static,
        O: Future<Output = Result<Option<T>, E>> + Send + 'static,
        E: Into<Box<dyn error::Error + Send + Sync>> + Send + 'static,
    {
        let (sender, receiver) = oneshot::channel();
        let (typed, id): (Self, Arc<str>) = (self.clone(), id.into());
        // The reader's run is what the value's tags are for, also if the value comes later.
        let reader = Gathering::current();
        self.core.spawn(async move {
            let told = |entry: &Entry| {
                if let Some(reader) = &reader {
                    reader.within(|| Gathering::note(&*entry.tags, entry.life.received));
                }
            };
            let begun = match typed.start(&id, &leader, old.is_none(), deadline).await {
                Start::Load(begun) => begun,
                Start::Found(entry) => {
                    if old.is_none() {
                        told(&entry);
                    }
                    let value = typed.answer(&entry).map_err(|Unreadable| LoadError::LOST);
                    leader.land(Landing::Landed(Load::Brought(entry)));
                    drop(sender.send(Ended::Loaded(value)));
                    return;
                }
                Start::Leave => {
                    leader.land(Landing::Left);
                    return;
                }
            };
            let ended = match CatchPanic::new(typed.made(load)).await {
                Err(payload) => Ended::Panicked(payload),
                Ok(Err(error)) => {
                    typed.core.counters.note(Event::Failed);
                    begun.brings_nothing_to_share();
                    if let Some(old) = old {
                        old.put_off(typed.core.clock.now());
                    }
                    if let Some(source) = &error.source {
                        leader.land(Landing::Landed(Load::Failed(Arc::clone(source))));
                    }
                    Ended::Loaded(Err(error))
                }
                Ok(Ok(made)) => {
                    let entry = typed.entry(&id, &made, begun.position, begun.at);
                    told(&entry);
                    typed.put_locked(Arc::clone(&entry), begun.lock).await;
                    leader.land(Landing::Landed(Load::Brought(entry)));
                    Ended::Loaded(Ok(made.value))
                }
            };
            // Nobody may be waiting: a caller that left, or a refresh.
            drop(sender.send(ended));
        });
        receiver
    }

    /// Loads for one caller alone; the value may still be stored.
    async fn alone<F, O, E>(&self, id: &str, load: F) -> Loaded<T>
    where
        F: FnOnce(Loading) -> O + Send + 'static,
        O: Future<Output = Result<Option<T>, E>> + Send + 'static,
        E: Into<Box<dyn error::Error + Send + Sync>> + Send + 'static,
    {
        let begun = self.begun();
        let made = self.made(load).await?;
        let entry = self.entry(id, &made, begun.position, begun.at);
        Gathering::note(&*entry.tags, entry.life.received);
        self.put_packed(entry).await;
        Ok(made.value)
    }

    /// Loads, and notes what the load said and read.
    async fn made<F, O, E>(&self, load: F) -> Result<Made<T>, LoadError>
    where
        F: FnOnce(Loading) -> O + Send + 'static,
        O: Future<Output = Result<Option<T>, E>> + Send + 'static,
        E: Into<Box<dyn error::Error + Send + Sync>> + Send + 'static,
    {
        self.count(Event::ValueLoaded);
        let (loading, place) = (Loading::default(), Gathering::default());
        let value = place
            .scope(load(loading.clone()))
            .await
            .map_err(LoadError::of)?;
        let gathered: Gathered = place.so_far();
        Ok(Made {
            value: value.map(Arc::new),
            version: None,
            said: loading.said(),
            gathered,
        })
    }
}

//! Reads what is stored, and takes what was read elsewhere.

use std::{cell::RefCell, collections::HashMap, sync::Arc};

use http::{HeaderMap, StatusCode};
use serde::{Serialize, de::DeserializeOwned};

use super::{
    Typed,
    encoding::{decode, version},
    run::Made,
};
use crate::{
    clock::Timestamp,
    entry::{Entry, Position, compress::unpack},
    fence::Verdict,
    handle::{Asked, Gathering},
    invalidate::Trust,
    key::{Key, KeyBuffer, write_value},
    observe::Event,
    store::{Found, Wanted},
};

thread_local! {
    /// What a look-up writes the key to: kept, so that it allocates nothing.
    static SCRATCH: RefCell<KeyBuffer> = const { RefCell::new(KeyBuffer::new()) };
}

/// What is stored of a value, and how it stands.
#[derive(Clone, Debug)]
pub(super) enum Stored {
    Fresh {
        entry: Arc<Entry>,
        /// It is near its end, and whoever reads it may load it anew.
        refresh: bool,
    },
    /// To be returned at once while it is loaded anew.
    Stale(Arc<Entry>),
    /// To be returned if its load fails.
    Spare(Arc<Entry>),
    Nothing,
}

/// What [`Typed::look_up`] found.
#[derive(Debug)]
pub enum LookUp<T> {
    /// The value.
    Found(Arc<T>),
    /// It is known that there is none.
    Absent,
    /// Nothing is known: read it where it is kept, and hand it in.
    Vacant(Vacancy<T>),
}

/// The place of a value that is not stored, as of the moment it was looked up.
///
/// It holds the number of the last invalidation that was visible then. So what is handed in is
/// void from the beginning if the value was invalidated since: a slow read of the truth can not
/// bring an old value back.
#[derive(Debug)]
#[must_use = "a vacancy is there to be filled"]
pub struct Vacancy<T> {
    typed: Typed<T>,
    id: Arc<str>,
    position: Position,
    began: Timestamp,
}

impl<T> Typed<T>
where
    T: Serialize + DeserializeOwned + Send + Sync + 'static,
{
    /// Returns the value if it is stored and fresh; `None` also if it is known that there is none.
    pub async fn get(&self, id: &str) -> Option<Arc<T>> {
        match self.look_up(id).await {
            LookUp::Found(value) => Some(value),
            LookUp::Absent | LookUp::Vacant(_) => None,
        }
    }

    /// Returns the values that are stored and fresh, in the order of `ids`; from Redis, where there is
    /// one, by one round trip for all that are not in this process.
    pub async fn get_many<I: AsRef<str>>(
        &self,
        ids: impl IntoIterator<Item = I>,
    ) -> Vec<Option<Arc<T>>> {
        let ids: Vec<String> = ids.into_iter().map(|id| id.as_ref().to_owned()).collect();
        let known = self.known(&ids).await;
        ids.iter()
            .map(|id| known.get(&**id).cloned().flatten())
            .collect()
    }

    /// Returns the value, or a place to put it: cache-aside without its race.
    ///
    /// ```
    /// use larder::{Larder, LookUp};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), larder::Error> {
    /// # let larder = Larder::builder().build().await?;
    /// let names = larder.typed::<String>("name");
    /// let name = match names.look_up("7").await {
    ///     LookUp::Found(name) => name,
    ///     LookUp::Absent => return Ok(()),
    ///     LookUp::Vacant(vacancy) => {
    ///         let read_from_the_database = "kettle".to_owned();
    ///         vacancy.fill(read_from_the_database).await
    ///     }
    /// };
    /// assert_eq!(*name, "kettle");
    /// # Ok(())
    /// # }
    /// ```
    pub async fn look_up(&self, id: &str) -> LookUp<T> {
        let (stored, asked) = self.found(id).await;
        let (position, began) = (self.core.position(), self.core.clock.now());
        let stored = match stored {
            Stored::Nothing => self.recalled(id, position.local, asked).await,
            stored => stored,
        };
        if let Stored::Fresh { entry, .. } = stored {
            if is_absence(&entry) {
                return LookUp::Absent;
            }
            if let Some(value) = self.value(&entry) {
                return LookUp::Found(value);
            }
        }
        LookUp::Vacant(Vacancy {
            typed: self.clone(),
            id: id.into(),
            position,
            began,
        })
    }

    /// Stores a value that is the truth by itself, as of now.
    ///
    /// Not for what was read from a database before: a write may have come in between, and the old
    /// value would stay. Use [`look_up`](Self::look_up) or [`get_or_load`](Self::get_or_load) for
    /// reading, [`write_through`](Self::write_through) for writing. Nothing is made void by it.
    pub async fn insert(&self, id: &str, value: T) -> Arc<T> {
        let (position, began) = (self.core.position(), self.core.clock.now());
        self.keep(id, value, position, began).await
    }

    pub(super) fn key(&self, id: &str) -> Key {
        let mut key = KeyBuffer::default();
        write_value(&self.core.namespace, &self.entity, id, &mut key);
        key.to_key()
    }

    /// Finds what is stored of the value in the first tier for a reader who comes now, and returns it
    /// with his word, which is asked for if need be. Where nobody else invalidates and nothing has
    /// changed, there is nobody to ask, and the entry itself tells so.
    pub(super) async fn found(&self, id: &str) -> (Stored, Asked) {
        let at = self.core.clock.now();
        let kept = self.kept_here(id);
        let alone = kept.as_ref();
        let alone = alone.and_then(|entry| self.core.fence.judge_alone(&entry.seal));
        let trust = match alone {
            Some(_) => Some(Trust::Known),
            None => self.core.trust(at),
        };
        let Some(trust) = trust else {
            // By then it may be another one that is kept.
            drop(kept);
            let trust = self.core.ask().await;
            let asked = Asked { trust, at };
            return (self.stored(id, asked), asked);
        };
        let asked = Asked { trust, at };
        (self.noted(id, kept, alone, asked, at), asked)
    }

    /// Finds what is stored of the value in the first tier, and notes that it was asked for.
    pub(super) fn stored(&self, id: &str, asked: Asked) -> Stored {
        let now = self.core.clock.now();
        self.noted(id, self.kept_here(id), None, asked, now)
    }

    /// Notes that what is kept of a value was asked for, and says how it stands at `now`. `verdict` is
    /// that of the fence, if that was asked already.
    fn noted(
        &self,
        id: &str,
        kept: Option<Arc<Entry>>,
        verdict: Option<Verdict>,
        asked: Asked,
        now: Timestamp,
    ) -> Stored {
        let Some(entry) = kept else {
            // What is made of the absence of a value is void when the value comes.
            Gathering::note(&self.own_tags(id), Timestamp::NEVER);
            return Stored::Nothing;
        };
        Gathering::note(&*entry.tags, entry.life.received);
        let judge = || self.core.judge(&entry.seal, asked.trust, asked.at);
        let verdict = verdict.unwrap_or_else(judge);
        let stored = self.standing(entry, verdict, now);
        match &stored {
            Stored::Fresh { .. } => self.count(Event::ValueHit),
            Stored::Stale(_) => self.count(Event::ValueStale),
            Stored::Spare(_) | Stored::Nothing => {}
        }
        stored
    }

    /// Returns what the first tier has of a value, void or not.
    fn kept_here(&self, id: &str) -> Option<Arc<Entry>> {
        let found = SCRATCH.with_borrow_mut(|key| {
            write_value(&self.core.namespace, &self.entity, id, key);
            self.core.store.find(key.as_bytes(), &HeaderMap::new())
        });
        match found {
            Found::Hit(entry) => Some(entry),
            _ => None,
        }
    }

    /// Asks the second tier for a value. `local` is the local position of the fence from before.
    pub(super) async fn recalled(&self, id: &str, local: u64, asked: Asked) -> Stored {
        let Some(tier) = &self.core.second else {
            return Stored::Nothing;
        };
        let (key, request) = (self.key(id), HeaderMap::new());
        let wanted = Wanted {
            primary: &key,
            request: &request,
            names: None,
            place: None,
            local,
            now: self.core.clock.now(),
        };
        match tier.find(wanted).await {
            Some(entry) => self.promoted(entry, asked),
            None => Stored::Nothing,
        }
    }

    /// Puts what the second tier had into the first one, unless it is void.
    fn promoted(&self, entry: Entry, asked: Asked) -> Stored {
        let (core, key) = (&self.core, entry.key.clone());
        let promoted = core.promote(&key, entry, asked.trust, asked.at, None);
        let Some((entry, verdict)) = promoted else {
            return Stored::Nothing;
        };
        Gathering::note(&*entry.tags, entry.life.received);
        let stored = self.standing(entry, verdict, core.clock.now());
        if let Stored::Fresh { .. } = stored {
            self.count(Event::ValueFound);
        }
        stored
    }

    /// Returns what is known of values: those that are fresh, and of which it is known that there
    /// are none.
    pub(super) async fn known<'i>(&self, ids: &'i [String]) -> HashMap<&'i str, Option<Arc<T>>> {
        let asked = self.core.asked().await;
        let local = self.core.position().local;
        let mut known = HashMap::with_capacity(ids.len());
        let mut unknown: Vec<&str> = Vec::new();
        let mut wanted: Vec<&str> = ids.iter().map(String::as_str).collect();
        wanted.sort_unstable();
        wanted.dedup();
        for id in wanted {
            match self.said(self.stored(id, asked)) {
                Some(value) => drop(known.insert(id, value)),
                None => unknown.push(id),
            }
        }
        let Some(tier) = self.core.second.as_ref().filter(|_| !unknown.is_empty()) else {
            return known;
        };
        let keys: Vec<Key> = unknown.iter().map(|id| self.key(id)).collect();
        let found = tier.find_many(&keys, local, self.core.clock.now()).await;
        for (id, entry) in unknown.into_iter().zip(found) {
            if let Some(value) = entry.and_then(|entry| self.said(self.promoted(entry, asked))) {
                known.insert(id, value);
            }
        }
        known
    }

    /// Returns what a fresh value says: that it is so, or that there is none.
    #[expect(
        clippy::option_option,
        reason = "nothing is known, or that there is none, or the value"
    )]
    fn said(&self, stored: Stored) -> Option<Option<Arc<T>>> {
        match stored {
            Stored::Fresh { entry, .. } if is_absence(&entry) => Some(None),
            Stored::Fresh { entry, .. } => self.value(&entry).map(Some),
            Stored::Stale(_) | Stored::Spare(_) | Stored::Nothing => None,
        }
    }

    /// Says how a stored value of that verdict stands at `now`.
    fn standing(&self, entry: Arc<Entry>, verdict: Verdict, now: Timestamp) -> Stored {
        let soft_at = match verdict {
            Verdict::Valid => Timestamp::NEVER,
            Verdict::Soft(at) => at,
            Verdict::Dead(reason) => {
                self.core.note_fenced(reason);
                return Stored::Nothing;
            }
        };
        let life = &entry.life;
        // A soft purge ends freshness at its moment; the windows count from there.
        let fresh_until = life.fresh_until.min(soft_at);
        let over = now.since(fresh_until);
        let window = |until: Timestamp| until.since(life.fresh_until);
        if now < fresh_until {
            let refresh = now >= life.refresh_from && entry.may_retry(now);
            Stored::Fresh { entry, refresh }
        } else if over < window(life.revalidate_until) {
            Stored::Stale(entry)
        } else if over < window(life.error_until) {
            Stored::Spare(entry)
        } else {
            Stored::Nothing
        }
    }

    /// Returns the version of the row of what this process has of a value. What is void tells it as
    /// well as what is not.
    pub(super) fn stored_version(&self, id: &str) -> Option<u64> {
        let entry = self.kept_here(id)?;
        version(&unpack(&entry.body, self.core.max_body).ok()?)
    }

    /// Returns the value of an entry, decoded at most once; none if it can not be read.
    pub(super) fn value(&self, entry: &Entry) -> Option<Arc<T>> {
        if let Some(value) = entry.value().get() {
            return Some(value);
        }
        let bytes = unpack(&entry.body, self.core.max_body).ok()?;
        let Ok(value) = decode::<T>(&bytes) else {
            self.core.counters.note(Event::Declined);
            return None;
        };
        let value = Arc::new(value);
        entry.value().set(&value);
        Some(value)
    }
}

impl<T> Vacancy<T>
where
    T: Serialize + DeserializeOwned + Send + Sync + 'static,
{
    /// Stores what was read, and returns it.
    pub async fn fill(self, value: T) -> Arc<T> {
        (self.typed)
            .keep(&self.id, value, self.position, self.began)
            .await
    }

    /// Stores that there is no such value, for the negative lifetime.
    pub async fn absent(self) {
        let nothing = Made::of(None);
        let (position, began) = (self.position, self.began);
        let entry = self.typed.entry(&self.id, &nothing, position, began);
        self.typed.put(&entry, None);
    }
}

/// Says whether an entry stands for a value that does not exist.
pub(super) fn is_absence(entry: &Entry) -> bool {
    entry.status == StatusCode::NOT_FOUND
}

//! The typed cache of one kind of value.

use std::{fmt, marker::PhantomData, sync::Arc};

use serde::{Serialize, de::DeserializeOwned};

use super::settings::Settings;
use crate::{
    Larder,
    handle::Core,
    invalidate::{Ack, Purge},
    observe::{Counters, Event},
    policy::{Target, TargetId, fitted_tag},
};

/// The cached values of one kind, by an id each.
///
/// Cheap to clone. All handles of one kind on one [`Larder`] are one cache; their settings are their
/// own. A kind is named by its text: two types under one name take each other's values for broken,
/// which is a miss.
///
/// ```
/// use larder::{Larder, mins, secs};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Serialize, Deserialize)]
/// struct Product {
///     name: String,
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let larder = Larder::builder().build().await?;
/// let products = larder
///     .typed::<Product>("product")
///     .ttl(mins(5))
///     .stale_while_revalidate(secs(30));
///
/// let kettle = products
///     .get_or_load("7", |_| async {
///         // SELECT … WHERE id = 7
///         Ok::<_, std::io::Error>(Some(Product { name: "kettle".into() }))
///     })
///     .await?
///     .expect("there is one");
/// assert_eq!(kettle.name, "kettle");
/// assert!(products.get("7").await.is_some());
///
/// products.remove("7").await;
/// assert!(products.get("7").await.is_none());
/// # Ok(())
/// # }
/// ```
#[must_use]
pub struct Typed<T> {
    pub(super) core: Arc<Core>,
    pub(super) entity: Arc<str>,
    pub(super) settings: Arc<Settings>,
    reads: Arc<Counters>,
    kind: PhantomData<fn() -> T>,
}

impl<T> Typed<T> {
    pub(super) fn with(mut self, change: impl FnOnce(&mut Settings)) -> Self {
        change(Arc::make_mut(&mut self.settings));
        self
    }

    /// Counts how a read ended, for all values and for this kind.
    pub(super) fn count(&self, event: Event) {
        self.core.counters.note(event);
        self.reads.note(event);
    }

    /// Returns the tags that every value of this id has.
    pub(super) fn own_tags(&self, id: &str) -> [Arc<str>; 2] {
        let one = format!("{}:{id}", self.entity);
        [fitted_tag(&one).into(), fitted_tag(&self.entity).into()]
    }

    pub(super) fn own_targets(&self, id: &str) -> Vec<TargetId> {
        targets_of(&self.own_tags(id))
    }

    /// Makes the value void, and every response that was made of it: the same as to invalidate the
    /// tag `{entity}:{id}`.
    pub async fn remove(&self, id: &str) -> Ack {
        let [one, _] = self.own_tags(id);
        self.core.invalidate(&Purge::hard([Target::Tag(one)])).await
    }

    /// Begins a new version of the whole kind: every value of it is void, and every response made of
    /// one. The cost does not depend on how many there are.
    pub async fn bump_version(&self) -> Ack {
        let [_, all] = self.own_tags("");
        self.core.invalidate(&Purge::hard([Target::Tag(all)])).await
    }
}

/// Returns the targets of what has these tags: them, and everything.
pub(super) fn targets_of(tags: &[Arc<str>]) -> Vec<TargetId> {
    let tags = tags.iter().map(|tag| Target::Tag(Arc::clone(tag)).id());
    tags.chain([Target::Everything.id()]).collect()
}

impl<T> Clone for Typed<T> {
    fn clone(&self) -> Self {
        Self {
            core: Arc::clone(&self.core),
            entity: Arc::clone(&self.entity),
            settings: Arc::clone(&self.settings),
            reads: Arc::clone(&self.reads),
            kind: PhantomData,
        }
    }
}

impl<T> fmt::Debug for Typed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Typed")
            .field("entity", &self.entity)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

impl Larder {
    /// Returns the cache of values of one kind, named `entity`: see [`Typed`].
    pub fn typed<T>(&self, entity: &str) -> Typed<T>
    where
        T: Serialize + DeserializeOwned + Send + Sync + 'static,
    {
        self.core().note_values();
        let entity = entity.into();
        Typed {
            core: Arc::clone(self.core()),
            reads: self.core().values.kinds.of(&entity),
            entity,
            settings: Arc::default(),
            kind: PhantomData,
        }
    }
}

//! What a load says about the value that it brings.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use crate::policy::fitted_tag;

/// What a load says about the value that it brings.
///
/// ```
/// use larder::{Larder, secs};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let larder = Larder::builder().build().await?;
/// let products = larder.typed::<String>("product");
/// let product = products
///     .get_or_load("7", |cx| async move {
///         cx.ttl(secs(20)).tag("supplier:3");
///         Ok::<_, std::io::Error>(Some("a kettle".to_owned()))
///     })
///     .await?;
/// assert_eq!(product.as_deref().map(String::as_str), Some("a kettle"));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default)]
pub struct Loading {
    said: Arc<Mutex<Said>>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Said {
    pub(super) ttl: Option<Duration>,
    pub(super) tags: Vec<Arc<str>>,
    pub(super) no_store: bool,
}

impl Loading {
    /// Sets how long this value is fresh, in place of what is set for all. At most 7 days; the last
    /// one set counts.
    #[expect(clippy::must_use_candidate, reason = "it is called for what it sets")]
    pub fn ttl(&self, ttl: Duration) -> &Self {
        self.locked().ttl = Some(ttl);
        self
    }

    /// Adds a tag: an invalidation of it makes the value void, and the pages that were made of it.
    #[expect(clippy::must_use_candidate, reason = "it is called for what it sets")]
    pub fn tag(&self, tag: &str) -> &Self {
        self.locked().tags.push(fitted_tag(tag).into());
        self
    }

    /// Says that the value is not to be stored. Those who wait for this load get it.
    #[expect(clippy::must_use_candidate, reason = "it is called for what it sets")]
    pub fn no_store(&self) -> &Self {
        self.locked().no_store = true;
        self
    }

    pub(super) fn said(&self) -> Said {
        self.locked().clone()
    }

    fn locked(&self) -> MutexGuard<'_, Said> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

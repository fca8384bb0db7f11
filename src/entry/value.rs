//! The decoded form of a stored value, beside its bytes.

use std::{any::Any, fmt, sync::Arc, sync::OnceLock};

/// The value that the bytes of an entry were decoded to, so that they are decoded once.
#[derive(Default)]
pub(crate) struct Decoded(OnceLock<Arc<dyn Any + Send + Sync>>);

impl Decoded {
    /// Returns the value, if it is there and of this type.
    pub(crate) fn get<T: Send + Sync + 'static>(&self) -> Option<Arc<T>> {
        let value = Arc::clone(self.0.get()?);
        Arc::downcast(value).ok()
    }

    /// Keeps the value. The first one stays.
    pub(crate) fn set<T: Send + Sync + 'static>(&self, value: &Arc<T>) {
        // Whoever was first has decoded the same bytes.
        let _ = self.0.set(Arc::clone(value) as Arc<dyn Any + Send + Sync>);
    }

    pub(crate) fn is_set(&self) -> bool {
        self.0.get().is_some()
    }
}

impl fmt::Debug for Decoded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_set() {
            "Decoded(..)"
        } else {
            "Decoded"
        })
    }
}

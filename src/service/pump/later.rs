//! Packs what takes long to pack after it was stored, when nobody waits for it any more.

use std::sync::Arc;

use bytes::Bytes;
use http::HeaderMap;

use super::Pump;
use crate::{
    entry::{Coding, Entry, compress::pack},
    store::Whence,
};

/// A body that was stored as it came and is to be packed yet.
pub(super) struct Plain {
    pub(super) bytes: Bytes,
    pub(super) wish: Coding,
    pub(super) trailers: Option<Box<HeaderMap>>,
    /// Where its request went if it is to go to the second tier, in its last form.
    pub(super) whence: Option<Whence>,
}

impl Pump {
    /// Puts the packed form in the place of the plain one, if that is still the one stored.
    pub(super) async fn repack(&self, plain: Plain) {
        let Ok(_turn) = self.core.packers.acquire().await else {
            return;
        };
        let Plain { bytes, wish, .. } = plain;
        let Ok(body) = tokio::task::spawn_blocking(move || pack(bytes, wish)).await else {
            return;
        };
        let still = self.core.store.candidates(&self.primary);
        if still
            .iter()
            .any(|entry| Arc::ptr_eq(&entry.head, &self.head))
        {
            let entry = Entry::new(Arc::clone(&self.head), body, plain.trailers);
            let entry = Arc::new(entry);
            self.core.store.insert(&self.primary, Arc::clone(&entry));
            self.core.send(&self.primary, &entry, plain.whence);
        }
    }
}

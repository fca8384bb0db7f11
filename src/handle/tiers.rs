//! The two tiers as one: what is kept goes into both, and what the second one has comes into the first.
//!
//! Neither tier knows of invalidations. What comes back carries the seal that it was filled with, and
//! is judged by the fence each time that it is looked at.

use std::sync::Arc;

use http::{HeaderMap, HeaderName};

use super::Core;
use crate::{
    clock::Timestamp, entry::Entry, fence::Verdict, invalidate::Trust, key::Key, observe::Event,
    semantics::vary::selecting, store::Whence,
};

impl Core {
    /// Stores an entry here, and sends it to the second tier behind the answer if it may go there.
    /// Tells whether the first tier has taken it.
    pub(crate) fn keep(&self, primary: &Key, entry: &Arc<Entry>, whence: Option<Whence>) -> bool {
        let is_kept = self.store.insert(primary, Arc::clone(entry));
        if is_kept {
            self.counters.note(Event::Stored);
        }
        self.send(primary, entry, whence);
        is_kept
    }

    /// Sends what is stored here to the second tier, behind the answer.
    pub(crate) fn send(&self, primary: &Key, entry: &Arc<Entry>, whence: Option<Whence>) {
        if let (Some(second), Some(whence)) = (&self.second, whence) {
            second.put(primary, entry, whence);
        }
    }

    /// Takes what the second tier had into the first one, with what is left of its lifetime and the
    /// seal that it was filled with; returns it with how it stands for one who came at `arrived`.
    /// None if it is void, or no newer than `known`.
    pub(crate) fn promote(
        &self,
        primary: &Key,
        entry: Entry,
        trust: Trust,
        arrived: Timestamp,
        known: Option<&Entry>,
    ) -> Option<(Arc<Entry>, Verdict)> {
        let verdict = self.judge_second(&entry.seal, trust, arrived);
        if let Verdict::Dead(reason) = verdict {
            self.note_fenced(reason);
            return None;
        }
        if known.is_some_and(|known| entry.life.received <= known.life.received) {
            return None;
        }
        let entry = Arc::new(entry);
        self.store.insert(primary, Arc::clone(&entry));
        Some((entry, verdict))
    }

    /// Removes what is stored under a key for a request.
    pub(crate) fn forget(&self, primary: &Key, request: &HeaderMap) {
        if let Some(second) = &self.second {
            let known = self.store.candidates(primary);
            let known = known.iter().find_map(|entry| entry.variation.as_ref());
            let selected = known.map(|known| (&*known.names, selected(&known.names, request)));
            let variant = selected.as_ref().map(|(names, values)| (*names, &**values));
            second.remove(primary, variant);
        }
        self.store.remove(primary);
    }
}

fn selected(names: &[HeaderName], request: &HeaderMap) -> Vec<u8> {
    let mut values = Vec::new();
    selecting(names, request, &mut values);
    values
}

#[cfg(test)]
#[cfg(all(feature = "memory", feature = "redis"))]
mod tests;

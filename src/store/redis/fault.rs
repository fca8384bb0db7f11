//! What went wrong last, in the server's own words.
//!
//! The pool says no more than that it had nothing in time. Whoever has to mend it wants to read
//! `NOAUTH Authentication required`.

use std::sync::{Arc, Mutex, PoisonError};

use redis::{RedisError, Value};

/// Codes by which a server says that it can serve nobody at present. `READONLY`, `OOM` and
/// `MISCONF` are not among them: reads go on. `MOVED` is the word of a cluster to a client that takes
/// it for a single server.
const REFUSALS: [&str; 8] = [
    "BUSY",
    "CLUSTERDOWN",
    "LOADING",
    "MASTERDOWN",
    "MOVED",
    "NOAUTH",
    "NOPERM",
    "WRONGPASS",
];

/// What to do about `MOVED`, which the client spells with small letters.
const IN_A_CLUSTER: &str =
    "the server belongs to a cluster; write `redis-cluster://` before its address";

/// The last failure; clones are one.
#[derive(Clone, Debug, Default)]
pub(super) struct LastFault {
    text: Arc<Mutex<Option<Arc<str>>>>,
}

impl LastFault {
    pub(super) fn get(&self) -> Option<Arc<str>> {
        let text = self.text.lock().unwrap_or_else(PoisonError::into_inner);
        text.clone()
    }

    pub(super) fn set(&self, fault: &str) {
        let explained;
        let fault = if fault.starts_with("Moved") {
            explained = format!("{fault}; {IN_A_CLUSTER}");
            &explained
        } else {
            fault
        };
        let mut text = self.text.lock().unwrap_or_else(PoisonError::into_inner);
        if text.as_deref() != Some(fault) {
            *text = Some(fault.into());
        }
    }

    pub(super) fn note(&self, error: &RedisError) {
        self.set(&error.to_string());
    }
}

/// Returns what a server says if it serves nobody at present.
pub(super) fn refusal(answer: &Value) -> Option<String> {
    coded(answer, &REFUSALS)
}

/// Returns what a server says if it does not take writes since it is not the primary any more.
pub(super) fn demotion(answer: &Value) -> Option<String> {
    coded(answer, &["READONLY"])
}

fn coded(answer: &Value, codes: &[&str]) -> Option<String> {
    match answer {
        Value::ServerError(error) if codes.contains(&error.code()) => Some(error.to_string()),
        _ => None,
    }
}

//! The layers: a request comes in, is answered from the store, or goes to the handler.
//!
//! [`plan`] decides, from the request, what was found and the moment, which step to take; the other
//! files take it. Which file does what:
//!
//! | question | file |
//! | --- | --- |
//! | Is it a hit, as most are? | `front` |
//! | What in the head of a request matters? | `facts` |
//! | Which policy holds for it? | `settings`, `known` |
//! | Which policy holds for the response? | `taught` |
//! | What has to be kept of it until the handler has answered? | `kept` |
//! | What is done with it? | `plan` |
//! | May the response be stored, and for how long? | `judge` |
//! | What does the client get of a stored response? | `answer`, `status` |
//! | Who runs the handler, and who waits? | `fill`, `follow` |
//! | What does a run bring? | `arrive`, `pump` |
//! | What if it brings nothing? | `fallback` |
//! | What does the second tier have? | `second`, `asking` |
//! | Does the handler run on another node? | `turn` |
//! | Which values did the handler read? | `gathered` |
//! | Does a request come from the flight of an outer layer? | `nested` |
//! | What does a mutating request invalidate, and when? | `mutation`, `pending` |

mod answer;
#[cfg(feature = "axum")]
mod around;
mod arrive;
mod asking;
mod cache;
#[cfg(feature = "admin")]
mod explain;
mod facts;
mod fallback;
mod fill;
mod follow;
mod front;
mod gathered;
mod guarded;
mod judge;
mod kept;
mod known;
mod launch;
mod look;
mod looked;
mod mutation;
mod nested;
mod pending;
mod plan;
mod pump;
mod second;
mod settings;
mod status;
mod swr;
mod taught;
mod watch;

#[cfg(feature = "axum")]
pub use self::around::{CachedRouter, RouterFuture};
pub use self::{
    cache::{BodyError, Cache, CacheBody, CacheLayer, ResponseFuture},
    swr::SwrLayer,
};
#[cfg(feature = "grpc")]
pub(crate) use self::{
    kept::original_uri,
    looked::KeyTail,
    nested::take_off,
    pending::Pending,
    pump::{Fillable, Mark},
    settings::Shared,
};

//! A stored response: what it says, how long it may be used, and what can make it void.
//!
//! A response becomes a [`Head`] as soon as the handler has answered, which is enough for those who
//! wait for it; with its body it becomes an [`Entry`]. The same head goes on when the body is
//! packed afterwards.

#[cfg(any(test, fuzzing, feature = "redis"))]
pub(crate) mod codec;
pub(crate) mod compress;
mod fields;
mod head;
mod own;
mod place;
mod pool;
#[cfg(test)]
pub(crate) mod samples;
mod seal;
#[cfg(feature = "data")]
mod value;
mod weight;

use std::{ops::Deref, sync::Arc};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode};

pub(crate) use self::{
    fields::Fields,
    head::{CACHE_STATUS, Form, Head, HeadParts, Life, Variation},
    own::own,
    place::{Origin, Place},
    seal::{Position, Seal},
    weight::block,
};
use crate::{clock::Timestamp, semantics::numbered::Numbered};

/// One stored response, decoded and ready to be served.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) head: Arc<Head>,
    pub(crate) body: StoredBody,
    /// Made by [`own`].
    pub(crate) trailers: Option<Box<HeaderMap>>,
    /// The fields of the compressed form, where it is stored so.
    compressed: Option<Box<Fields>>,
}

impl Entry {
    pub(crate) fn new(head: Arc<Head>, body: StoredBody, trailers: Option<Box<HeaderMap>>) -> Self {
        let is_gzip = body.coding == Coding::Gzip;
        Self {
            compressed: is_gzip.then(|| Box::new(head.fields.compressed())),
            head,
            body,
            trailers,
        }
    }

    /// Returns the fields of any answer made of this response, with `status` as our `Cache-Status`
    /// member. The length is left to the body.
    #[inline]
    pub(crate) fn fields(
        &self,
        form: Form,
        now: Timestamp,
        status: Option<&HeaderValue>,
    ) -> HeaderMap {
        self.told(self.in_form(form), now, status, None)
    }

    /// Returns the fields of an answer with all of what is stored, in the form in which it is stored, to
    /// a router: it tells the length, and one more field among those that are ready costs less than a
    /// map that grows.
    #[inline(never)]
    pub(crate) fn fields_for_router(
        &self,
        form: Form,
        now: Timestamp,
        status: Option<&HeaderValue>,
    ) -> HeaderMap {
        static LENGTHS: Numbered = Numbered::new();
        let length = u64::try_from(self.body.bytes.len()).unwrap_or(u64::MAX);
        let length = LENGTHS.get(length, || length.to_string().into_bytes());
        // A response without content has no length either (RFC 9110 §8.6).
        let length = (self.status != StatusCode::NO_CONTENT).then_some(&length);
        self.told(self.in_form(form), now, status, length)
    }

    #[inline]
    fn in_form(&self, form: Form) -> &Fields {
        match (form, &self.compressed) {
            (Form::Gzip, Some(compressed)) => compressed,
            _ => &self.head.fields,
        }
    }
}

impl Deref for Entry {
    type Target = Head;

    #[inline]
    fn deref(&self) -> &Head {
        &self.head
    }
}

/// The bytes of a stored body, as they are kept.
#[derive(Clone, Debug)]
pub(crate) struct StoredBody {
    pub(crate) bytes: Bytes,
    pub(crate) coding: Coding,
    /// The length of the body as the handler sent it.
    pub(crate) length: u64,
}

/// What larder itself did to the bytes of a body at rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Coding {
    /// As the handler sent it (which may itself be content-encoded).
    Identity,
    /// Compressed by larder; may be sent as it is to a client that accepts gzip.
    Gzip,
    /// Compressed by larder; never sent.
    Lz4,
}

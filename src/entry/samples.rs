//! Stored responses for the tests of this and other rooms.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use super::{Coding, Entry, Fields, Head, HeadParts, Life, Position, Seal, Variation, compress};
use crate::{
    clock::Timestamp, key::Key, policy::TargetId, semantics::reuse::ReuseFlags,
    semantics::vary::selecting,
};

/// A response to be stored: by itself one that never ends, with neither fields nor body.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    pub(crate) key: Key,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) coding: Coding,
    pub(crate) tags: Vec<String>,
    pub(crate) trailers: Option<HeaderMap>,
    pub(crate) variation: Option<Variation>,
    pub(crate) life: Life,
    pub(crate) position: Position,
    pub(crate) targets: Vec<TargetId>,
}

impl Sample {
    pub(crate) fn new(key: &str) -> Self {
        Self {
            key: Key::from(key.as_bytes()),
            headers: HeaderMap::new(),
            body: Bytes::new(),
            coding: Coding::Identity,
            tags: Vec::new(),
            trailers: None,
            variation: None,
            life: Life {
                received: Timestamp::from_millis(0),
                initial_age: 0,
                fresh_until: Timestamp::NEVER,
                refresh_from: Timestamp::NEVER,
                revalidate_until: Timestamp::NEVER,
                error_until: Timestamp::NEVER,
                gone_at: Timestamp::NEVER,
            },
            position: Position::default(),
            targets: vec![TargetId(1); 9],
        }
    }

    pub(crate) fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    pub(crate) fn gone_at(mut self, millis: u64) -> Self {
        self.life.gone_at = Timestamp::from_millis(millis);
        self
    }

    /// Lets the response vary on `names`, brought by `request`.
    pub(crate) fn varying(mut self, names: &[&'static str], request: &HeaderMap) -> Self {
        let names: Arc<[HeaderName]> = names
            .iter()
            .map(|name| HeaderName::from_static(name))
            .collect();
        let mut values = Vec::new();
        selecting(&names, request, &mut values);
        self.variation = Some(Variation {
            names,
            selecting: values.into(),
        });
        self
    }

    pub(crate) fn entry(self) -> Arc<Entry> {
        let head = Head::new(HeadParts {
            key: self.key,
            status: StatusCode::OK,
            fields: Fields::new(&self.headers),
            life: self.life,
            seal: Seal::new(self.position, self.targets),
            tags: self.tags.iter().map(|tag| tag.as_str().into()).collect(),
            variation: self.variation,
            reuse: ReuseFlags::default(),
            negotiated: false,
        });
        let body = compress::pack(self.body, self.coding);
        Arc::new(Entry::new(
            Arc::new(head),
            body,
            self.trailers.map(Box::new),
        ))
    }
}

/// Returns a header map of `lines`.
pub(crate) fn fields(lines: &[(&'static str, &str)]) -> HeaderMap {
    let lines = lines.iter();
    lines
        .map(|(name, value)| {
            (
                HeaderName::from_static(name),
                HeaderValue::from_str(value).unwrap(),
            )
        })
        .fold(HeaderMap::new(), |mut all, (name, value)| {
            all.append(name, value);
            all
        })
}

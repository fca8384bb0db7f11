//! Which of a URL's responses does a request select?

use std::{mem::size_of, sync::Arc};

use http::{HeaderMap, HeaderName};

use crate::{
    clock::Timestamp,
    entry::{Variation, block},
    key::Key,
    semantics::vary::selecting,
};

/// How many variants a URL may have. Fields with a few values give few; above it the field is one
/// that tells users apart, and the oldest make room for the newest.
pub(crate) const MOST_VARIANTS: usize = 16;

/// What the keys of variants begin with. A primary key begins with the version of its format, which
/// is not that high.
const MARK: u8 = u8::MAX;

/// Returns the key of a variant up to the selecting values, which follow.
pub(super) fn variant_key(primary: &[u8], names: &[HeaderName]) -> Vec<u8> {
    let mut key = vec![MARK];
    key.extend_from_slice(primary);
    for name in names {
        key.extend_from_slice(name.as_str().as_bytes());
        key.push(b',');
    }
    key.push(b';');
    key
}

/// The variants of one URL, newest first.
#[derive(Clone, Debug, Default)]
pub(super) struct Variants {
    rows: Vec<Variant>,
}

/// Where one variant is stored, and which requests select it.
#[derive(Clone, Debug)]
pub(super) struct Variant {
    names: Arc<[HeaderName]>,
    /// The primary key, the names, each with a comma, a semicolon, and last the selecting values.
    /// Primary keys and selecting values have their lengths in them, and a name has no comma.
    key: Key,
    /// Where in the key the selecting values begin.
    values_at: usize,
    gone_at: Timestamp,
}

impl Variant {
    pub(super) fn new(primary: &[u8], variation: &Variation, gone_at: Timestamp) -> Self {
        let mut key = variant_key(primary, &variation.names);
        let values_at = key.len();
        key.extend_from_slice(&variation.selecting);
        Self {
            names: Arc::clone(&variation.names),
            key: Key::from(key.as_slice()),
            values_at,
            gone_at,
        }
    }

    pub(super) fn key(&self) -> &Key {
        &self.key
    }

    fn selecting(&self) -> &[u8] {
        self.key.get(self.values_at..).unwrap_or_default()
    }
}

impl Variants {
    /// Returns the keys of the variants that `request` selects, newest first.
    ///
    /// `scratch` is overwritten; kept between calls it saves an allocation.
    pub(super) fn selected<'a>(
        &'a self,
        request: &'a HeaderMap,
        scratch: &'a mut Vec<u8>,
    ) -> impl Iterator<Item = &'a Key> {
        let mut written: Option<&Arc<[HeaderName]>> = None;
        self.rows.iter().filter_map(move |row| {
            // Rows mostly name the same fields, whose values are the same for one request.
            if written.is_none_or(|names| *names != row.names) {
                scratch.clear();
                selecting(&row.names, request, scratch);
                written = Some(&row.names);
            }
            (*scratch == row.selecting()).then_some(&row.key)
        })
    }

    /// Returns the keys of all variants, newest first.
    pub(super) fn keys(&self) -> impl Iterator<Item = &Key> {
        self.rows.iter().map(Variant::key)
    }

    /// Returns the fields that the newest variant varies on.
    pub(super) fn newest_names(&self) -> Option<&Arc<[HeaderName]>> {
        self.rows.first().map(|row| &row.names)
    }

    /// Returns the moment from which on no variant is of any use.
    pub(super) fn gone_at(&self) -> Timestamp {
        let moments = self.rows.iter().map(|row| row.gone_at);
        moments.max().unwrap_or_default()
    }

    /// Returns these variants with `newest` in the place of the one like it, without those that
    /// `is_stored` no longer finds; and the keys of those that had to make room.
    pub(super) fn with(
        &self,
        newest: Variant,
        is_stored: impl Fn(&Key) -> bool,
    ) -> (Self, Vec<Key>) {
        let others = self.rows.iter();
        let others = others.filter(|row| row.key != newest.key && is_stored(&row.key));
        let mut rows: Vec<Variant> = others.cloned().collect();
        rows.insert(0, newest);
        let excess = rows.split_off(rows.len().min(MOST_VARIANTS));
        rows.shrink_to_fit();
        (
            Self { rows },
            excess.into_iter().map(|row| row.key).collect(),
        )
    }

    /// Returns what the list takes in memory beside the keys, in bytes. These are counted where the
    /// variants are stored.
    pub(super) fn weight(&self) -> usize {
        block(2 * size_of::<usize>() + size_of::<Self>()) + block(size_of_val(&*self.rows))
    }
}

//! What is kept once for all responses of the process: values that many of them have, and the shapes of
//! their fields.
//!
//! A value of the pool is never given back, which is what makes copies of it cost nothing. So there are
//! few of them, they are short, and they come from fields in which applications repeat themselves. A
//! shape that no response has any more makes room for another when the pool is full.
//!
//! Strangers can fill the pool at most: what finds no place in it is kept with its own response.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, header};

use super::fields::Shape;

/// How many bytes a value of the pool has at most, and how many values there are of one field: one that
/// repeats what clients say can not crowd the others out.
const MAX_VALUE: usize = 256;
const MAX_VALUES: usize = 32;

/// How many shapes there are, how many fields they have at most, and how many bytes of names and values.
const MAX_SHAPES: usize = 1024;
const MAX_LINES: usize = 32;
const MAX_TEXT: usize = 4 << 10;

/// The fields that say the same in most responses of an application.
const REPEATED: [HeaderName; 23] = [
    header::ACCEPT_RANGES,
    header::ACCESS_CONTROL_ALLOW_CREDENTIALS,
    header::ACCESS_CONTROL_ALLOW_HEADERS,
    header::ACCESS_CONTROL_ALLOW_METHODS,
    header::ACCESS_CONTROL_ALLOW_ORIGIN,
    header::ACCESS_CONTROL_EXPOSE_HEADERS,
    header::ACCESS_CONTROL_MAX_AGE,
    header::ALLOW,
    header::CACHE_CONTROL,
    header::CDN_CACHE_CONTROL,
    header::CONTENT_ENCODING,
    header::CONTENT_LANGUAGE,
    header::CONTENT_SECURITY_POLICY,
    header::CONTENT_TYPE,
    header::PRAGMA,
    header::REFERRER_POLICY,
    header::SERVER,
    header::STRICT_TRANSPORT_SECURITY,
    header::VARY,
    header::VIA,
    header::X_CONTENT_TYPE_OPTIONS,
    header::X_FRAME_OPTIONS,
    header::X_XSS_PROTECTION,
];

#[derive(Debug, Default)]
struct Pool {
    values: HashMap<HeaderName, HashSet<&'static [u8]>>,
    shapes: HashMap<Box<[u8]>, Arc<Shape>>,
}

fn pool() -> MutexGuard<'static, Pool> {
    static POOL: LazyLock<Mutex<Pool>> = LazyLock::new(Mutex::default);
    POOL.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Returns the value of a field as one of the pool, if it has a place there.
pub(super) fn common(name: &HeaderName, value: &HeaderValue) -> Option<HeaderValue> {
    let bytes = value.as_bytes();
    if value.is_sensitive() || bytes.len() > MAX_VALUE || !REPEATED.contains(name) {
        return None;
    }
    let kept = pool().value(name, bytes)?;
    HeaderValue::from_maybe_shared(Bytes::from_static(kept)).ok()
}

/// A shape that is sought.
#[derive(Debug)]
pub(super) struct Sketch {
    inherits_status: bool,
    lines: Vec<(HeaderName, HeaderValue)>,
}

impl Sketch {
    pub(super) fn new(inherits_status: bool) -> Self {
        Self {
            inherits_status,
            lines: Vec::new(),
        }
    }

    /// Adds a line, with the value that all of the shape have.
    pub(super) fn add(&mut self, name: &HeaderName, value: &HeaderValue) {
        self.lines.push((name.clone(), value.clone()));
    }

    /// Returns the shape, of the pool if it has a place there.
    pub(super) fn shape(self) -> Arc<Shape> {
        let shape = |is_pooled| {
            Arc::new(Shape::new(
                self.lines.iter(),
                self.inherits_status,
                is_pooled,
            ))
        };
        let key = self.key();
        if self.lines.len() > MAX_LINES || key.len() > MAX_TEXT {
            return shape(false);
        }
        let mut pool = pool();
        if let Some(known) = pool.shapes.get(key.as_slice()) {
            return Arc::clone(known);
        }
        if !pool.has_room() {
            drop(pool);
            return shape(false);
        }
        let shape = shape(true);
        pool.shapes.insert(key.into(), Arc::clone(&shape));
        shape
    }

    /// Returns what tells it from other shapes. No byte of a name or a value is one that ends them.
    fn key(&self) -> Vec<u8> {
        let lengths = self.lines.iter();
        let lengths = lengths.map(|(name, value)| name.as_str().len() + value.len() + 2);
        let mut key = Vec::with_capacity(1 + lengths.sum::<usize>());
        key.push(u8::from(self.inherits_status));
        for (name, value) in &self.lines {
            key.extend_from_slice(name.as_str().as_bytes());
            key.push(b'\n');
            key.extend_from_slice(value.as_bytes());
            key.push(b'\n');
        }
        key
    }
}

impl Pool {
    fn value(&mut self, name: &HeaderName, bytes: &[u8]) -> Option<&'static [u8]> {
        let values = self.values.entry(name.clone()).or_default();
        if let Some(known) = values.get(bytes) {
            return Some(known);
        }
        if values.len() >= MAX_VALUES {
            return None;
        }
        let kept: &'static [u8] = Box::leak(bytes.into());
        values.insert(kept);
        Some(kept)
    }

    /// Tells whether there is room for another shape, and makes some if need be.
    fn has_room(&mut self) -> bool {
        if self.shapes.len() >= MAX_SHAPES {
            self.shapes.retain(|_, shape| Arc::strong_count(shape) > 1);
        }
        self.shapes.len() < MAX_SHAPES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(at: usize) -> HeaderValue {
        HeaderValue::from_str(&format!("value {at}")).unwrap()
    }

    #[test]
    fn a_field_that_repeats_what_strangers_say_has_room_for_a_few() {
        let name = header::ACCESS_CONTROL_ALLOW_ORIGIN;
        let kept = (0..1000).filter(|at| common(&name, &text(*at)).is_some());
        assert_eq!(kept.count(), MAX_VALUES);
        let other = HeaderValue::from_static("text/pool");
        assert_eq!(common(&header::CONTENT_TYPE, &other), Some(other));
    }

    #[test]
    fn what_is_long_or_of_one_response_is_not_kept() {
        let long = HeaderValue::from_str(&"v".repeat(MAX_VALUE + 1)).unwrap();
        assert_eq!(common(&header::CONTENT_TYPE, &long), None);
        assert_eq!(common(&header::ETAG, &text(1)), None);
        assert_eq!(common(&HeaderName::from_static("x-own"), &text(1)), None);
    }

    #[test]
    fn a_shape_that_is_large_belongs_to_one_response() {
        let long = HeaderName::from_bytes("n".repeat(MAX_TEXT).as_bytes()).unwrap();
        let shape = || {
            let mut sketch = Sketch::new(false);
            sketch.add(&long, &text(1));
            sketch.shape()
        };
        assert!(!Arc::ptr_eq(&shape(), &shape()));
    }

    #[test]
    fn a_flood_of_shapes_makes_room_for_the_ones_that_are_needed() {
        let shape = |at: usize| {
            let mut sketch = Sketch::new(false);
            sketch.add(&HeaderName::from_static("x-flood"), &text(at));
            sketch.shape()
        };
        for at in 0..3 * MAX_SHAPES {
            drop(shape(at));
        }
        let (one, same) = (shape(1), shape(1));
        assert!(Arc::ptr_eq(&one, &same));
        assert!(pool().shapes.len() <= MAX_SHAPES);
    }
}

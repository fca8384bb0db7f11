//! How are the fields of a stored response kept? What it has in common with others, apart from what is
//! its own.
//!
//! The responses of one route have the same field names, and most of their values are the same, too.
//! Both are a [`Shape`], which is kept once however many responses have it, as a map that only wants to
//! be copied. To each response belong the values that differ: validators as a rule.
//!
//! A hit copies the map of the shape and puts in what is missing. The values of a shape are part of
//! the process for good, so that copying them counts nothing; a value that is owned is counted by all
//! threads that copy it at the same place.

use std::{mem, sync::Arc};

use http::{HeaderMap, HeaderName, HeaderValue, header};

use super::{
    head::CACHE_STATUS,
    own::own_values,
    pool,
    weight::{SHARED, block, map_weight, name_weight},
};
use crate::semantics::validators::weaken_etag;

/// The fields of a stored response, without those that tell of the moment.
#[derive(Clone, Debug)]
pub(crate) struct Fields {
    shape: Arc<Shape>,
    /// The values that are not in the shape, in the order of their places there.
    own: Box<[HeaderValue]>,
}

/// What many responses have in common.
#[derive(Debug)]
pub(super) struct Shape {
    /// `Age` and `Cache-Status` with nothing in them, then the fields whose values are not common, with
    /// nothing in them, too, then the others. Of the right size.
    fields: HeaderMap,
    /// The same with `Content-Length`, and nothing in it.
    sized: HeaderMap,
    /// Whether the first of the values that are not common is the handler's own `Cache-Status`.
    inherits_status: bool,
    /// Whether it is kept for others.
    is_pooled: bool,
}

/// The fields that are told anew with each answer, in their places.
const TOLD: [HeaderName; 2] = [header::AGE, CACHE_STATUS];

impl Fields {
    /// Returns the end-to-end fields of a handler's answer. The length is left out: it depends on the
    /// form in which a body goes out. So is the age.
    pub(crate) fn new(headers: &HeaderMap) -> Self {
        let mut own = Vec::new();
        let inherited = joined(headers, &CACHE_STATUS);
        let mut sketch = pool::Sketch::new(inherited.is_some());
        own.extend(inherited);
        let mut common = Vec::new();
        for name in headers.keys().filter(|name| is_kept(name)) {
            let lines = headers.get_all(name);
            let values: Option<Vec<_>> =
                lines.iter().map(|line| pool::common(name, line)).collect();
            if let Some(values) = values {
                common.extend(values.into_iter().map(|value| (name, value)));
            } else {
                for line in lines {
                    sketch.add(name, &NOTHING);
                    own.push(line.clone());
                }
            }
        }
        Self::assembled(sketch, own, &common)
    }

    /// Returns the fields of an answer that was stored, of its `lines`.
    pub(crate) fn of_lines(lines: &[(HeaderName, HeaderValue)]) -> Self {
        /// Above it, to look through all of them for each is not worth it.
        const FEW: usize = 32;
        let is_plain = |(at, (name, _)): (usize, &(HeaderName, HeaderValue))| {
            let is_again = lines.iter().take(at).any(|(other, _)| other == name);
            is_kept(name) && !is_again
        };
        if lines.len() > FEW || !lines.iter().enumerate().all(is_plain) {
            return Self::new(&to_map(lines));
        }
        let mut sketch = pool::Sketch::new(false);
        let (mut own, mut common) = (Vec::new(), Vec::with_capacity(lines.len()));
        for (name, value) in lines {
            if let Some(value) = pool::common(name, value) {
                common.push((name, value));
            } else {
                sketch.add(name, &NOTHING);
                own.push(value.clone());
            }
        }
        Self::assembled(sketch, own, &common)
    }

    /// Returns the fields whose own values are in the sketch, and the others are these.
    fn assembled(
        mut sketch: pool::Sketch,
        own: Vec<HeaderValue>,
        common: &[(&HeaderName, HeaderValue)],
    ) -> Self {
        for (name, value) in common {
            sketch.add(name, value);
        }
        Self {
            shape: sketch.shape(),
            own: own_values(own).into(),
        }
    }

    /// Returns the fields of the answer whose body larder has compressed.
    pub(crate) fn compressed(&self) -> Self {
        let mut headers = self.to_map();
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        // Larder's own coding of the body has other bytes (RFC 9110 §8.8.3.3).
        weaken_etag(&mut headers);
        Self::new(&headers)
    }

    /// Returns the fields as the handler sent them.
    pub(crate) fn to_map(&self) -> HeaderMap {
        let mut headers = self.answer(&NOTHING, None, None);
        headers.remove(header::AGE);
        headers
    }

    /// Returns the fields of an answer, with `status` as our member of `Cache-Status`.
    #[inline(always)]
    pub(crate) fn answer(
        &self,
        age: &HeaderValue,
        status: Option<&HeaderValue>,
        length: Option<&HeaderValue>,
    ) -> HeaderMap {
        match (status, length) {
            (Some(status), None) if !self.shape.inherits_status => {
                filled(&self.shape.fields, age, status, &self.own)
            }
            _ => self.other_answer(age, status, length),
        }
    }

    /// The same, with a length, without a member of ours, or where the handler has passed one on, too.
    #[inline(never)]
    fn other_answer(
        &self,
        age: &HeaderValue,
        status: Option<&HeaderValue>,
        length: Option<&HeaderValue>,
    ) -> HeaderMap {
        let shape = match length {
            Some(_) => &self.shape.sized,
            None => &self.shape.fields,
        };
        let mut headers = self.answer_with_others(shape, age, status);
        if let Some(length) = length {
            headers.insert(header::CONTENT_LENGTH, length.clone());
        }
        headers
    }

    fn answer_with_others(
        &self,
        shape: &HeaderMap,
        age: &HeaderValue,
        status: Option<&HeaderValue>,
    ) -> HeaderMap {
        let (inherited, own) = match self.own.split_first() {
            Some((inherited, own)) if self.shape.inherits_status => (Some(inherited), own),
            _ => (None, &*self.own),
        };
        match (inherited, status) {
            (Some(inherited), Some(status)) => filled(shape, age, &added(inherited, status), own),
            (Some(status), None) | (None, Some(status)) => filled(shape, age, status, own),
            (None, None) => {
                let mut headers = filled(shape, age, &NOTHING, own);
                headers.remove(&CACHE_STATUS);
                headers
            }
        }
    }

    /// Returns what these fields take beside what all of their shape share, in bytes.
    pub(super) fn weight(&self) -> usize {
        let shape = if self.shape.is_pooled {
            0
        } else {
            self.shape.weight()
        };
        let text: usize = self.own.iter().map(HeaderValue::len).sum();
        let text = match text {
            0 => 0,
            text => block(text) + block(SHARED),
        };
        shape + block(size_of_val(&*self.own)) + text
    }
}

/// What stands where a value is to be put.
pub(super) const NOTHING: HeaderValue = HeaderValue::from_static("");

impl Shape {
    pub(super) fn new<'a>(
        lines: impl ExactSizeIterator<Item = &'a (HeaderName, HeaderValue)>,
        inherits_status: bool,
        is_pooled: bool,
    ) -> Self {
        // One field may be added on the way out without the index growing.
        let mut fields = HeaderMap::with_capacity(TOLD.len() + lines.len() + 1);
        for name in TOLD {
            fields.insert(name, NOTHING);
        }
        for (name, value) in lines {
            fields.append(name, value.clone());
        }
        // A clone is as large as its content; the original has room to grow.
        let copy = fields.clone();
        fields.insert(header::CONTENT_LENGTH, NOTHING);
        Self {
            fields: copy,
            sized: fields.clone(),
            inherits_status,
            is_pooled,
        }
    }

    /// Returns about what it takes, in bytes.
    pub(super) fn weight(&self) -> usize {
        let names: usize = self.fields.keys().map(name_weight).sum();
        block(size_of::<Self>() + 2 * size_of::<usize>())
            + map_weight(&self.fields)
            + map_weight(&self.sized)
            + 2 * names
    }
}

/// Returns a copy of a shape with what is missing in it.
#[inline(always)]
fn filled(
    shape: &HeaderMap,
    age: &HeaderValue,
    status: &HeaderValue,
    own: &[HeaderValue],
) -> HeaderMap {
    let mut headers = shape.clone();
    let mut places = headers.values_mut();
    let mut put = |value: &HeaderValue| {
        if let Some(place) = places.next() {
            #[expect(
                clippy::mem_forget,
                reason = "what stands there is part of the program"
            )]
            mem::forget(mem::replace(place, value.clone()));
        }
    };
    put(age);
    put(status);
    own.iter().for_each(put);
    headers
}

/// Returns whether a field is neither told anew with each answer, nor left to the body.
fn is_kept(name: &HeaderName) -> bool {
    !TOLD.contains(name) && *name != header::CONTENT_LENGTH
}

/// Returns these lines as a map.
pub(super) fn to_map(lines: &[(HeaderName, HeaderValue)]) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(lines.len());
    for (name, value) in lines {
        headers.append(name, value.clone());
    }
    headers
}

/// Returns all lines of a list field as one.
fn joined(headers: &HeaderMap, name: &HeaderName) -> Option<HeaderValue> {
    let mut lines = headers.get_all(name).iter();
    let first = lines.next()?.clone();
    Some(lines.fold(first, |all, line| added(&all, line)))
}

/// Returns `member` behind what is there already.
fn added(before: &HeaderValue, member: &HeaderValue) -> HeaderValue {
    let all = [before.as_bytes(), b", ", member.as_bytes()].concat();
    HeaderValue::from_bytes(&all).unwrap_or_else(|_| member.clone())
}

#[cfg(test)]
mod tests;

//! What a client gets of a stored response: all of it, a part, or word that it has it already.

use std::{collections::VecDeque, ops::Range, sync::Arc};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header};

use super::{cache::CacheBody, facts::Facts, pump::Mark, status};
use crate::{
    clock::Timestamp,
    entry::{Coding, Entry, Form, compress},
    handle::Core,
    semantics::{
        encoding::accepts_gzip,
        ranges::{self, Multipart, Ranges},
        validators::{Condition, Validators, condition, not_modified_fields},
    },
};

/// What of a request decides the form of its answer.
#[derive(Debug)]
pub(crate) struct Asked<'a> {
    pub(crate) method: &'a Method,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) facts: Facts,
}

/// How our `Cache-Status` member is made.
pub(crate) enum Told {
    /// A fresh hit: the same for all of one second.
    Hit,
    /// As given.
    As(Option<HeaderValue>),
}

/// Returns whether making the answer takes too long for an async thread.
#[inline]
pub(crate) fn takes_long(entry: &Entry, asked: &Asked<'_>) -> bool {
    let whole = entry.body.coding == Coding::Lz4
        || entry.body.coding == Coding::Gzip && asked.facts.wants_range();
    whole && compress::unpacks_long(&entry.body)
}

/// Makes the answer. `None` if the stored bytes turned out to be damaged.
#[inline]
pub(crate) fn answer<B>(
    core: &Arc<Core>,
    entry: &Arc<Entry>,
    asked: &Asked<'_>,
    now: Timestamp,
    told: Told,
) -> Option<Response<CacheBody<B>>> {
    let form = form(entry, asked);
    let member = match told {
        Told::Hit => status::hit(core, entry.life.ttl(now)),
        Told::As(member) => member,
    };
    let fields = entry.fields(form, now, member.as_ref());
    let conditional = asked.facts.has_condition() || asked.facts.wants_range();
    let mut response = if conditional {
        conditionally(core, entry, asked, form, fields)?
    } else {
        whole(core, entry, asked.method, form, fields)?
    };
    Mark::add(core, response.extensions_mut());
    Some(response)
}

#[inline]
fn form(entry: &Entry, asked: &Asked<'_>) -> Form {
    let gzip = entry.body.coding == Coding::Gzip
        && !asked.facts.wants_range()
        && asked.facts.negotiates()
        && accepts_gzip(asked.headers);
    if gzip { Form::Gzip } else { Form::Plain }
}

/// Returns the form in which most hits go out: all of what is stored, as it is stored. `None` if it
/// takes more than that.
#[inline]
pub(crate) fn verbatim(entry: &Entry, asked: &Asked<'_>) -> Option<Form> {
    let form = form(entry, asked);
    let is_stored_so = match entry.body.coding {
        Coding::Identity => true,
        Coding::Gzip => form == Form::Gzip,
        Coding::Lz4 => false,
    };
    let is_whole = !asked.facts.has_condition() && !asked.facts.wants_range();
    let is_verbatim =
        is_stored_so && is_whole && *asked.method == Method::GET && entry.trailers.is_none();
    is_verbatim.then_some(form)
}

/// Makes the answer that is [verbatim] in this form.
#[inline]
pub(crate) fn ready(
    core: &Core,
    entry: &Entry,
    form: Form,
    now: Timestamp,
    is_in_router: bool,
) -> Response<Bytes> {
    let ttl = entry.life.ttl(now);
    let fields = match status::ready_hit(core, ttl) {
        Some(member) if !is_in_router => entry.fields(form, now, Some(member)),
        _ => {
            let member = status::hit(core, ttl);
            if is_in_router {
                entry.fields_for_router(form, now, member.as_ref())
            } else {
                entry.fields(form, now, member.as_ref())
            }
        }
    };
    let mut response = Response::new(entry.body.bytes.clone());
    *response.status_mut() = entry.status;
    *response.headers_mut() = fields;
    response
}

fn conditionally<B>(
    core: &Core,
    entry: &Entry,
    asked: &Asked<'_>,
    form: Form,
    fields: HeaderMap,
) -> Option<Response<CacheBody<B>>> {
    let met = condition(asked.headers, &Validators::of(&fields), entry.status);
    if met == Condition::NotModified {
        return Some(built(
            StatusCode::NOT_MODIFIED,
            not_modified_fields(&fields),
            CacheBody::default(),
        ));
    }
    if entry.status != StatusCode::OK {
        return whole(core, entry, asked.method, form, fields);
    }
    match ranges::ranges(asked.method, asked.headers, &fields, entry.body.length) {
        Ranges::Whole => whole(core, entry, asked.method, form, fields),
        Ranges::Parts(parts) => partial(core, entry, &parts, fields),
        Ranges::Unsatisfiable => Some(unsatisfiable(entry.body.length, fields)),
    }
}

#[inline]
fn whole<B>(
    core: &Core,
    entry: &Entry,
    method: &Method,
    form: Form,
    mut fields: HeaderMap,
) -> Option<Response<CacheBody<B>>> {
    let body = &entry.body;
    if *method == Method::HEAD {
        if entry.status == StatusCode::NO_CONTENT {
            return Some(built(entry.status, fields, CacheBody::default()));
        }
        let length = match form {
            Form::Plain => body.length,
            Form::Gzip => u64::try_from(body.bytes.len()).unwrap_or(u64::MAX),
        };
        fields.insert(header::CONTENT_LENGTH, length.into());
        return Some(built(entry.status, fields, CacheBody::default()));
    }
    let trailers = entry.trailers.clone();
    let content = match (body.coding, form) {
        (Coding::Identity, _) | (Coding::Gzip, Form::Gzip) => match trailers {
            None => CacheBody::full(body.bytes.clone()),
            trailers => CacheBody::pieces(VecDeque::from([body.bytes.clone()]), trailers),
        },
        #[cfg(feature = "gzip")]
        (Coding::Gzip, Form::Plain) => {
            let stream = compress::Gunzip::new(body, core.max_body).ok()?;
            CacheBody::gunzip(stream, body.length, trailers)
        }
        _ => {
            let bytes = compress::unpack(body, core.max_body).ok()?;
            CacheBody::pieces(VecDeque::from([bytes]), trailers)
        }
    };
    Some(built(entry.status, fields, content))
}

/// Parts are cut from the body as the handler sent it.
fn partial<B>(
    core: &Core,
    entry: &Entry,
    parts: &[Range<u64>],
    mut fields: HeaderMap,
) -> Option<Response<CacheBody<B>>> {
    let bytes = compress::unpack(&entry.body, core.max_body).ok()?;
    let cut = |part: &Range<u64>| {
        let from = usize::try_from(part.start).ok()?;
        let to = usize::try_from(part.end).ok()?;
        (from <= to && to <= bytes.len()).then(|| bytes.slice(from..to))
    };
    if let [part] = parts {
        ranges::become_part(&mut fields, part, entry.body.length);
        return Some(built(
            StatusCode::PARTIAL_CONTENT,
            fields,
            CacheBody::full(cut(part)?),
        ));
    }
    let content_type = fields.get(header::CONTENT_TYPE);
    let framed = Multipart::new(parts, entry.body.length, content_type, random_seed());
    let mut pieces: VecDeque<Bytes> = VecDeque::with_capacity(parts.len() * 2 + 1);
    for (head, part) in framed.heads().iter().zip(parts) {
        pieces.push_back(head.clone());
        pieces.push_back(cut(part)?);
    }
    pieces.push_back(framed.tail().clone());
    ranges::become_parts(&mut fields, &framed);
    Some(built(
        StatusCode::PARTIAL_CONTENT,
        fields,
        CacheBody::pieces(pieces, None),
    ))
}

fn unsatisfiable<B>(length: u64, mut fields: HeaderMap) -> Response<CacheBody<B>> {
    for name in [
        header::CONTENT_TYPE,
        header::CONTENT_ENCODING,
        header::ETAG,
        header::LAST_MODIFIED,
    ] {
        fields.remove(name);
    }
    fields.insert(header::CONTENT_RANGE, ranges::unsatisfied_range(length));
    built(
        StatusCode::RANGE_NOT_SATISFIABLE,
        fields,
        CacheBody::default(),
    )
}

#[inline]
fn built<B>(status: StatusCode, fields: HeaderMap, body: CacheBody<B>) -> Response<CacheBody<B>> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = fields;
    response
}

/// Returns a number that nobody can foresee, for the boundary of a body in several parts.
fn random_seed() -> u128 {
    use std::hash::{BuildHasher, RandomState};
    let state = RandomState::new();
    u128::from(state.hash_one(0_u8)) << 64 | u128::from(state.hash_one(1_u8))
}

/// Returns the answer to a client that wants only what is stored (RFC 9111 §5.2.1.7).
pub(crate) fn only_if_cached_miss<B>() -> Response<CacheBody<B>> {
    built(
        StatusCode::GATEWAY_TIMEOUT,
        HeaderMap::new(),
        CacheBody::default(),
    )
}

/// Returns the answer to a request that waited for a run which came to nothing.
pub(crate) fn refused<B>() -> Response<CacheBody<B>> {
    let retry = (header::RETRY_AFTER, HeaderValue::from_static("1"));
    let fields = HeaderMap::from_iter([retry]);
    built(
        StatusCode::SERVICE_UNAVAILABLE,
        fields,
        CacheBody::default(),
    )
}

//! What is stored? By URL and by tag.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap},
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
};

use axum::{
    Json,
    extract::{Path, Query, State, rejection::QueryRejection},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    answer::{Answer, Refusal, moment},
    router::Desk,
    scan::scan,
};
use crate::{
    clock::Timestamp,
    entry::{Coding, Entry},
    fence::Verdict,
    handle::Core,
    key::{KeyText, value_text},
};

/// How many are told at a time if nothing else is asked for, and at most.
const PAGE: usize = 50;
const LARGEST_PAGE: usize = 500;

/// How many different tags are counted in one call.
const MOST_TAGS: usize = 100_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    prefix: Option<String>,
    tag: Option<String>,
    #[serde(default)]
    sort: Sort,
    cursor: Option<String>,
    limit: Option<usize>,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Sort {
    #[default]
    Hits,
    Bytes,
    Age,
}

/// Where a response stands in the order: by what is sorted by, then by its id.
type Rank = (u64, u64);

/// The first ones in the order.
#[derive(Default)]
struct Top {
    /// The last one on top.
    kept: BinaryHeap<Reverse<(Rank, Listed)>>,
    matches: u64,
    bytes: u64,
}

/// An entry in a heap, which orders by rank alone.
struct Listed(Arc<Entry>);

impl PartialEq for Listed {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Listed {}

impl PartialOrd for Listed {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Listed {
    fn cmp(&self, _: &Self) -> std::cmp::Ordering {
        std::cmp::Ordering::Equal
    }
}

pub(super) async fn keys(
    State(desk): State<Arc<Desk>>,
    wanted: Result<Query<Wanted>, QueryRejection>,
) -> Answer {
    let Query(wanted) = wanted.map_err(|fault| Refusal::bad(fault.body_text()))?;
    let limit = wanted.limit.unwrap_or(PAGE).clamp(1, LARGEST_PAGE);
    let cursor = wanted.cursor.as_deref().map(rank_of).transpose()?;
    let now = desk.now();
    let sort = wanted.sort;
    let look = move |top: &mut Top, entry: &Arc<Entry>| {
        if !is_wanted(&wanted, entry) {
            return;
        }
        top.matches += 1;
        top.bytes += bytes_of(entry);
        let rank = (sorted_by(sort, entry, now), id_of(entry));
        if cursor.is_some_and(|cursor| rank >= cursor) {
            return;
        }
        top.kept.push(Reverse((rank, Listed(Arc::clone(entry)))));
        if top.kept.len() > limit {
            top.kept.pop();
        }
    };
    let (top, complete) = scan(&desk, look).await;
    let mut kept: Vec<_> = top.kept.into_iter().map(|Reverse(one)| one).collect();
    kept.sort_by_key(|(rank, _)| Reverse(*rank));
    let next = kept
        .last()
        .filter(|_| kept.len() == limit)
        .map(|((value, id), _)| format!("{value:x}-{id:x}"));
    let keys: Vec<Value> = kept
        .iter()
        .map(|(_, Listed(entry))| shown(desk.core(), entry, now))
        .collect();
    Ok(Json(json!({
        "keys": keys,
        "matches": top.matches,
        "bytes": top.bytes,
        "cursor": next,
        "complete": complete,
    })))
}

pub(super) async fn key(State(desk): State<Arc<Desk>>, Path(id): Path<String>) -> Answer {
    let wanted = parse_id(&id)?;
    let entry = find(&desk, wanted).await;
    let entry = entry.ok_or_else(|| Refusal::not_found(format!("nothing is stored as `{id}`")))?;
    let mut object = shown(desk.core(), &entry, desk.now());
    if let Value::Object(fields) = &mut object {
        let line = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
            json!([name.as_str(), String::from_utf8_lossy(value.as_bytes())])
        };
        let headers: Vec<Value> = entry.headers().iter().map(line).collect();
        fields.insert("headers".to_owned(), headers.into());
    }
    Ok(Json(object))
}

/// Returns the response with an id.
pub(super) async fn find(desk: &Desk, id: u64) -> Option<Arc<Entry>> {
    let look = move |found: &mut Option<Arc<Entry>>, entry: &Arc<Entry>| {
        if found.is_none() && id_of(entry) == id {
            *found = Some(Arc::clone(entry));
        }
    };
    scan(desk, look).await.0
}

pub(super) fn parse_id(id: &str) -> Result<u64, Refusal> {
    u64::from_str_radix(id, 16)
        .map_err(|_| Refusal::bad("an id has up to 16 hexadecimal digits; see `keys`"))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WantedTags {
    #[serde(default)]
    prefix: String,
    limit: Option<usize>,
}

pub(super) async fn tags(
    State(desk): State<Arc<Desk>>,
    wanted: Result<Query<WantedTags>, QueryRejection>,
) -> Answer {
    let Query(wanted) = wanted.map_err(|fault| Refusal::bad(fault.body_text()))?;
    let limit = wanted.limit.unwrap_or(PAGE).clamp(1, LARGEST_PAGE);
    let look = move |tags: &mut HashMap<Arc<str>, (u64, u64)>, entry: &Arc<Entry>| {
        for tag in &entry.tags {
            // Groups of an origin are kept as tags that nobody can write.
            let named = tag.starts_with(&wanted.prefix) && !tag.starts_with('\u{1}');
            if named && (tags.len() < MOST_TAGS || tags.contains_key(tag)) {
                let (entries, bytes) = tags.entry(Arc::clone(tag)).or_default();
                *entries += 1;
                *bytes += bytes_of(entry);
            }
        }
    };
    let (tags, complete) = scan(&desk, look).await;
    let count = tags.len();
    let mut tags: Vec<_> = tags.into_iter().collect();
    tags.sort_by(|(one, first), (other, second)| second.cmp(first).then_with(|| one.cmp(other)));
    tags.truncate(limit);
    let tags: Vec<Value> = tags
        .iter()
        .map(|(tag, (entries, bytes))| json!({ "tag": **tag, "entries": entries, "bytes": bytes }))
        .collect();
    Ok(Json(
        json!({ "tags": tags, "count": count, "complete": complete }),
    ))
}

fn is_wanted(wanted: &Wanted, entry: &Entry) -> bool {
    if let Some(tag) = &wanted.tag
        && !entry.tags.iter().any(|own| **own == **tag)
    {
        return false;
    }
    let Some(prefix) = &wanted.prefix else {
        return true;
    };
    if let Some(value) = value_text(&entry.key) {
        return value.starts_with(&**prefix);
    }
    KeyText::of(&entry.key).is_some_and(|key| {
        let text = if prefix.starts_with('/') {
            key.path
        } else {
            key.url()
        };
        text.starts_with(&**prefix)
    })
}

fn sorted_by(sort: Sort, entry: &Entry, now: Timestamp) -> u64 {
    match sort {
        Sort::Hits => u64::from(entry.hits()),
        Sort::Bytes => bytes_of(entry),
        Sort::Age => entry.life.age(now),
    }
}

pub(super) fn bytes_of(entry: &Entry) -> u64 {
    u64::try_from(entry.body.bytes.len()).unwrap_or(u64::MAX)
}

/// Returns the id of a response: the same in every process of one release.
fn id_of(entry: &Entry) -> u64 {
    let mut hasher = DefaultHasher::new();
    entry.key.hash(&mut hasher);
    if let Some(variation) = &entry.variation {
        variation.names.hash(&mut hasher);
        variation.selecting.hash(&mut hasher);
    }
    hasher.finish()
}

fn rank_of(cursor: &str) -> Result<Rank, Refusal> {
    let number = |text| u64::from_str_radix(text, 16).ok();
    cursor
        .split_once('-')
        .and_then(|(value, id)| Some((number(value)?, number(id)?)))
        .ok_or_else(|| Refusal::bad("a cursor is what the page before ended with"))
}

/// Returns a response as it is told in lists.
pub(super) fn shown(core: &Core, entry: &Entry, now: Timestamp) -> Value {
    let key = KeyText::of(&entry.key);
    let state = match core.fence.judge(&entry.seal) {
        Verdict::Dead(_) => "dead",
        Verdict::Soft(_) => "soft-purged",
        Verdict::Valid if now >= entry.life.fresh_until => "stale",
        Verdict::Valid => "fresh",
    };
    let coding = match entry.body.coding {
        Coding::Identity => "identity",
        Coding::Gzip => "gzip",
        Coding::Lz4 => "lz4",
    };
    let vary: Vec<&str> = entry
        .variation
        .iter()
        .flat_map(|variation| variation.names.iter())
        .map(http::HeaderName::as_str)
        .collect();
    let tags: Vec<&str> = entry
        .tags
        .iter()
        .map(|tag| &**tag)
        .filter(|tag| !tag.starts_with('\u{1}'))
        .collect();
    json!({
        "id": format!("{:016x}", id_of(entry)),
        "url": key.as_ref().map(KeyText::url),
        "value": value_text(&entry.key),
        "route": key.as_ref().and_then(|key| key.route.clone()),
        "key_fields": key.as_ref().map(|key| &key.fields),
        "key_cookies": key.as_ref().map(|key| &key.cookies),
        "owned": key.as_ref().is_some_and(|key| key.owned),
        "vary": vary,
        "status": entry.status.as_u16(),
        "state": state,
        "tags": tags,
        "hits": entry.hits(),
        "bytes": bytes_of(entry),
        "length": entry.body.length,
        "coding": coding,
        "age": entry.life.age(now) / 1000,
        "ttl": entry.life.ttl(now),
        "received": moment(entry.life.received),
        "fresh_until": moment(entry.life.fresh_until),
        "revalidate_until": moment(entry.life.revalidate_until),
        "error_until": moment(entry.life.error_until),
    })
}

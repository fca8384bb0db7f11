//! Making void what is stored.

use std::sync::Arc;

use axum::{
    Json,
    extract::{State, rejection::JsonRejection},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    answer::{Answer, Refusal, acknowledged},
    control,
    keys::{bytes_of, find, parse_id},
    router::Desk,
    scan::scan,
};
use crate::{
    WarmList,
    entry::Entry,
    invalidate::{Ack, Purge, Source},
    key::KeyText,
    policy::{Target, TargetId, tag_fault},
};

/// How many targets one call may name.
const MOST_TARGETS: usize = 1000;

/// How many pages one call refreshes.
const MOST_REFRESHED: usize = 1000;

/// What is to be purged, exactly one kind of it, and how.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "they are the switches of a call"
)]
pub(super) struct Order {
    key: Many,
    url: Many,
    tag: Many,
    prefix: Many,
    route: Many,
    host: Many,
    all: bool,
    soft: bool,
    refresh: bool,
    dry_run: bool,
}

/// One text or several.
#[derive(Deserialize)]
#[serde(untagged)]
enum Many {
    One(String),
    Several(Vec<String>),
}

impl Default for Many {
    fn default() -> Self {
        Self::Several(Vec::new())
    }
}

impl Many {
    fn all(&self) -> &[String] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::Several(several) => several,
        }
    }
}

pub(super) async fn purge(
    State(desk): State<Arc<Desk>>,
    order: Result<Json<Order>, JsonRejection>,
) -> Answer {
    let Json(order) = order.map_err(|fault| Refusal::new(fault.status(), fault.body_text()))?;
    let targets = targets(&desk, &order).await?;
    let origin = match order.refresh {
        true if !order.dry_run => Some(desk.origin()?),
        _ => None,
    };
    let named: Vec<String> = targets.iter().map(ToString::to_string).collect();
    let matching = if order.dry_run || order.refresh {
        let ids: Vec<TargetId> = targets.iter().map(Target::id).collect();
        Some(matching(&desk, ids).await)
    } else {
        None
    };
    let mut answer = json!({
        "targets": named,
        "soft": order.soft,
        "dry_run": order.dry_run,
    });
    if let Some((found, complete)) = &matching {
        merge(
            &mut answer,
            json!({ "matches": found.matches, "bytes": found.bytes, "complete": complete }),
        );
    }
    if order.dry_run {
        return Ok(Json(acknowledged(answer, Ack::Global, desk.sequence())));
    }
    desk.audit("purge", &named.join(", "));
    let purge = if order.soft {
        Purge::soft(targets)
    } else {
        Purge::hard(targets)
    };
    let ack = desk.core().invalidate(&purge.by(Source::Admin)).await;
    let sequence = desk.sequence();
    if let (Some(origin), Some((found, _))) = (origin, matching) {
        let list = WarmList::new().urls(found.urls);
        let report = origin.warm(&desk.larder, list, control::CONCURRENCY).await;
        merge(
            &mut answer,
            json!({ "refreshed": control::report(&report) }),
        );
    }
    Ok(Json(acknowledged(answer, ack, sequence)))
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Version {
    route: Option<String>,
}

pub(super) async fn version(
    State(desk): State<Arc<Desk>>,
    order: Result<Json<Version>, JsonRejection>,
) -> Answer {
    let Json(order) = order.map_err(|fault| Refusal::new(fault.status(), fault.body_text()))?;
    let target = match &order.route {
        Some(route) => pattern(route)?,
        None => Target::Everything,
    };
    let named = target.to_string();
    desk.audit("version", &named);
    let purge = Purge::hard([target]).by(Source::Admin);
    let ack = desk.core().invalidate(&purge).await;
    Ok(Json(acknowledged(
        json!({ "targets": [named] }),
        ack,
        desk.sequence(),
    )))
}

impl Desk {
    /// Returns the number of the last invalidation that is visible here.
    fn sequence(&self) -> u64 {
        let position = self.core().position();
        match position.sequence {
            // Without a shared tier this process counts alone.
            0 => position.local,
            shared => shared,
        }
    }
}

async fn targets(desk: &Desk, order: &Order) -> Result<Vec<Target>, Refusal> {
    let kinds: [(&Many, fn(&str) -> Result<Target, Refusal>); 5] = [
        (&order.url, url),
        (&order.tag, tag),
        (&order.prefix, prefix),
        (&order.route, pattern),
        (&order.host, host),
    ];
    let named = kinds.iter().filter(|(texts, _)| !texts.all().is_empty());
    let keys = order.key.all();
    let count = named.clone().count() + usize::from(!keys.is_empty()) + usize::from(order.all);
    if count != 1 {
        let message = "name exactly one of `key`, `url`, `tag`, `prefix`, `route`, `host` and \
                       `\"all\": true`";
        return Err(Refusal::bad(message));
    }
    if order.all {
        return Ok(vec![Target::Everything]);
    }
    let mut targets = Vec::new();
    for (texts, read) in named {
        if texts.all().len() > MOST_TARGETS {
            return Err(Refusal::bad("more than 1000 at a time"));
        }
        for text in texts.all() {
            targets.push(read(text)?);
        }
    }
    if keys.len() > 1 {
        return Err(Refusal::bad("one `key` at a time"));
    }
    for id in keys {
        targets.push(of_key(desk, id).await?);
    }
    Ok(targets)
}

/// Returns the URL of a response, by its id, with all its variants.
async fn of_key(desk: &Desk, id: &str) -> Result<Target, Refusal> {
    let entry = find(desk, parse_id(id)?).await;
    let key = entry.and_then(|entry| KeyText::of(&entry.key));
    let key = key.ok_or_else(|| Refusal::not_found(format!("nothing is stored as `{id}`")))?;
    let host = Some(key.authority.as_str());
    Ok(Target::exact(host, &key.path, key.query.as_deref()))
}

fn url(text: &str) -> Result<Target, Refusal> {
    let good = text.starts_with('/') || text.contains("://");
    if good && !text.contains(char::is_control) {
        return Ok(Target::url(text));
    }
    Err(Refusal::bad(
        "a `url` begins with `/` or with a scheme and a host",
    ))
}

fn tag(text: &str) -> Result<Target, Refusal> {
    match tag_fault(text) {
        None => Ok(Target::tag(text)),
        Some(fault) => Err(Refusal::bad(fault.to_string())),
    }
}

/// Reads a path, or a scheme, a host and a path. All of it is literal.
fn prefix(text: &str) -> Result<Target, Refusal> {
    if text.contains(char::is_control) {
        return Err(Refusal::bad("a `prefix` has no control characters"));
    }
    if text.starts_with('/') {
        return Ok(Target::prefix(None, text));
    }
    let (_, rest) = text
        .split_once("://")
        .ok_or_else(|| Refusal::bad("a `prefix` begins with `/` or with a scheme and a host"))?;
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    host(authority)?;
    Ok(Target::prefix(Some(authority), path))
}

fn pattern(text: &str) -> Result<Target, Refusal> {
    if text.starts_with('/') && !text.contains(char::is_control) {
        return Ok(Target::route(text));
    }
    Err(Refusal::bad("a `route` is a pattern such as `/items/{id}`"))
}

fn host(text: &str) -> Result<Target, Refusal> {
    let good = |letter: char| letter.is_ascii_alphanumeric() || ".-_:[]".contains(letter);
    if !text.is_empty() && text.chars().all(good) {
        return Ok(Target::host(text));
    }
    Err(Refusal::bad(
        "a `host` is a name, with its port if clients name one",
    ))
}

/// What of the store belongs to some targets.
#[derive(Default)]
struct Matching {
    matches: u64,
    bytes: u64,
    urls: Vec<String>,
}

async fn matching(desk: &Desk, ids: Vec<TargetId>) -> (Matching, bool) {
    let core = Arc::clone(desk.core());
    let look = move |found: &mut Matching, entry: &Arc<Entry>| {
        let hit = entry.seal.targets.iter().any(|own| ids.contains(own));
        if !hit || core.is_dead(&entry.seal) {
            return;
        }
        found.matches += 1;
        found.bytes += bytes_of(entry);
        if found.urls.len() < MOST_REFRESHED
            && let Some(key) = KeyText::of(&entry.key)
            && key.is_plain()
        {
            found.urls.push(key.url());
        }
    };
    scan(desk, look).await
}

fn merge(object: &mut Value, more: Value) {
    if let (Value::Object(fields), Value::Object(more)) = (object, more) {
        fields.extend(more);
    }
}

//! Why is this page not served from the cache, or why is it?

use std::sync::Arc;

use axum::{
    Json,
    extract::{RawQuery, State},
};
use http::{HeaderName, HeaderValue, Method, Request, Uri, header, request::Parts};
use serde_json::{Value, json};

use super::{
    answer::{Answer, Refusal, moment},
    keys::shown,
    router::Desk,
};
use crate::{
    handle::{Explained, Invalidated},
    invalidate::Recent,
    policy::percent,
};

/// How many invalidations are told.
const MOST_TOLD: usize = 100;

/// How many header fields a call may give.
const MOST_FIELDS: usize = 32;

pub(super) async fn explain(State(desk): State<Arc<Desk>>, RawQuery(query): RawQuery) -> Answer {
    let request = request(query.as_deref().unwrap_or_default())?;
    let layers: Vec<Value> = desk
        .core()
        .insight
        .layers()
        .iter()
        .map(|layer| told(&desk, &layer.explain(request.clone())))
        .collect();
    if layers.is_empty() {
        return Err(Refusal::not_found("no layer of this cache wraps a service"));
    }
    Ok(Json(json!({
        "method": request.method.as_str(),
        "url": request.uri.to_string(),
        "layers": layers,
    })))
}

pub(super) async fn invalidations(State(desk): State<Arc<Desk>>) -> Json<Value> {
    let now = desk.now();
    let recents = desk.core().insight.recents.newest(MOST_TOLD);
    let all: Vec<Value> = recents
        .iter()
        .map(|recent| {
            let targets: Vec<String> = recent.targets.iter().map(ToString::to_string).collect();
            json!({
                "source": recent.source,
                "at": moment(recent.at),
                "seconds_ago": now.since(recent.at).as_secs_f64(),
                "soft": recent.soft,
                "targets": targets,
                "unnamed_targets": recent.unnamed,
            })
        })
        .collect();
    Json(json!({ "invalidations": all }))
}

fn told(desk: &Desk, explained: &Explained) -> Value {
    let now = desk.now();
    let trace: Vec<Value> = explained
        .trace
        .iter()
        .map(|(step, what)| json!({ "step": step, "what": what }))
        .collect();
    let by = |recent: &Arc<Recent>| {
        json!({
            "source": recent.source,
            "at": moment(recent.at),
            "seconds_ago": now.since(recent.at).as_secs_f64(),
        })
    };
    let killed: Vec<Value> = explained
        .causes
        .iter()
        .map(
            |Invalidated {
                 target,
                 soft,
                 by: who,
             }| {
                json!({ "target": target, "soft": soft, "by": who.as_ref().map(by) })
            },
        )
        .collect();
    let entry = explained.entry.as_ref();
    json!({
        "preset": explained.preset,
        "route": explained.route,
        "declared": explained.declared,
        "looked_up": explained.looked_up,
        "outcome": explained.outcome.as_str(),
        "trace": trace,
        "invalidated_by": killed,
        "entry": entry.map(|entry| shown(desk.core(), entry, now)),
    })
}

/// Reads `method=GET&url=https://shop.test/a?b=c&header=name:value`, each encoded as in a form.
fn request(query: &str) -> Result<Parts, Refusal> {
    let mut request = Request::new(());
    let mut url = None;
    let mut fields = 0;
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let value = percent::form_text(value);
        match name {
            "method" => {
                let method = Method::from_bytes(value.as_bytes());
                *request.method_mut() =
                    method.map_err(|_| Refusal::bad("`method` is no method"))?;
            }
            "url" => {
                url = Some(
                    value
                        .parse::<Uri>()
                        .map_err(|_| Refusal::bad("`url` is no URL"))?,
                )
            }
            "header" if fields < MOST_FIELDS => {
                let (name, value) = field(&value)?;
                request.headers_mut().append(name, value);
                fields += 1;
            }
            "header" => return Err(Refusal::bad("more than 32 times `header`")),
            _ => return Err(Refusal::bad("knows `method`, `url` and `header` alone")),
        }
    }
    let url = url.ok_or_else(|| Refusal::bad("give the `url` to explain"))?;
    // As HTTP/1.1 sends it: the host in a field, and the rest as the target.
    if let Some(authority) = url.authority()
        && let Ok(host) = HeaderValue::from_str(authority.as_str())
    {
        request.headers_mut().entry(header::HOST).or_insert(host);
    }
    let target = url.path_and_query().map_or("/", |target| target.as_str());
    *request.uri_mut() = target
        .parse()
        .map_err(|_| Refusal::bad("`url` has no path"))?;
    Ok(request.into_parts().0)
}

fn field(text: &str) -> Result<(HeaderName, HeaderValue), Refusal> {
    let field = || {
        let (name, value) = text.split_once(':')?;
        let name = HeaderName::from_bytes(name.trim().as_bytes()).ok()?;
        Some((name, HeaderValue::from_str(value.trim()).ok()?))
    };
    field().ok_or_else(|| Refusal::bad("a `header` is written `name:value`"))
}

//! What would become of a request, and why: the look-up of a layer, told step by step.
//!
//! It is the same look-up that answers requests, so it can not tell another story. What it can not
//! know is the pattern that a router in front would match: it takes the table's, or that of a route
//! met before.

use std::{collections::HashMap, sync::Arc};

use http::{Method, Request, request::Parts};

use super::{
    facts::is_read,
    front::Incoming,
    kept::Kept,
    look::{Arrival, Looked, Otherwise, look},
    plan::Standing,
    settings::{Matched, Shared},
};
use crate::{
    clock::Timestamp,
    entry::Entry,
    fence::{Cause, Reason, Verdict},
    handle::{Core, DeclaredRoute, Explained, Inspect, Invalidated},
    invalidate::Trust,
    key::{KeyText, authority},
    observe::Outcome,
    policy::{Target, TargetId},
    semantics::{methods::is_safe, storable::Preset},
};

impl Inspect for Shared {
    fn explain(&self, request: Parts) -> Explained {
        let shared = Arc::new(self.clone());
        let request = Request::from_parts(request, ());
        let path = request.uri().path();
        let pattern = match self.table.by_path(path) {
            Some(route) => Some(Arc::clone(route.pattern().text())),
            None => self.known.find(path),
        };
        let matched = self.matching_by(pattern.as_deref(), path).kept();
        let mut telling = Telling::of(&shared, &matched);
        if is_read(request.method()) {
            telling.read(&shared, &matched, request);
        } else {
            telling.change(&matched, &request);
        }
        telling.told
    }

    fn routes(&self) -> Vec<DeclaredRoute> {
        let declared = self.table.all().filter(|route| route.policy().is_some());
        let declared = declared.map(|route| DeclaredRoute {
            pattern: route.pattern().text().to_string(),
            declared: true,
        });
        let known = self.known.all();
        let learned = known.iter().filter(|known| known.is_learned());
        let learned = learned.filter_map(|known| known.pattern.as_ref());
        let learned = learned.map(|pattern| DeclaredRoute {
            pattern: pattern.text().to_string(),
            declared: self.declared,
        });
        declared.chain(learned).collect()
    }
}

struct Telling {
    now: Timestamp,
    told: Explained,
}

impl Telling {
    fn of(shared: &Shared, matched: &Matched) -> Self {
        let preset = match shared.preset {
            Preset::Application => "application",
            Preset::Gateway => "gateway",
        };
        let route = matched.pattern().map(|pattern| pattern.text().to_string());
        let mut telling = Self {
            now: shared.core.clock.now(),
            told: Explained {
                preset,
                route: route.clone(),
                declared: matched.declared,
                looked_up: matched.looked_up,
                outcome: Outcome::Pass,
                trace: Vec::new(),
                causes: Vec::new(),
                entry: None,
            },
        };
        telling.say(
            "route",
            match route {
                Some(route) => format!("pattern {route}"),
                None => "no pattern is known for this path".to_owned(),
            },
        );
        telling.say(
            "policy",
            match (matched.declared, matched.looked_up) {
                (true, _) => "declared".to_owned(),
                (false, true) => {
                    "none declared; the layer looks it up all the same, as its responses \
                              said how long they are good or it is a gateway"
                        .to_owned()
                }
                (false, false) => {
                    "none declared, and no response has said yet how long it is good: \
                               requests pass"
                        .to_owned()
                }
            },
        );
        if matched.state(&shared.core).is_paused() {
            telling.say("pause", "an administrator paused the route");
        }
        telling
    }

    fn say(&mut self, step: &'static str, what: impl Into<String>) {
        self.told.trace.push((step, what.into()));
    }

    fn read(&mut self, shared: &Arc<Shared>, matched: &Matched, request: Request<()>) {
        let (parts, ()) = request.into_parts();
        let identity = matched
            .policy
            .identity
            .as_ref()
            .and_then(|identify| identify.of(&parts));
        let request = Request::from_parts(parts, ());
        let (matching, incoming) = (matched.borrowed(), Incoming::of(&request));
        let arrival = Arrival {
            identity: identity.as_deref(),
            trust: Some(Trust::Known),
            ..incoming.arrival(self.now)
        };
        match look(shared, &matching, &incoming, arrival) {
            Looked::Serve(entry, standing, _) => self.serve(&shared.core, entry, standing, false),
            Looked::ServeAndRefresh(entry, standing, _) => {
                self.serve(&shared.core, entry, standing, true);
            }
            Looked::Fetch(fetch) => {
                self.told.outcome = match &fetch.stale {
                    Some(_) => Outcome::Revalidated,
                    None => Outcome::Miss,
                };
                self.stored(&fetch.kept);
                let followed = format!("to the handler ({})", fetch.reason.as_str());
                self.say("decision", followed);
            }
            Looked::Learn(kept) => {
                self.stored(&kept);
                self.say(
                    "decision",
                    "to the handler, alone; its answer may be stored",
                );
            }
            Looked::Pass | Looked::Watch(_) | Looked::Ask => {
                self.say("decision", "to the handler, alone")
            }
            Looked::Bypass(reason) | Looked::Elsewhere(_, Otherwise::Bypass(reason)) => {
                self.told.outcome = Outcome::Bypass;
                self.say(
                    "request",
                    format!("does not take part: {}", reason.as_str()),
                );
                self.say(
                    "decision",
                    "to the handler, alone; its answer is not stored",
                );
            }
            Looked::OnlyIfCachedMiss | Looked::Elsewhere(_, Otherwise::Refuse) => {
                self.told.outcome = Outcome::Refused;
                self.say("decision", "504, as the client wants only what is stored");
            }
        }
    }

    fn serve(&mut self, core: &Core, entry: Arc<Entry>, standing: Standing, refresh: bool) {
        self.found(core, &entry);
        let (outcome, word) = match standing {
            Standing::Fresh => (Outcome::Hit, "fresh"),
            Standing::Stale => (Outcome::Stale, "stale"),
        };
        let refreshed = if refresh { ", and refresh it" } else { "" };
        self.told.outcome = outcome;
        self.say(
            "decision",
            format!("serve what is stored ({word}){refreshed}"),
        );
        self.told.entry = Some(entry);
    }

    /// Tells what is stored under the key of a request that goes to its handler all the same.
    fn stored(&mut self, kept: &Kept) {
        let core = &kept.shared.core;
        if core.store.is_uncacheable(&kept.key, self.now) {
            self.say("mark", "was found uncacheable less than two minutes ago");
        }
        let all = core.store.candidates(&kept.key);
        if all.is_empty() {
            self.say("store", "nothing is stored under the key");
        }
        if all.len() > 1 {
            self.say("store", format!("{} variants are stored", all.len()));
        }
        for entry in all {
            self.found(core, &entry);
            self.told.entry.get_or_insert(entry);
        }
    }

    fn found(&mut self, core: &Core, entry: &Arc<Entry>) {
        let age = entry.life.age(self.now) / 1000;
        let ttl = entry.life.ttl(self.now);
        self.say(
            "store",
            format!("a response of {age} s, {ttl} s of freshness left"),
        );
        let verdict = core.fence.judge(&entry.seal);
        self.say(
            "fence",
            match verdict {
                Verdict::Valid => {
                    "alive: nothing it belongs to was invalidated since its fill began"
                }
                Verdict::Soft(_) => "stale: something it belongs to was soft-purged",
                Verdict::Dead(Reason::Stamp) => "dead: something it belongs to was invalidated",
                Verdict::Dead(Reason::Epoch) => "dead: it was filled under another registry",
                Verdict::Dead(Reason::Floor) => {
                    "dead: it was filled before something this node missed"
                }
                Verdict::Dead(Reason::Unverified) => "not served while Redis can not be asked",
            },
        );
        if verdict != Verdict::Valid {
            self.causes(core, entry);
        }
    }

    fn causes(&mut self, core: &Core, entry: &Entry) {
        let names = names(entry, self.told.route.as_deref());
        for cause in core.fence.causes(&entry.seal) {
            let (id, soft) = match cause {
                Cause::Hard(id) | Cause::Folded(id) => (id, false),
                Cause::Soft(id) => (id, true),
            };
            let target = match names.get(&id) {
                Some(target) => target.to_string(),
                None => "a target".to_owned(),
            };
            let by = core.insight.recents.last_of(id, soft);
            let word = if soft { "soft-purged" } else { "stamped" };
            let told = match &by {
                Some(recent) => {
                    let ago = self.now.since(recent.at).as_secs();
                    format!("{target} {word} by {} {ago} s ago", recent.source)
                }
                None => format!("{target} {word}, too long ago to say by whom"),
            };
            self.say("fence", told);
            self.told.causes.push(Invalidated { target, soft, by });
        }
    }

    fn change(&mut self, matched: &Matched, request: &Request<()>) {
        let method: &Method = request.method();
        if is_safe(method) {
            self.say("decision", "to the handler: the method is not cached");
            return;
        }
        self.told.outcome = Outcome::Mutation;
        let uri = request.uri();
        let host = authority(uri, request.headers()).ok();
        let mut targets = vec![Target::resource(host.as_deref(), uri.path())];
        if let Some(route) = &matched.route {
            let params = route.params(uri.path());
            for declared in route.invalidates(method) {
                targets.extend(declared.targets(&params));
            }
        }
        for target in targets {
            self.say("invalidates", target.to_string());
        }
        self.say(
            "decision",
            "to the handler; then what it may have changed is invalidated",
        );
    }
}

/// Returns the names of what an entry belongs to.
fn names(entry: &Entry, route: Option<&str>) -> HashMap<TargetId, Target> {
    let mut all: Vec<Target> = entry.tags.iter().cloned().map(Target::Tag).collect();
    if let Some(key) = KeyText::of(&entry.key) {
        let query = key.query.as_deref();
        all.extend(Target::of_request(&key.authority, &key.path, query, route));
    }
    all.into_iter()
        .map(|target| (target.id(), target))
        .collect()
}

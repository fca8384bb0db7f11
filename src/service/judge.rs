//! May a response be stored, and for how long?

use std::{sync::Arc, time::Duration};

use http::{HeaderMap, Method, StatusCode, header, response::Parts};

use super::{
    facts::{hides_origin, streams_events},
    kept::Kept,
    settings::OWN_CACHE_CONTROL,
    taught::{Taught, taught},
};
#[cfg(larder_sabotage)]
use crate::sabotage::{Fault, is_planted};
use crate::{
    clock::Timestamp,
    entry::{Fields, Head, HeadParts, Life, Seal, Variation, compress::compressible},
    policy::{
        CacheHint, Compress, MAX_NEGATIVE_TTL, MAX_TAGS, MAX_TTL, Policy, SetCookies, Target,
        shorten, tags_of_response,
    },
    semantics::{
        directives::{Flag, RequestDirectives, ResponseDirectives, Scope},
        fields,
        freshness::{self, Lifetime},
        groups,
        reuse::{ReuseFlags, is_failure},
        storable::{Preset, Refusal, StoreQuestion, StoreRules, refusal},
        vary::{Vary, selecting, too_wide},
    },
};

/// A lifetime below this is not refreshed ahead of its end: there would be little left of it.
const SHORTEST_REFRESHED_AHEAD: u64 = 5_000;

/// How long an expired response is kept that the handler could confirm, at the least.
const KEPT_FOR_VALIDATION: Duration = Duration::from_secs(600);

/// How long a gateway keeps an expired response for the case that the origin can not be reached.
const KEPT_FOR_OUTAGE: Duration = Duration::from_secs(24 * 60 * 60);

/// What is to be done with a response.
#[derive(Debug)]
pub(crate) enum Judged {
    /// Store it.
    Store(Arc<Head>),
    /// Not to be stored, but those who wait may have it: a failure that concerns them all.
    Share(Arc<Head>),
    /// For the one who asked alone: the handler declares that more of a request belongs into the
    /// key than this one was keyed by.
    Unkeyed,
    /// For the one who asked alone, for this reason, in kebab-case.
    Decline(&'static str),
}

/// Judges a response by its head. `length` is that of its body, if it is known.
pub(crate) fn judge(kept: &Kept, response: &mut Parts, length: Option<u64>) -> Judged {
    let hint = response.extensions.get::<CacheHint>().cloned();
    let directives = ResponseDirectives::of(&response.headers, &kept.shared.targeted);
    response.headers.remove(OWN_CACHE_CONTROL);
    let Taught {
        policy,
        declared,
        keyed,
    } = taught(kept, hint.as_ref());
    if !keyed {
        return Judged::Unkeyed;
    }
    let judging = Judging {
        kept,
        policy,
        declared,
        hint,
        directives,
        length,
    };
    judging.judge(response)
}

struct Judging<'a> {
    kept: &'a Kept,
    policy: Arc<Policy>,
    /// Whether the policy was declared.
    declared: bool,
    hint: Option<CacheHint>,
    directives: ResponseDirectives,
    length: Option<u64>,
}

impl Judging<'_> {
    fn judge(&self, response: &mut Parts) -> Judged {
        let (status, headers) = (response.status, &response.headers);
        let vary = Vary::of(headers);
        if let Some(reason) = self.withheld(headers, &vary) {
            return Judged::Decline(reason);
        }
        let own = self.own_lifetime(status, headers);
        let Some(lifetime) = self.lifetime(status, own) else {
            // There is one, but not for answers like this.
            let is_declared = self.declared && self.policy.ttl.is_some();
            let reason = if is_declared {
                Refusal::Status
            } else {
                Refusal::NoLifetime
            };
            return self.unstored(status, headers, &vary, reason);
        };
        // A hint is the word of whoever wrote the application, as a policy is.
        let declared = own.is_none() || self.hint_lifetime().is_some();
        if let Some(refusal) = self.refused(status, headers, &vary, declared && lifetime > 0) {
            return self.unstored(status, headers, &vary, refusal);
        }
        if self.length.is_some_and(|length| length > self.max_body()) {
            return Judged::Decline("too-long");
        }
        let life = self.life(status, headers, lifetime);
        let flags = ReuseFlags::of(&self.directives, own.is_some_and(|own| own.explicit));
        self.head(response, life, flags, &vary)
            .map_or(Judged::Decline("tags"), Judged::Store)
    }

    /// Returns what keeps the response out that neither a policy nor a directive can overrule.
    fn withheld(&self, headers: &HeaderMap, vary: &Vary) -> Option<&'static str> {
        let request = &self.kept.headers;
        let is_application = self.kept.shared.preset == Preset::Application;
        if self.hint.as_ref().is_some_and(|hint| hint.no_store) {
            Some("hint")
        } else if self.policy.no_store == Some(true) {
            Some("policy")
        } else if matches!(vary, Vary::Names(names) if too_wide(names, request)) {
            Some("wide-field")
        } else if is_application && hides_origin(request, headers) {
            Some("origin")
        } else if groups::groups(headers).is_err() {
            Some("groups")
        } else if streams_events(headers) {
            Some("event-stream")
        } else {
            self.is_mislabelled(headers).then_some("length")
        }
    }

    /// A body of another length than it announces is not the one that was meant (RFC 9111 §3.3).
    fn is_mislabelled(&self, headers: &HeaderMap) -> bool {
        self.length.is_some_and(|length| {
            headers.contains_key(header::CONTENT_LENGTH)
                && fields::content_length(headers) != Some(length)
        })
    }

    /// A failure is shared with those who wait for it, unless it is somebody's own.
    fn unstored(
        &self,
        status: StatusCode,
        headers: &HeaderMap,
        vary: &Vary,
        refusal: Refusal,
    ) -> Judged {
        let private = self.kept.is_particular()
            || self.directives.private != Scope::No
            || self.directives.has(Flag::NoStore)
            || headers.contains_key(header::SET_COOKIE)
            || !matches!(vary, Vary::None);
        let fits = self.length.is_none_or(|length| length <= self.max_body());
        if !is_failure(status) || private || !fits {
            return Judged::Decline(refusal.as_str());
        }
        Judged::Share(Arc::new(unstored(
            self.kept,
            status,
            &self.kept_fields(headers),
        )))
    }

    fn refused(
        &self,
        status: StatusCode,
        headers: &HeaderMap,
        vary: &Vary,
        policy_lifetime: bool,
    ) -> Option<Refusal> {
        let policy = &self.policy;
        let mut rules = match self.kept.shared.preset {
            Preset::Application => StoreRules::application(),
            Preset::Gateway => StoreRules::gateway(),
        };
        rules.statuses = policy.store_status.clone().unwrap_or_default();
        rules.set_cookie |= self.sets_allowed_cookies(headers);
        rules.identity_in_key = self.kept.identified;
        // What a HEAD brings is judged only beside a stored GET.
        let method = match &self.kept.method {
            &Method::HEAD => &Method::GET,
            method => method,
        };
        refusal(&StoreQuestion {
            method,
            target: &self.kept.uri,
            request: &RequestDirectives::of(&self.kept.headers),
            authorized: self.kept.facts.is_authorized(),
            status,
            response: headers,
            directives: &self.directives,
            vary,
            rules: &rules,
            policy_lifetime,
        })
    }

    fn sets_allowed_cookies(&self, headers: &HeaderMap) -> bool {
        match &self.policy.store_set_cookie {
            None => false,
            Some(SetCookies::Any) => true,
            Some(SetCookies::Named(names)) => {
                headers.get_all(header::SET_COOKIE).iter().all(|cookie| {
                    let name = cookie.as_bytes().split(|byte| *byte == b'=').next();
                    let name = fields::trim(name.unwrap_or_default());
                    names.iter().any(|allowed| allowed.as_bytes() == name)
                })
            }
        }
    }

    fn hint_lifetime(&self) -> Option<Duration> {
        self.hint.as_ref().and_then(|hint| hint.ttl)
    }

    /// How long the response is good by its own word: the handler's hint, then its fields.
    fn own_lifetime(&self, status: StatusCode, headers: &HeaderMap) -> Option<Lifetime> {
        if let Some(ttl) = self.hint_lifetime() {
            return Some(Lifetime {
                millis: millis(ttl),
                explicit: true,
            });
        }
        let date = freshness::date_of(headers, self.kept.shared.core.clock.wall());
        let guess = self.kept.shared.preset == Preset::Gateway;
        freshness::lifetime(headers, &self.directives, status, date, guess)
    }

    /// How long the response is good: by its own word, else by the policy that was declared.
    fn lifetime(&self, status: StatusCode, own: Option<Lifetime>) -> Option<u64> {
        let policy = &self.policy;
        let declared = policy
            .ttl
            .filter(|_| self.declared && self.is_meant(status));
        let declared = declared.map(millis);
        let is_negative = is_negative(status);
        let negative = policy.negative_ttl.map(millis).filter(|_| is_negative);
        let ttl = own.map(|own| own.millis).or(negative).or(declared);
        let heuristic = self.kept.shared.preset == Preset::Gateway;
        // A gateway also keeps what it can confirm, with a lifetime of zero.
        let ttl = ttl.or_else(|| heuristic.then_some(0))?;
        let mut most = millis(policy.ttl_cap.unwrap_or(MAX_TTL).min(MAX_TTL));
        if is_negative && self.kept.shared.preset == Preset::Application {
            most = most.min(millis(MAX_NEGATIVE_TTL));
        }
        Some(ttl.min(most))
    }

    /// Whether the lifetime of a policy is meant for answers of this status. It is that of pages: a
    /// gateway, which may store any status, would otherwise keep failures and refusals for as long.
    fn is_meant(&self, status: StatusCode) -> bool {
        let named = self.policy.store_status.as_deref().unwrap_or_default();
        matches!(status.as_u16(), 200 | 203 | 301 | 308) || named.contains(&status)
    }

    fn life(&self, status: StatusCode, headers: &HeaderMap, lifetime: u64) -> Life {
        let (core, policy) = (&self.kept.shared.core, &self.policy);
        // What a policy allows for pages is not meant for their absence, which is to end in time.
        let windows = (!is_negative(status)).then_some(policy);
        let (now, wall) = (core.clock.now(), core.clock.wall());
        let took = now.since(self.kept.requested);
        let initial_age = freshness::initial_age(headers, wall.before(took), wall);
        let share = policy.jitter.unwrap_or_default();
        let lifetime = millis(shorten(Duration::from_millis(lifetime), share, random()));
        let left = Duration::from_millis(lifetime.saturating_sub(initial_age));
        // A response that came in stale has been stale for some time.
        let overdue = Duration::from_millis(initial_age.saturating_sub(lifetime));
        let fresh_until = now.after(left).before(overdue);
        let revalidate_until = window(
            fresh_until,
            self.hint
                .as_ref()
                .and_then(|hint| hint.stale_while_revalidate),
            self.directives.stale_while_revalidate,
            windows.and_then(|policy| policy.stale_while_revalidate),
        );
        let error_until = window(
            fresh_until,
            self.hint.as_ref().and_then(|hint| hint.stale_if_error),
            self.directives.stale_if_error,
            windows.and_then(|policy| policy.stale_if_error),
        );
        // What was stale for longer than it is kept is as good as absent; counting from now keeps
        // it for that long at least.
        let kept = self.kept_for(headers);
        let gone_at = revalidate_until
            .max(error_until)
            .max(fresh_until.max(now).after(kept));
        Life {
            received: now,
            initial_age,
            fresh_until,
            refresh_from: self.refresh_from(fresh_until, left, took),
            revalidate_until,
            error_until,
            gone_at,
        }
    }

    fn kept_for(&self, headers: &HeaderMap) -> Duration {
        let confirmable =
            headers.contains_key(header::ETAG) || headers.contains_key(header::LAST_MODIFIED);
        match self.kept.shared.preset {
            Preset::Gateway => KEPT_FOR_OUTAGE,
            Preset::Application if confirmable => KEPT_FOR_VALIDATION,
            Preset::Application => Duration::ZERO,
        }
    }

    /// The moment from which on a reader starts a refresh: a share of the lifetime, or, with
    /// `xfetch`, earlier at random by the time that the handler took (Vattani et al., "Optimal
    /// Probabilistic Cache Stampede Prevention"). The moment is drawn once for each entry, since in
    /// one process one reader starts the refresh for all.
    fn refresh_from(&self, fresh_until: Timestamp, left: Duration, took: Duration) -> Timestamp {
        let policy = &self.policy;
        let mut from = Timestamp::NEVER;
        if let Some(share) = policy.refresh_ahead
            && share < 1.0
            && millis(left) >= SHORTEST_REFRESHED_AHEAD
        {
            from = fresh_until.before(left.mul_f64((1.0 - share).clamp(0.0, 1.0)));
        }
        if let Some(beta) = policy.xfetch
            && beta > 0.0
        {
            const STEPS: f64 = (1_u64 << 53) as f64;
            let drawn = ((random() >> 11) as f64 / STEPS).max(f64::MIN_POSITIVE);
            let early = took.as_secs_f64() * beta * -drawn.ln();
            from = from.min(fresh_until.before(Duration::try_from_secs_f64(early).unwrap_or(left)));
        }
        from
    }

    fn max_body(&self) -> u64 {
        let most = self.kept.shared.core.max_body;
        self.policy.max_body.map_or(most, |own| own.min(most))
    }

    /// The fields that are kept: without those of the connection and those that a directive takes
    /// out (RFC 9111 §3.1).
    fn kept_fields(&self, headers: &HeaderMap) -> HeaderMap {
        let mut kept = headers.clone();
        fields::strip_connection(&mut kept);
        for name in self.directives.withheld_fields() {
            kept.remove(name);
        }
        kept
    }

    /// Makes the head that is stored, and tells the client of what larder adds.
    fn head(
        &self,
        response: &mut Parts,
        life: Life,
        reuse: ReuseFlags,
        vary: &Vary,
    ) -> Option<Arc<Head>> {
        let kept = self.kept;
        let pattern = kept.matched.pattern();
        let params = pattern
            .map(|p| p.params(kept.uri.path()))
            .unwrap_or_default();
        let mut tags = tags_of_response(&self.policy, self.hint.as_ref(), &params)?;
        tags.extend(kept.inherited_tags());
        tags.sort_unstable();
        tags.dedup();
        if tags.len() > MAX_TAGS {
            return None;
        }
        let groups = groups::groups(&response.headers).unwrap_or_default();
        tags.extend(
            groups
                .iter()
                .map(|group| Target::group_tag(&kept.authority, group)),
        );
        let mut ids = kept.place().targets.to_vec();
        ids.extend(tags.iter().map(|tag| Target::Tag(Arc::clone(tag)).id()));
        let negotiated = self.is_negotiated(&response.headers);
        if negotiated {
            fields::add_member(&mut response.headers, &header::VARY, "accept-encoding");
        }
        let position = kept.position;
        #[cfg(larder_sabotage)]
        let position = if is_planted(Fault::LateSeal) {
            kept.shared.core.position()
        } else {
            position
        };
        Some(Arc::new(Head::new(HeadParts {
            key: kept.stored_key(&response.headers),
            status: response.status,
            fields: Fields::new(&self.kept_fields(&response.headers)),
            life,
            seal: Seal::new(position, ids)
                .begun(kept.oldest())
                .untagged(tags.is_empty()),
            tags: tags.into(),
            variation: self.variation(vary),
            reuse,
            negotiated,
        })))
    }

    /// Whether larder will keep the body gzip-compressed and choose the coding for each client. The
    /// identity answer has to say so too, the first one included.
    fn is_negotiated(&self, headers: &HeaderMap) -> bool {
        let wish = self.policy.compress.unwrap_or(Compress::Gzip);
        cfg!(feature = "gzip")
            && wish == Compress::Gzip
            && compressible(headers, self.length.unwrap_or(u64::MAX))
    }

    fn variation(&self, vary: &Vary) -> Option<Variation> {
        let Vary::Names(names) = vary else {
            return None;
        };
        let mut chosen = Vec::new();
        selecting(names, &self.kept.headers, &mut chosen);
        Some(Variation {
            names: Arc::clone(names),
            selecting: chosen.into(),
        })
    }
}

/// Returns whether a response says that there is nothing.
fn is_negative(status: StatusCode) -> bool {
    matches!(status, StatusCode::NOT_FOUND | StatusCode::GONE)
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Returns a random number, good enough to spread moments.
fn random() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(0_u8)
}

/// Returns the end of a window that begins at `from`: by the handler's hint, else its fields, else
/// the policy.
fn window(
    from: Timestamp,
    hint: Option<Duration>,
    header: Option<u64>,
    policy: Option<Duration>,
) -> Timestamp {
    let window = hint.or(header.map(Duration::from_secs)).or(policy);
    from.after(window.unwrap_or_default().min(MAX_TTL))
}

/// Returns the head of a response that is handed to those who wait and not stored.
pub(crate) fn unstored(kept: &Kept, status: StatusCode, headers: &HeaderMap) -> Head {
    let now = kept.shared.core.clock.now();
    Head::new(HeadParts {
        key: kept.key.clone(),
        status,
        fields: Fields::new(headers),
        life: Life {
            received: now,
            initial_age: 0,
            fresh_until: now,
            refresh_from: Timestamp::NEVER,
            revalidate_until: now,
            error_until: now,
            gone_at: now,
        },
        seal: kept.seal(),
        tags: Box::default(),
        variation: None,
        reuse: ReuseFlags::default(),
        negotiated: false,
    })
}

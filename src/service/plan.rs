//! The decision: which step follows from the request, what was found, and the moment.
//!
//! Everything that can be decided is decided here, and policies take part by the lifetimes and
//! windows that the entry was given when it was stored: there is no second check beside this one.

use crate::{
    clock::Timestamp,
    entry::Life,
    observe::Bypass,
    semantics::{
        directives::{Flag, RequestDirectives},
        reuse::{Allowance, Attempt, Obstacle, Reuse, ReuseFlags, ReuseQuestion, reuse},
    },
};

/// What the decision depends on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Question<'a> {
    /// What was found and is not void.
    pub(crate) stored: Option<Stored<'a>>,
    /// The key was found uncacheable a short while ago.
    pub(crate) marked: bool,
    pub(crate) is_head: bool,
    pub(crate) wants_range: bool,
    /// What the client asks for, if that is honoured.
    pub(crate) request: Option<&'a RequestDirectives>,
    pub(crate) now: Timestamp,
}

/// What the decision has to know of a stored response.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stored<'a> {
    pub(crate) life: &'a Life,
    pub(crate) flags: ReuseFlags,
    /// When it was soft-purged.
    pub(crate) soft_at: Option<Timestamp>,
    /// Whether a refresh may be tried, or is put off.
    pub(crate) may_retry: bool,
}

/// The step to take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Not for the cache: the handler answers this one alone.
    Bypass(Bypass),
    /// Serve what is stored.
    Serve(Standing),
    /// Serve what is stored, and let the handler run for the next ones.
    ServeAndRefresh(Standing),
    /// Ask the handler whether what is stored is still good.
    Revalidate(Reason),
    /// Ask the handler.
    Fetch,
    /// Nothing suitable is stored, and the client wants nothing else.
    OnlyIfCachedMiss,
}

/// How a served response stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    Fresh,
    Stale,
}

/// Why a stored response is not served as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    Stale,
    /// The client did not want it.
    Request,
}

/// Decides.
#[inline]
pub(crate) fn plan(question: &Question<'_>) -> Step {
    let Some(stored) = question.stored else {
        return nothing_stored(question);
    };
    if stored.is_plainly_fresh(question) {
        return Step::Serve(Standing::Fresh);
    }
    by_the_rules(question, stored)
}

fn by_the_rules(question: &Question<'_>, stored: Stored<'_>) -> Step {
    let Question { is_head, now, .. } = *question;
    match reuse(&stored.question(question, Attempt::None)) {
        Reuse::Fresh => {
            let early = stored.soft_at.is_none() && now >= stored.life.refresh_from;
            if early && stored.may_retry && !is_head {
                Step::ServeAndRefresh(Standing::Fresh)
            } else {
                Step::Serve(Standing::Fresh)
            }
        }
        Reuse::StaleAllowed(Allowance::WhileRevalidating) if stored.may_retry && !is_head => {
            Step::ServeAndRefresh(Standing::Stale)
        }
        Reuse::StaleAllowed(_) => Step::Serve(Standing::Stale),
        Reuse::MustValidate(obstacle) => must_validate(question, stored, obstacle),
    }
}

/// Returns whether the stored response may stand in for a run that failed.
pub(crate) fn stands_in(question: &Question<'_>, attempt: Attempt) -> bool {
    question.stored.is_some_and(|stored| {
        !matches!(
            reuse(&stored.question(question, attempt)),
            Reuse::MustValidate(_)
        )
    })
}

fn nothing_stored(question: &Question<'_>) -> Step {
    if question
        .request
        .is_some_and(|asked| asked.has(Flag::OnlyIfCached))
    {
        Step::OnlyIfCachedMiss
    } else if question.marked {
        Step::Bypass(Bypass::Marker)
    } else if question.wants_range {
        Step::Bypass(Bypass::Range)
    } else {
        Step::Fetch
    }
}

fn must_validate(question: &Question<'_>, stored: Stored<'_>, obstacle: Obstacle) -> Step {
    if question
        .request
        .is_some_and(|asked| asked.has(Flag::OnlyIfCached))
    {
        return Step::OnlyIfCachedMiss;
    }
    // While refreshes are put off after failures, readers are spared the wait for another one.
    if !stored.may_retry && stands_in(question, Attempt::Failed) {
        return Step::Serve(Standing::Stale);
    }
    match obstacle {
        Obstacle::NoCache | Obstacle::MustRevalidate | Obstacle::Stale => {
            Step::Revalidate(Reason::Stale)
        }
        Obstacle::RequestNoCache | Obstacle::RequestMaxAge | Obstacle::RequestMinFresh => {
            Step::Revalidate(Reason::Request)
        }
    }
}

impl Stored<'_> {
    /// Says whether nothing speaks against serving it, not even for a closer look: most hits are so.
    #[inline]
    fn is_plainly_fresh(&self, question: &Question<'_>) -> bool {
        let Life {
            received,
            fresh_until,
            refresh_from,
            ..
        } = *self.life;
        let is_early = question.now < fresh_until && question.now < refresh_from;
        // A clock that went back before the response came counts as no time passed.
        is_early
            && question.now >= received
            && self.soft_at.is_none()
            && question.request.is_none()
            && !self.flags.no_cache
    }

    /// Puts the moments of the entry as the spans that the rules of HTTP weigh. A soft purge ends
    /// freshness at its moment; both windows are counted from there.
    fn question<'a>(&self, question: &Question<'a>, attempt: Attempt) -> ReuseQuestion<'a> {
        let life = self.life;
        let fresh_until = self
            .soft_at
            .map_or(life.fresh_until, |at| at.min(life.fresh_until));
        let span = |from: Timestamp, to: Timestamp| to.as_millis().saturating_sub(from.as_millis());
        ReuseQuestion {
            age: life.age(question.now),
            lifetime: span(life.received, fresh_until).saturating_add(life.initial_age),
            flags: self.flags,
            stale_while_revalidate: span(life.fresh_until, life.revalidate_until),
            stale_if_error: span(life.fresh_until, life.error_until),
            request: question.request,
            attempt,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        entry::Seal,
        fence::{Fence, Mode, Snapshot, Verdict},
        policy::TargetId,
    };

    const START: Timestamp = Timestamp::from_millis(1_000_000);

    fn at(seconds: u64) -> Timestamp {
        START.after(Duration::from_secs(seconds))
    }

    /// Fresh for 10 s, then 5 s in which it is revalidated, 20 s in which it stands in.
    fn life() -> Life {
        Life {
            received: START,
            initial_age: 0,
            fresh_until: at(10),
            refresh_from: Timestamp::NEVER,
            revalidate_until: at(15),
            error_until: at(30),
            gone_at: at(30),
        }
    }

    fn stored(life: &Life) -> Stored<'_> {
        Stored {
            life,
            flags: ReuseFlags::default(),
            soft_at: None,
            may_retry: true,
        }
    }

    fn question(stored: Option<Stored<'_>>, now: Timestamp) -> Question<'_> {
        Question {
            stored,
            marked: false,
            is_head: false,
            wants_range: false,
            request: None,
            now,
        }
    }

    /// The rows "fresh", "expired in SWR", "expired in SIE" and "soft-purged" of the table of what
    /// may be served; "hard-purged" and "other epoch" never reach this decision: there is no entry.
    #[test]
    fn which_dead_entry_may_be_served() {
        let life = life();
        let stored = stored(&life);
        let soft = Stored {
            soft_at: Some(at(2)),
            ..stored
        };
        let fresh = Step::Serve(Standing::Fresh);
        let refreshed = Step::ServeAndRefresh(Standing::Stale);
        let asked = Step::Revalidate(Reason::Stale);
        let rows = [
            ("fresh", stored, 9, fresh, true),
            (
                "expired, in the window of revalidation",
                stored,
                12,
                refreshed,
                true,
            ),
            ("expired, in the window of errors", stored, 20, asked, true),
            ("expired, in no window", stored, 31, asked, false),
            (
                "soft-purged, in the window of revalidation",
                soft,
                6,
                refreshed,
                true,
            ),
            (
                "soft-purged, windows count from the purge",
                soft,
                8,
                asked,
                true,
            ),
            ("soft-purged, in no window", soft, 23, asked, false),
        ];
        for (row, stored, now, step, stand_in) in rows {
            let question = question(Some(stored), at(now));
            assert_eq!(plan(&question), step, "{row}");
            assert_eq!(
                stands_in(&question, Attempt::Failed),
                stand_in,
                "{row}, on failure"
            );
        }
        assert_eq!(plan(&question(None, at(1))), Step::Fetch, "void");
        assert!(
            !stands_in(&question(None, at(1)), Attempt::Failed),
            "void, on failure"
        );
    }

    /// What the fence says of an entry, in the form in which a look-up hands it on.
    fn judged<'a>(fence: &Fence, seal: &Seal, life: &'a Life) -> Option<Stored<'a>> {
        match fence.judge(seal) {
            Verdict::Valid => Some(stored(life)),
            Verdict::Soft(at) => Some(Stored {
                soft_at: Some(at),
                ..stored(life)
            }),
            Verdict::Dead(_) => None,
        }
    }

    const ENTRY: TargetId = TargetId(1);
    const OTHER: TargetId = TargetId(2);

    /// Returns what is done with an entry that is fresh, after something has happened to it, and
    /// whether it stands in for a run that failed.
    fn after(event: fn(&Fence)) -> (Step, bool) {
        let fence = Fence::new();
        let seal = Seal::new(fence.position(), vec![ENTRY]);
        event(&fence);
        let life = life();
        let question = question(judged(&fence, &seal, &life), at(6));
        (plan(&question), stands_in(&question, Attempt::Failed))
    }

    #[test]
    fn what_was_not_purged_or_softly_may_be_served() {
        let fresh = Step::Serve(Standing::Fresh);
        assert_eq!(after(|_| ()), (fresh, true));
        let other = after(|fence| {
            fence.stamp_local(&[OTHER], Mode::Hard);
        });
        assert_eq!(other, (fresh, true));
        let softly = after(|fence| {
            fence.stamp_local(&[ENTRY], Mode::Soft(at(2)));
        });
        assert_eq!(softly, (Step::ServeAndRefresh(Standing::Stale), true));
    }

    /// The rows "hard-purged" and "other epoch / below the floor" of that table.
    #[test]
    fn which_fenced_entry_may_never_be_served() {
        let rows: [(&str, fn(&Fence)); 5] = [
            ("hard-purged", |fence| {
                fence.stamp_local(&[OTHER, ENTRY], Mode::Hard);
            }),
            ("hard-purged and then softly", |fence| {
                fence.stamp_local(&[ENTRY], Mode::Hard);
                fence.stamp_local(&[ENTRY], Mode::Soft(at(6)));
            }),
            ("below the floor", |fence| {
                fence.raise_floor(fence.position().epoch, 9);
            }),
            ("of no epoch", Fence::lose),
            ("of another epoch", |fence| {
                fence.restart(Snapshot {
                    epoch: 77,
                    ..Snapshot::default()
                });
            }),
        ];
        for (row, event) in rows {
            assert_eq!(after(event), (Step::Fetch, false), "{row}");
        }
    }

    #[test]
    fn what_is_plainly_fresh_is_served_by_the_rules_too() {
        for (refresh_from, initial_age) in [(Timestamp::NEVER, 0), (at(7), 5_000)] {
            let life = Life {
                refresh_from,
                initial_age,
                ..life()
            };
            for no_cache in [false, true] {
                let stored = Stored {
                    flags: ReuseFlags {
                        no_cache,
                        ..ReuseFlags::default()
                    },
                    ..stored(&life)
                };
                for millis in (0..12_000).step_by(250) {
                    let now = START.after(Duration::from_millis(millis));
                    let question = question(Some(stored), now);
                    assert_eq!(plan(&question), by_the_rules(&question, stored), "{millis}");
                }
            }
        }
    }

    #[test]
    fn a_head_request_never_starts_a_refresh() {
        let life = life();
        let question = Question {
            is_head: true,
            ..question(Some(stored(&life)), at(12))
        };
        assert_eq!(plan(&question), Step::Serve(Standing::Stale));
    }

    #[test]
    fn a_refresh_ahead_is_started_by_a_reader_and_not_after_a_failure() {
        let life = Life {
            refresh_from: at(9),
            ..life()
        };
        let mut early = stored(&life);
        assert_eq!(
            plan(&question(Some(early), at(8))),
            Step::Serve(Standing::Fresh)
        );
        let refresh = Step::ServeAndRefresh(Standing::Fresh);
        assert_eq!(plan(&question(Some(early), at(9))), refresh);
        early.may_retry = false;
        assert_eq!(
            plan(&question(Some(early), at(9))),
            Step::Serve(Standing::Fresh)
        );
    }

    #[test]
    fn while_refreshes_are_put_off_readers_get_what_stands_in() {
        let life = life();
        let failed = Stored {
            may_retry: false,
            ..stored(&life)
        };
        assert_eq!(
            plan(&question(Some(failed), at(20))),
            Step::Serve(Standing::Stale)
        );
        assert_eq!(
            plan(&question(Some(failed), at(31))),
            Step::Revalidate(Reason::Stale)
        );
    }

    #[test]
    fn a_marked_key_and_a_range_without_the_whole_go_alone() {
        let marked = Question {
            marked: true,
            ..question(None, at(0))
        };
        assert_eq!(plan(&marked), Step::Bypass(Bypass::Marker));
        let part = Question {
            wants_range: true,
            ..question(None, at(0))
        };
        assert_eq!(plan(&part), Step::Bypass(Bypass::Range));
    }
}

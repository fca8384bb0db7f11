//! What there is to cache and to invalidate: two values, four pages, and the targets over them.
//!
//! The targets are those of the library. What each of them covers is written down by hand.

use std::{collections::HashMap, sync::OnceLock};

use crate::policy::{Target, TargetId};

/// The number of things that have an entry.
pub(super) const THINGS: usize = 6;

/// A page that belongs to no tag, so that its lifetime is its whole contract in an outage.
pub(super) const UNTAGGED: usize = 5;

/// A value under the handlers, or a page.
pub(super) struct Thing {
    pub(super) name: &'static str,
    /// The values that its handler reads through the cache.
    pub(super) over: &'static [usize],
    /// What every entry of it belongs to.
    pub(super) targets: Vec<TargetId>,
    /// What an answer says that it belongs to. The confirmation of an answer does not say it again.
    pub(super) learned: Vec<TargetId>,
}

/// Something to invalidate.
pub(super) struct Goal {
    pub(super) name: String,
    pub(super) id: TargetId,
    /// The things whose own data it covers.
    pub(super) covers: &'static [usize],
}

pub(super) struct Catalogue {
    pub(super) things: Vec<Thing>,
    pub(super) goals: Vec<Goal>,
    pub(super) everything: TargetId,
}

/// Returns the catalogue, which is the same for all runs.
pub(super) fn catalogue() -> &'static Catalogue {
    static CATALOGUE: OnceLock<Catalogue> = OnceLock::new();
    CATALOGUE.get_or_init(Catalogue::new)
}

const HOST: &str = "shop.test";

impl Catalogue {
    fn new() -> Self {
        let mut names = Names::default();
        let everything = names.of(Target::Everything.id());
        let goals = goals(&mut names);
        Self {
            things: things(&mut names),
            goals,
            everything,
        }
    }
}

fn goals(names: &mut Names) -> Vec<Goal> {
    let rows: [(Target, &'static [usize]); 13] = [
        (Target::tag("row:0"), &[0]),
        (Target::tag("row:1"), &[1]),
        (Target::tag("list"), &[2]),
        (Target::tag("item:2"), &[4]),
        (Target::url("/items/%31"), &[3]),
        (Target::exact(Some(HOST), "/list", Some("page=2")), &[2]),
        (Target::resource(Some(HOST), "/plain"), &[5]),
        (Target::url("/items/2"), &[4]),
        (Target::prefix(None, "/items/"), &[3, 4]),
        (Target::prefix(Some(HOST), "/"), &[2, 3, 4, 5]),
        (Target::route("/items/{id}"), &[3, 4]),
        (Target::host("SHOP.test"), &[2, 3, 4, 5]),
        (Target::Everything, &[0, 1, 2, 3, 4, 5]),
    ];
    let goal = |(target, covers): (Target, _)| Goal {
        name: target.to_string(),
        id: names.of(target.id()),
        covers,
    };
    rows.into_iter().map(goal).collect()
}

fn things(names: &mut Names) -> Vec<Thing> {
    type Row = (
        &'static str,
        Option<(&'static str, Option<&'static str>, &'static str)>,
        &'static [usize],
        Option<&'static str>,
    );
    let rows: [Row; THINGS] = [
        ("value 0", None, &[], Some("row:0")),
        ("value 1", None, &[], Some("row:1")),
        (
            "list",
            Some(("/list", Some("page=2"), "/list")),
            &[0, 1],
            Some("list"),
        ),
        (
            "item 1",
            Some(("/items/1", None, "/items/{id}")),
            &[0],
            None,
        ),
        (
            "item 2",
            Some(("/items/2", None, "/items/{id}")),
            &[],
            Some("item:2"),
        ),
        ("plain", Some(("/plain", None, "/plain")), &[], None),
    ];
    let thing = |(name, page, over, tag): Row| {
        let mut ids = Vec::new();
        match page {
            Some((path, query, route)) => {
                TargetId::of_request(HOST, path, query, Some(route), &mut ids);
            }
            None => ids.push(Target::Everything.id()),
        }
        Thing {
            name,
            over,
            targets: ids.into_iter().map(|id| names.of(id)).collect(),
            learned: tag
                .map(|tag| names.of(Target::tag(tag).id()))
                .into_iter()
                .collect(),
        }
    };
    rows.into_iter().map(thing).collect()
}

/// Small numbers in place of hashes, which are keyed anew in each process: what shares a bucket in
/// one run of a schedule has to share it in the next.
#[derive(Default)]
struct Names(HashMap<TargetId, TargetId>);

impl Names {
    fn of(&mut self, id: TargetId) -> TargetId {
        let next = u64::try_from(self.0.len()).unwrap();
        *self.0.entry(id).or_insert(TargetId(next))
    }
}

#[test]
fn what_a_goal_covers_by_hand_is_what_its_target_covers() {
    let catalogue = catalogue();
    for goal in &catalogue.goals {
        let covers =
            |thing: &Thing| thing.targets.contains(&goal.id) || thing.learned.contains(&goal.id);
        let covered: Vec<usize> = (0..THINGS)
            .filter(|thing| covers(&catalogue.things[*thing]))
            .collect();
        assert_eq!(covered, goal.covers, "{}", goal.name);
    }
}

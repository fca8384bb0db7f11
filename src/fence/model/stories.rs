//! Situations that chance alone seldom leads to: what happened in turn when something went wrong.
//!
//! A story says who does what; how far everything goes on in between is left to chance, and other
//! things happen before, after and in the middle of it.

use std::ops::RangeInclusive;

use super::{
    catalogue::{THINGS, catalogue},
    invalidate::{Ending, Wish},
    random::Random,
    schedule::Action,
    world::{Behind, Config},
};

/// Who and what a story is about.
struct Cast {
    /// The node that has the trouble, and one that has none.
    one: usize,
    other: usize,
    thing: usize,
    /// A target of the thing, or of a value in it, and a target that may be anything.
    goal: usize,
    another: usize,
}

/// A step of a story, and how many steps of tasks may follow it.
pub(super) type Step = (Action, RangeInclusive<usize>);

/// Enough for most of what was begun to end.
const ENDS: RangeInclusive<usize> = 25..=45;

/// A situation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Story {
    /// A node starts, and loads stamps of which some are folded meanwhile.
    StartsWhileNamesMove,
    /// A node starts, and the registry is replaced before it has loaded all of it.
    StartsWhileTheRegistryIsLost,
    /// A node that is behind asks about the targets of an entry, and names are folded meanwhile.
    AsksWhileNamesMove,
    /// A node writes the same twice while Redis does not answer, the second time while the first
    /// is being sent.
    WritesTwiceWhileCutOff,
    /// A node purges the same hard and softly while Redis does not answer.
    PurgesHardAndSoftly,
    /// The same is purged softly twice, and a node starts that has seen neither.
    PurgesSoftlyTwice,
    /// A node can not reach Redis, and another one writes.
    IsAway,
    /// A round of a mirror takes long, and the next one does not come about.
    HearsLate,
    /// What has expired is purged while two requests wait for its handler.
    IsPurgedWhileItIsAskedAbout,
    /// A node has no registry, then one, and then none again.
    LosesTheRegistryTwice,
}

impl Story {
    pub(super) const EACH: [Self; 10] = [
        Self::StartsWhileNamesMove,
        Self::StartsWhileTheRegistryIsLost,
        Self::AsksWhileNamesMove,
        Self::WritesTwiceWhileCutOff,
        Self::PurgesHardAndSoftly,
        Self::PurgesSoftlyTwice,
        Self::IsAway,
        Self::HearsLate,
        Self::IsPurgedWhileItIsAskedAbout,
        Self::LosesTheRegistryTwice,
    ];

    /// Tells it, with nodes and things taken by chance.
    pub(super) fn told(self, random: &mut Random, config: &mut Config) -> Vec<Step> {
        if random.percent(60) {
            self.prepare(random, config);
        }
        let cast = Cast::new(random, config.nodes);
        match self {
            Self::StartsWhileNamesMove => cast.starts_while_names_move(random),
            Self::StartsWhileTheRegistryIsLost => cast.starts_while_the_registry_is_lost(random),
            Self::AsksWhileNamesMove => cast.asks_while_names_move(random),
            Self::WritesTwiceWhileCutOff => cast.writes_twice_while_cut_off(random),
            Self::PurgesHardAndSoftly => cast.purges_hard_and_softly(random),
            Self::PurgesSoftlyTwice => cast.purges_softly_twice(random),
            Self::IsAway => cast.is_away(random),
            Self::HearsLate => cast.hears_late(random),
            Self::IsPurgedWhileItIsAskedAbout => cast.is_purged_while_it_is_asked_about(random),
            Self::LosesTheRegistryTwice => cast.loses_the_registry_twice(random),
        }
    }

    /// Makes it likely to matter.
    fn prepare(self, random: &mut Random, config: &mut Config) {
        match self {
            Self::StartsWhileNamesMove | Self::StartsWhileTheRegistryIsLost => {
                config.free.loads_stamps = true;
                config.registry.names = random.one_of(&[1, 3, 5]);
            }
            Self::AsksWhileNamesMove => {
                config.behind = Behind::Ask;
                config.registry.names = 1;
            }
            _ => {}
        }
    }
}

fn wish(node: usize, goals: [usize; 2], soft: bool) -> Action {
    let wish = Wish {
        goals,
        soft,
        halves: [false, true],
        echoes: 0,
    };
    Action::Change {
        node,
        wish,
        ending: Ending::Answered,
    }
}

impl Cast {
    fn new(random: &mut Random, nodes: usize) -> Self {
        let one = random.below(nodes);
        let thing = random.below(THINGS);
        let own = |goal: &usize| {
            let covers = catalogue().goals[*goal].covers;
            let over = catalogue().things[thing].over;
            covers.contains(&thing) || over.iter().any(|value| covers.contains(value))
        };
        let count = catalogue().goals.len();
        let goals: Vec<usize> = (0..count).filter(own).collect();
        Self {
            one,
            other: (one + 1 + random.below(nodes - 1)) % nodes,
            thing,
            goal: random.one_of(&goals),
            another: random.below(count),
        }
    }

    fn get(&self, node: usize) -> Action {
        let thing = self.thing;
        Action::Get { node, thing }
    }

    fn change(&self, node: usize) -> Action {
        wish(node, [self.goal; 2], false)
    }

    fn starts_while_names_move(&self, random: &mut Random) -> Vec<Step> {
        let second = random.below(catalogue().goals.len());
        let goals = [
            self.goal,
            if random.percent(50) {
                second
            } else {
                self.goal
            },
        ];
        vec![
            (self.get(self.other), ENDS),
            (wish(self.other, [self.another; 2], false), ENDS),
            (wish(self.other, goals, false), ENDS),
            (Action::Wait(1_100), 0..=10),
            (Action::RestartNode(self.one), 0..=16),
            (wish(self.other, [self.another; 2], false), 0..=12),
            (Action::Wait(30), ENDS),
            (self.get(self.one), ENDS),
        ]
    }

    fn starts_while_the_registry_is_lost(&self, random: &mut Random) -> Vec<Step> {
        let next = if random.percent(50) {
            wish(self.other, [self.another; 2], false)
        } else {
            Action::Wait(1)
        };
        vec![
            (self.get(self.other), ENDS),
            (self.change(self.other), ENDS),
            (Action::Wait(1_100), 0..=10),
            (Action::RestartNode(self.one), 0..=12),
            (Action::Evict(random.below(5)), 0..=2),
            (next, 0..=10),
            (Action::Wait(1), 0..=20),
            (self.get(self.one), 0..=20),
        ]
    }

    fn asks_while_names_move(&self, _: &mut Random) -> Vec<Step> {
        vec![
            (self.get(self.one), ENDS),
            (
                Action::Hold {
                    node: self.one,
                    connection: 1,
                    held: true,
                },
                0..=1,
            ),
            (self.change(self.other), ENDS),
            (Action::Wait(1_100), 0..=10),
            (self.get(self.one), 2..=10),
            (wish(self.other, [self.another; 2], false), 0..=20),
            (
                Action::Hold {
                    node: self.one,
                    connection: 1,
                    held: false,
                },
                0..=10,
            ),
        ]
    }

    fn writes_twice_while_cut_off(&self, _: &mut Random) -> Vec<Step> {
        let (node, lane, mirror) = (self.one, 0, 1);
        vec![
            (
                Action::Hold {
                    node,
                    connection: mirror,
                    held: true,
                },
                0..=4,
            ),
            (self.change(node), ENDS),
            (Action::Wait(110), 0..=20),
            (self.get(self.other), ENDS),
            (
                Action::Cut {
                    node,
                    connection: lane,
                    cut: true,
                },
                0..=1,
            ),
            (self.change(node), 0..=12),
            (
                Action::Cut {
                    node,
                    connection: lane,
                    cut: false,
                },
                0..=1,
            ),
            (
                Action::Hold {
                    node,
                    connection: mirror,
                    held: false,
                },
                ENDS,
            ),
            (self.get(node), ENDS),
        ]
    }

    fn purges_hard_and_softly(&self, _: &mut Random) -> Vec<Step> {
        let (node, lane) = (self.one, 0);
        vec![
            (self.get(self.other), ENDS),
            (
                Action::Cut {
                    node,
                    connection: lane,
                    cut: true,
                },
                0..=1,
            ),
            (self.change(node), 0..=12),
            (wish(node, [self.goal; 2], true), 0..=12),
            (
                Action::Cut {
                    node,
                    connection: lane,
                    cut: false,
                },
                0..=1,
            ),
            (Action::Wait(100), ENDS),
            (Action::Wait(1_100), ENDS),
            (self.get(self.other), ENDS),
        ]
    }

    fn purges_softly_twice(&self, random: &mut Random) -> Vec<Step> {
        let wait = [200, 450, 700, 1_100, 2_500];
        let purge = wish(self.other, [self.goal; 2], true);
        vec![
            (self.get(self.other), ENDS),
            (purge, 0..=20),
            (Action::Wait(random.one_of(&wait)), 0..=5),
            (purge, 0..=20),
            (Action::RestartNode(self.one), ENDS),
            (Action::Wait(random.one_of(&wait)), 0..=5),
            (self.get(self.one), 0..=20),
        ]
    }

    fn is_away(&self, random: &mut Random) -> Vec<Step> {
        let over = catalogue().things[self.thing].over;
        let first = if over.is_empty() {
            self.thing
        } else {
            random.one_of(over)
        };
        let node = self.one;
        let away = |connection| Action::Cut {
            node,
            connection,
            cut: true,
        };
        vec![
            (away(0), 0..=1),
            (away(1), 0..=10),
            (Action::Wait(1_100), 0..=20),
            (Action::Get { node, thing: first }, ENDS),
            (self.change(self.other), ENDS),
            (Action::Wait(random.one_of(&[450, 700])), 0..=1),
            (self.get(node), ENDS),
            (Action::Wait(random.one_of(&[450, 700])), 0..=1),
            (self.get(node), ENDS),
        ]
    }

    fn hears_late(&self, random: &mut Random) -> Vec<Step> {
        let hold = |held| Action::Hold {
            node: self.one,
            connection: 1,
            held,
        };
        vec![
            (self.get(self.one), ENDS),
            (Action::Wait(450), 0..=6),
            (hold(true), 0..=2),
            (self.change(self.other), ENDS),
            (Action::Wait(random.one_of(&[450, 700, 1_100])), 0..=2),
            (hold(false), 0..=6),
            (hold(true), 0..=1),
            (Action::Wait(random.one_of(&[450, 700])), 0..=1),
            (self.get(self.one), 0..=10),
        ]
    }

    fn is_purged_while_it_is_asked_about(&self, random: &mut Random) -> Vec<Step> {
        vec![
            (self.get(self.one), ENDS),
            (Action::Wait(random.one_of(&[100, 450, 3_100])), 0..=4),
            (self.get(self.one), 0..=6),
            (self.get(self.one), 0..=6),
            (self.change(self.one), ENDS),
            (self.get(self.one), ENDS),
        ]
    }

    fn loses_the_registry_twice(&self, _: &mut Random) -> Vec<Step> {
        let memory = |out| Action::Memory { out };
        vec![
            (memory(true), 0..=2),
            (Action::Evict(0), ENDS),
            (self.get(self.one), ENDS),
            (memory(false), 0..=2),
            (Action::Wait(100), ENDS),
            (self.change(self.other), ENDS),
            (memory(true), 0..=2),
            (Action::Evict(0), ENDS),
            (self.get(self.one), ENDS),
            (memory(false), 0..=2),
        ]
    }
}

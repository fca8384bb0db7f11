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

/// Returns one of the stories.
pub(super) fn story(random: &mut Random, config: &mut Config) -> Vec<Step> {
    let nodes = config.nodes;
    let one = random.below(nodes);
    let thing = random.below(THINGS);
    let own = |goal: &usize| {
        let covers = catalogue().goals[*goal].covers;
        let over = catalogue().things[thing].over;
        covers.contains(&thing) || over.iter().any(|value| covers.contains(value))
    };
    let count = catalogue().goals.len();
    let goals: Vec<usize> = (0..count).filter(own).collect();
    let cast = Cast {
        one,
        other: (one + 1 + random.below(nodes - 1)) % nodes,
        thing,
        goal: random.one_of(&goals),
        another: random.below(count),
    };
    let stories = [
        Cast::starts_while_names_move,
        Cast::starts_while_the_registry_is_lost,
        Cast::asks_while_names_move,
        Cast::writes_twice_while_cut_off,
        Cast::purges_hard_and_softly,
        Cast::purges_softly_twice,
        Cast::is_away,
        Cast::hears_late,
    ];
    let story = random.below(stories.len());
    if random.percent(60) {
        prepare(story, random, config);
    }
    stories[story](&cast, random)
}

/// Makes the first three stories likely to matter.
fn prepare(story: usize, random: &mut Random, config: &mut Config) {
    if story < 2 {
        config.free.loads_stamps = true;
        config.registry.names = random.one_of(&[1, 2, 3]);
    } else if story == 2 {
        config.behind = Behind::Ask;
        config.registry.names = 1;
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
    fn get(&self, node: usize) -> Action {
        let thing = self.thing;
        Action::Get { node, thing }
    }

    fn change(&self, node: usize) -> Action {
        wish(node, [self.goal; 2], false)
    }

    /// A node starts, and loads stamps of which some are folded meanwhile.
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
            (Action::RestartNode(self.one), 0..=16),
            (wish(self.other, [self.another; 2], false), 0..=12),
            (Action::Wait(30), ENDS),
            (self.get(self.one), ENDS),
        ]
    }

    /// A node starts, and the registry is replaced before it has loaded all of it.
    fn starts_while_the_registry_is_lost(&self, random: &mut Random) -> Vec<Step> {
        vec![
            (self.get(self.other), ENDS),
            (self.change(self.other), ENDS),
            (Action::RestartNode(self.one), 0..=12),
            (Action::Evict(random.below(5)), 0..=2),
            (wish(self.other, [self.another; 2], false), 0..=10),
            (Action::Wait(1), 0..=20),
            (self.get(self.one), 0..=20),
        ]
    }

    /// A node that is behind asks about the targets of an entry, and names are folded meanwhile.
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
            (Action::Wait(1_100), 0..=10),
            (self.change(self.other), ENDS),
            (self.get(self.one), 0..=10),
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

    /// A node writes the same twice while Redis does not answer, the second time while the first
    /// is being sent.
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

    /// A node purges the same hard and softly while Redis does not answer.
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

    /// The same is purged softly twice, and a node starts that has seen neither.
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

    /// A node can not reach Redis, and another one writes.
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

    /// A round of a mirror takes long, and the next one does not come about.
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
}

//! What happens in a run: a list of events, made from a seed, and shortened when something breaks.

use std::{collections::BTreeMap, rc::Rc};

use super::{
    catalogue::{THINGS, catalogue},
    invalidate::{Ending, Wish},
    random::Random,
    registry::Limits,
    rules::Rules,
    stories::{Step, Story},
    world::{Behind, Config, Free, World},
};
use crate::fence::Sizes;

/// Something that happens, and how far everything goes on after it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Event {
    action: Action,
    steps: usize,
    seed: u64,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Action {
    Get {
        node: usize,
        thing: usize,
    },
    Change {
        node: usize,
        wish: Wish,
        ending: Ending,
    },
    Tell(Wish),
    Wait(u64),
    Cut {
        node: usize,
        connection: usize,
        cut: bool,
    },
    Hold {
        node: usize,
        connection: usize,
        held: bool,
    },
    LoseReply {
        node: usize,
    },
    Save,
    RestartServer {
        from_saved: bool,
        skew: i64,
    },
    Evict(usize),
    Flush,
    Memory {
        out: bool,
    },
    RestartNode(usize),
}

/// A run that can be repeated.
#[derive(Clone, Debug)]
pub(super) struct Schedule {
    pub(super) seed: u64,
    config: Config,
    events: Vec<Event>,
}

/// How often each kind of thing happens, of a hundred; the rest are requests and writes.
#[derive(Clone, Copy)]
struct Weather {
    waits: usize,
    lines: usize,
    server: usize,
    nodes: usize,
    /// The share of writes among requests, and of soft purges among writes.
    writes: usize,
    soft: usize,
    /// How many targets are written. What is asked for is what they cover: few make for many races.
    goals: usize,
}

#[rustfmt::skip]
const WEATHER: [Weather; 8] = [
    Weather { waits: 10, lines: 0, server: 0, nodes: 0, writes: 35, soft: 15, goals: 13 },
    Weather { waits: 25, lines: 0, server: 0, nodes: 4, writes: 30, soft: 15, goals: 1 },
    Weather { waits: 25, lines: 15, server: 0, nodes: 2, writes: 20, soft: 5, goals: 1 },
    Weather { waits: 20, lines: 25, server: 3, nodes: 1, writes: 40, soft: 30, goals: 2 },
    Weather { waits: 20, lines: 8, server: 15, nodes: 3, writes: 30, soft: 10, goals: 2 },
    Weather { waits: 20, lines: 20, server: 10, nodes: 5, writes: 40, soft: 10, goals: 13 },
    Weather { waits: 10, lines: 2, server: 0, nodes: 15, writes: 45, soft: 10, goals: 4 },
    Weather { waits: 10, lines: 3, server: 15, nodes: 15, writes: 40, soft: 0, goals: 3 },
];

impl Schedule {
    /// Makes a schedule that is short and about one story, or long, with two, one or none.
    pub(super) fn new(seed: u64) -> Self {
        let random = &mut Random::new(seed);
        let story = random.one_of(&Story::EACH);
        if random.percent(50) {
            return Self::about(story, seed);
        }
        let count = 10 + random.below(70);
        let stories = random.below(3);
        Self::with(
            seed,
            count,
            &[story, random.one_of(&Story::EACH)][..stories],
        )
    }

    /// Makes a schedule that is short and about one story.
    pub(super) fn about(story: Story, seed: u64) -> Self {
        let random = &mut Random::new(seed ^ 3);
        let mut schedule = Self::with(seed, random.below(5), &[story]);
        if random.percent(70) {
            schedule.config.slowest = 0;
        }
        schedule
    }

    fn with(seed: u64, count: usize, stories: &[Story]) -> Self {
        let random = &mut Random::new(seed ^ 4);
        let mut config = config(random);
        let weather = random.one_of(&WEATHER);
        let goals: Vec<usize> = (0..weather.goals)
            .map(|_| random.below(catalogue().goals.len()))
            .collect();
        let things = (0..THINGS)
            .filter(|thing| concerns(&goals, *thing))
            .collect();
        let mut maker = Maker {
            random,
            config,
            weather,
            goals,
            things,
        };
        let mut events: Vec<Event> = (0..count).map(|_| maker.event()).collect();
        for story in stories {
            tell(story.told(random, &mut config), &mut events, random);
        }
        Self {
            seed,
            config,
            events,
        }
    }

    /// Runs it, and says whether it went wrong.
    pub(super) fn run(&self, rules: Rules) -> bool {
        self.play(rules, false).end()
    }

    /// Runs it with all rules, and says whether it went wrong, and how often what happened.
    pub(super) fn watched(&self) -> (bool, BTreeMap<&'static str, usize>) {
        let world = self.play(Rules::ALL, false);
        (world.end(), world.seen())
    }

    fn play(&self, rules: Rules, traced: bool) -> Rc<World> {
        let world = World::new(self.config, rules, self.seed, traced);
        world.run(60, &mut Random::new(self.seed));
        for event in &self.events {
            if world.has_failed() {
                break;
            }
            *world.random.borrow_mut() = Random::new(event.seed);
            world.note(|| format!("-- {:?}", event.action));
            event.action.take(&world);
            world.run(event.steps, &mut Random::new(event.seed ^ 1));
        }
        settle(&world, self.seed);
        world
    }

    /// Returns a shorter schedule that goes wrong too.
    pub(super) fn shortened(mut self, rules: Rules) -> Self {
        let mut size = self.events.len().div_ceil(2);
        while size > 0 {
            let mut at = 0;
            while at < self.events.len() {
                let mut shorter = self.clone();
                let end = (at + size).min(self.events.len());
                shorter.events.drain(at..end);
                if shorter.run(rules) {
                    self = shorter;
                } else {
                    at += size;
                }
            }
            size /= 2;
        }
        self
    }

    /// Returns what happens in it, for people.
    pub(super) fn told(&self, rules: Rules) -> String {
        let world = self.play(rules, true);
        world.end();
        format!(
            "seed {}, {:?}\n{}",
            self.seed,
            self.config,
            world.trace().join("\n")
        )
    }
}

/// Puts a story in among the events, here and there with one of them in the middle of it.
fn tell(story: Vec<Step>, events: &mut Vec<Event>, random: &mut Random) {
    let mut at = random.below(events.len() + 1);
    for (action, steps) in story {
        let event = Event {
            action,
            steps: steps.start() + random.below(steps.end() - steps.start() + 1),
            seed: random.next(),
        };
        events.insert(at, event);
        let skipped = 1 + usize::from(random.percent(15));
        at = (at + skipped).min(events.len());
    }
}

/// Lets everything come to rest with nothing in the way, and asks every node for everything.
fn settle(world: &Rc<World>, seed: u64) {
    let random = &mut Random::new(seed ^ 2);
    for node in world.nodes() {
        for connection in 0..2 {
            Action::Cut {
                node: node.place,
                connection,
                cut: false,
            }
            .take(world);
            Action::Hold {
                node: node.place,
                connection,
                held: false,
            }
            .take(world);
        }
    }
    Action::Memory { out: false }.take(world);
    for round in 0..2 {
        world.note(|| format!("-- settling {round}"));
        for node in world.nodes() {
            for thing in World::all_things() {
                Action::Get {
                    node: node.place,
                    thing,
                }
                .take(world);
            }
        }
        for _ in 0..4 {
            world.run(40, random);
            world.advance(450);
        }
    }
}

impl Action {
    fn take(self, world: &Rc<World>) {
        let mut server = world.server.borrow_mut();
        match self {
            Self::Get { node, thing } => {
                drop(server);
                let node = world.node(node);
                let (life, get) = (node.life, node.get(thing));
                world
                    .tasks
                    .spawn(Some(life), async move { drop(get.await) });
            }
            Self::Change { node, wish, ending } => {
                drop(server);
                let node = world.node(node);
                world
                    .tasks
                    .spawn(Some(node.life), node.change(wish, ending));
            }
            Self::Tell(wish) => {
                drop(server);
                world.tell(wish);
            }
            Self::Wait(millis) => world.advance(millis),
            Self::Cut {
                node,
                connection,
                cut,
            } => {
                world.with_line(node, connection, |line| line.is_cut = cut);
            }
            Self::Hold {
                node,
                connection,
                held,
            } => {
                world.with_line(node, connection, |line| line.is_held = held);
            }
            Self::LoseReply { node } => world.with_line(node, 0, |line| line.loses_reply = true),
            Self::Save => server.save(),
            Self::RestartServer { from_saved, skew } => server.restart(from_saved, skew),
            Self::Evict(key) => server.evict(key),
            Self::Flush => server.flush(),
            Self::Memory { out } => server.out_of_memory = out,
            Self::RestartNode(node) => {
                drop(server);
                world.restart_node(node);
            }
        }
    }
}

fn config(random: &mut Random) -> Config {
    let buckets = random.one_of(&[3, 7, 16]);
    Config {
        nodes: 2 + random.below(2),
        strict: random.percent(35),
        free: Free {
            head_first: random.percent(50),
            private_epoch: random.percent(50),
            loads_stamps: random.percent(70),
        },
        behind: random.one_of(&[Behind::Wait, Behind::Ask, Behind::Miss]),
        registry: Limits {
            names: random.one_of(&[1, 3, 20]),
            buckets,
            lines: random.one_of(&[1, 3, 10]),
        },
        node: Sizes {
            names: random.one_of(&[1, 3, 20]),
            buckets,
            shards: 1,
        },
        outbox: random.one_of(&[1, 2, 5]),
        slowest: random.one_of(&[0, 50, 1_500, 4_000]),
    }
}

/// Says whether a write to one of `goals` is seen in a thing.
fn concerns(goals: &[usize], thing: usize) -> bool {
    let shown = |part: &usize| *part == thing || catalogue().things[thing].over.contains(part);
    goals
        .iter()
        .any(|goal| catalogue().goals[*goal].covers.iter().any(shown))
}

struct Maker<'a> {
    random: &'a mut Random,
    config: Config,
    weather: Weather,
    goals: Vec<usize>,
    things: Vec<usize>,
}

impl Maker<'_> {
    fn event(&mut self) -> Event {
        let action = self.action();
        let steps = self.random.one_of(&[0, 1, 2, 4, 8, 15, 30]);
        Event {
            action,
            steps,
            seed: self.random.next(),
        }
    }

    fn action(&mut self) -> Action {
        let Weather {
            waits,
            lines,
            server,
            nodes,
            ..
        } = self.weather;
        let kind = self.random.below(100);
        if kind < waits {
            Action::Wait(self.random.one_of(&[1, 30, 200, 450, 700, 1_100, 2_500]))
        } else if kind < waits + lines {
            self.on_a_line()
        } else if kind < waits + lines + server {
            self.on_the_server()
        } else if kind < waits + lines + server + nodes {
            Action::RestartNode(self.node())
        } else if self.random.percent(self.weather.writes) {
            self.change()
        } else {
            Action::Get {
                node: self.node(),
                thing: self.random.one_of(&self.things),
            }
        }
    }

    fn node(&mut self) -> usize {
        self.random.below(self.config.nodes)
    }

    fn change(&mut self) -> Action {
        let [first, second] = [(); 2].map(|()| self.random.one_of(&self.goals));
        let wish = Wish {
            goals: [
                first,
                if self.random.percent(25) {
                    second
                } else {
                    first
                },
            ],
            soft: self.random.percent(self.weather.soft),
            halves: self
                .random
                .one_of(&[[true, true], [true, false], [false, true]]),
            echoes: 0,
        };
        if self.random.percent(10) {
            return Action::Tell(Wish {
                soft: false,
                ..wish
            });
        }
        let ending = if self.random.percent(10) {
            Ending::Uncertain
        } else {
            Ending::Answered
        };
        Action::Change {
            node: self.node(),
            wish,
            ending,
        }
    }

    fn on_a_line(&mut self) -> Action {
        let (node, connection) = (self.node(), self.random.below(2));
        match self.random.below(5) {
            0 | 1 => Action::Cut {
                node,
                connection,
                cut: self.random.percent(50),
            },
            2 | 3 => Action::Hold {
                node,
                connection,
                held: self.random.percent(50),
            },
            _ => Action::LoseReply { node },
        }
    }

    fn on_the_server(&mut self) -> Action {
        match self.random.below(8) {
            0 | 1 => Action::Save,
            2 | 3 => Action::RestartServer {
                from_saved: self.random.percent(75),
                skew: self.random.one_of(&[0, -20_000, -3_000, 10_000]),
            },
            4 | 5 => Action::Evict(self.random.below(5)),
            6 => Action::Memory {
                out: self.random.percent(50),
            },
            _ => Action::Flush,
        }
    }
}

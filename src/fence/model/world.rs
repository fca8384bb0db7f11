//! One run: nodes, a Redis between them, an application behind them, and who watches.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet},
    fmt,
    rc::Rc,
};

use super::{
    catalogue::THINGS,
    line::{Connection, Line},
    mirror,
    node::Node,
    oracle::Oracle,
    origin::Origin,
    outbox,
    random::Random,
    registry::Limits,
    rules::Rules,
    server::Server,
    tasks::Tasks,
};
use crate::fence::Sizes;

/// When a run begins, in milliseconds.
const START: u64 = 1_000_000;

/// What differs from run to run, beside what happens.
#[derive(Clone, Copy, Debug)]
pub(super) struct Config {
    pub(super) nodes: usize,
    pub(super) strict: bool,
    pub(super) free: Free,
    pub(super) behind: Behind,
    pub(super) registry: Limits,
    pub(super) node: Sizes,
    /// How many targets an outbox holds.
    pub(super) outbox: usize,
    /// How long the slowest handler waits between two reads, in milliseconds.
    pub(super) slowest: u64,
}

/// What an implementation may do as it likes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Free {
    /// Whether a round of the mirror reads `seq` before the log, or after it.
    pub(super) head_first: bool,
    /// Whether a node without a registry has an epoch of its own, or none.
    pub(super) private_epoch: bool,
    /// Whether a mirror that starts loads the stamps, or raises the floor.
    pub(super) loads_stamps: bool,
}

/// What a node does when the registry has counted further than its mirror.
#[derive(Clone, Copy, Debug)]
pub(super) enum Behind {
    Wait,
    Ask,
    Miss,
}

pub(super) struct World {
    pub(super) config: Config,
    pub(super) rules: Rules,
    pub(super) tasks: Tasks,
    pub(super) random: RefCell<Random>,
    now: Cell<u64>,
    pub(super) server: RefCell<Server>,
    pub(super) origin: RefCell<Origin>,
    pub(super) oracle: RefCell<Oracle>,
    pub(super) lines: RefCell<Vec<[Line; 2]>>,
    nodes: RefCell<Vec<Rc<Node>>>,
    lives: Cell<u64>,
    pub(super) messages: Cell<u64>,
    /// Messages that somebody acts on.
    acted_on: RefCell<BTreeSet<(u64, u64)>>,
    has_failed: Cell<bool>,
    /// How often what happened, so that a run can be seen to be about something.
    seen: RefCell<BTreeMap<&'static str, usize>>,
    trace: Option<RefCell<Vec<String>>>,
}

impl World {
    pub(super) fn new(config: Config, rules: Rules, seed: u64, traced: bool) -> Rc<Self> {
        let world = Rc::new(Self {
            config,
            rules,
            tasks: Tasks::default(),
            random: RefCell::new(Random::new(seed)),
            now: Cell::new(START),
            server: RefCell::new(Server::new(config.registry, rules)),
            origin: RefCell::default(),
            oracle: RefCell::new(Oracle::new(config.nodes)),
            lines: RefCell::new((0..config.nodes).map(|_| Default::default()).collect()),
            nodes: RefCell::default(),
            lives: Cell::new(0),
            messages: Cell::new(0),
            acted_on: RefCell::default(),
            has_failed: Cell::new(false),
            seen: RefCell::default(),
            trace: traced.then(RefCell::default),
        });
        for place in 0..config.nodes {
            let node = world.born(place);
            world.nodes.borrow_mut().push(node);
        }
        world
    }

    /// Starts a process in the place of a node.
    fn born(self: &Rc<Self>, place: usize) -> Rc<Node> {
        self.lives.set(self.lives.get() + 1);
        let node = Node::new(self, place, self.lives.get());
        self.tasks
            .spawn(Some(node.life), mirror::run(Rc::clone(&node)));
        self.tasks
            .spawn(Some(node.life), outbox::run(Rc::clone(&node)));
        node
    }

    pub(super) fn restart_node(self: &Rc<Self>, place: usize) {
        self.tasks.end(self.node(place).life);
        self.oracle.borrow_mut().forget_local(place);
        for line in &mut self.lines.borrow_mut()[place] {
            line.connected_to = None;
        }
        let node = self.born(place);
        self.nodes.borrow_mut()[place] = node;
    }

    pub(super) fn node(&self, place: usize) -> Rc<Node> {
        Rc::clone(&self.nodes.borrow()[place])
    }

    pub(super) fn nodes(&self) -> Vec<Rc<Node>> {
        self.nodes.borrow().clone()
    }

    pub(super) fn now(&self) -> u64 {
        self.now.get()
    }

    pub(super) fn advance(&self, millis: u64) {
        self.now.set(self.now.get() + millis);
    }

    /// Waits for `millis` milliseconds.
    pub(super) async fn sleep(&self, millis: u64) {
        let end = self.now() + millis;
        self.tasks.step().await;
        self.tasks.until(|| self.now() >= end).await;
    }

    /// Lets up to `count` steps be taken, until one goes wrong.
    pub(super) fn run(&self, count: usize, random: &mut Random) {
        for _ in 0..count {
            if self.has_failed() || !self.tasks.run_one(random) {
                break;
            }
        }
    }

    pub(super) fn line(&self, place: usize, connection: Connection) -> Line {
        self.lines.borrow()[place][connection as usize].clone()
    }

    pub(super) fn with_line(
        &self,
        place: usize,
        connection: usize,
        change: impl FnOnce(&mut Line),
    ) {
        change(&mut self.lines.borrow_mut()[place][connection]);
    }

    pub(super) fn percent(&self, percent: usize) -> bool {
        self.random.borrow_mut().percent(percent)
    }

    /// A node acts on a message, which it claimed in one memory of the server, or not at all.
    pub(super) fn acts_on(&self, message: u64, claimed: Option<u64>) {
        let first =
            claimed.is_some_and(|memory| self.acted_on.borrow_mut().insert((message, memory)));
        if !first {
            self.fail("a second node acts on a message");
        }
    }

    pub(super) fn note(&self, line: impl FnOnce() -> String) {
        if let Some(trace) = &self.trace {
            let line = format!("{:>7} {}", self.now() - START, line());
            trace.borrow_mut().push(line);
        }
    }

    pub(super) fn trace(&self) -> Vec<String> {
        self.trace
            .as_ref()
            .map(|trace| trace.borrow().clone())
            .unwrap_or_default()
    }

    pub(super) fn saw(&self, what: &'static str) {
        *self.seen.borrow_mut().entry(what).or_default() += 1;
    }

    pub(super) fn seen(&self) -> BTreeMap<&'static str, usize> {
        self.seen.borrow().clone()
    }

    /// Something is that must not be.
    pub(super) fn fail(&self, what: &str) {
        self.note(|| format!("VIOLATION {what}"));
        self.has_failed.set(true);
    }

    pub(super) fn has_failed(&self) -> bool {
        self.has_failed.get()
    }

    /// Ends the run, and says whether it went wrong.
    pub(super) fn end(&self) -> bool {
        self.tasks.end_all();
        self.nodes.borrow_mut().clear();
        self.has_failed()
    }

    pub(super) fn all_things() -> std::ops::Range<usize> {
        0..THINGS
    }
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("World").finish_non_exhaustive()
    }
}

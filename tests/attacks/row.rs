//! What a row of the table is.

use std::fmt;

use crate::support::script::{Bench, Step, Verdict};

/// One attack.
pub(crate) struct Row {
    pub(crate) id: &'static str,
    /// What the attacker tries.
    pub(crate) what: &'static str,
    /// Why it can not be sent over HTTP/2; none if it can.
    pub(crate) first_only: Option<&'static str>,
    play: Play,
}

enum Play {
    Steps(Vec<Step>),
    Drive(fn(&Bench<'_>) -> Verdict),
}

impl Row {
    pub(crate) fn steps(id: &'static str, what: &'static str, steps: Vec<Step>) -> Self {
        Self::new(id, what, Play::Steps(steps))
    }

    pub(crate) fn drive(
        id: &'static str,
        what: &'static str,
        drive: fn(&Bench<'_>) -> Verdict,
    ) -> Self {
        Self::new(id, what, Play::Drive(drive))
    }

    fn new(id: &'static str, what: &'static str, play: Play) -> Self {
        Self {
            id,
            what,
            first_only: None,
            play,
        }
    }

    pub(crate) fn first_only(mut self, why: &'static str) -> Self {
        self.first_only = Some(why);
        self
    }

    /// Plays the row over one wire.
    pub(crate) fn play(&self, bench: &Bench<'_>) -> Verdict {
        match &self.play {
            Play::Steps(steps) => bench.play(steps),
            Play::Drive(drive) => drive(bench),
        }
    }
}

impl fmt::Debug for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.id, self.what)
    }
}

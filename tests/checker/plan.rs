//! What is to be run: the words of `LARDER_CHECK`, or what a test asks for.

use std::{env, path::PathBuf, time::Duration};

/// One run.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of its own")]
pub(crate) struct Plan {
    pub(crate) seconds: u64,
    pub(crate) nodes: usize,
    pub(crate) clients: usize,
    pub(crate) seed: u64,
    /// Whether the nodes share a Redis; one node alone may do without.
    pub(crate) redis: bool,
    pub(crate) strict: bool,
    pub(crate) lock: bool,
    /// Whether anything is broken at all.
    pub(crate) faults: bool,
    /// The faults that are brought about, by their names in the nemesis; none means all.
    pub(crate) only: Vec<String>,
    /// The longest time that a fault lasts, in milliseconds.
    pub(crate) hold: usize,
    /// The longest pause of a client between two requests, in milliseconds.
    pub(crate) pause: usize,
    /// The fault that was planted into the library, by its name there.
    pub(crate) mutant: Option<String>,
    /// The server to run, if it is not the one beside the tests.
    pub(crate) program: Option<PathBuf>,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            seconds: 25,
            nodes: 3,
            clients: 32,
            seed: 1,
            redis: true,
            strict: false,
            lock: false,
            faults: true,
            only: Vec::new(),
            hold: 3_000,
            pause: 20,
            mutant: None,
            program: None,
        }
    }
}

impl Plan {
    /// Reads `name=value` words over `self`; the variable `LARDER_CHECK` holds such words.
    pub(crate) fn or_as_asked(self) -> Self {
        let words = env::var("LARDER_CHECK").unwrap_or_default();
        self.with(&words)
            .unwrap_or_else(|word| panic!("LARDER_CHECK: `{word}` can not be read"))
    }

    /// Returns the plan with these words, or the word that makes no sense.
    pub(crate) fn with(mut self, words: &str) -> Result<Self, String> {
        for word in words.split_whitespace() {
            self = self.with_word(word).ok_or_else(|| word.to_owned())?;
        }
        Ok(self)
    }

    fn with_word(mut self, word: &str) -> Option<Self> {
        let (name, value) = word.split_once('=')?;
        let switch = || match value {
            "on" => Some(true),
            "off" => Some(false),
            _ => None,
        };
        match name {
            "seconds" => self.seconds = value.parse().ok()?,
            "nodes" => self.nodes = value.parse().ok().filter(|count| *count > 0)?,
            "clients" => self.clients = value.parse().ok().filter(|count| *count > 0)?,
            "seed" => self.seed = value.parse().ok()?,
            "only" => self.only = value.split(',').map(str::to_owned).collect(),
            "hold" => self.hold = value.parse().ok().filter(|most| *most > 0)?,
            "pause" => self.pause = value.parse().ok()?,
            "redis" => self.redis = switch()?,
            "strict" => self.strict = switch()?,
            "lock" => self.lock = switch()?,
            "faults" => self.faults = switch()?,
            "mutant" => self.mutant = Some(value.to_owned()),
            "program" => self.program = Some(value.into()),
            _ => return None,
        }
        Some(self)
    }

    /// Returns what the pages of this run may be: by the seed, so that runs differ.
    pub(crate) fn lifetimes(&self) -> Lifetimes {
        let short = self.seed.is_multiple_of(3);
        Lifetimes {
            ttl: if short { 3 } else { 600 },
            stale_while_revalidate: if short { 5 } else { 0 },
            stale_if_error: if self.seed.is_multiple_of(2) { 30 } else { 0 },
        }
    }

    /// Returns how far behind an acknowledged write another node may be.
    pub(crate) fn bound(&self) -> Duration {
        if self.strict || !self.redis {
            Duration::ZERO
        } else {
            Duration::from_secs(2)
        }
    }
}

/// The `TTL`, `SWR` and `SIE` of the nodes, in seconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lifetimes {
    pub(crate) ttl: u64,
    pub(crate) stale_while_revalidate: u64,
    pub(crate) stale_if_error: u64,
}

#[test]
fn words_that_make_no_sense_are_named() {
    let plan = Plan::default().with("seconds=5 strict=on mutant=no-fence");
    let plan = plan.unwrap();
    assert_eq!((plan.seconds, plan.strict), (5, true));
    assert_eq!(plan.mutant.as_deref(), Some("no-fence"));
    for word in ["nodes=0", "strict=yes", "speed=1", "seconds"] {
        assert_eq!(Plan::default().with(word).unwrap_err(), word);
    }
}

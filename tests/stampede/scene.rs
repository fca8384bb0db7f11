//! What the tests of this suite share: a server of their own, and looks at what its handlers did.

use std::{
    thread,
    time::{Duration, Instant},
};

use crate::support::{
    ask::shared,
    message::{Answer, Request},
    process::Ground,
    wire::Wire,
};

/// How long a test waits for what must happen.
const PATIENCE: Duration = Duration::from_secs(20);

/// A server and a wire to it.
pub(crate) struct Scene {
    pub(crate) ground: Ground,
    pub(crate) wire: Wire,
}

impl Scene {
    /// Plays `play` over each version of HTTP, on a server of its own with these variables set.
    pub(crate) fn over_both(variables: &[(&str, &str)], play: impl Fn(&Self)) {
        for version in [0, 1] {
            let ground = Ground::start(variables);
            let wire = Wire::both(ground.address()).unwrap()[version].clone();
            let scene = Self { ground, wire };
            // The pattern of `/ctl` learns here that its answers may be stored.
            scene.get(&shared(&[("case", "learn")]));
            play(&scene);
        }
    }

    pub(crate) fn get(&self, target: &str) -> Answer {
        self.send(&Request::get(target))
    }

    pub(crate) fn send(&self, request: &Request) -> Answer {
        let sent = self.wire.send(request);
        sent.unwrap_or_else(|error| panic!("{} over {}: {error}", request.target, self.wire))
    }

    /// Asks for one target by so many clients at once; none of them may fail.
    pub(crate) fn crowd(&self, target: &str, count: usize) -> Vec<Answer> {
        let answers = self.wire.send_all(&vec![Request::get(target); count]);
        answers.into_iter().map(Result::unwrap).collect()
    }

    /// Returns how often the handler was run for a GET of `target`.
    pub(crate) fn runs(&self, target: &str) -> u64 {
        let counted = self.get("/runs").text();
        let counted: serde_json::Value = serde_json::from_str(&counted).unwrap();
        counted[format!("GET {target}")].as_u64().unwrap_or(0)
    }

    pub(crate) fn wait_for_runs(&self, target: &str, count: u64) {
        self.wait_until(&format!("run {count} of {target}"), || {
            self.runs(target) >= count
        });
    }

    pub(crate) fn wait_until(&self, what: &str, condition: impl Fn() -> bool) {
        let asked = Instant::now();
        while !condition() {
            assert!(
                asked.elapsed() < PATIENCE,
                "{what} did not come over {}",
                self.wire
            );
            thread::sleep(Duration::from_millis(10));
        }
    }
}

/// Lets time pass: the clock of a server in another process is the real one.
pub(crate) fn pass(milliseconds: u64) {
    thread::sleep(Duration::from_millis(milliseconds));
}

/// Returns the version in an item's answer.
pub(crate) fn version(answer: &Answer) -> u64 {
    let item: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    item["v"].as_u64().unwrap()
}

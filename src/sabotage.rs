//! Faults that are planted on purpose, so that the consistency checker is shown to find them.
//!
//! This room is there only in a build with `--cfg larder_sabotage`, which a build without debug
//! assertions refuses. `LARDER_SABOTAGE` in the environment then names the one rule of larder that
//! is broken; without it the build is as good as any.

use std::{env, sync::LazyLock};

/// A rule that is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// No invalidation ever kills an entry.
    NoFence,
    /// An entry is sealed with the position at the end of its handler run, not at the beginning.
    LateSeal,
    /// A follower takes the answer of any flight, whenever it began.
    AnyFlight,
    /// The authority is not part of the key.
    NoHost,
}

/// Every fault, by the name that the environment uses.
const FAULTS: [(&str, Fault); 4] = [
    ("no-fence", Fault::NoFence),
    ("late-seal", Fault::LateSeal),
    ("any-flight", Fault::AnyFlight),
    ("no-host", Fault::NoHost),
];

static PLANTED: LazyLock<Option<Fault>> = LazyLock::new(|| {
    let name = env::var("LARDER_SABOTAGE").ok()?;
    let known = FAULTS.iter().find(|(known, _)| *known == name);
    let Some((_, fault)) = known else {
        panic!("LARDER_SABOTAGE={name} is no fault that could be planted");
    };
    Some(*fault)
});

/// Returns whether this rule is broken.
pub(crate) fn is_planted(fault: Fault) -> bool {
    *PLANTED == Some(fault)
}

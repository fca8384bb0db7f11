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
    /// Entries of another epoch are judged as if they were of this one.
    AnyEpoch,
    /// What is known here counts as known for all, however long ago the log was read.
    NoSyncAge,
    /// A node that was cut off goes on at the end of the log, without what it missed.
    NoCatchUp,
    /// An invalidation is acknowledged before it has come round to its own node.
    EarlyAck,
    /// An invalidation that Redis did not take is acknowledged as one that it took.
    FalseAck,
    /// What was invalidated while Redis was away is forgotten, not sent.
    NoDrain,
    /// What comes from the second tier is sealed as if it had been filled now.
    LatePromotion,
    /// What waits to be told to others does not keep entries from the second tier, nor from it.
    OpenDoors,
    /// Entries from the second tier are not compared with their checksum.
    NoChecksum,
    /// Another process of Redis counts as the one before, whatever it has lost.
    AnyRun,
    /// Time is told by the wall clock, which may jump.
    WallClock,
    /// What a newer release has written is taken for damaged.
    NewerRemoved,
    /// What a newer release has written is read as if it were of this one.
    NewerRead,
    /// The lock of handler runs is granted to whoever asks. Not to be found: nothing but the number
    /// of runs may depend on it.
    LockForAll,
}

/// Every fault, by the name that the environment uses.
const FAULTS: [(&str, Fault); 18] = [
    ("no-fence", Fault::NoFence),
    ("late-seal", Fault::LateSeal),
    ("any-flight", Fault::AnyFlight),
    ("no-host", Fault::NoHost),
    ("any-epoch", Fault::AnyEpoch),
    ("no-sync-age", Fault::NoSyncAge),
    ("no-catch-up", Fault::NoCatchUp),
    ("early-ack", Fault::EarlyAck),
    ("false-ack", Fault::FalseAck),
    ("no-drain", Fault::NoDrain),
    ("late-promotion", Fault::LatePromotion),
    ("open-doors", Fault::OpenDoors),
    ("no-checksum", Fault::NoChecksum),
    ("any-run", Fault::AnyRun),
    ("wall-clock", Fault::WallClock),
    ("newer-removed", Fault::NewerRemoved),
    ("newer-read", Fault::NewerRead),
    ("lock-for-all", Fault::LockForAll),
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

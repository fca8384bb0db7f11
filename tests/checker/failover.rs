//! A replica that takes the place of its primary, without the last that the primary had taken.

use std::{
    thread,
    time::{Duration, Instant},
};

use crate::support::{proxy::Proxy, redis::Redis};

/// What every server of a run is set to. A replica is sent the data at once, and not after it was
/// waited for others.
pub(crate) const SETTINGS: [(&str, &str); 2] = [
    ("enable-debug-command", "yes"),
    ("repl-diskless-sync-delay", "0"),
];

/// How long a replica may take to get all that its primary has.
const PATIENCE: Duration = Duration::from_secs(20);

/// A replica that has heard nothing of its primary for a while, and does not know.
#[derive(Debug)]
pub(crate) struct Standby {
    replica: Redis,
    link: Proxy,
}

impl Standby {
    /// Starts a replica, waits until it has everything, and keeps from it what comes then.
    pub(crate) fn of(primary: &Redis) -> Self {
        let link = Proxy::before(primary.address());
        let replica = Redis::with(&SETTINGS);
        let port = link.address().port().to_string();
        replica.ask(&["REPLICAOF", "127.0.0.1", &port]);
        let begun = Instant::now();
        let told = || replica.ask(&["INFO", "replication"]).text();
        while !told().contains("master_link_status:up") {
            assert!(begun.elapsed() < PATIENCE, "no replica: {}", told());
            thread::sleep(Duration::from_millis(20));
        }
        link.set(|faults| faults.replies.hold = true);
        Self { replica, link }
    }

    /// Makes it the primary. What was kept from it is lost.
    pub(crate) fn promoted(self) -> Redis {
        drop(self.link);
        let done = self.replica.ask(&["REPLICAOF", "NO", "ONE"]);
        assert_eq!(done.text(), "OK");
        self.replica
    }
}

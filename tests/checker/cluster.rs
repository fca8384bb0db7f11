//! The nodes, their Redis, and a proxy between each node and it.

use std::{
    fs,
    net::SocketAddr,
    path::PathBuf,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use crate::{
    failover::{SETTINGS, Standby},
    journal::Journal,
    plan::Plan,
    support::{
        clock::shifter,
        folder::Folder,
        message::Request,
        process::Ground,
        proxy::Proxy,
        redis::{Redis, free_port, signal, url},
        wire::Wire,
    },
};

pub(crate) const NAMESPACE: &str = "checked";

/// How many keys there are.
pub(crate) const KEYS: usize = 64;

/// The hosts that each key is asked for under.
pub(crate) const HOSTS: [&str; 2] = ["one.test", "two.test"];

/// Everything that runs.
#[derive(Debug)]
pub(crate) struct Cluster {
    plan: Plan,
    folder: Folder,
    redis: Option<Mutex<Redis>>,
    redis_address: Mutex<Option<SocketAddr>>,
    pub(crate) nodes: Vec<Node>,
}

/// One node, up or down.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) address: SocketAddr,
    pub(crate) proxy: Option<Proxy>,
    ground: Mutex<Option<Ground>>,
    /// Even while it is up; moves when it begins and when it ends.
    life: AtomicU64,
}

impl Cluster {
    pub(crate) fn start(plan: &Plan) -> Self {
        let redis = plan.redis.then(|| Redis::with(&SETTINGS));
        let folder = Folder::new("checker");
        let node = |_| Node {
            address: ([127, 0, 0, 1], free_port()).into(),
            proxy: redis.as_ref().map(|redis| Proxy::before(redis.address())),
            ground: Mutex::new(None),
            life: AtomicU64::new(1),
        };
        let cluster = Self {
            nodes: (0..plan.nodes).map(node).collect(),
            redis_address: Mutex::new(redis.as_ref().map(Redis::address)),
            redis: redis.map(Mutex::new),
            plan: plan.clone(),
            folder,
        };
        for node in 0..plan.nodes {
            cluster.set_clock(node, "+0");
            cluster.begin(node);
        }
        cluster
    }

    pub(crate) fn redis(&self) -> MutexGuard<'_, Redis> {
        let redis = self.redis.as_ref().unwrap();
        redis.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns where Redis is at present.
    pub(crate) fn redis_address(&self) -> SocketAddr {
        let address = self.redis_address.lock();
        address.unwrap_or_else(PoisonError::into_inner).unwrap()
    }

    /// Lets a replica take the place of Redis, for all nodes at once: what its primary has taken and
    /// it has not is lost.
    pub(crate) fn fail_over(&self, standby: Standby) {
        let mut redis = self.redis();
        let proxies = || self.nodes.iter().filter_map(|node| node.proxy.as_ref());
        proxies().for_each(Proxy::cut);
        redis.kill();
        *redis = standby.promoted();
        let address = redis.address();
        let known = self.redis_address.lock();
        *known.unwrap_or_else(PoisonError::into_inner) = Some(address);
        for proxy in proxies() {
            proxy.point_at(address);
            proxy.mend();
        }
    }

    /// Lets the wall clock of a node be ahead of the machine's by so many seconds, with the sign.
    pub(crate) fn set_clock(&self, node: usize, ahead: &str) {
        let (file, new) = (self.clock(node), self.folder.path().join("clock"));
        fs::write(&new, format!("{ahead}\n")).unwrap();
        // At once: half of a file says another time.
        fs::rename(new, file).unwrap();
    }

    fn clock(&self, node: usize) -> PathBuf {
        self.folder.path().join(format!("clock-{node}"))
    }

    /// Starts a node that is down.
    pub(crate) fn begin(&self, node: usize) {
        let plan = &self.plan;
        let clock = self.clock(node).display().to_string();
        let node = &self.nodes[node];
        let lifetimes = plan.lifetimes();
        let mut variables = vec![
            ("LISTEN", node.address.to_string()),
            (
                "DATABASE",
                self.folder.path().join("truth").display().to_string(),
            ),
            ("NAMESPACE", NAMESPACE.to_owned()),
            ("TTL", lifetimes.ttl.to_string()),
            ("SWR", lifetimes.stale_while_revalidate.to_string()),
            ("SIE", lifetimes.stale_if_error.to_string()),
            ("WORKERS", "2".to_owned()),
            ("LD_PRELOAD", shifter()),
            ("FAKETIME_TIMESTAMP_FILE", clock),
            ("FAKETIME_NO_CACHE", "1".to_owned()),
            // A clock that nobody can set stays as it is.
            ("DONT_FAKE_MONOTONIC", "1".to_owned()),
        ];
        if let Some(proxy) = &node.proxy {
            let consistency = if plan.strict { "strict" } else { "bounded" };
            let lock = if plan.lock { "on" } else { "off" };
            variables.extend([
                ("REDIS_URL", url(proxy.address())),
                ("CONSISTENCY", consistency.to_owned()),
                ("LOCK", lock.to_owned()),
            ]);
        }
        if let Some(mutant) = &plan.mutant {
            variables.push(("LARDER_SABOTAGE", mutant.clone()));
        }
        let variables: Vec<(&str, &str)> = variables
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        let ground = match &plan.program {
            Some(program) => Ground::start_program(program, &variables),
            None => Ground::start(&variables),
        };
        *node.ground() = Some(ground);
        node.life.fetch_add(1, Ordering::SeqCst);
    }

    /// Returns how often the handler of each key has run in the present life of all nodes.
    pub(crate) fn runs(&self) -> Vec<u64> {
        let mut runs = vec![0; KEYS];
        for node in &self.nodes {
            let counted = Wire::One(node.address).send(&Request::get("/runs"));
            let counted: serde_json::Value =
                serde_json::from_slice(&counted.unwrap().body).unwrap();
            for (key, runs) in runs.iter_mut().enumerate() {
                let name = format!("GET {}", target(key));
                *runs += counted[name].as_u64().unwrap_or(0);
            }
        }
        runs
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for node in &self.nodes {
            drop(node.ground().take());
        }
    }
}

impl Node {
    pub(crate) fn life(&self) -> u64 {
        self.life.load(Ordering::SeqCst)
    }

    /// Ends the process by SIGKILL.
    pub(crate) fn kill(&self) {
        self.life.fetch_add(1, Ordering::SeqCst);
        drop(self.ground().take());
    }

    /// Ends the process in order, and says whether it said that all was well.
    pub(crate) fn terminate(&self) -> bool {
        self.life.fetch_add(1, Ordering::SeqCst);
        let ground = self.ground().take();
        ground.is_some_and(|ground| ground.terminate().is_ok_and(|exit| exit.success()))
    }

    pub(crate) fn freeze(&self) {
        signal(self.pid(), "STOP");
    }

    pub(crate) fn thaw(&self) {
        signal(self.pid(), "CONT");
    }

    pub(crate) fn resident_bytes(&self) -> u64 {
        self.ground().as_ref().unwrap().resident_bytes()
    }

    pub(crate) fn log(&self) -> String {
        self.ground().as_ref().map(Ground::log).unwrap_or_default()
    }

    fn pid(&self) -> u32 {
        self.ground().as_ref().unwrap().pid()
    }

    fn ground(&self) -> MutexGuard<'_, Option<Ground>> {
        self.ground.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the path of a key.
pub(crate) fn target(key: usize) -> String {
    format!("/single/{key}")
}

/// Says to the journal that a node is disturbed for as long as `action` takes.
pub(crate) fn disturbing<T>(journal: &Journal, node: usize, action: impl FnOnce() -> T) -> T {
    journal.disturb(node);
    let done = action();
    journal.settle(node);
    done
}

//! A real redis-server of a test's own: on a free loopback port, in a folder of its own, with
//! no persistence unless asked for, and ended when its handle goes.
//!
//! The program is `redis-server` from the path, or what `LARDER_REDIS_SERVER` names (a Valkey, an
//! older release). A machine without one fails the test with the way to get it.

use std::{
    env, fs,
    io::{self, ErrorKind},
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{self, Child, Command, Stdio},
    sync::atomic::{AtomicU16, Ordering},
    thread,
    time::{Duration, Instant},
};

use super::{
    folder::Folder,
    resp::{Client, Reply},
};

/// How long a server may take until it answers.
const PATIENCE: Duration = Duration::from_secs(20);

/// A redis-server; it may be down in between, its port stays its own.
#[derive(Debug)]
pub(crate) struct Redis {
    /// None while it is down.
    child: Option<Child>,
    port: u16,
    folder: Folder,
    settings: Vec<(String, String)>,
    password: Option<String>,
}

/// The data of a server at some moment, as its snapshot file holds it.
#[derive(Clone, Debug)]
pub(crate) struct Snapshot(Vec<u8>);

impl Redis {
    /// Starts a server with its defaults and waits until it answers.
    pub(crate) fn start() -> Self {
        Self::with(&[])
    }

    /// Starts a server with these settings, named as in redis.conf.
    pub(crate) fn with(settings: &[(&str, &str)]) -> Self {
        // Another process may take a port between the look and the start.
        for _ in 0..20 {
            let mut redis = Self::down(settings);
            if redis.try_begin().is_ok() {
                return redis;
            }
        }
        panic!(
            "no redis-server would start: {}",
            Self::down(settings).log()
        );
    }

    /// Reserves a port and a directory for a server that is not started yet.
    pub(crate) fn down(settings: &[(&str, &str)]) -> Self {
        let settings = settings
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let settings: Vec<_> = settings.collect();
        let password = settings.iter().find(|(name, _)| name == "requirepass");
        Self {
            child: None,
            port: free_port(),
            folder: Folder::new("redis"),
            password: password.map(|(_, value)| value.clone()),
            settings,
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// Returns the URL that an application is given.
    pub(crate) fn url(&self) -> String {
        url(self.address())
    }

    /// Returns the directory that goes with the server.
    pub(crate) fn directory(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// Starts a server that is down, with whatever data its directory holds, and waits until it
    /// answers; it may still be loading that data.
    pub(crate) fn begin(&mut self) {
        let begun = self.try_begin();
        begun.unwrap_or_else(|error| panic!("redis-server: {error}: {}", self.log()));
    }

    /// Ends the server in order, without saving anything.
    pub(crate) fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // A frozen server would not hear it.
            signal(child.id(), "CONT");
            signal(child.id(), "TERM");
            child.wait().unwrap();
        }
    }

    /// Ends the server by SIGKILL.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Stops the process where it stands (SIGSTOP): it takes connections and answers nothing.
    pub(crate) fn freeze(&self) {
        signal(self.pid().unwrap(), "STOP");
    }

    /// Lets a frozen process go on (SIGCONT).
    pub(crate) fn thaw(&self) {
        signal(self.pid().unwrap(), "CONT");
    }

    /// Kills the server and starts it with the data that its directory holds: none, unless
    /// persistence was set or a snapshot taken.
    pub(crate) fn restart(&mut self) {
        self.kill();
        self.begin();
    }

    /// Kills the server and starts it with nothing.
    pub(crate) fn restart_empty(&mut self) {
        self.kill();
        self.remove_data();
        self.begin();
    }

    /// Kills the server and starts it with the data of `snapshot`.
    pub(crate) fn restart_from(&mut self, snapshot: &Snapshot) {
        self.kill();
        self.remove_data();
        fs::write(self.snapshot_file(), &snapshot.0).unwrap();
        self.begin();
    }

    /// Saves the data now and returns it.
    pub(crate) fn snapshot(&self) -> Snapshot {
        assert_eq!(self.ask(&["SAVE"]).text(), "OK");
        Snapshot(fs::read(self.snapshot_file()).unwrap())
    }

    /// Sends one command on a connection of its own.
    pub(crate) fn ask(&self, words: &[&str]) -> Reply {
        let reply = self.client().and_then(|mut client| client.ask(words));
        reply.unwrap_or_else(|error| panic!("{words:?}: {error}"))
    }

    /// Opens a connection, past the password if there is one.
    pub(crate) fn client(&self) -> io::Result<Client> {
        let mut client = Client::open(self.address())?;
        if let Some(password) = &self.password {
            client.ask(&["AUTH", password])?;
        }
        Ok(client)
    }

    /// Returns a number of `INFO`, zero when it is not there.
    pub(crate) fn info(&self, name: &str) -> u64 {
        let text = self.ask(&["INFO", "all"]).text();
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        let value = line.and_then(|rest| rest.strip_prefix(':'));
        value.and_then(|value| value.parse().ok()).unwrap_or(0)
    }

    /// Returns how often a command has been called since the last `CONFIG RESETSTAT`.
    pub(crate) fn calls(&self, command: &str) -> u64 {
        let text = self.ask(&["INFO", "commandstats"]).text();
        let start = format!("cmdstat_{}:calls=", command.to_ascii_lowercase());
        let line = text.lines().find_map(|line| line.strip_prefix(&start));
        let digits = line.and_then(|rest| rest.split(',').next());
        digits.and_then(|digits| digits.parse().ok()).unwrap_or(0)
    }

    /// Returns all names of keys, sorted.
    pub(crate) fn names(&self) -> Vec<String> {
        let names = self.ask(&["KEYS", "*"]).list();
        let mut names: Vec<String> = names.iter().map(Reply::text).collect();
        names.sort();
        names
    }

    /// Returns what the server wrote into its log.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.directory().join("log")).unwrap_or_default()
    }

    fn try_begin(&mut self) -> io::Result<()> {
        assert!(self.child.is_none(), "the server is up");
        let mut child = self.command().spawn().inspect_err(|error| {
            assert!(error.kind() != ErrorKind::NotFound, "{}", install());
        })?;
        let asked = Instant::now();
        loop {
            if let Some(exit) = child.try_wait()? {
                return Err(io::Error::other(format!("ended with {exit}")));
            }
            // Some other server may answer at this port; ours is known by its process.
            let text = Client::open(self.address())
                .and_then(|mut client| {
                    if let Some(password) = &self.password {
                        client.ask(&["AUTH", password])?;
                    }
                    client.ask(&["INFO", "server"])
                })
                .map(|reply| reply_text(&reply));
            if text.is_ok_and(|text| text.contains(&format!("process_id:{}\r", child.id()))) {
                self.child = Some(child);
                return Ok(());
            }
            if asked.elapsed() > PATIENCE {
                child.kill()?;
                child.wait()?;
                return Err(ErrorKind::TimedOut.into());
            }
            thread::sleep(Duration::from_millis(5));
        }
    }

    fn command(&self) -> Command {
        let mut command = Command::new(program());
        command
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .args(["--port", &self.port.to_string()])
            .args(["--bind", "127.0.0.1"])
            .args(["--dir", &self.directory().to_string_lossy()])
            .args(["--logfile", "log"])
            .args(["--save", ""]);
        for (name, value) in &self.settings {
            command.arg(format!("--{name}"));
            command.args(value.split_whitespace());
        }
        command
    }

    fn snapshot_file(&self) -> PathBuf {
        self.directory().join("dump.rdb")
    }

    fn remove_data(&self) {
        drop(fs::remove_file(self.snapshot_file()));
        drop(fs::remove_dir_all(self.directory().join("appendonlydir")));
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            // Fails when the process has ended before, which is as well.
            drop(child.kill());
            drop(child.wait());
        }
    }
}

/// Returns the URL of a server or a proxy at `address`.
pub(crate) fn url(address: SocketAddr) -> String {
    format!("redis://{address}")
}

/// Sends a signal, by its name without `SIG`, to a process.
pub(crate) fn signal(pid: u32, name: &str) {
    let sent = Command::new("kill")
        .args([&format!("-{name}"), &pid.to_string()])
        .status();
    assert!(sent.is_ok_and(|exit| exit.success()), "kill -{name} {pid}");
}

/// Returns a loopback port that nobody listens on.
///
/// It is below the range that outgoing connections take theirs from: a client that knocks at the
/// port of a server that is down would else be connected to itself one day.
pub(crate) fn free_port() -> u16 {
    const FIRST: u16 = 20_000;
    const COUNT: u16 = 12_000;
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Processes that run side by side begin at different places.
    let start = u16::try_from(process::id() % u32::from(COUNT)).unwrap();
    for _ in 0..COUNT {
        let step = NEXT.fetch_add(1, Ordering::Relaxed).wrapping_mul(7);
        let port = FIRST + (start + step % COUNT) % COUNT;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
    panic!("no port is free between {FIRST} and {}", FIRST + COUNT);
}

/// Returns the server that these tests start.
pub(crate) fn program() -> String {
    env::var("LARDER_REDIS_SERVER").unwrap_or_else(|_| "redis-server".to_owned())
}

fn install() -> String {
    format!(
        "{} is not there; install it (Debian: apt-get install redis-server) or run scripts/test",
        program()
    )
}

fn reply_text(reply: &Reply) -> String {
    match reply {
        Reply::Text(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        _ => String::new(),
    }
}

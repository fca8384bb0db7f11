//! The proving ground as a process of its own, ended when its handle goes.

use std::{
    env, fs,
    fs::File,
    io::{self, BufRead, BufReader},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
};

use super::folder::Folder;

/// How to build what a suite starts.
const FIX: &str = "run `cargo build --example proving_ground` with the same flags first";

/// A running proving ground on a free loopback port.
#[derive(Debug)]
pub(crate) struct Ground {
    child: Child,
    address: SocketAddr,
    /// Where its log is, and what it takes for the folder of temporary files.
    folder: Folder,
}

impl Ground {
    /// Starts a server with these variables in its environment, and waits until it listens.
    pub(crate) fn start(variables: &[(&str, &str)]) -> Self {
        Self::start_program(&binary(), variables)
    }

    /// Starts another build of the server than the one beside the tests.
    pub(crate) fn start_program(program: &Path, variables: &[(&str, &str)]) -> Self {
        let folder = Folder::new("ground");
        let log = folder.path().join("log");
        let errors = File::create(&log).unwrap();
        let mut command = command(program, &folder, variables);
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(errors)
            .spawn()
            .unwrap();
        let mut line = String::new();
        let output = child.stdout.as_mut().unwrap();
        BufReader::new(output).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("listening on http://");
        let address = address.and_then(|address| address.parse().ok());
        let Some(address) = address else {
            let told = fs::read_to_string(&log).unwrap_or_default();
            panic!("the proving ground did not start; it printed `{line}` and `{told}`");
        };
        Self {
            child,
            address,
            folder,
        }
    }

    /// Runs a server that is expected to refuse its environment; returns its exit and its words.
    pub(crate) fn refuse(variables: &[(&str, &str)]) -> (ExitStatus, String) {
        let folder = Folder::new("ground");
        let output = command(&binary(), &folder, variables).output().unwrap();
        (
            output.status,
            String::from_utf8_lossy(&output.stderr).into_owned(),
        )
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns where it puts its temporary files, which are gone when it is.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Returns what the server wrote to its standard error so far.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// Returns the resident memory of the server in bytes.
    pub(crate) fn resident_bytes(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let digits = line.unwrap().trim().trim_end_matches(" kB");
        digits.parse::<u64>().unwrap() << 10
    }

    /// Asks the server to end in order, and waits until it has.
    pub(crate) fn terminate(mut self) -> io::Result<ExitStatus> {
        let pid = self.pid().to_string();
        Command::new("kill").args(["-TERM", &pid]).status()?;
        self.child.wait()
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        // Fails when the process has ended before, which is as well.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn command(program: &Path, folder: &Folder, variables: &[(&str, &str)]) -> Command {
    let mut command = Command::new(program);
    command
        .env_clear()
        .env("LISTEN", "127.0.0.1:0")
        // A server that is killed leaves its database behind.
        .env("TMPDIR", folder.path())
        .envs(variables.iter().copied());
    command
}

/// Returns the example's binary; one that is missing or older than its sources is refused, since
/// the suite would then try another server than the one that was written.
fn binary() -> PathBuf {
    let tests = env::current_exe().unwrap();
    let profile = tests.parent().and_then(Path::parent).unwrap();
    let binary = profile.join("examples/proving_ground");
    let built = fs::metadata(&binary).and_then(|data| data.modified());
    let built = built.unwrap_or_else(|_| panic!("{} is not there; {FIX}", binary.display()));
    let listed = fs::read_to_string(binary.with_extension("d")).unwrap();
    for source in listed.split_whitespace().skip(1) {
        // A file that is gone since was built into it as well, and is missed by the compiler.
        let changed = fs::metadata(source).and_then(|data| data.modified());
        let newer = changed.is_ok_and(|changed| changed > built);
        assert!(!newer, "{} is older than {source}; {FIX}", binary.display());
    }
    binary
}

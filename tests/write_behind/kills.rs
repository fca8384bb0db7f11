//! A process that adds and delivers is killed at any moment, again and again.
//!
//! What it was told is kept has to reach the sink, here a real database file, in the order of its key;
//! more than once is allowed and counted. With the queue in Redis two such processes work at one time.
//!
//! `LARDER_KILLS` sets how often one is killed; a long run is
//!
//! ```text
//! LARDER_KILLS=120 cargo test --release --all-features --test write_behind -- --nocapture whenever
//! ```

use std::{
    collections::BTreeMap,
    env,
    io::{BufRead, BufReader, Write as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Mutex,
    thread,
    time::Duration,
};

use larder::{
    Larder, mins, secs,
    write_behind::{Sink, SinkError, Write},
};
use rusqlite::Connection;

use super::{
    place::patient,
    support::{folder::Folder, redis::Redis},
};

/// How often a process is killed where nothing else is asked for.
const KILLS: u32 = 8;

/// How many keys are written to, each in a task of its own.
const KEYS: u64 = 8;

/// Where the process that is killed finds its files; without it the test below is no such process.
const HOME: &str = "LARDER_KILLED_HOME";

/// The number of its first write; none asks it to deliver what waits and end.
const FIRST: &str = "LARDER_KILLED_FIRST";

/// The Redis that keeps its queue; none has it in a file.
const REDIS: &str = "LARDER_KILLED_REDIS";

/// How many writes one process has numbers for.
const NUMBERS: u64 = 1_000_000;

/// How long a lane stays with a process that was killed.
const HELD_FOR: Duration = Duration::from_millis(300);

/// A database that notes every write that it gets.
struct Database(Mutex<Connection>);

impl Database {
    fn open(path: &Path) -> Self {
        let connection = Connection::open(path).unwrap();
        connection
            .execute_batch(
                "PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF;
                 CREATE TABLE IF NOT EXISTS writes (id TEXT, key TEXT, value INTEGER);",
            )
            .unwrap();
        Self(Mutex::new(connection))
    }
}

impl Sink<u64> for Database {
    async fn write(&self, batch: &[Write<u64>]) -> Result<(), SinkError> {
        let mut connection = self.0.lock().unwrap();
        let transaction = connection.transaction()?;
        for write in batch {
            transaction.execute(
                "INSERT INTO writes VALUES (?1, ?2, ?3)",
                (&write.id, &write.key, i64::try_from(write.value)?),
            )?;
        }
        transaction.commit()?;
        Ok(())
    }
}

/// What the killed process does: it adds numbers and says which of them are kept.
#[tokio::main(flavor = "current_thread")]
async fn add_until_killed(home: &Path, first: Option<u64>) {
    let redis = env::var(REDIS).ok();
    let larder = match &redis {
        Some(url) => patient(url).await,
        None => Larder::builder().build().await.unwrap(),
    };
    let mut queue = larder.write_behind::<u64>("numbers").held_for(HELD_FOR);
    if redis.is_none() {
        queue = queue.file(home.join("queue.redb"));
    }
    let sink = Database::open(&home.join("sink.sqlite"));
    let queue = queue.start(sink).await.unwrap();
    let Some(first) = first else {
        assert!(queue.drain(mins(10)).await.unwrap());
        larder.shutdown(secs(10)).await;
        return;
    };
    // Two processes at one time have keys of their own: between them there is no order.
    let slot = first / NUMBERS % 2;
    let adders = (0..KEYS).map(|key| {
        let queue = queue.clone();
        tokio::spawn(async move {
            for value in (first + key..).step_by(usize::try_from(KEYS).unwrap()) {
                if queue.add(&format!("{slot}-{key}"), &value).await.is_ok() {
                    let mut output = std::io::stdout().lock();
                    writeln!(output, "kept {value}").unwrap();
                    output.flush().unwrap();
                }
            }
        })
    });
    for adder in adders.collect::<Vec<_>>() {
        adder.await.unwrap();
    }
}

/// Plays the process that is killed if it is told to; as a test of its own it tries that part.
#[test]
fn the_process_that_is_killed_delivers_what_waits_when_it_is_let() {
    if let Some(home) = env::var_os(HOME) {
        let first = env::var(FIRST).ok().map(|first| first.parse().unwrap());
        return add_until_killed(&PathBuf::from(home), first);
    }
    let folder = Folder::new("writes");
    let home = folder.path().to_owned();
    let mut process = start(&home, None, Some(0));
    let kept = read_kept(&mut process, 20, Kill::Never);
    process.kill().unwrap();
    process.wait().unwrap();
    assert!(start(&home, None, None).wait().unwrap().success());
    assert_all_delivered(&home, &kept);
}

fn start(home: &Path, redis: Option<&str>, first: Option<u64>) -> Child {
    let mut command = Command::new(env::current_exe().unwrap());
    command
        .args(["--exact", "--nocapture"])
        .arg("kills::the_process_that_is_killed_delivers_what_waits_when_it_is_let")
        .env(HOME, home)
        .env_remove(FIRST)
        .env_remove(REDIS)
        .stdout(Stdio::piped());
    if let Some(first) = first {
        command.env(FIRST, first.to_string());
    }
    if let Some(redis) = redis {
        command.env(REDIS, redis);
    }
    command.spawn().unwrap()
}

/// When a process is killed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kill {
    Never,
    /// So long after it was started: perhaps before it has begun.
    AfterStart(Duration),
    /// So long after it has kept its first write, however long a busy machine takes to get there.
    AfterFirst(Duration),
}

fn kill_after(pid: u32, after: Duration) {
    thread::spawn(move || {
        thread::sleep(after);
        let pid = pid.to_string();
        Command::new("kill").args(["-KILL", &pid]).status().unwrap();
    });
}

/// Reads what the process says is kept: `most` numbers, or all that it says until it ends.
fn read_kept(process: &mut Child, most: usize, kill: Kill) -> Vec<u64> {
    let pid = process.id();
    let output = BufReader::new(process.stdout.take().unwrap());
    if let Kill::AfterStart(after) = kill {
        kill_after(pid, after);
    }
    let mut kept = Vec::new();
    for line in output.lines().map_while(Result::ok) {
        let Some(number) = line
            .split("kept ")
            .nth(1)
            .and_then(|text| text.parse().ok())
        else {
            continue;
        };
        if let (true, Kill::AfterFirst(after)) = (kept.is_empty(), kill) {
            kill_after(pid, after);
        }
        kept.push(number);
        if kept.len() == most {
            break;
        }
    }
    kept
}

/// Starts a process and kills it, again and again, each time at another moment. Returns what was kept.
///
/// Of the numbers of processes, it takes those of its slot.
fn kill_again_and_again(home: &Path, redis: Option<&str>, slot: u32) -> Vec<u64> {
    let slots = 1 + u32::from(redis.is_some());
    let mut kept = Vec::new();
    for kill in (0..kills()).filter(|kill| kill % slots == slot) {
        let mut process = start(home, redis, Some(u64::from(kill) * NUMBERS));
        let after = Duration::from_millis(u64::from(kill * 97 % 400));
        let when = if kill % 4 < slots {
            Kill::AfterStart(after + Duration::from_millis(30))
        } else {
            Kill::AfterFirst(after)
        };
        kept.extend(read_kept(&mut process, usize::MAX, when));
        process.wait().unwrap();
    }
    kept
}

fn kills() -> u32 {
    env::var("LARDER_KILLS").map_or(KILLS, |kills| kills.parse().unwrap())
}

fn all_is_delivered(place: &str, home: &Path, redis: Option<&str>, kept: &[u64]) {
    assert!(start(home, redis, None).wait().unwrap().success());
    assert!(kept.len() > 10, "hardly anything was kept: {}", kept.len());
    let twice = assert_all_delivered(home, kept);
    println!(
        "{place}: {} kills, {} writes kept, 0 lost, {twice} delivered twice",
        kills(),
        kept.len()
    );
}

#[test]
fn what_is_kept_reaches_the_sink_whenever_the_process_is_killed() {
    let folder = Folder::new("writes");
    let home = folder.path().to_owned();
    let kept = kill_again_and_again(&home, None, 0);
    all_is_delivered("a file", &home, None, &kept);
}

#[test]
fn what_is_kept_in_redis_reaches_the_sink_whenever_one_of_two_processes_is_killed() {
    let (redis, folder) = (Redis::start(), Folder::new("writes"));
    let (url, home) = (redis.url(), folder.path().to_owned());
    // The file is made before two processes want to.
    drop(Database::open(&home.join("sink.sqlite")));
    let kept = thread::scope(|scope| {
        let slots = [0, 1].map(|slot| {
            let (url, home) = (&url, &home);
            scope.spawn(move || kill_again_and_again(home, Some(url), slot))
        });
        slots.map(|slot| slot.join().unwrap()).concat()
    });
    all_is_delivered("Redis, two processes", &home, Some(&url), &kept);
}

/// Checks what came to the sink against what was kept; returns how many writes came more than once.
fn assert_all_delivered(home: &Path, kept: &[u64]) -> usize {
    let connection = Connection::open(home.join("sink.sqlite")).unwrap();
    let mut rows = connection
        .prepare("SELECT id, key, value FROM writes ORDER BY rowid")
        .unwrap();
    let rows = rows
        .query_map((), |row| {
            Ok((
                row.get::<_, String>(0)?,
                row.get::<_, String>(1)?,
                row.get::<_, i64>(2)?,
            ))
        })
        .unwrap();
    let mut firsts: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    let mut ids: BTreeMap<u64, String> = BTreeMap::new();
    let mut twice = 0;
    for row in rows {
        let (id, key, value) = row.unwrap();
        let value = u64::try_from(value).unwrap();
        match ids.get(&value) {
            Some(before) => {
                assert_eq!(*before, id, "one write has two ids");
                twice += 1;
            }
            None => {
                ids.insert(value, id);
                firsts.entry(key).or_default().push(value);
            }
        }
    }
    for (key, values) in &firsts {
        assert!(values.is_sorted(), "writes of key {key} came out of order");
    }
    let lost: Vec<_> = kept
        .iter()
        .filter(|value| !ids.contains_key(value))
        .collect();
    assert!(
        lost.is_empty(),
        "{} of {} writes are lost",
        lost.len(),
        kept.len()
    );
    twice
}

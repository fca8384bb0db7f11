//! The truth about items: one version per id in SQLite, which several processes may share.

use std::{
    collections::hash_map::RandomState,
    error::Error,
    fs,
    hash::BuildHasher,
    path::{Path, PathBuf},
    process,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use rusqlite::{Connection, OptionalExtension};
use tokio::task;

/// How long a statement waits for another process that is writing.
const BUSY: Duration = Duration::from_secs(10);

/// A cheap handle of the database; statements run off the async threads.
#[derive(Clone, Debug)]
pub(crate) struct Database {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    path: PathBuf,
    /// Connections at rest; one more is opened when all are busy.
    idle: Mutex<Vec<Connection>>,
    /// The file is this process's own and goes with it.
    temporary: bool,
}

type Failure = Box<dyn Error + Send + Sync>;

impl Database {
    /// Opens the file at `path`, or a fresh temporary one.
    pub(crate) fn open(path: Option<PathBuf>) -> Result<Self, Failure> {
        let temporary = path.is_none();
        let path = path.unwrap_or_else(fresh_path);
        let connection = connect(&path)?;
        connection.execute_batch(
            "CREATE TABLE IF NOT EXISTS items (id TEXT PRIMARY KEY, version INTEGER NOT NULL) \
             WITHOUT ROWID",
        )?;
        let idle = Mutex::new(vec![connection]);
        Ok(Self {
            shared: Arc::new(Shared {
                path,
                idle,
                temporary,
            }),
        })
    }

    /// Returns the version of `id`; one that was never written has version 0.
    pub(crate) async fn version(&self, id: String) -> Result<u64, Failure> {
        self.run(move |connection| {
            let mut statement =
                connection.prepare_cached("SELECT version FROM items WHERE id = ?1")?;
            let version = statement.query_row([id], |row| row.get(0)).optional()?;
            Ok(version.unwrap_or(0))
        })
        .await
    }

    /// Adds 1 to the version of `id`, commits, and returns the new version.
    pub(crate) async fn write(&self, id: String) -> Result<u64, Failure> {
        self.run(move |connection| {
            let mut statement = connection.prepare_cached(
                "INSERT INTO items (id, version) VALUES (?1, 1) \
                 ON CONFLICT (id) DO UPDATE SET version = version + 1 RETURNING version",
            )?;
            statement.query_row([id], |row| row.get(0))
        })
        .await
    }

    /// Returns how many items were ever written, and the sum of their versions.
    pub(crate) async fn totals(&self) -> Result<(u64, u64), Failure> {
        self.run(|connection| {
            let mut statement = connection
                .prepare_cached("SELECT COUNT(*), COALESCE(SUM(version), 0) FROM items")?;
            statement.query_row([], |row| Ok((row.get(0)?, row.get(1)?)))
        })
        .await
    }

    async fn run<T: Send + 'static>(
        &self,
        statement: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, Failure> {
        let shared = Arc::clone(&self.shared);
        task::spawn_blocking(move || {
            let connection = shared.take()?;
            let result = statement(&connection);
            shared.give_back(connection);
            Ok(result?)
        })
        .await?
    }
}

impl Shared {
    fn take(&self) -> rusqlite::Result<Connection> {
        let rested = self
            .idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop();
        rested.map_or_else(|| connect(&self.path), Ok)
    }

    fn give_back(&self, connection: Connection) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.push(connection);
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        if self.temporary {
            self.idle
                .get_mut()
                .unwrap_or_else(PoisonError::into_inner)
                .clear();
            remove(&self.path);
        }
    }
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(BUSY)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    // A commit survives the process at any moment; only a power cut may lose the last ones.
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    Ok(connection)
}

fn fresh_path() -> PathBuf {
    let chance = RandomState::new().hash_one(process::id());
    let path =
        std::env::temp_dir().join(format!("larder-ground-{}-{chance:x}.sqlite", process::id()));
    remove(&path);
    path
}

/// Removes a database and its two companions; what is not there needs no removing.
fn remove(path: &Path) {
    for ending in ["", "-wal", "-shm"] {
        let mut file = path.as_os_str().to_owned();
        file.push(ending);
        drop(fs::remove_file(file));
    }
}

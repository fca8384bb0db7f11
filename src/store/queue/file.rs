//! A queue of writes in a file of this process.
//!
//! Everything that changes the file goes through one thread, which carries out all that has come in
//! meanwhile in one transaction and makes it durable once for all of it. A call returns when its
//! transaction is on the disk.

use std::{fs, io, path::Path, sync::Arc, thread, time::Duration};

use bytes::Bytes;
use redb::{Database, ReadableTable, ReadableTableMetadata, TableDefinition, WriteTransaction};
use tokio::sync::{mpsc, oneshot};

use super::{Buried, Sizes, Taken, Waiting, full, unavailable};
use crate::error::{Error, ErrorKind};

/// The writes that wait: lane and number, to key and value.
const WAITING: TableDefinition<'_, (u16, u64), (&str, &[u8])> = TableDefinition::new("waiting-1");

/// The newest write of a key: key, to lane and number.
const NEWEST: TableDefinition<'_, &str, (u16, u64)> = TableDefinition::new("newest-1");

/// What was set aside: number, to key, value and reason.
const ASIDE: TableDefinition<'_, u64, (&str, &[u8], &str)> = TableDefinition::new("aside-1");

/// The next number.
const NEXT: TableDefinition<'_, (), u64> = TableDefinition::new("next-1");

/// How many changes may wait for the thread.
const MOST_WAITING: usize = 1024;

/// A change tells whether there was something to change.
type Change = Box<dyn FnOnce(&WriteTransaction) -> Result<bool, Error> + Send>;

struct Job {
    change: Change,
    reply: oneshot::Sender<Result<bool, Error>>,
}

/// A queue in a file.
#[derive(Debug)]
pub(crate) struct FileQueue {
    database: Arc<Database>,
    jobs: mpsc::Sender<Job>,
    sizes: Sizes,
}

impl FileQueue {
    pub(super) fn open(path: &Path, sizes: Sizes) -> Result<Self, Error> {
        let refused = |cause: &dyn std::fmt::Display| {
            let message = format!("queue of writes in `{}`: {cause}", path.display());
            Error::new(ErrorKind::Configuration, message)
        };
        if !path.exists() {
            make(path).map_err(|cause| refused(&cause))?;
        }
        let database = Arc::new(Database::open(path).map_err(|cause| refused(&cause))?);
        let (jobs, inbox) = mpsc::channel(MOST_WAITING);
        let of_thread = Arc::clone(&database);
        thread::Builder::new()
            .name("larder-writes".to_owned())
            .spawn(move || work(&of_thread, inbox))
            .map_err(|cause| refused(&cause))?;
        Ok(Self {
            database,
            jobs,
            sizes,
        })
    }

    pub(super) async fn add(&self, key: &str, value: Bytes) -> Result<(), Error> {
        let (lane, most) = (self.sizes.lane(key), self.sizes.most);
        let key: Box<str> = key.into();
        let added = self.change(move |write| {
            if open(write, WAITING)?.len().map_err(unavailable)? >= most {
                return Err(full(most));
            }
            append(write, lane, &key, &value)?;
            Ok(true)
        });
        added.await.map(|_| ())
    }

    pub(super) async fn pending(&self, key: &str) -> Result<Option<Bytes>, Error> {
        let key: Box<str> = key.into();
        self.read(move |database| {
            let read = database.begin_read().map_err(unavailable)?;
            let newest = read.open_table(NEWEST).map_err(unavailable)?;
            let Some(place) = newest.get(&*key).map_err(unavailable)? else {
                return Ok(None);
            };
            let waiting = read.open_table(WAITING).map_err(unavailable)?;
            let found = waiting.get(place.value()).map_err(unavailable)?;
            Ok(found.map(|found| Bytes::copy_from_slice(found.value().1)))
        })
        .await
    }

    #[expect(clippy::unused_async, reason = "it has the face of the queue in Redis")]
    pub(super) async fn hold(&self, _: u16, _: &str, _: Duration) -> Result<bool, Error> {
        // The file is open in this process alone.
        Ok(true)
    }

    #[expect(clippy::unused_async, reason = "it has the face of the queue in Redis")]
    pub(super) async fn release(&self, _: u16, _: &str) -> Result<(), Error> {
        Ok(())
    }

    pub(super) async fn take(&self, lane: u16, count: usize) -> Result<Taken, Error> {
        self.read(move |database| {
            let read = database.begin_read().map_err(unavailable)?;
            let waiting = read.open_table(WAITING).map_err(unavailable)?;
            let oldest = waiting
                .range((lane, 0)..=(lane, u64::MAX))
                .map_err(unavailable)?;
            // Nobody else can open the file.
            let mut taken = Taken::default();
            for row in oldest.take(count) {
                let (place, content) = row.map_err(unavailable)?;
                let (key, value) = content.value();
                taken.writes.push(Waiting {
                    id: id(place.value().1),
                    key: key.into(),
                    value: Bytes::copy_from_slice(value),
                });
            }
            Ok(taken)
        })
        .await
    }

    pub(super) async fn settle(&self, lane: u16, written: &[Waiting]) -> Result<(), Error> {
        let settled: Vec<_> = written
            .iter()
            .map(|write| Ok((number(&write.id)?, write.key.clone())))
            .collect::<Result<_, Error>>()?;
        self.change(move |write| {
            for (number, key) in settled {
                remove(write, lane, number, &key)?;
            }
            Ok(true)
        })
        .await
        .map(|_| ())
    }

    pub(super) async fn bury(&self, lane: u16, write: &Waiting, why: &str) -> Result<(), Error> {
        let (number, buried, why) = (number(&write.id)?, write.clone(), Box::<str>::from(why));
        self.change(move |write| {
            remove(write, lane, number, &buried.key)?;
            open(write, ASIDE)?
                .insert(number, (&*buried.key, &*buried.value, &*why))
                .map_err(unavailable)?;
            Ok(true)
        })
        .await
        .map(|_| ())
    }

    pub(super) async fn buried(&self, count: usize) -> Result<Vec<Buried>, Error> {
        self.read(move |database| {
            let read = database.begin_read().map_err(unavailable)?;
            let aside = read.open_table(ASIDE).map_err(unavailable)?;
            let mut buried = Vec::new();
            for row in aside.iter().map_err(unavailable)?.take(count) {
                let (number, content) = row.map_err(unavailable)?;
                let (key, value, reason) = content.value();
                buried.push(Buried {
                    id: id(number.value()),
                    key: key.into(),
                    value: Bytes::copy_from_slice(value),
                    reason: reason.into(),
                });
            }
            Ok(buried)
        })
        .await
    }

    pub(super) async fn dig_up(&self, id: &str, again: bool) -> Result<bool, Error> {
        let Ok(number) = number(id) else {
            return Ok(false);
        };
        let sizes = self.sizes;
        let outcome = self.change(move |write| {
            let dug = {
                let mut aside = open(write, ASIDE)?;
                let row = aside.remove(number).map_err(unavailable)?;
                row.map(|row| {
                    let (key, value, _) = row.value();
                    (Box::<str>::from(key), Bytes::copy_from_slice(value))
                })
            };
            if let (Some((key, value)), true) = (&dug, again) {
                append(write, sizes.lane(key), key, value)?;
            }
            Ok(dug.is_some())
        });
        outcome.await
    }

    pub(super) async fn len(&self) -> Result<u64, Error> {
        self.read(|database| {
            let read = database.begin_read().map_err(unavailable)?;
            let waiting = read.open_table(WAITING).map_err(unavailable)?;
            waiting.len().map_err(unavailable)
        })
        .await
    }

    async fn change(
        &self,
        change: impl FnOnce(&WriteTransaction) -> Result<bool, Error> + Send + 'static,
    ) -> Result<bool, Error> {
        let (reply, outcome) = oneshot::channel();
        let change = Box::new(change);
        let sent = self.jobs.send(Job { change, reply }).await;
        sent.map_err(|_| unavailable("its thread has ended"))?;
        outcome
            .await
            .map_err(|_| unavailable("its thread has ended"))?
    }

    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Database) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let database = Arc::clone(&self.database);
        tokio::task::spawn_blocking(move || read(&database))
            .await
            .map_err(unavailable)?
    }
}

/// Carries out what comes in, all that is there in one transaction.
fn work(database: &Database, mut inbox: mpsc::Receiver<Job>) {
    while let Some(first) = inbox.blocking_recv() {
        let mut jobs = vec![first];
        while let Ok(next) = inbox.try_recv() {
            jobs.push(next);
        }
        let outcomes = carry_out(database, &mut jobs);
        for (job, outcome) in jobs.into_iter().zip(outcomes) {
            // Whoever asked may have left.
            drop(job.reply.send(outcome));
        }
    }
}

/// Returns an outcome for each job: none of them is good unless all is on the disk.
fn carry_out(database: &Database, jobs: &mut [Job]) -> Vec<Result<bool, Error>> {
    let all_failed = |cause: Error| jobs_of(jobs.len(), &cause);
    let write = match database.begin_write() {
        Ok(write) => write,
        Err(cause) => return all_failed(unavailable(cause)),
    };
    let mut outcomes = Vec::with_capacity(jobs.len());
    for job in jobs.iter_mut() {
        let change = std::mem::replace(&mut job.change, Box::new(|_| Ok(false)));
        // A change that is refused has changed nothing yet.
        outcomes.push(change(&write));
    }
    match write.commit() {
        Ok(()) => outcomes,
        Err(cause) => jobs_of(outcomes.len(), &unavailable(cause)),
    }
}

fn jobs_of(count: usize, cause: &Error) -> Vec<Result<bool, Error>> {
    (0..count).map(|_| Err(cause.clone())).collect()
}

/// Makes an empty queue at `path`.
///
/// A process may be killed at any moment of it, and half a file could never be opened again. So it is
/// made beside its place and moved there when it is whole.
fn make(path: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    if let Err(cause) = fs::remove_file(&beside)
        && cause.kind() != io::ErrorKind::NotFound
    {
        return Err(cause.into());
    }
    let database = Database::create(&beside)?;
    let write = database.begin_write()?;
    // Reading needs the tables to be there.
    open(&write, WAITING)?;
    open(&write, NEWEST)?;
    open(&write, ASIDE)?;
    open(&write, NEXT)?;
    write.commit()?;
    drop(database);
    fs::rename(beside, path)?;
    Ok(())
}

fn open<'t, K: redb::Key + 'static, V: redb::Value + 'static>(
    write: &'t WriteTransaction,
    table: TableDefinition<'static, K, V>,
) -> Result<redb::Table<'t, K, V>, Error> {
    write.open_table(table).map_err(unavailable)
}

/// Puts a write at the end of its lane.
fn append(write: &WriteTransaction, lane: u16, key: &str, value: &[u8]) -> Result<u64, Error> {
    let number = {
        let mut next = open(write, NEXT)?;
        let number = next
            .get(())
            .map_err(unavailable)?
            .map_or(1, |number| number.value());
        next.insert((), number.saturating_add(1))
            .map_err(unavailable)?;
        number
    };
    open(write, WAITING)?
        .insert((lane, number), (key, value))
        .map_err(unavailable)?;
    open(write, NEWEST)?
        .insert(key, (lane, number))
        .map_err(unavailable)?;
    Ok(number)
}

fn remove(write: &WriteTransaction, lane: u16, number: u64, key: &str) -> Result<(), Error> {
    open(write, WAITING)?
        .remove((lane, number))
        .map_err(unavailable)?;
    let mut newest = open(write, NEWEST)?;
    let is_newest = newest
        .get(key)
        .map_err(unavailable)?
        .is_some_and(|place| place.value() == (lane, number));
    if is_newest {
        newest.remove(key).map_err(unavailable)?;
    }
    Ok(())
}

/// Twenty digits, so that they sort as text as they do as numbers.
fn id(number: u64) -> Box<str> {
    format!("{number:020}").into()
}

fn number(id: &str) -> Result<u64, Error> {
    id.parse()
        .map_err(|_| unavailable(format!("`{}` is no write of this queue", id.escape_debug())))
}

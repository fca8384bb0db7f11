//! The truth: products, and how often they were looked at.

use std::{
    collections::HashMap,
    path::Path,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use rusqlite::{Connection, OptionalExtension, params};
use serde::{Deserialize, Serialize};

/// How long a statement waits for another process that writes.
const PATIENCE: Duration = Duration::from_secs(5);

/// A product, as handlers and pages know it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Product {
    pub(crate) id: u32,
    pub(crate) name: String,
    /// In cents.
    pub(crate) price: u32,
}

/// A SQLite file.
#[derive(Debug)]
pub(crate) struct Database(Mutex<Connection>);

impl Database {
    pub(crate) fn open(path: &Path) -> rusqlite::Result<Self> {
        let connection = Connection::open(path)?;
        connection.busy_timeout(PATIENCE)?;
        connection.execute_batch(
            "PRAGMA journal_mode = WAL;
             CREATE TABLE IF NOT EXISTS products (id INTEGER PRIMARY KEY, name TEXT, price INTEGER);
             CREATE TABLE IF NOT EXISTS views (product INTEGER PRIMARY KEY, count INTEGER);
             CREATE TABLE IF NOT EXISTS noted (write TEXT PRIMARY KEY);",
        )?;
        for (id, (name, price)) in [("kettle", 1990), ("pan", 2450), ("whisk", 490)]
            .into_iter()
            .enumerate()
        {
            connection.execute(
                "INSERT OR IGNORE INTO products VALUES (?1, ?2, ?3)",
                params![id + 1, name, price],
            )?;
        }
        Ok(Self(Mutex::new(connection)))
    }

    pub(crate) fn ids(&self) -> rusqlite::Result<Vec<u32>> {
        let connection = self.connection();
        let mut ids = connection.prepare_cached("SELECT id FROM products ORDER BY id")?;
        let ids = ids.query_map((), |row| row.get(0))?;
        ids.collect()
    }

    pub(crate) fn product(&self, id: u32) -> rusqlite::Result<Option<Product>> {
        self.connection()
            .prepare_cached("SELECT id, name, price FROM products WHERE id = ?1")?
            .query_row([id], |row| {
                Ok(Product {
                    id: row.get(0)?,
                    name: row.get(1)?,
                    price: row.get(2)?,
                })
            })
            .optional()
    }

    /// Returns the products that there are of `ids`.
    pub(crate) fn products(&self, ids: &[String]) -> rusqlite::Result<HashMap<String, Product>> {
        let ids = ids.iter().filter_map(|id| Some((id, id.parse().ok()?)));
        let found = ids.filter_map(|(id, number)| match self.product(number) {
            Ok(product) => Some(Ok((id.clone(), product?))),
            Err(error) => Some(Err(error)),
        });
        found.collect()
    }

    /// Sets a price, and tells whether there is such a product.
    pub(crate) fn set_price(&self, id: u32, price: u32) -> rusqlite::Result<bool> {
        let connection = self.connection();
        let mut update =
            connection.prepare_cached("UPDATE products SET price = ?2 WHERE id = ?1")?;
        Ok(update.execute(params![id, price])? == 1)
    }

    /// Adds views, each of the writes once, however often it comes.
    pub(crate) fn add_views(&self, writes: &[(&str, &str, u64)]) -> rusqlite::Result<()> {
        let mut connection = self.connection();
        let transaction = connection.transaction()?;
        for (write, product, count) in writes {
            let noted = transaction.execute("INSERT OR IGNORE INTO noted VALUES (?1)", [write])?;
            if noted == 1 {
                transaction.execute(
                    "INSERT INTO views VALUES (?1, ?2)
                     ON CONFLICT (product) DO UPDATE SET count = count + excluded.count",
                    params![product, i64::try_from(*count).unwrap_or(i64::MAX)],
                )?;
            }
        }
        transaction.commit()
    }

    pub(crate) fn views(&self, product: u32) -> rusqlite::Result<u64> {
        let count = self
            .connection()
            .prepare_cached("SELECT count FROM views WHERE product = ?1")?
            .query_row([product], |row| row.get::<_, i64>(0))
            .optional()?;
        Ok(count.and_then(|count| count.try_into().ok()).unwrap_or(0))
    }

    fn connection(&self) -> MutexGuard<'_, Connection> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

//! The shop's data, each piece by the pattern that fits it.

use std::{env, num::NonZeroU64, num::NonZeroUsize, path::PathBuf, sync::Arc, time::Duration};

use larder::{
    Larder, Target, Typed, mins, secs,
    structures::{CappedList, Hash, Name, Ranking, Set},
    write_behind::{Sink, SinkError, Write, WriteBehind},
};

use super::{
    BoxError,
    database::{Database, Product},
};

/// How many products the list of a visitor holds.
const SEEN: u64 = 10;

/// How many products are loaded at a time at the start.
const WARMED_AT_A_TIME: usize = 100;

/// What all handlers share.
#[derive(Clone)]
pub(crate) struct Shop {
    pub(crate) larder: Larder,
    pub(crate) database: Arc<Database>,
    pub(crate) products: Typed<Product>,
    pub(crate) views: WriteBehind<u64>,
    pub(crate) sold: Ranking,
    pub(crate) stock: Hash<i64>,
    pub(crate) visitors: Set,
}

/// Brings views into the database.
struct Views(Arc<Database>);

impl Sink<u64> for Views {
    async fn write(&self, batch: &[Write<u64>]) -> Result<(), SinkError> {
        let writes: Vec<_> = batch
            .iter()
            .map(|write| (&*write.id, &*write.key, write.value))
            .collect();
        self.0.add_views(&writes)?;
        Ok(())
    }
}

impl Shop {
    pub(crate) async fn open(
        database: Arc<Database>,
        redis: Option<String>,
    ) -> Result<Self, BoxError> {
        let larder = handle(redis.as_deref()).await?;
        let products = larder
            .typed("product")
            .ttl(mins(5))
            .stale_while_revalidate(secs(30))
            .stale_if_error(mins(60))
            .refresh_ahead(0.9);
        let mut views = larder
            .write_behind("views")
            .invalidates(|write| vec![Target::tag(&format!("views:{}", write.key))]);
        if redis.is_none() {
            views = views.file(queue_file());
        }
        Ok(Self {
            views: views.start(Views(Arc::clone(&database))).await?,
            sold: larder.ranking(&Name::new("shop", "products", "sold")?),
            stock: larder.hash(&Name::new("shop", "products", "stock")?),
            visitors: larder.set(&Name::new("shop", "visitors", "all")?),
            larder,
            database,
            products,
        })
    }

    /// Returns a product: from the cache, or from the database by one read for all who ask.
    pub(crate) async fn product(&self, id: u32) -> Result<Option<Arc<Product>>, BoxError> {
        let database = Arc::clone(&self.database);
        let load = move |_| async move { database.product(id) };
        Ok(self.products.get_or_load(&id.to_string(), load).await?)
    }

    /// Returns all products, by one read of those that are missing.
    pub(crate) async fn all(&self) -> Result<Vec<Arc<Product>>, BoxError> {
        let ids = self.database.ids()?;
        let ids = ids.iter().map(u32::to_string);
        let load = |missing: Vec<String>| async move { self.database.products(&missing) };
        let found = self.products.get_or_load_many(ids, load).await?;
        Ok(found.into_iter().flatten().collect())
    }

    /// Sets a price. When it returns, nobody is shown the old one any more.
    pub(crate) async fn set_price(&self, id: u32, price: u32) -> Result<bool, BoxError> {
        let targets = [
            Target::tag(&format!("product:{id}")),
            Target::tag("products"),
        ];
        let commit = async { self.database.set_price(id, price) };
        Ok(self.larder.writing(targets, commit).await?.output)
    }

    /// Returns what a visitor looked at last.
    pub(crate) fn seen_by(&self, visitor: &str) -> Result<CappedList<u32>, BoxError> {
        let name = Name::new("shop", "visitor", visitor)?.field("seen")?;
        let most = NonZeroU64::new(SEEN).ok_or("a list holds something")?;
        Ok(self.larder.capped_list(&name, most))
    }

    /// Loads every product before anybody asks, and returns how many there are.
    pub(crate) async fn warm(&self) -> Result<usize, BoxError> {
        let ids = self.database.ids()?;
        let at_a_time = NonZeroUsize::new(WARMED_AT_A_TIME).ok_or("a batch holds something")?;
        let load = |ids: Vec<String>| async move { self.database.products(&ids) };
        let ids = ids.iter().map(u32::to_string);
        let warmed = self.products.warm(ids, at_a_time, load, |_| {}).await;
        match warmed.failed.into_iter().next() {
            Some((_, error)) => Err(error.into()),
            None => Ok(warmed.loaded),
        }
    }

    /// Ends the work that goes on behind the handlers.
    pub(crate) async fn close(self, deadline: Duration) {
        self.larder.shutdown(deadline).await;
    }
}

async fn handle(redis: Option<&str>) -> Result<Larder, larder::Error> {
    let builder = Larder::builder().namespace("shop");
    match redis {
        Some(url) => builder.redis(url).build().await,
        None => builder.build().await,
    }
}

fn queue_file() -> PathBuf {
    let name = format!("larder-shop-{}.redb", std::process::id());
    env::var_os("QUEUE").map_or_else(|| env::temp_dir().join(name), PathBuf::from)
}

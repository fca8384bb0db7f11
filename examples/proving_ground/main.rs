//! A complete server behind larder, made to be attacked, killed and measured from outside.
//!
//! Run it with `cargo run --example proving_ground`; `LISTEN`, `REDIS_URL`, `NAMESPACE`,
//! `DATABASE`, `PRESET`, `CONSISTENCY`, `TTL`, `SWR`, `SIE`, `MEMORY_BYTES`, `ADMIN_TOKEN`, `LOCK` and
//! `WORKERS` in the environment change it. Several processes with one `REDIS_URL`, `NAMESPACE` and `DATABASE` are
//! the nodes of one application.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "a program that talks to its terminal, and that checks its slices by hand"
)]

mod answer;
mod body;
mod cache;
mod calls;
mod ctl;
mod database;
mod items;
mod plain;
mod rawcall;
mod runs;
mod settings;
mod single;

use std::{error::Error, process::ExitCode, time::Duration};

use axum::{
    Router,
    serve::{self, ListenerExt},
};
use tokio::{
    net::TcpListener,
    runtime::{self, Runtime},
    signal::unix::{SignalKind, signal},
    sync::watch,
    time,
};

use self::{
    cache::Cache, calls::Calls, database::Database, items::Items, runs::Runs, settings::Settings,
};

type Failure = Box<dyn Error + Send + Sync>;

/// How long connections may go on after the signal to stop; endless streams end with it.
const LAST_ANSWERS: Duration = Duration::from_secs(2);

fn main() -> ExitCode {
    match Settings::from_environment()
        .map_err(Failure::from)
        .and_then(run)
    {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("proving_ground: {why}");
            ExitCode::FAILURE
        }
    }
}

fn run(settings: Settings) -> Result<(), Failure> {
    let runtime = runtime_of(&settings)?;
    let result = runtime.block_on(serve(settings));
    // Handlers that never answer must not keep the process.
    runtime.shutdown_timeout(Duration::from_millis(100));
    result
}

fn runtime_of(settings: &Settings) -> Result<Runtime, Failure> {
    let mut builder = runtime::Builder::new_multi_thread();
    if let Some(workers) = settings.workers {
        builder.worker_threads(workers.get());
    }
    Ok(builder.enable_all().build()?)
}

async fn serve(settings: Settings) -> Result<(), Failure> {
    let stop = stop_signal()?;
    let cache = Cache::open(&settings).await?;
    let app = app(&cache, Database::open(settings.database)?);
    let listener = TcpListener::bind(settings.listen).await?;
    println!("listening on http://{}", listener.local_addr()?);
    let listener = listener.tap_io(|connection| drop(connection.set_nodelay(true)));
    let serving = serve::serve(listener, app).with_graceful_shutdown(stopped(stop.clone()));
    tokio::select! {
        served = serving.into_future() => served?,
        () = async { stopped(stop).await; time::sleep(LAST_ANSWERS).await } => {}
    }
    cache.close().await;
    Ok(())
}

/// The cache is around everything but for two nested routers with a layer of their own inside.
fn app(cache: &Cache, database: Database) -> Router {
    let runs = Runs::default();
    let calls = cache.of_calls(runs.counting(Calls::routes(database.clone())));
    let plain = plain::routes(runs.clone())
        .merge(ctl::routes())
        .merge(single::routes(database.clone()))
        .merge(Items::routes(database));
    let nested = |version| cache.inside(runs.counting(plain::thing(version)));
    let app = runs
        .counting(plain)
        .nest("/v1", nested("v1"))
        .nest("/v2", nested("v2"))
        .merge(calls);
    cache.around(app)
}

/// Returns a mark that turns true when the process is asked to end.
fn stop_signal() -> Result<watch::Receiver<bool>, Failure> {
    let (mark, marked) = watch::channel(false);
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::spawn(async move {
        tokio::select! { _ = terminate.recv() => {} _ = interrupt.recv() => {} }
        mark.send_replace(true);
    });
    Ok(marked)
}

async fn stopped(mut stop: watch::Receiver<bool>) {
    // An error means that the watcher of signals is gone, and with it the runtime.
    drop(stop.wait_for(|asked| *asked).await);
}

//! Running a server: everything started in order, and stopped in order.

use crate::app::{App, Engines, Settings};
use crate::config::{Log, LogFormat};
use crate::env::{Clock, Random};
use crate::net::server::{Bound, bind};
use crate::store::Store;
use crate::vault::Vault;
use crate::work::Workers;
use crate::{api, console, numbering};
use anyhow::{Context, anyhow};
use axum_server::Handle;
use axum_server::tls_rustls::RustlsConfig;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// How long open calls have to finish when the server stops.
const CALLS_PATIENCE: Duration = Duration::from_secs(10);
/// How long workers have to finish what they have in hand.
const WORKERS_PATIENCE: Duration = Duration::from_secs(5);

/// What a server needs.
pub(super) struct Server {
    pub(super) store: Store,
    pub(super) settings: Settings,
    pub(super) vault: Vault,
    pub(super) listen: SocketAddr,
    pub(super) tls: Option<RustlsConfig>,
}

/// Writes the log to standard error, so that standard output stays for what was asked.
pub(super) fn init_log(log: &Log) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(&log.filter).with_context(|| format!("log.filter {:?}", log.filter))?;
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let set = match log.format {
        LogFormat::Text => subscriber.with_target(false).try_init(),
        LogFormat::Json => subscriber.json().try_init(),
    };
    set.map_err(|error| anyhow!("the log cannot be started: {error}"))
}

/// Takes the listening socket, or says what to do.
pub(super) fn listen(address: SocketAddr) -> anyhow::Result<Bound> {
    bind(address)
        .with_context(|| format!("cannot listen on {address}; is it in use? Choose another with --listen"))
}

/// Runs until a signal says to stop. `ready` is called once calls are answered.
pub(super) async fn run(server: Server, ready: impl FnOnce(&App, SocketAddr)) -> anyhow::Result<()> {
    let Server { store, settings, vault, listen: address, tls } = server;
    let bound = listen(address)?;
    let address = bound.address();
    let (app, Engines { batches, work }) =
        App::build(store, settings, vault, Clock::system(), Random::Os).await?;
    numbering::warm_up();
    let mut stop = StopSignal::new()?;

    let engine = std::thread::Builder::new().name("engine".to_owned()).spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
        runtime.block_on(batches.run()).map_err(anyhow::Error::from)
    })?;
    let workers = Workers::start(&app, work);
    let handle = Handle::new();
    let router = api::router().merge(console::router(&app)).with_state(app.clone());
    let serving = tokio::spawn(bound.serve(router, tls, handle.clone()));
    ready(&app, address);

    tokio::select! {
        () = stop.wait() => tracing::info!("stopping: open calls are finished first"),
        () = engine_death(&engine) => {}
    }
    app.stopping.send_replace(true);
    handle.graceful_shutdown(Some(CALLS_PATIENCE));
    let served = tokio::select! {
        served = serving => served,
        () = stop.wait() => {
            tracing::warn!("stopping at once");
            return Ok(());
        }
    };
    workers.stop(WORKERS_PATIENCE).await;
    app.engine.close();
    let engine = tokio::task::spawn_blocking(move || engine.join()).await?;
    engine.map_err(|_| anyhow!("the engine panicked"))??;
    served?.context("the server failed")?;
    tracing::info!("stopped");
    Ok(())
}

/// Ends when the engine does, which it only does by itself when the database has failed for good.
async fn engine_death(engine: &std::thread::JoinHandle<anyhow::Result<()>>) {
    while !engine.is_finished() {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// SIGINT and SIGTERM.
struct StopSignal {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

impl StopSignal {
    fn new() -> std::io::Result<StopSignal> {
        Ok(StopSignal {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    async fn wait(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// A runtime for a server.
pub(super) fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()
}

//! Running a server: everything started in order, and stopped in order.

use crate::app::{App, Engines, Settings};
use crate::config::{Log, LogFormat};
use crate::env::{Clock, Random};
use crate::net::server::{Bound, bind};
use crate::store::{Store, postgres};
use crate::vault::Vault;
use crate::work::Workers;
use crate::{door, numbering};
use anyhow::{Context, anyhow, bail, ensure};
use axum_server::Handle;
use axum_server::tls_rustls::RustlsConfig;
use std::future::Future;
use std::io::IsTerminal;
use std::net::SocketAddr;
use std::num::NonZero;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// How long open calls have to finish when the server stops.
const CALLS_PATIENCE: Duration = Duration::from_secs(7);
/// How long threads have that hang in the operating system.
const RUNTIME_PATIENCE: Duration = Duration::from_secs(1);
/// How long workers have to finish what they have in hand.
const WORKERS_PATIENCE: Duration = Duration::from_secs(5);

/// What a server needs.
pub(super) struct Server {
    pub(super) store: Store,
    pub(super) settings: Settings,
    pub(super) vault: Vault,
    pub(super) clock: Clock,
    pub(super) bound: Bound,
    pub(super) tls: Option<RustlsConfig>,
    /// How long calls are still taken after a stop was asked for and `/readyz` says so.
    pub(super) drain: Duration,
}

/// Writes the log to standard error, so that standard output stays for what was asked.
pub(super) fn init_log(log: &Log) -> anyhow::Result<()> {
    // What comes later in the list counts.
    let filter = format!("{},{}", postgres::QUIET, log.filter);
    let filter = EnvFilter::try_new(filter).with_context(|| format!("log.filter {:?}", log.filter))?;
    let colours = std::io::stderr().is_terminal();
    let subscriber =
        tracing_subscriber::fmt().with_env_filter(filter).with_ansi(colours).with_writer(std::io::stderr);
    let set = match log.format {
        LogFormat::Text => subscriber.with_target(false).try_init(),
        LogFormat::Json => subscriber.json().try_init(),
    };
    set.map_err(|error| anyhow!("the log cannot be started: {error}"))
}

/// Takes the listening socket, or says what to do. Before the database is: a server that cannot listen must not take the
/// place of one that can.
pub(super) fn listen(address: SocketAddr) -> anyhow::Result<Bound> {
    bind(address)
        .with_context(|| format!("cannot listen on {address}; is it in use? Choose another with --listen"))
}

/// Runs until a signal says to stop. `ready` is called once calls are answered.
pub(super) async fn run(server: Server, ready: impl FnOnce(&App, SocketAddr)) -> anyhow::Result<()> {
    let Server { store, settings, vault, clock, bound, tls, drain } = server;
    let address = bound.address();
    let (app, Engines { batches, work, letters }) =
        App::build(store, settings, vault, clock, Random::Os).await?;
    numbering::warm_up();
    let mut stop = StopSignal::new()?;

    let engine = std::thread::Builder::new().name("engine".to_owned()).spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
        runtime.block_on(batches.run()).map_err(anyhow::Error::from)
    })?;
    let mut workers = Workers::start(&app, work, letters);
    let handle = Handle::new();
    let router = door::router(&app);
    let mut serving = tokio::spawn(bound.serve(router, tls, handle.clone()));
    ready(&app, address);

    let asked = tokio::select! {
        () = stop.wait() => true,
        () = engine_death(&engine) => false,
        () = workers.ended() => false,
        _ = &mut serving => false,
    };
    match asked {
        true => tracing::info!("stopping: open calls are finished first"),
        false => tracing::error!("a part of the server has died, so all of it stops"),
    }
    app.readiness.leave();
    let finish = async {
        if asked {
            // Whoever stands in front learns of it by asking, and until then sends calls.
            tokio::select! {
                () = tokio::time::sleep(drain) => {}
                _ = &mut serving => {}
            }
        }
        app.stopping.send_replace(true);
        handle.graceful_shutdown(Some(CALLS_PATIENCE));
        if !serving.is_finished() {
            let _ = serving.await;
        }
        workers.stop(WORKERS_PATIENCE).await;
        app.engine.close();
        tokio::task::spawn_blocking(move || engine.join()).await
    };
    tokio::select! {
        engine = finish => engine?.map_err(|_| anyhow!("the engine panicked"))??,
        () = stop.wait() => bail!("stopped at once: what was under way is taken up at the next start"),
    }
    ensure!(asked, "a part of the server has died; the log says which");
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

/// Runs a server on a runtime of its own. One core is left to the engine's thread and the disk's: where threads that do
/// HTTP have every core, the engine waits for them, and all their callers for the engine.
pub(super) fn block_on(server: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    let workers = cores.saturating_sub(1).max(1);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(workers).enable_all().build()?;
    let done = runtime.block_on(server);
    // A look-up of a name that hangs is not waited for.
    runtime.shutdown_timeout(RUNTIME_PATIENCE);
    done
}

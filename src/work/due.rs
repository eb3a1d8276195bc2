//! Requests whose moment has come: hand-overs that waited, channels to be asked, deliveries that expire.

use super::{BATCH, sleep};
use crate::app::App;
use crate::store::StoreError;
use chappe_core::{Command, Time};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// How long to wait before looking again while the clock is not trusted: what would expire stays due.
const DISTRUST_PAUSE: Duration = Duration::from_secs(1);

/// Runs until told to stop.
pub(super) async fn run(app: Arc<App>, mut stopped: watch::Receiver<bool>) {
    while !*stopped.borrow() {
        let known = app.wakes.requests.take();
        let next = match round(&app).await {
            Ok(BATCH) => Some(app.clock.now()),
            Ok(_) if !app.clock.is_trusted() => Some(app.clock.now() + DISTRUST_PAUSE),
            Ok(_) => next_due(&app, known).await,
            Err(error) => {
                tracing::error!(%error, "due requests cannot be read");
                None
            }
        };
        sleep(&app, &app.wakes.requests, next, &mut stopped).await;
    }
}

/// Hands in what is due now; says how many requests that was.
pub async fn round(app: &App) -> Result<usize, StoreError> {
    let now = app.clock.now();
    let due = app.reader.due_requests(now, BATCH).await?;
    let count = due.len();
    if count > 0 {
        let may_expire = app.clock.is_trusted();
        let commands = due.into_iter().map(|request| Command::Due { now, request, may_expire }).collect();
        // What failed stays due, and is found again.
        let _ = app.engine.apply(commands).await;
    }
    Ok(count)
}

async fn next_due(app: &App, known: Time) -> Option<Time> {
    let stored = app.reader.next_due_request().await.ok().flatten();
    stored.into_iter().chain((known > app.clock.now()).then_some(known)).min()
}

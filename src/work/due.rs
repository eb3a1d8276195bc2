//! Requests whose moment has come: hand-overs that waited, channels to be asked, deliveries that expire.

use super::{BATCH, sleep};
use crate::app::App;
use chappe_core::{Command, RequestId};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// How long to wait before looking again while the clock is not trusted: what would expire stays due.
const DISTRUST_PAUSE: Duration = Duration::from_secs(1);
/// How many batches are looked through meanwhile.
const DISTRUST_BATCHES: usize = 16;

/// Runs until told to stop.
pub(super) async fn run(app: Arc<App>, mut stopped: watch::Receiver<bool>) {
    while !*stopped.borrow() {
        app.wakes.requests.take();
        let next = match round(&app).await {
            Ok(_) if !app.clock.is_trusted() => Some(app.clock.now() + DISTRUST_PAUSE),
            Ok(BATCH) => Some(app.clock.now()),
            Ok(_) => app.reader.next_due_request().await.ok().flatten(),
            // Nothing can be read or written: a pause, so that a full disk is not filled with complaints.
            Err(Unable) => None,
        };
        sleep(&app, &app.wakes.requests, next, &mut stopped).await;
    }
}

/// What is due could not be read or carried out.
#[derive(Debug)]
pub struct Unable;

/// Hands in what is due now; says how many requests that was.
pub async fn round(app: &App) -> Result<usize, Unable> {
    let now = app.clock.now();
    let may_expire = app.clock.is_trusted();
    // What may not expire stays due, and must not hide what comes after it.
    let limit = if may_expire { BATCH } else { BATCH * DISTRUST_BATCHES };
    let due = app.reader.due_requests(now, limit).await.map_err(|error| {
        tracing::error!(%error, "due requests cannot be read");
        Unable
    })?;
    for batch in due.chunks(BATCH) {
        let command = |request: &RequestId| Command::Due { now, request: *request, may_expire };
        // What failed stays due, and is found again.
        app.engine.apply(batch.iter().map(command).collect()).await.map_err(|_| Unable)?;
    }
    Ok(due.len())
}

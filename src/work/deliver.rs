//! Handing messages to their channels.

use super::BATCH;
use crate::app::App;
use chappe_core::{Command, Work};
use std::sync::Arc;
use tokio::sync::{mpsc, watch};

/// Runs until told to stop, then finishes what it was given.
pub(super) async fn run(app: Arc<App>, mut work: mpsc::Receiver<Work>, mut stopped: watch::Receiver<bool>) {
    let mut items = Vec::with_capacity(BATCH);
    loop {
        items.clear();
        tokio::select! {
            biased;
            taken = work.recv_many(&mut items, BATCH) => if taken == 0 { return },
            _ = stopped.wait_for(|stop| *stop) => return,
        }
        let commands = carry_out(&app, &items);
        if !commands.is_empty() && app.engine.apply(commands).await.is_err() {
            // The messages are leased: once the leases lapse they come again.
            tracing::error!(messages = items.len(), "what channels said could not be written down");
        }
    }
}

/// Does what the rules asked for outside, and returns what came of it as commands.
pub fn carry_out(app: &App, items: &[Work]) -> Vec<Command> {
    let now = app.clock.now();
    let heard = |item: &Work| {
        let (job, events) = match item {
            Work::Deliver(job) => (job, app.channels.deliver(job, now)),
            Work::Poll(job) => (job, app.channels.poll(job)),
            // The sandbox shows a withdrawn message as withdrawn by its status: nothing has to be taken back.
            Work::Withdraw(_) => return None,
        };
        Some(Command::Channel { now, request: job.request, hop: job.hop, events })
    };
    items.iter().filter_map(heard).collect()
}

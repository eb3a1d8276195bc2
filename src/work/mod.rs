//! Workers: what happens after an answer was given. Each looks for due rows, acts outside, and feeds what happened back
//! as commands. This is the only place that spawns tasks beside the engine and the server.

pub mod deliver;
pub mod due;
mod incoming;
mod neighbours;
pub mod report;
pub mod upkeep;
pub mod wake;

use crate::app::App;
use crate::channels::ERRAND_MAX;
use crate::channels::inbox::Letter;
use chappe_core::Work;
use chappe_core::text::ChannelName;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use wake::Wake;

/// The most commands that a worker hands in at once.
pub const BATCH: usize = 256;
/// The longest that a worker sleeps without looking: a wake that got lost is made good by then.
const SLEEP_MAX: Duration = Duration::from_secs(1);
/// The shortest that a worker sleeps, so that rows which stay due do not keep it spinning.
const SLEEP_MIN: Duration = Duration::from_millis(2);

/// The running workers.
#[derive(Debug)]
pub struct Workers {
    tasks: JoinSet<()>,
    stop: watch::Sender<bool>,
    /// Apart from the others: it stops after them, so that what they still gave out is not left lying.
    delivery: JoinSet<()>,
    stop_delivery: watch::Sender<bool>,
}

impl Workers {
    /// Starts every worker, and an ear on every channel.
    pub fn start(app: &Arc<App>, work: mpsc::Receiver<Work>, letters: mpsc::Receiver<Letter>) -> Workers {
        let (stop, stopped) = watch::channel(false);
        let mut tasks = JoinSet::new();
        let (stop_delivery, delivery_stopped) = watch::channel(false);
        let mut delivery = JoinSet::new();
        delivery.spawn(deliver::run(app.clone(), work, delivery_stopped));
        tasks.spawn(incoming::run(app.clone(), letters, stopped.clone()));
        for (name, _) in app.channels.all_outside() {
            tasks.spawn(listen(app.clone(), name.clone(), stopped.clone()));
        }
        tasks.spawn(due::run(app.clone(), stopped.clone()));
        tasks.spawn(report::run(app.clone(), stopped.clone()));
        tasks.spawn(upkeep::run(app.clone(), stopped.clone()));
        tasks.spawn(neighbours::run(app.clone(), stopped.clone()));
        tasks.spawn(upkeep::warn(app.clone(), stopped.clone()));
        tasks.spawn(upkeep::forget(app.clone(), stopped));
        Workers { tasks, stop, delivery, stop_delivery }
    }

    /// Ends when a worker has ended although nobody told it to: without it, messages or reports would stay undone.
    pub async fn ended(&mut self) {
        tokio::select! {
            _ = self.tasks.join_next() => {}
            _ = self.delivery.join_next() => {}
        }
    }

    /// Lets every worker finish what it has in hand, for `patience` at most. What is not finished is still there as
    /// rows. A channel may finish its errands whatever they take: what became of one that is cut off, nobody could know.
    pub async fn stop(mut self, patience: Duration) {
        self.stop.send_replace(true);
        let others = async { while self.tasks.join_next().await.is_some() {} };
        let others = tokio::time::timeout(patience, others).await;
        self.stop_delivery.send_replace(true);
        let delivery = async { while self.delivery.join_next().await.is_some() {} };
        let delivery = tokio::time::timeout(ERRAND_MAX + patience, delivery).await;
        if others.is_err() || delivery.is_err() {
            tracing::warn!(
                "workers did not finish in time; what they had in hand is taken up again at the next start"
            );
        }
    }
}

/// Keeps an ear on a channel. Where one server alone may, it waits for its turn to be that one.
async fn listen(app: Arc<App>, name: ChannelName, mut stopped: watch::Receiver<bool>) {
    let Some(outside) = app.channels.outside(&name) else { return };
    if !outside.listens_alone() {
        return outside.listen(app.inbox(name), stopped).await;
    }
    let turn = format!("listening to {name}");
    while !*stopped.borrow() {
        let lead = tokio::select! {
            lead = app.reader.lead(&turn) => lead,
            _ = stopped.wait_for(|stop| *stop) => return,
        };
        match lead {
            Ok(mut lead) => tokio::select! {
                () = outside.listen(app.inbox(name.clone()), stopped.clone()) => return,
                () = lead.lost() => {
                    tracing::warn!(channel = %name, "the database is out of reach: another server may listen now");
                }
            },
            Err(error) => tracing::warn!(channel = %name, %error, "nobody can say which server listens"),
        }
        tokio::select! {
            () = tokio::time::sleep(SLEEP_MAX) => {}
            _ = stopped.wait_for(|stop| *stop) => return,
        }
    }
}

/// Sleeps until the worker is woken, something is due, or it shall stop.
async fn sleep(
    app: &App,
    wake: &Wake,
    due_at: Option<chappe_core::Time>,
    stopped: &mut watch::Receiver<bool>,
) {
    let now = app.clock.now();
    let pause = due_at.map_or(SLEEP_MAX, |due_at| due_at.since(now)).clamp(SLEEP_MIN, SLEEP_MAX);
    wake.expect(now + pause);
    tokio::select! {
        () = tokio::time::sleep(pause) => {}
        () = wake.wait() => {}
        _ = stopped.wait_for(|stop| *stop) => {}
    }
}

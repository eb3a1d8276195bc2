//! Handing messages to their channels.
//!
//! Each errand outside is a task of its own behind the gate of its channel, so that a slow channel holds up nobody but
//! itself. What channels say is written down in batches.

use super::BATCH;
use crate::app::App;
use crate::channels::gate::Admission;
use crate::channels::{Addressee, Channels, ERRAND_MAX, Errand, Outside, Said};
use crate::engine::Chore;
use chappe_core::book::Job;
use chappe_core::{ChannelEvent, Command, Work};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

/// The most errands under way at once, those among them that wait at a gate.
const ERRANDS_MAX: usize = 4_096;
/// How long an errand waits at a gate by itself; one that has to wait longer waits as a row.
const WAIT_MAX: Duration = Duration::from_secs(1);
/// How old an errand may be when its channel is given it. An older one goes back to its row: its lease could lapse while the
/// channel has it, and whoever looked then would take the message for lost.
const TAKEN_UP_WITHIN: Duration = Duration::from_secs(5);
/// When an errand that found the database out of reach is tried again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Runs until told to stop, then finishes what it was given.
pub(super) async fn run(app: Arc<App>, mut work: mpsc::Receiver<Work>, mut stopped: watch::Receiver<bool>) {
    let mut items = Vec::with_capacity(BATCH);
    let mut errands = JoinSet::new();
    loop {
        let mut commands = Vec::new();
        let room = ERRANDS_MAX.saturating_sub(errands.len()).min(BATCH);
        tokio::select! {
            biased;
            _ = stopped.wait_for(|stop| *stop) => break,
            Some(done) = errands.join_next() => commands.extend(done.ok().flatten()),
            taken = work.recv_many(&mut items, room), if room > 0 => if taken == 0 { break },
        }
        commands.extend(finished(&mut errands, BATCH));
        let (inside, outside): (Vec<_>, Vec<_>) =
            items.drain(..).partition(|item| job(item).1.channel.is_sandbox());
        commands.extend(carry_out(&app, &inside));
        for item in outside {
            errands.spawn(send_out(app.clone(), item, stopped.clone()));
        }
        record(&app, commands).await;
    }
    // Nobody has touched these yet: whoever comes next may take them at once.
    while let Ok(item) = work.try_recv() {
        items.push(item);
    }
    let untouched = items.iter().filter(|item| matches!(item, Work::Deliver(_)));
    record(&app, untouched.map(|item| said(&app, job(item).1, vec![put_off(Duration::ZERO)])).collect())
        .await;
    while let Some(done) = errands.join_next().await {
        let commands = done.ok().flatten().into_iter().chain(finished(&mut errands, BATCH));
        record(&app, commands.collect()).await;
    }
}

/// What came of the errands that have ended, `most` of them at most.
fn finished(errands: &mut JoinSet<Option<Command>>, most: usize) -> Vec<Command> {
    std::iter::from_fn(|| errands.try_join_next()).take(most).filter_map(|done| done.ok().flatten()).collect()
}

/// Does what the rules asked of the sandbox, and returns what came of it as commands.
pub fn carry_out(app: &App, items: &[Work]) -> Vec<Command> {
    let heard = |item: &Work| {
        let (errand, job) = job(item);
        let events = Channels::ask_sandbox(errand, job, app.clock.now());
        (!events.is_empty()).then(|| said(app, job, events))
    };
    items.iter().filter_map(heard).collect()
}

async fn record(app: &App, mut commands: Vec<Command>) {
    while !commands.is_empty() {
        let rest = commands.split_off(commands.len().min(BATCH));
        let messages = commands.len();
        if app.engine.apply(commands).await.is_err() {
            // The messages are leased: once the leases lapse, they are looked at again.
            tracing::error!(messages, "what channels said could not be written down");
        }
        commands = rest;
    }
}

/// Does one errand outside, once its channel has a hand free.
async fn send_out(app: Arc<App>, item: Work, mut stopped: watch::Receiver<bool>) -> Option<Command> {
    let (errand, job) = job(&item);
    let Some(outside) = app.channels.outside(&job.channel) else {
        let reason = "there is no channel of this name any more".to_owned();
        return Some(said(&app, job, vec![ChannelEvent::Failed { reason }]));
    };
    let pass = loop {
        if app.clock.now().since(job.asked_at) > TAKEN_UP_WITHIN {
            return Some(said(&app, job, vec![put_off(Duration::ZERO)]));
        }
        match outside.gate().admit(app.clock.now()) {
            Admission::Go(pass) => break pass,
            Admission::Unwell { after, reason } => {
                return Some(said(&app, job, vec![ChannelEvent::Unavailable { after, reason }]));
            }
            Admission::Later(after) if after > WAIT_MAX => {
                return Some(said(&app, job, vec![put_off(after)]));
            }
            Admission::Later(after) => tokio::select! {
                () = tokio::time::sleep(after) => {}
                _ = stopped.wait_for(|stop| *stop) => return Some(said(&app, job, vec![put_off(Duration::ZERO)])),
            },
        }
    };
    let addressee = match errand {
        Errand::Deliver => match addressee(&app, outside, job).await {
            Ok(addressee) => addressee,
            // The channel is not asked, so that its gate learns nothing of it.
            Err(instead) => return Some(said(&app, job, vec![instead])),
        },
        // These are about a message, wherever it went and whoever has subscribed since.
        Errand::Poll | Errand::Withdraw => None,
    };
    let answer = ask(outside, errand, job, addressee.as_ref()).await;
    if let (true, Some(addressee)) = (answer.blocked, &addressee) {
        // What is lost here is found out again with the next message.
        let _ = app.engine.chore(Chore::BlockSubscriber(job.channel.clone(), addressee.chat_id)).await;
    }
    let now = app.clock.now();
    let mut events = answer.events;
    let fault = events.iter_mut().find_map(|event| match event {
        ChannelEvent::Unavailable { after, reason } => Some((after, reason)),
        _ => None,
    });
    match fault {
        Some((after, reason)) => *after = pass.unwell(now, *after, reason),
        None => pass.well(now),
    }
    (!events.is_empty()).then(|| said(&app, job, events))
}

async fn ask(outside: &Outside, errand: Errand, job: &Job, addressee: Option<&Addressee>) -> Said {
    let answer = tokio::time::timeout(ERRAND_MAX, outside.carry_out(errand, job, addressee)).await;
    answer.unwrap_or_else(|_| {
        let reason = format!("it did not answer within {} s", ERRAND_MAX.as_secs());
        match errand {
            Errand::Deliver => ChannelEvent::Uncertain { reason }.into(),
            Errand::Poll | Errand::Withdraw => {
                ChannelEvent::Unavailable { after: RETRY_AFTER, reason }.into()
            }
        }
    })
}

/// Whom the channel writes to, where it serves subscribers alone; or what is to be said instead.
async fn addressee(app: &App, outside: &Outside, job: &Job) -> Result<Option<Addressee>, ChannelEvent> {
    if !outside.is_for_subscribers() {
        return Ok(None);
    }
    match app.reader.subscriber(&job.channel, job.phone).await {
        Ok(Some(subscriber)) => {
            Ok(Some(Addressee { chat_id: subscriber.chat_id, language: subscriber.language }))
        }
        Ok(None) => Err(ChannelEvent::Failed { reason: "the number has not subscribed".to_owned() }),
        Err(error) => {
            tracing::error!(%error, "subscribers cannot be read");
            Err(put_off(RETRY_AFTER))
        }
    }
}

fn job(item: &Work) -> (Errand, &Job) {
    match item {
        Work::Deliver(job) => (Errand::Deliver, job),
        Work::Poll(job) => (Errand::Poll, job),
        Work::Withdraw(job) => (Errand::Withdraw, job),
    }
}

fn put_off(after: Duration) -> ChannelEvent {
    ChannelEvent::Busy { after }
}

fn said(app: &App, job: &Job, events: Vec<ChannelEvent>) -> Command {
    let (request, hop, channel) = (job.request, job.hop, job.channel.clone());
    Command::Channel { now: app.clock.now(), request, hop, channel, events }
}

//! What channels hear by themselves: receipts, reports, new subscribers.

use super::BATCH;
use crate::app::App;
use crate::channels::inbox::{About, Letter, News, NotTaken};
use crate::engine::Chore;
use crate::funding::book::{self, Booked, Receipt};
use crate::store::SubscriberRow;
use crate::store::console::payments::Collector;
use chappe_core::text::ChannelName;
use chappe_core::{ChannelEvent, Command, Delivery, RequestId};
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot, watch};

/// Somebody who waits to hear that it is durable.
type Teller = oneshot::Sender<Result<(), NotTaken>>;

/// Runs until told to stop.
pub(super) async fn run(
    app: Arc<App>,
    mut letters: mpsc::Receiver<Letter>,
    mut stopped: watch::Receiver<bool>,
) {
    let mut items = Vec::with_capacity(BATCH);
    loop {
        tokio::select! {
            biased;
            _ = stopped.wait_for(|stop| *stop) => return,
            taken = letters.recv_many(&mut items, BATCH) => if taken == 0 { return },
        }
        take_in(&app, items.drain(..)).await;
    }
}

/// Writes letters down, and then tells those who wait for it.
async fn take_in(app: &App, letters: impl Iterator<Item = Letter>) {
    let (mut commands, mut tellers): (Vec<Command>, Vec<Teller>) = Default::default();
    for Letter { channel, news, taken } in letters {
        match command(app, &channel, news).await {
            Ok(Some(command)) => {
                commands.push(command);
                tellers.push(taken);
            }
            Ok(None) => tell(taken, Ok(())),
            Err(not_taken) => tell(taken, Err(not_taken)),
        }
    }
    if commands.is_empty() {
        return;
    }
    let done = app.engine.apply(commands).await.map(drop).map_err(|_| NotTaken::Failed);
    tellers.into_iter().for_each(|teller| tell(teller, done));
}

fn tell(teller: Teller, taken: Result<(), NotTaken>) {
    // Whoever waited may have gone away: then it is told again.
    let _ = teller.send(taken);
}

/// What news ask of the rules; `None` once they were seen to without them.
async fn command(app: &App, channel: &ChannelName, news: News) -> Result<Option<Command>, NotTaken> {
    let now = app.clock.now();
    let chore = match news {
        News::Said { about, events } => {
            let (request, hop) = find(app, channel, about).await?;
            let channel = channel.clone();
            return Ok(Some(Command::Channel { now, request, hop, channel, events }));
        }
        News::Opened { request, hop } => {
            return match state_of_code(app, request).await? {
                CodeState::Dead => Err(NotTaken::Unknown),
                CodeState::Opened => Ok(None),
                CodeState::Fresh => {
                    let (channel, events) = (channel.clone(), vec![ChannelEvent::Read]);
                    Ok(Some(Command::Channel { now, request, hop, channel, events }))
                }
            };
        }
        News::Subscribed { phone, chat_id, language } => {
            let channel = channel.clone();
            let row = SubscriberRow { channel, phone, chat_id, language, blocked: false, created_at: now };
            Chore::PutSubscriber(Box::new(row))
        }
        News::Unsubscribed { chat_id } => Chore::RemoveSubscriber(channel.clone(), chat_id),
        News::Checkout { .. } | News::Paid { .. } | News::PaidBack { .. } => {
            return payment(app, channel, news).await.map(|()| None);
        }
    };
    app.engine.chore(chore).await.map(|_| None).map_err(|_| NotTaken::Failed)
}

/// Sees to what a bot hears of payments. Only the bot that collects them is believed.
async fn payment(app: &App, channel: &ChannelName, news: News) -> Result<(), NotTaken> {
    let collects = app.settings.funding.stars.as_ref().is_some_and(|stars| stars.channel == *channel);
    if !collects {
        return Err(NotTaken::Unknown);
    }
    let collector = Collector::Stars;
    let booked = match news {
        News::Checkout { payment, price } => {
            let payable = book::is_payable(app, collector, &payment, &price).await;
            payable.map(|payable| if payable { Booked::Done } else { Booked::Unknown })
        }
        News::Paid { payment, charge, price, payer } => {
            let (payment, charge, price, payer) = (&payment, &charge, &price, &payer.to_string());
            book::paid(app, &Receipt { collector, payment, charge, price, payer }).await
        }
        News::PaidBack { charge } => book::all_gone_back(app, collector, &charge).await,
        _ => Ok(Booked::Unknown),
    };
    match booked {
        Ok(Booked::Done) => Ok(()),
        Ok(Booked::Unknown | Booked::Mismatch | Booked::Early) => Err(NotTaken::Unknown),
        Err(error) => {
            tracing::error!(%error, "what a bot hears of payments waits");
            Err(NotTaken::Failed)
        }
    }
}

/// Whether a code may still be shown, and was shown before.
enum CodeState {
    Fresh,
    Opened,
    Dead,
}

async fn state_of_code(app: &App, request: RequestId) -> Result<CodeState, NotTaken> {
    let found = app.reader.request(request).await.map_err(|error| {
        tracing::error!(%error, "a message cannot be looked up");
        NotTaken::Failed
    })?;
    let alive = found.filter(|row| row.code_expires_at.is_some_and(|at| app.clock.now() < at));
    Ok(match alive.and_then(|row| row.delivery) {
        Some(Delivery::Sent | Delivery::Delivered) => CodeState::Fresh,
        Some(Delivery::Read) => CodeState::Opened,
        Some(Delivery::Expired | Delivery::Revoked) | None => CodeState::Dead,
    })
}

async fn find(app: &App, channel: &ChannelName, about: About) -> Result<(RequestId, u8), NotTaken> {
    match about {
        About::Hop(request, hop) => Ok((request, hop)),
        About::Reference(reference) => match app.reader.message_of(channel, &reference).await {
            Ok(Some(found)) => Ok(found),
            Ok(None) => Err(NotTaken::Unknown),
            Err(error) => {
                tracing::error!(%error, "what a channel calls a message cannot be looked up");
                Err(NotTaken::Failed)
            }
        },
    }
}

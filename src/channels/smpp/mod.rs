//! SMS over SMPP 3.4: one session a server, kept up in the background; receipts come back over it.

mod examine;
mod link;
mod settings;

pub use settings::{InvalidSmpp, SmppSettings};

use super::inbox::{About, Inbox, News, NotTaken};
use super::text::Texts;
use super::{Errand, Lent, Said};
use chappe_core::book::Job;
use chappe_core::{ChannelEvent, Phone};
use chappe_smpp::{
    Address, Client, CommandStatus, Driver, Message, NotSent, Outcome, Receipt, Receipts, State, SubmitError,
};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use link::Dial;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// When a message that found the session down is tried again. The next hop, where there is one, does not wait for that.
const DOWN_PAUSE: Duration = Duration::from_secs(1);
/// When a message that found the session's queue full is tried again.
const FULL_PAUSE: Duration = Duration::from_secs(1);
/// The longest that a session that is being shut down may take.
const FAREWELL_MAX: Duration = Duration::from_secs(8);
/// How long a receipt may be ahead of the answer to its message, which is being written down meanwhile.
const OVERTAKEN_MAX: Duration = Duration::from_secs(5);
/// How often it is looked whether the answer is there.
const OVERTAKEN_LOOK: Duration = Duration::from_millis(200);
/// The longest validity that is asked for.
const VALIDITY_MAX: Duration = Duration::from_secs(3 * 24 * 3600);

/// The channel.
#[derive(Debug)]
pub struct Smpp {
    settings: SmppSettings,
    texts: Arc<Texts>,
    client: Client,
    /// What keeps the session up, until somebody runs it.
    ends: Mutex<Option<Ends>>,
}

struct Ends {
    driver: Driver<Dial>,
    receipts: Receipts,
}

impl std::fmt::Debug for Ends {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Ends")
    }
}

impl Smpp {
    /// The channel of these settings.
    pub(super) fn new(settings: SmppSettings, lent: &Lent) -> Smpp {
        let (texts, random) = (lent.texts.clone(), lent.random.clone());
        let draw = move || {
            let mut bytes = [0; 8];
            // Without randomness the pauses are not spread; that is no reason to stay away.
            let _ = random.fill(&mut bytes);
            u64::from_le_bytes(bytes)
        };
        let (client, receipts, driver) =
            chappe_smpp::session(settings.session.clone(), link::dial(&settings), draw);
        let ends = Mutex::new(Some(Ends { driver, receipts }));
        Smpp { settings, texts, client, ends }
    }

    /// Does an errand. Only handing over is one for SMS: nothing can be asked, and nothing taken back.
    pub async fn carry_out(&self, errand: Errand, job: &Job) -> Said {
        match errand {
            Errand::Deliver => self.deliver(job).await.into(),
            Errand::Poll => ChannelEvent::Accepted { reference: None, poll_at: None }.into(),
            Errand::Withdraw => {
                ChannelEvent::Failed { reason: "an SMS cannot be taken back".to_owned() }.into()
            }
        }
    }

    async fn deliver(&self, job: &Job) -> ChannelEvent {
        let message = match self.message(job) {
            Ok(message) => message,
            Err(reason) => return ChannelEvent::Failed { reason },
        };
        match self.client.submit(&message).await {
            Ok(submitted) => {
                // Of several parts the last one: it is on its way only once those before it are.
                ChannelEvent::Accepted { reference: submitted.ids.last().cloned(), poll_at: None }
            }
            Err(error) => self.refused(error),
        }
    }

    fn message(&self, job: &Job) -> Result<Message, String> {
        let code = job.code.as_ref().ok_or("its code is gone")?;
        let language = self.texts.language(&self.settings.language, job.phone);
        let text = self.texts.render(language, code.expose(), self.settings.webotp.as_deref());
        let validity = job.until.since(job.asked_at).clamp(Duration::from_secs(1), VALIDITY_MAX);
        let message =
            Message::new(address(job.phone)?, text).and_then(|message| message.with_validity(validity));
        let message = message.and_then(|message| message.with_service_type(&self.settings.service_type));
        let message = message.map_err(|error| error.to_string())?;
        Ok(match &self.settings.sender {
            Some(sender) => message.with_source(sender.clone()),
            None => message,
        })
    }

    fn refused(&self, error: SubmitError) -> ChannelEvent {
        match error {
            SubmitError::NotSent(NotSent::ShuttingDown) => ChannelEvent::Busy { after: Duration::ZERO },
            SubmitError::NotSent(NotSent::QueueFull | NotSent::Expired) => {
                ChannelEvent::Busy { after: FULL_PAUSE }
            }
            SubmitError::NotSent(NotSent::Disconnected) => {
                ChannelEvent::Unavailable { after: DOWN_PAUSE, reason: self.why_down() }
            }
            SubmitError::TryLater { status, after } => {
                ChannelEvent::Postponed { after, reason: format!("the SMSC says {status}") }
            }
            SubmitError::Refused(status) if is_about_us(status) => {
                let reason = format!("the SMSC says {status}: check the sender and the service type");
                ChannelEvent::Unavailable { after: DOWN_PAUSE, reason }
            }
            SubmitError::Refused(status) => {
                ChannelEvent::Failed { reason: format!("the SMSC says {status}") }
            }
            SubmitError::Uncertain { reason, .. } => ChannelEvent::Uncertain { reason: reason.to_string() },
        }
    }

    fn why_down(&self) -> String {
        match &*self.client.state().borrow() {
            State::Down { reason, .. } => format!("the SMPP session is down: {reason}"),
            State::Connecting | State::Bound => "the SMPP session is being made".to_owned(),
            State::Closed => "the SMPP session is closed".to_owned(),
        }
    }

    /// Keeps the session up until told to stop, and takes its receipts.
    pub async fn listen(&self, inbox: Inbox, mut stopped: watch::Receiver<bool>) {
        let ends = self.ends.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(Ends { driver, receipts }) = ends else {
            // Somebody keeps it up already.
            let _ = stopped.wait_for(|stop| *stop).await;
            return;
        };
        let told = async {
            let _ = stopped.wait_for(|stop| *stop).await;
            self.client.shut_down();
            tokio::time::sleep(FAREWELL_MAX).await;
        };
        tokio::select! {
            // It ends once it was shut down, and the receipts with it.
            ((), ()) = async { tokio::join!(driver.run(), take_receipts(receipts, &inbox)) } => {}
            () = told => tracing::warn!("an SMPP session did not end in time"),
        }
        // An end that nobody asked for would end the server.
        let _ = stopped.wait_for(|stop| *stop).await;
    }
}

/// Takes receipts, many at a time: each is acknowledged only once what it says is durable.
async fn take_receipts(mut receipts: Receipts, inbox: &Inbox) {
    let mut under_way = FuturesUnordered::new();
    loop {
        tokio::select! {
            delivery = receipts.next() => match delivery {
                Some(delivery) => under_way.push(async move {
                    if take(&delivery.receipt, inbox).await {
                        delivery.acknowledge();
                    }
                }),
                None => break,
            },
            Some(()) = under_way.next() => {}
        }
    }
    while under_way.next().await.is_some() {}
}

/// Writes down what a receipt says. Returns whether the SMSC may forget it.
async fn take(receipt: &Receipt, inbox: &Inbox) -> bool {
    let event = match &receipt.outcome {
        Outcome::Delivered => ChannelEvent::Delivered,
        Outcome::Failed(failure) => ChannelEvent::Failed { reason: format!("the SMSC says {failure}") },
        Outcome::Pending | Outcome::Unknown => return true,
    };
    let give_up = Instant::now() + OVERTAKEN_MAX;
    loop {
        let about = About::Reference(receipt.id.clone());
        match inbox.put(News::Said { about, events: vec![event.clone()] }).await {
            Ok(()) => return true,
            Err(NotTaken::Failed) => return false,
            Err(NotTaken::Unknown) if Instant::now() < give_up => tokio::time::sleep(OVERTAKEN_LOOK).await,
            Err(NotTaken::Unknown) => {
                tracing::warn!("a receipt for a message that is not known");
                return true;
            }
        }
    }
}

fn address(phone: Phone) -> Result<Address, String> {
    Address::international(&phone.to_string()).map_err(|error| error.to_string())
}

/// Whether a refusal is about how we send and not about the message: every other message would fare the same.
/// ESME_RINVSRCADR, RINVSERTYP, RINVSRCTON, RINVSRCNPI (SMPP 3.4, 5.1.3).
fn is_about_us(status: CommandStatus) -> bool {
    matches!(status.0, 0x0A | 0x15 | 0x48 | 0x49)
}

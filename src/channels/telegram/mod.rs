//! A bot of yours on Telegram. Bots cannot write to a phone number: people tell the bot theirs, once, and Telegram vouches
//! for it. Only those who did can be reached, which is known without asking anybody.
//!
//! The channel keeps nothing. Who subscribed is in the database; what stands behind a button travels with it, sealed.

mod api;
mod examine;
mod hidden;
mod listen;
mod message;
mod phrases;
mod subscription;
mod update;

pub use api::{BaseUrl, Bot, CallError, Invoice, Token};

use super::gate::Pace;
use super::inbox::Inbox;
use super::{Addressee, Errand, Lent, Said};
use crate::secret::Secret;
use chappe_core::ChannelEvent;
use chappe_core::book::Job;
use chappe_core::text::ChannelName;
use serde::de::{self, Deserialize, Deserializer};
use std::num::NonZeroU32;
use tokio::sync::watch;

/// The fewest characters of a webhook's secret: nobody shall guess it.
const SECRET_MIN: usize = 16;
/// The most that the Bot API takes.
const SECRET_MAX: usize = 256;

/// What the operator set of a bot.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The bot's token.
    pub token: Token,
    /// Where the Bot API is.
    #[serde(default)]
    pub base_url: BaseUrl,
    /// Whether a code is behind a button, so that it does not show in a notification and opening it is known of.
    #[serde(default)]
    pub reveal: bool,
    /// How the channel hears what people do.
    #[serde(default)]
    pub updates: Updates,
    /// What Telegram shows at the webhook, so that nobody else can speak in its place.
    #[serde(default, deserialize_with = "webhook_secret")]
    webhook_secret: Secret,
    /// How much it is given at once.
    #[serde(default = "pace")]
    pub pace: Pace,
}

/// How the channel hears what people do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Updates {
    /// It asks.
    #[default]
    Polling,
    /// It is told, at `/channels/NAME/webhook` below the public URL.
    Webhook,
    /// It does not: nobody can subscribe through this server.
    None,
}

fn webhook_secret<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Secret, D::Error> {
    let secret = Secret::deserialize(deserializer)?;
    let text = secret.expose();
    let plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-');
    if plain && (text.is_empty() || (SECRET_MIN..=SECRET_MAX).contains(&text.len())) {
        Ok(secret)
    } else {
        Err(de::Error::custom("webhook_secret has 16 to 256 letters, digits, underscores and hyphens"))
    }
}

/// Telegram takes about thirty messages a second of a bot.
fn pace() -> Pace {
    let number = |number: u32| NonZeroU32::MIN.saturating_add(number - 1);
    Pace { concurrency: number(16), per_second: Some(number(25)) }
}

/// A bot as a channel.
#[derive(Debug)]
pub struct Telegram {
    name: ChannelName,
    settings: Settings,
    bot: Bot,
    lent: Lent,
}

impl Settings {
    /// The bot that is set.
    pub fn bot(&self) -> Bot {
        Bot::new(&self.base_url, &self.token)
    }

    /// What may not be meant as it is set.
    pub(super) fn doubt(&self) -> Option<String> {
        let doubt = match self.updates {
            Updates::Webhook if self.webhook_secret.is_empty() => {
                "without a webhook_secret nothing is believed that comes to the webhook: nobody can subscribe"
            }
            Updates::None => "with updates = \"none\" nobody can subscribe through this server",
            Updates::Webhook | Updates::Polling => return None,
        };
        Some(doubt.to_owned())
    }
}

impl Telegram {
    pub(super) fn new(name: ChannelName, settings: Settings, lent: Lent) -> Telegram {
        Telegram { name, bot: settings.bot(), settings, lent }
    }

    /// The bot itself, for what is no message.
    pub(super) fn bot(&self) -> &Bot {
        &self.bot
    }

    /// Whether one server alone may listen at a time.
    pub(super) fn listens_alone(&self) -> bool {
        self.settings.updates == Updates::Polling
    }

    pub(super) async fn listen(&self, inbox: Inbox, mut stopped: watch::Receiver<bool>) {
        match self.settings.updates {
            Updates::Polling => self.poll(&inbox, stopped).await,
            Updates::Webhook => self.be_told(stopped).await,
            Updates::None => drop(stopped.wait_for(|stop| *stop).await),
        }
    }

    pub(super) async fn carry_out(&self, errand: Errand, job: &Job, addressee: Option<&Addressee>) -> Said {
        match (errand, addressee) {
            (Errand::Deliver, Some(addressee)) => self.deliver(job, addressee).await,
            (Errand::Deliver, None) => message::failed("the number has not subscribed"),
            // That it was sent is all that Telegram says.
            (Errand::Poll, _) => ChannelEvent::Accepted { reference: None, poll_at: None }.into(),
            (Errand::Withdraw, _) => self.withdraw(job).await,
        }
    }
}

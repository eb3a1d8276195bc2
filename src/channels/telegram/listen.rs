//! Hearing what people do: by asking the Bot API again and again, or by being told.

use super::Telegram;
use super::Updates;
use super::api::CallError;
use super::message::BAD_TOKEN;
use super::phrases::{self, COMMANDS};
use super::subscription::Reply;
use super::update;
use crate::channels::callback::{Answer, Incoming};
use crate::channels::inbox::{Inbox, NotTaken};
use aws_lc_rs::constant_time;
use axum::http::{HeaderValue, Method};
use futures_util::StreamExt;
use futures_util::stream;
use serde_json::value::RawValue;
use std::time::Duration;
use tokio::sync::watch;

/// How many updates are asked for at once, and how few where their answer was too long, or broken off.
const BATCH: usize = 100;
const BATCH_MIN: usize = 1;
/// Where the webhook is, below the channel's own address.
const WEBHOOK: &str = "webhook";
/// The header that Telegram shows the webhook's secret in.
const SECRET_HEADER: &str = "x-telegram-bot-api-secret-token";
/// How many people are answered at once.
const REPLIES_AT_ONCE: usize = 8;
/// The pause after an answer without updates: Telegram waits for some, but a poor server may not.
const IDLE_PAUSE: Duration = Duration::from_millis(200);
/// The pause after a fault; each further one is twice as long.
const PAUSE_MIN: Duration = Duration::from_millis(250);
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// Where a poller stands.
struct Poller<'a> {
    telegram: &'a Telegram,
    inbox: &'a Inbox,
    /// The first update that is not done with.
    offset: Option<i64>,
    batch: usize,
    pause: Duration,
}

impl Telegram {
    /// Asks for updates until told to stop. What one asks for is confirmed only with the next question, after its effect
    /// is durable: whoever is cut off here hears it again.
    pub(super) async fn poll(&self, inbox: &Inbox, mut stopped: watch::Receiver<bool>) {
        let poller = async {
            self.greet().await;
            let mut poller = Poller { telegram: self, inbox, offset: None, batch: BATCH, pause: PAUSE_MIN };
            loop {
                let pause = poller.step().await;
                tokio::time::sleep(pause).await;
            }
        };
        tokio::select! {
            biased;
            _ = stopped.wait_for(|stop| *stop) => {}
            () = poller => {}
        }
    }

    /// Has the Bot API tell what people do, until told to stop. It goes on telling afterwards: to another server, or again
    /// once this one is back.
    pub(super) async fn be_told(&self, mut stopped: watch::Receiver<bool>) {
        let asking = async {
            self.greet().await;
            let mut pause = PAUSE_MIN;
            while let Err(error) = self.set_webhook().await {
                tracing::error!(channel = %self.name, %error, "the webhook cannot be set; trying again");
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(PAUSE_MAX);
            }
            std::future::pending().await
        };
        tokio::select! {
            biased;
            _ = stopped.wait_for(|stop| *stop) => {}
            () = asking => {}
        }
    }

    async fn set_webhook(&self) -> Result<(), CallError> {
        let url = self.lent.callbacks.url(&self.name, WEBHOOK);
        let url = url.ok_or_else(|| CallError::NotSent("public_url is not set".to_owned()))?;
        self.bot.set_webhook(&url, self.settings.webhook_secret.expose()).await
    }

    /// Takes in an update that came to the webhook. It is answered only once its effect is durable.
    pub(in crate::channels) async fn hear(&self, incoming: Incoming, inbox: &Inbox) -> Answer {
        if !self.is_from_telegram(&incoming) {
            return Answer::Forbidden;
        }
        let Ok(update) = std::str::from_utf8(&incoming.body) else { return Answer::Malformed };
        let Some(heard) = update::read(update) else {
            // What is of no interest would else be told again and again.
            return Answer::Heard;
        };
        match self.act(heard, inbox).await {
            Ok(reply) => {
                if let Some(reply) = reply {
                    self.tell(reply).await;
                }
                Answer::Heard
            }
            Err(_) => Answer::Again,
        }
    }

    fn is_from_telegram(&self, incoming: &Incoming) -> bool {
        let secret = self.settings.webhook_secret.expose().as_bytes();
        let shown = incoming.headers.get(SECRET_HEADER).map(HeaderValue::as_bytes).unwrap_or_default();
        let same = constant_time::verify_slices_are_equal(shown, secret).is_ok();
        let to_webhook = incoming.method == Method::POST && incoming.path == WEBHOOK;
        // Who has no secret believes nobody.
        self.settings.updates == Updates::Webhook && to_webhook && !secret.is_empty() && same
    }

    /// Says who it is, to the operator and to people. Nothing depends on it.
    async fn greet(&self) {
        match self.bot.get_me().await {
            Ok(username) => tracing::info!(channel = %self.name, bot = %username, "the bot is listening"),
            Err(error) => tracing::warn!(channel = %self.name, %error, "the bot does not answer"),
        }
        for phrases in &phrases::ALL {
            let commands: Vec<_> = COMMANDS.into_iter().zip(phrases.commands).collect();
            // English is for whoever speaks none of the others.
            let language = if phrases.language == "en" { "" } else { phrases.language };
            if let Err(error) = self.bot.set_my_commands(&commands, language).await {
                tracing::debug!(channel = %self.name, %error, "the menu of commands could not be set");
                return;
            }
        }
    }
}

impl Poller<'_> {
    /// Asks once, and acts on what it hears. Returns how long to pause.
    async fn step(&mut self) -> Duration {
        let updates = match self.telegram.bot.get_updates(self.offset, self.batch).await {
            Ok(updates) => updates,
            Err(error) => return self.fault(error).await,
        };
        self.batch = BATCH;
        if updates.is_empty() {
            self.pause = PAUSE_MIN;
            return IDLE_PAUSE;
        }
        let before = self.offset;
        match self.take_in(&updates).await {
            Ok(()) if self.offset != before => {
                self.pause = PAUSE_MIN;
                Duration::ZERO
            }
            // The same again, or nothing that has a number: asking at once would make it spin.
            Ok(()) => self.longer(),
            Err(not_taken) => {
                tracing::error!(channel = %self.telegram.name, error = %not_taken, "what people told the bot waits");
                self.longer()
            }
        }
    }

    /// Acts on updates, in order, up to one whose effect cannot be written down.
    async fn take_in(&mut self, updates: &[Box<RawValue>]) -> Result<(), NotTaken> {
        let mut replies: Vec<Reply> = Vec::new();
        let mut taken = Ok(());
        for update in updates {
            if let Some(heard) = update::read(update.get()) {
                match self.telegram.act(heard, self.inbox).await {
                    Ok(reply) => {
                        // Whoever says much at once gets one answer: what Telegram takes of a bot is for codes.
                        replies.retain(|said| reply.as_ref().is_none_or(|reply| !reply.outdates(said)));
                        replies.extend(reply);
                    }
                    Err(not_taken) => {
                        taken = Err(not_taken);
                        break;
                    }
                }
            }
            // After a quiet week Telegram counts anew, so that a number may be lower than the one before.
            self.offset = update::number(update.get()).map(|number| number.saturating_add(1)).or(self.offset);
        }
        let replies = replies.into_iter().map(|reply| self.telegram.tell(reply));
        stream::iter(replies).for_each_concurrent(REPLIES_AT_ONCE, |reply| reply).await;
        taken
    }

    /// Says what is wrong and what to do about it. Returns how long to pause.
    async fn fault(&mut self, error: CallError) -> Duration {
        let channel = &self.telegram.name;
        match &error {
            CallError::Refused { code: 409, description, .. } if description.contains("webhook") => {
                tracing::warn!(%channel, "the bot has a webhook, with which it cannot be asked: taking it away");
                if let Err(error) = self.telegram.bot.delete_webhook().await {
                    tracing::warn!(%channel, %error, "the webhook could not be taken away");
                }
            }
            CallError::Refused { code: 409, .. } => tracing::error!(
                %channel,
                "another program asks for this bot's updates: end it, or give each a bot of its own from @BotFather"
            ),
            CallError::Refused { code: 401 | 404, .. } => tracing::error!(%channel, "{BAD_TOKEN}"),
            CallError::Refused { code: 429, retry_after: Some(after), .. } => {
                return (*after).clamp(PAUSE_MIN, PAUSE_MAX);
            }
            CallError::NoAnswer(_) => {
                // Should the answer have been too long: a single update never is.
                self.batch = BATCH_MIN;
                tracing::warn!(%channel, %error, "the Bot API cannot be asked for updates; trying again");
            }
            CallError::Refused { .. } | CallError::NotSent(_) => {
                tracing::warn!(%channel, %error, "the Bot API cannot be asked for updates; trying again");
            }
        }
        self.longer()
    }

    fn longer(&mut self) -> Duration {
        let pause = self.pause;
        self.pause = (pause * 2).min(PAUSE_MAX);
        pause
    }
}

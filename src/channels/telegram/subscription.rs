//! What is done about what people do: they subscribe with their own number, unsubscribe, and open codes.

use super::Telegram;
use super::api::{CallError, Outgoing};
use super::hidden::Hidden;
use super::message::escape;
use super::phrases::Phrases;
use super::update::{Heard, What};
use crate::channels::Addressee;
use crate::channels::inbox::{Inbox, News, NotTaken};
use chappe_core::{Code, Phone};
use serde_json::{Value, json};

/// What people are told who would pay for nothing.
const NOT_PAYABLE: &str = "This invoice is paid already, or too old. Begin a new payment on the console.";

/// What is to be told to the person, once what they did is durable.
#[derive(Debug)]
pub(super) enum Reply {
    /// A message of the bot.
    Say(Outgoing),
    /// The code of this message.
    Show { callback: String, message_id: i64, code: Code, addressee: Addressee },
    /// That the code of this message is dead.
    Bury { callback: String, message_id: i64, addressee: Addressee },
    /// Whether they may pay.
    Checkout { id: String, ok: bool },
}

impl Reply {
    /// Whether an earlier reply need not be told any more.
    pub(super) fn outdates(&self, earlier: &Reply) -> bool {
        match (self, earlier) {
            (Reply::Say(message), Reply::Say(said)) => message.chat_id == said.chat_id,
            // A button waits for its own answer.
            _ => false,
        }
    }
}

impl Telegram {
    /// Sees to it that what was heard has its effect for good, and returns what is to be told. Hearing it twice does no
    /// harm.
    pub(super) async fn act(&self, heard: Heard, inbox: &Inbox) -> Result<Option<Reply>, NotTaken> {
        let Heard { chat_id, language, what } = heard;
        let phrases = Phrases::of(&language);
        let say = |text: &str, keyboard: Value| {
            let html = escape(text);
            Some(Reply::Say(Outgoing { chat_id, html, protected: false, keyboard: Some(keyboard) }))
        };
        let share = json!({
            "keyboard": [[{ "text": phrases.share, "request_contact": true }]],
            "resize_keyboard": true,
            "one_time_keyboard": true,
        });
        let none = json!({ "remove_keyboard": true });
        Ok(match what {
            What::Start => say(phrases.welcome, share),
            What::Talk => say(phrases.help, none),
            What::OtherNumber => say(phrases.not_own, share),
            What::OwnNumber(None) => say(phrases.bad_number, none),
            What::OwnNumber(Some(phone)) => {
                inbox.put(News::Subscribed { phone, chat_id, language }).await?;
                say(&phrases.linked.replace("{phone}", &shown(phone)), none)
            }
            What::Stop => {
                inbox.put(News::Unsubscribed { chat_id }).await?;
                say(phrases.stopped, none)
            }
            What::Blocked => {
                inbox.put(News::Unsubscribed { chat_id }).await?;
                None
            }
            What::Pressed { id, message_id, data } => {
                let addressee = Addressee { chat_id, language };
                Some(self.open(id, message_id, &data, addressee, inbox).await?)
            }
            What::Checkout { id, payload, price } => {
                match inbox.put(News::Checkout { payment: payload, price }).await {
                    Ok(()) => Some(Reply::Checkout { id, ok: true }),
                    Err(NotTaken::Unknown) => Some(Reply::Checkout { id, ok: false }),
                    Err(NotTaken::Failed) => return Err(NotTaken::Failed),
                }
            }
            What::Paid { payload, charge, price } => {
                let paid = News::Paid { payment: payload, charge, price, payer: chat_id };
                taken_or_unknown(inbox.put(paid).await)?;
                None
            }
            What::PaidBack { charge } => {
                taken_or_unknown(inbox.put(News::PaidBack { charge }).await)?;
                None
            }
        })
    }

    /// A button was pressed, to see the code behind it.
    async fn open(
        &self,
        callback: String,
        message_id: i64,
        data: &str,
        addressee: Addressee,
        inbox: &Inbox,
    ) -> Result<Reply, NotTaken> {
        let hidden = Hidden::open(&self.lent.button_sealer, &self.name, addressee.chat_id, data);
        let alive = hidden.filter(|hidden| self.lent.clock.now() < hidden.until);
        let Some(Hidden { request, hop, code, .. }) = alive else {
            return Ok(Reply::Bury { callback, message_id, addressee });
        };
        match inbox.put(News::Opened { request, hop }).await {
            Ok(()) => Ok(Reply::Show { callback, message_id, code, addressee }),
            Err(NotTaken::Unknown) => Ok(Reply::Bury { callback, message_id, addressee }),
            Err(NotTaken::Failed) => Err(NotTaken::Failed),
        }
    }

    /// Tells a person something. If that fails, they will ask again.
    pub(super) async fn tell(&self, reply: Reply) {
        let told = match reply {
            Reply::Say(message) => self.bot.send_message(&message).await.map(drop),
            Reply::Show { callback, message_id, code, addressee } => {
                self.show(&callback, message_id, code, &addressee).await
            }
            Reply::Bury { callback, message_id, addressee } => {
                self.bury(&callback, message_id, &addressee).await
            }
            Reply::Checkout { id, ok } => {
                self.bot.answer_pre_checkout(&id, (!ok).then_some(NOT_PAYABLE)).await
            }
        };
        if let Err(error) = told {
            tracing::debug!(channel = %self.name, %error, "a person could not be answered");
        }
    }

    async fn show(
        &self,
        callback: &str,
        message_id: i64,
        code: Code,
        addressee: &Addressee,
    ) -> Result<(), CallError> {
        let shown = self.bot.edit_message(message_id, &self.revealed(code, addressee)).await;
        let text = match &shown {
            Ok(()) => None,
            // It shows the code already: the button was pressed twice.
            Err(CallError::Refused { code: 400, description, .. })
                if description.contains("not modified") =>
            {
                None
            }
            Err(_) => Some(Phrases::of(&addressee.language).try_again),
        };
        self.bot.answer_callback(callback, text).await
    }

    async fn bury(&self, callback: &str, message_id: i64, addressee: &Addressee) -> Result<(), CallError> {
        let dead = Phrases::of(&addressee.language).dead;
        let answered = self.bot.answer_callback(callback, Some(dead)).await;
        if self.bot.delete_message(addressee.chat_id, message_id).await.is_err() {
            // It may be too old for that. What cannot go shall at least not invite to be pressed again.
            let html = escape(dead);
            let message = Outgoing { chat_id: addressee.chat_id, html, protected: true, keyboard: None };
            self.bot.edit_message(message_id, &message).await?;
        }
        answered
    }
}

/// What nobody here knows of is none of our business: it would else be told for ever.
fn taken_or_unknown(taken: Result<(), NotTaken>) -> Result<(), NotTaken> {
    match taken {
        Err(NotTaken::Unknown) => Ok(()),
        taken => taken,
    }
}

fn shown(phone: Phone) -> String {
    format!("+{}", phone.masked())
}

//! The message with a code: how it is written, and what the Bot API's answers say of it.

use super::Telegram;
use super::api::{CallError, Outgoing};
use super::hidden::Hidden;
use super::phrases::Phrases;
use crate::channels::{Addressee, Said};
use chappe_core::book::Job;
use chappe_core::{ChannelEvent, Code};
use serde_json::json;
use std::time::Duration;

/// A pause that Telegram asks for and that is no longer than this concerns one chat: the message waits, and the channel
/// is in order.
const SHORT_PAUSE: Duration = Duration::from_secs(3);
/// How long the channel is left alone where Telegram does not say.
const PAUSE: Duration = Duration::from_secs(5);
/// How long it is left alone where somebody has to mend it.
const MEND_PAUSE: Duration = Duration::from_secs(60);
/// What stands for the code while the text around it is made safe: no text can hold it.
const MARK: &str = "\u{1}";

impl Telegram {
    /// Hands a message over.
    pub(super) async fn deliver(&self, job: &Job, addressee: &Addressee) -> Said {
        let Some(code) = job.code else {
            return failed("the code is not there any more");
        };
        match self.bot.send_message(&self.message(job, code, addressee)).await {
            // Telegram has put it into the chat: nothing more is ever said of its delivery.
            Ok(message_id) => {
                let reference = Some(format!("{}:{message_id}", addressee.chat_id));
                vec![ChannelEvent::Accepted { reference, poll_at: None }, ChannelEvent::Delivered].into()
            }
            Err(error) => not_sent(error),
        }
    }

    fn message(&self, job: &Job, code: Code, addressee: &Addressee) -> Outgoing {
        let phrases = Phrases::of(&addressee.language);
        let chat_id = addressee.chat_id;
        if !self.settings.reveal {
            return self.shown(code, addressee, job);
        }
        let until = self.lent.clock.now() + self.lent.code_life;
        let hidden = Hidden { request: job.request, hop: job.hop, until, code };
        let data = hidden.seal(&self.lent.button_sealer, &self.name, chat_id);
        let button = json!({ "text": phrases.show_code, "callback_data": data });
        let keyboard = Some(json!({ "inline_keyboard": [[button]] }));
        Outgoing { chat_id, html: escape(phrases.hidden), protected: true, keyboard }
    }

    /// A message that shows its code.
    fn shown(&self, code: Code, addressee: &Addressee, job: &Job) -> Outgoing {
        let texts = &self.lent.texts;
        let text = texts.render(texts.language(&addressee.language, job.phone), MARK, None);
        self.with_code(&text, code, addressee)
    }

    /// A message whose code is shown after all.
    pub(super) fn revealed(&self, code: Code, addressee: &Addressee) -> Outgoing {
        let text = self.lent.texts.render(&addressee.language, MARK, None);
        self.with_code(&text, code, addressee)
    }

    fn with_code(&self, text: &str, code: Code, addressee: &Addressee) -> Outgoing {
        let code = code.expose();
        let html = escape(text).replace(MARK, &format!("<code>{code}</code>"));
        let label = format!("{} {code}", Phrases::of(&addressee.language).copy);
        let button = json!({ "text": label, "copy_text": { "text": code } });
        let keyboard = Some(json!({ "inline_keyboard": [[button]] }));
        Outgoing { chat_id: addressee.chat_id, html, protected: true, keyboard }
    }

    /// Takes a message back.
    pub(super) async fn withdraw(&self, job: &Job) -> Said {
        let Some((chat_id, message_id)) = job.reference.as_deref().and_then(parse_reference) else {
            return failed("it is not known which message it is");
        };
        match self.bot.delete_message(chat_id, message_id).await {
            Ok(()) => ChannelEvent::Withdrawn.into(),
            Err(error) => not_withdrawn(error),
        }
    }
}

/// What a failed hand-over means.
fn not_sent(error: CallError) -> Said {
    match error {
        CallError::Refused { code: 429, retry_after, .. } => throttled(retry_after).into(),
        CallError::Refused { code: 403, description, .. } => Said {
            events: vec![ChannelEvent::Failed { reason: format!("Telegram says: {description}") }],
            blocked: true,
        },
        CallError::Refused { code: 401 | 404, .. } => unavailable(MEND_PAUSE, BAD_TOKEN).into(),
        CallError::Refused { code: 300..=399, .. } => unavailable(MEND_PAUSE, REDIRECT).into(),
        // A server that says this has not begun.
        CallError::Refused { code: 503, retry_after, .. } => {
            unavailable(retry_after.unwrap_or(PAUSE), "the Bot API is out of service (503)").into()
        }
        // The fault of a server in the middle of something, or of a proxy that lost it: the message may be on its way.
        CallError::Refused { code: code @ 500.., .. } => {
            ChannelEvent::Uncertain { reason: format!("the Bot API failed ({code})") }.into()
        }
        CallError::Refused { description, .. } => failed(&format!("Telegram says: {description}")),
        CallError::NotSent(reason) => {
            unavailable(PAUSE, &format!("the Bot API cannot be reached: {reason}")).into()
        }
        CallError::NoAnswer(reason) => {
            ChannelEvent::Uncertain { reason: format!("no answer of the Bot API: {reason}") }.into()
        }
    }
}

/// What a failed deletion means. It may be asked for again: deleting twice does no harm.
fn not_withdrawn(error: CallError) -> Said {
    match error {
        CallError::Refused { code: 400, description, .. }
            if description.to_ascii_lowercase().contains("not found") && !is_of_chat(&description) =>
        {
            // Whoever had it has deleted it.
            ChannelEvent::Withdrawn.into()
        }
        CallError::Refused { code: 429, retry_after, .. } => throttled(retry_after).into(),
        CallError::Refused { code: 401 | 404, .. } => unavailable(MEND_PAUSE, BAD_TOKEN).into(),
        CallError::Refused { code: 300..=399, .. } => unavailable(MEND_PAUSE, REDIRECT).into(),
        CallError::Refused { code: code @ 500.., retry_after, .. } => {
            unavailable(retry_after.unwrap_or(PAUSE), &format!("the Bot API failed ({code})")).into()
        }
        CallError::Refused { description, .. } => failed(&format!("Telegram says: {description}")),
        CallError::NotSent(reason) | CallError::NoAnswer(reason) => {
            unavailable(PAUSE, &format!("the Bot API cannot be reached: {reason}")).into()
        }
    }
}

/// Why nothing can be sent with a token that Telegram does not know.
pub(super) const BAD_TOKEN: &str = "Telegram does not know the bot's token: look at token of the channel";

const REDIRECT: &str = "the Bot API answers with a redirect: look at base_url of the channel";

fn is_of_chat(description: &str) -> bool {
    description.to_ascii_lowercase().contains("chat not found")
}

fn throttled(retry_after: Option<Duration>) -> ChannelEvent {
    let after = retry_after.unwrap_or(SHORT_PAUSE);
    let reason = format!("Telegram wants a pause of {} s", after.as_secs());
    if after <= SHORT_PAUSE {
        ChannelEvent::Postponed { after, reason }
    } else {
        ChannelEvent::Unavailable { after, reason }
    }
}

fn unavailable(after: Duration, reason: &str) -> ChannelEvent {
    ChannelEvent::Unavailable { after, reason: reason.to_owned() }
}

pub(super) fn failed(reason: &str) -> Said {
    ChannelEvent::Failed { reason: reason.to_owned() }.into()
}

fn parse_reference(reference: &str) -> Option<(i64, i64)> {
    let (chat_id, message_id) = reference.split_once(':')?;
    Some((chat_id.parse().ok()?, message_id.parse().ok()?))
}

/// A text as Telegram's HTML has it.
pub(super) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(code: u16, description: &str, retry_after: Option<u64>) -> CallError {
        let retry_after = retry_after.map(Duration::from_secs);
        CallError::Refused { code, description: description.to_owned(), retry_after }
    }

    fn name(said: &Said) -> &'static str {
        match said.events.as_slice() {
            [ChannelEvent::Failed { .. }] => "failed",
            [ChannelEvent::Postponed { .. }] => "postponed",
            [ChannelEvent::Unavailable { .. }] => "unavailable",
            [ChannelEvent::Uncertain { .. }] => "uncertain",
            [ChannelEvent::Withdrawn] => "withdrawn",
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn only_what_certainly_was_not_sent_is_tried_again() {
        for (error, sending, deleting) in [
            (refused(400, "Bad Request: chat not found", None), "failed", "failed"),
            (refused(400, "Bad Request: message to delete not found", None), "failed", "withdrawn"),
            (refused(400, "Bad Request: message can't be deleted for everyone", None), "failed", "failed"),
            (refused(401, "Unauthorized", None), "unavailable", "unavailable"),
            (refused(403, "Forbidden: bot was blocked by the user", None), "failed", "failed"),
            (refused(404, "Not Found", None), "unavailable", "unavailable"),
            (refused(429, "Too Many Requests", Some(1)), "postponed", "postponed"),
            (refused(429, "Too Many Requests", Some(3)), "postponed", "postponed"),
            (refused(429, "Too Many Requests", Some(4)), "unavailable", "unavailable"),
            (refused(302, "Found", None), "unavailable", "unavailable"),
            (refused(500, "Internal Server Error", None), "uncertain", "unavailable"),
            (refused(502, "Bad Gateway", None), "uncertain", "unavailable"),
            (refused(503, "Service Unavailable", None), "unavailable", "unavailable"),
            (refused(504, "Gateway Timeout", None), "uncertain", "unavailable"),
            (CallError::NotSent("refused".to_owned()), "unavailable", "unavailable"),
            (CallError::NoAnswer("reset".to_owned()), "uncertain", "unavailable"),
        ] {
            let (sent, deleted) = (not_sent(error.clone()), not_withdrawn(error.clone()));
            assert_eq!((name(&sent), name(&deleted)), (sending, deleting), "{error}");
            assert_eq!(sent.blocked, matches!(error, CallError::Refused { code: 403, .. }), "{error}");
        }
    }

    #[test]
    fn a_reference_is_a_chat_and_a_message() {
        assert_eq!(parse_reference("42:7"), Some((42, 7)));
        for text in ["", "42", "42:", ":7", "42:7:1", "x:7"] {
            assert_eq!(parse_reference(text), None, "{text:?}");
        }
    }
}

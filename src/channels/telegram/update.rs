//! Updates: what the Bot API tells of people, read with leniency. Whatever is not understood is nothing, and never in the
//! way of the next one.

use chappe_core::Phone;
use serde::Deserialize;

/// The longest id of a pressed button that is given back, in bytes.
const CALLBACK_ID_MAX_BYTES: usize = 64;
/// The longest name of a payment that is believed, in bytes: ours are much shorter.
const PAYMENT_MAX_BYTES: usize = 255;
/// The longest language that is kept, in bytes: those of BCP 47 that people speak are much shorter.
const LANGUAGE_MAX_BYTES: usize = 35;

/// Something that a person did, in a private chat with the bot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Heard {
    /// The chat, which has the number of the person.
    pub(super) chat_id: i64,
    /// Their language, such as `pt-br`; empty if it is not known.
    pub(super) language: String,
    pub(super) what: What,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// They want to subscribe.
    Start,
    /// They want to hear no more.
    Stop,
    /// They said something else.
    Talk,
    /// They shared their own number; `None` if it is no number.
    OwnNumber(Option<Phone>),
    /// They shared somebody else's number, or passed one on.
    OtherNumber,
    /// They blocked the bot, or deleted it.
    Blocked,
    /// They pressed a button of a message.
    Pressed { id: String, message_id: i64, data: String },
    /// They are about to pay, and wait for a word.
    Checkout { id: String, payload: String, price: String },
    /// They have paid.
    Paid { payload: String, charge: String, price: String },
    /// What they paid has gone back to them.
    PaidBack { charge: String },
}

/// The number of an update, which everything up to it is confirmed by; `None` if it has none.
pub(super) fn number(update: &str) -> Option<i64> {
    #[derive(Deserialize)]
    struct Numbered {
        update_id: i64,
    }
    // What else is in it is skipped, however deep it goes.
    serde_json::from_str::<Numbered>(update).ok().map(|update| update.update_id)
}

/// Reads an update; `None` if there is nothing in it to act upon.
pub(super) fn read(update: &str) -> Option<Heard> {
    let update: Update = serde_json::from_str(update).ok()?;
    let Update { message, callback_query, my_chat_member, pre_checkout_query } = update;
    message
        .and_then(Message::heard)
        .or_else(|| callback_query.and_then(CallbackQuery::heard))
        .or_else(|| pre_checkout_query.and_then(PreCheckoutQuery::heard))
        .or_else(|| my_chat_member.and_then(Membership::heard))
}

#[derive(Deserialize)]
struct Update {
    message: Option<Message>,
    callback_query: Option<CallbackQuery>,
    my_chat_member: Option<Membership>,
    pre_checkout_query: Option<PreCheckoutQuery>,
}

#[derive(Deserialize)]
struct Chat {
    id: i64,
    r#type: String,
}

#[derive(Deserialize)]
struct User {
    id: i64,
    #[serde(default)]
    is_bot: bool,
    language_code: Option<String>,
}

#[derive(Deserialize)]
struct Message {
    #[serde(default)]
    message_id: i64,
    chat: Chat,
    from: Option<User>,
    text: Option<String>,
    contact: Option<Contact>,
    successful_payment: Option<Payment>,
    refunded_payment: Option<Payment>,
    /// Any of these says that somebody else wrote it.
    forward_origin: Option<serde::de::IgnoredAny>,
    forward_date: Option<serde::de::IgnoredAny>,
    via_bot: Option<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
struct Contact {
    phone_number: String,
    user_id: Option<i64>,
}

/// What was paid, or went back.
#[derive(Deserialize)]
struct Payment {
    currency: String,
    total_amount: i64,
    #[serde(default)]
    invoice_payload: String,
    telegram_payment_charge_id: String,
}

#[derive(Deserialize)]
struct PreCheckoutQuery {
    id: String,
    from: User,
    currency: String,
    total_amount: i64,
    invoice_payload: String,
}

#[derive(Deserialize)]
struct CallbackQuery {
    id: String,
    from: User,
    message: Option<Message>,
    data: Option<String>,
}

#[derive(Deserialize)]
struct Membership {
    chat: Chat,
    from: User,
    new_chat_member: Member,
}

#[derive(Deserialize)]
struct Member {
    status: String,
}

/// Only private chats count, in which the chat has the number of the person: whatever happens in a group is nothing.
fn heard(chat: &Chat, from: &User, what: What) -> Option<Heard> {
    let private = chat.r#type == "private" && chat.id == from.id && chat.id > 0 && !from.is_bot;
    let language = from.language_code.as_deref().unwrap_or_default().to_ascii_lowercase();
    let spoken = language.len() <= LANGUAGE_MAX_BYTES
        && language.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    let language = if spoken { language } else { String::new() };
    private.then_some(Heard { chat_id: chat.id, language, what })
}

impl Message {
    fn heard(self) -> Option<Heard> {
        let Message { chat, from, text, contact, forward_origin, forward_date, via_bot, .. } = self;
        let passed_on = forward_origin.is_some() || forward_date.is_some() || via_bot.is_some();
        if let Some(what) = self.successful_payment.and_then(Payment::paid).filter(|_| !passed_on) {
            return heard(&chat, &from?, what);
        }
        if let Some(what) = self.refunded_payment.and_then(Payment::paid_back).filter(|_| !passed_on) {
            // Telegram may say so in the bot's own name: the chat tells whose money it was.
            let from = User { id: chat.id, is_bot: false, language_code: None };
            return heard(&chat, &from, what);
        }
        let from = from?;
        let what = match (contact, text) {
            // Telegram itself says whose number it is. One that was passed on may be from a time when it was theirs.
            (Some(contact), _) if contact.user_id == Some(from.id) && !passed_on => {
                What::OwnNumber(Phone::parse(contact.phone_number.trim()))
            }
            (Some(_), _) => What::OtherNumber,
            (None, Some(text)) => match text.split_whitespace().next() {
                // What a deep link has put behind it is of no use here.
                Some("/start") => What::Start,
                Some("/stop") => What::Stop,
                _ => What::Talk,
            },
            (None, None) => return None,
        };
        heard(&chat, &from, what)
    }
}

/// Names of payments are kept and told on only if they can be names.
fn is_name(text: &str) -> bool {
    (1..=PAYMENT_MAX_BYTES).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

impl Payment {
    fn paid(self) -> Option<What> {
        let Payment { currency, total_amount, invoice_payload: payload, telegram_payment_charge_id: charge } =
            self;
        let good = is_name(&payload) && is_name(&charge) && is_name(&currency);
        good.then(|| What::Paid { payload, charge, price: format!("{total_amount} {currency}") })
    }

    fn paid_back(self) -> Option<What> {
        let charge = self.telegram_payment_charge_id;
        is_name(&charge).then_some(What::PaidBack { charge })
    }
}

impl PreCheckoutQuery {
    fn heard(self) -> Option<Heard> {
        let PreCheckoutQuery { id, from, currency, total_amount, invoice_payload: payload } = self;
        let good = is_name(&id) && is_name(&payload) && is_name(&currency);
        let chat = Chat { id: from.id, r#type: "private".to_owned() };
        let what = What::Checkout { id, payload, price: format!("{total_amount} {currency}") };
        good.then(|| heard(&chat, &from, what)).flatten()
    }
}

impl CallbackQuery {
    fn heard(self) -> Option<Heard> {
        let message = self.message?;
        let id = Some(self.id).filter(|id| id.len() <= CALLBACK_ID_MAX_BYTES)?;
        let data = self.data.unwrap_or_default();
        heard(&message.chat, &self.from, What::Pressed { id, message_id: message.message_id, data })
    }
}

impl Membership {
    fn heard(self) -> Option<Heard> {
        let gone = matches!(self.new_chat_member.status.as_str(), "kicked" | "left");
        gone.then(|| heard(&self.chat, &self.from, What::Blocked)).flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn message(more: Value) -> Value {
        let mut message = json!({
            "message_id": 7, "date": 1,
            "chat": { "id": 42, "type": "private", "first_name": "Ann" },
            "from": { "id": 42, "is_bot": false, "first_name": "Ann", "language_code": "pt-BR" },
        });
        for (key, value) in more.as_object().unwrap() {
            message[key] = value.clone();
        }
        json!({ "update_id": 1, "message": message })
    }

    fn what(update: &Value) -> Option<What> {
        read(&update.to_string()).map(|heard| heard.what)
    }

    #[test]
    fn a_person_has_a_chat_and_a_language() {
        let heard = read(&message(json!({ "text": "/start" })).to_string()).unwrap();
        assert_eq!(heard, Heard { chat_id: 42, language: "pt-br".to_owned(), what: What::Start });
        for language in ["x".repeat(36), "a\0b".to_owned(), "dé".to_owned()] {
            let from = json!({ "id": 42, "language_code": language });
            let heard = read(&message(json!({ "text": "/start", "from": from })).to_string()).unwrap();
            assert_eq!(heard.language, "");
        }
    }

    #[test]
    fn texts_are_commands_or_talk() {
        for (text, expected) in [
            ("/start", What::Start),
            ("/start login_123", What::Start),
            ("/start\n", What::Start),
            ("/stop", What::Stop),
            ("/help", What::Talk),
            ("/started", What::Talk),
            ("hello", What::Talk),
            ("", What::Talk),
        ] {
            assert_eq!(what(&message(json!({ "text": text }))), Some(expected), "{text:?}");
        }
        assert_eq!(what(&message(json!({ "sticker": {} }))), None);
    }

    #[test]
    fn only_ones_own_number_counts() {
        let own = json!({ "phone_number": "+391234567890", "user_id": 42, "first_name": "Ann" });
        let shared = |more: Value| what(&message(more));
        assert_eq!(shared(json!({ "contact": own })), Some(What::OwnNumber(Phone::parse("391234567890"))));
        for other in [
            json!({ "contact": { "phone_number": "391234567890", "user_id": 43 } }),
            json!({ "contact": { "phone_number": "391234567890" } }),
            json!({ "contact": own, "forward_origin": { "type": "user" } }),
            json!({ "contact": own, "forward_date": 1 }),
            json!({ "contact": own, "via_bot": { "id": 9 } }),
        ] {
            assert_eq!(shared(other.clone()), Some(What::OtherNumber), "{other}");
        }
        let odd = json!({ "contact": { "phone_number": "call me", "user_id": 42 } });
        assert_eq!(shared(odd), Some(What::OwnNumber(None)));
    }

    #[test]
    fn groups_and_bots_are_nothing() {
        let own = json!({ "phone_number": "391234567890", "user_id": 42 });
        for (chat, from) in [
            (json!({ "id": -100, "type": "group" }), json!({ "id": 42 })),
            (json!({ "id": 42, "type": "supergroup" }), json!({ "id": 42 })),
            (json!({ "id": 42, "type": "private" }), json!({ "id": 43 })),
            (json!({ "id": 42, "type": "private" }), json!({ "id": 42, "is_bot": true })),
            (json!({ "id": -42, "type": "private" }), json!({ "id": -42 })),
        ] {
            let update = message(json!({ "chat": chat, "from": from, "contact": own }));
            assert_eq!(what(&update), None, "{update}");
        }
    }

    #[test]
    fn whoever_blocks_the_bot_is_gone() {
        let membership = |status: &str, kind: &str| {
            what(&json!({ "update_id": 1, "my_chat_member": {
                "chat": { "id": 42, "type": kind }, "from": { "id": 42 },
                "old_chat_member": { "status": "member" }, "new_chat_member": { "status": status },
            } }))
        };
        assert_eq!(membership("kicked", "private"), Some(What::Blocked));
        assert_eq!(membership("member", "private"), None);
        assert_eq!(membership("kicked", "group"), None);
    }

    #[test]
    fn a_pressed_button_says_where_it_is() {
        let press = |id: &str| {
            what(&json!({ "update_id": 1, "callback_query": {
                "id": id, "from": { "id": 42 }, "data": "r1",
                "message": { "message_id": 7, "chat": { "id": 42, "type": "private" }, "date": 0 },
            } }))
        };
        let pressed = What::Pressed { id: "9".to_owned(), message_id: 7, data: "r1".to_owned() };
        assert_eq!(press("9"), Some(pressed));
        assert_eq!(press(&"9".repeat(65)), None);
    }

    #[test]
    fn a_payment_is_of_whoever_pays_it() {
        let paid = json!({ "currency": "XTR", "total_amount": 500, "invoice_payload": "p1",
                           "telegram_payment_charge_id": "ch_1", "provider_payment_charge_id": "" });
        let expected = What::Paid { payload: "p1".into(), charge: "ch_1".into(), price: "500 XTR".into() };
        assert_eq!(what(&message(json!({ "successful_payment": paid }))), Some(expected));
        let back = Some(What::PaidBack { charge: "ch_1".into() });
        assert_eq!(what(&message(json!({ "refunded_payment": paid }))), back);
        let of_bot = json!({ "refunded_payment": paid, "from": { "id": 9, "is_bot": true } });
        assert_eq!(what(&message(of_bot)), back);
        for (name, value) in [
            ("invoice_payload", json!("")),
            ("invoice_payload", json!("é")),
            ("telegram_payment_charge_id", json!("x".repeat(256))),
            ("currency", json!("X R")),
            ("total_amount", json!(1.5)),
        ] {
            let mut odd = paid.clone();
            odd[name] = value;
            assert_eq!(what(&message(json!({ "successful_payment": odd }))), None, "{odd}");
        }
        let passed_on = json!({ "successful_payment": paid, "forward_date": 1 });
        assert_eq!(what(&message(passed_on)), None);
        let group = json!({ "successful_payment": paid, "chat": { "id": -5, "type": "group" } });
        assert_eq!(what(&message(group)), None);
    }

    #[test]
    fn whoever_is_about_to_pay_waits_for_a_word() {
        let ask = |from: Value, payload: &str| {
            read(
                &json!({ "update_id": 1, "pre_checkout_query": {
                "id": "7", "from": from, "currency": "XTR", "total_amount": 500, "invoice_payload": payload,
            } })
                .to_string(),
            )
        };
        let heard = ask(json!({ "id": 42, "language_code": "de" }), "p1").unwrap();
        let checkout = What::Checkout { id: "7".into(), payload: "p1".into(), price: "500 XTR".into() };
        assert_eq!(heard, Heard { chat_id: 42, language: "de".to_owned(), what: checkout });
        assert_eq!(ask(json!({ "id": 42, "is_bot": true }), "p1"), None);
        assert_eq!(ask(json!({ "id": 42 }), ""), None);
    }

    #[test]
    fn whatever_is_not_understood_still_has_its_number() {
        let deep = format!(r#"{{"update_id":5,"poll":{}1{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
        let odd = [
            r#"{"update_id":5}"#,
            r#"{"update_id":5,"message":null,"new_kind":{"id":1}}"#,
            r#"{"update_id":5,"message":{"chat":"x"}}"#,
            r#"{"update_id":5,"message":{"chat":{"id":1e99,"type":7}}}"#,
            r#"{"update_id":5,"message":{"text":"\ud800"}}"#,
            &deep,
        ];
        for update in odd {
            assert_eq!(number(update), Some(5), "{update:.80}");
            assert_eq!(read(update), None, "{update:.80}");
        }
        for update in ["", "null", "[]", "7", r#"{"update_id":"5"}"#, r#"{"update_id":5.5}"#] {
            assert_eq!((number(update), read(update)), (None, None), "{update}");
        }
    }
}

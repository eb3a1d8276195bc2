//! A thin client of Telegram's Bot API, <https://core.telegram.org/bots/api>: the methods that this channel needs, and
//! what is known after one that failed.

use crate::net::provider::{Failure, Provider};
use axum::http::header::CONTENT_TYPE;
use axum::http::{Method, Request, Response};
use bytes::Bytes;
use chappe_core::text::Username;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use std::fmt;
use std::sync::OnceLock;
use std::time::Duration;

/// How long a call may take, but for one that waits for updates.
const ANSWER_MAX: Duration = Duration::from_secs(10);
/// How long Telegram holds a call for updates back while there are none.
const LONG_POLL: Duration = Duration::from_secs(25);
/// The kinds of updates that are asked for: without this list, Telegram sends whatever the last one asked for.
const UPDATES: [&str; 4] = ["message", "callback_query", "my_chat_member", "pre_checkout_query"];
/// The longest description of an error that is passed on, in characters.
const DESCRIPTION_MAX_CHARS: usize = 120;

/// The token of a bot: `123456789:AA…`. It is never shown.
#[derive(Clone, Deserialize)]
#[serde(try_from = "String")]
pub struct Token(String);

/// Where the Bot API is, such as `https://api.telegram.org`, without a slash at its end.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct BaseUrl(String);

/// A bot, seen from its Bot API.
pub struct Bot {
    provider: Provider,
    /// With the token in it.
    url: String,
    /// What it is called, once that was asked.
    username: OnceLock<String>,
}

/// A call that did not do what it was for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// It was answered with an error.
    #[error("error {code}: {description}")]
    Refused {
        /// The error's number, which is the HTTP status.
        code: u16,
        /// What it says, for people.
        description: String,
        /// When to come again, if it says so.
        retry_after: Option<Duration>,
    },
    /// Nothing was sent: it cannot have done anything.
    #[error("it cannot be reached: {0}")]
    NotSent(String),
    /// No answer came that could be read: it may have done what it was asked to.
    #[error("no answer came: {0}")]
    NoAnswer(String),
}

/// A message to be sent to a private chat.
#[derive(Clone, Debug)]
pub(super) struct Outgoing {
    pub(super) chat_id: i64,
    /// In Telegram's HTML.
    pub(super) html: String,
    /// Whether it may be neither forwarded nor saved.
    pub(super) protected: bool,
    /// Buttons, as the Bot API writes them.
    pub(super) keyboard: Option<Value>,
}

/// Stars that are to be paid.
#[derive(Clone, Copy, Debug)]
pub struct Invoice<'a> {
    /// What for, in 32 characters at most.
    pub title: &'a str,
    /// What for, in 255 characters at most.
    pub description: &'a str,
    /// What we call the payment, in 128 bytes at most.
    pub payload: &'a str,
    /// How many.
    pub stars: i64,
}

/// Every answer of the Bot API.
#[derive(Deserialize)]
struct Answer<'a> {
    ok: bool,
    #[serde(borrow)]
    result: Option<&'a RawValue>,
    error_code: Option<u16>,
    description: Option<String>,
    #[serde(default)]
    parameters: Parameters,
}

#[derive(Default, Deserialize)]
struct Parameters {
    retry_after: Option<u64>,
}

#[derive(Deserialize)]
struct SentMessage {
    message_id: i64,
}

#[derive(Deserialize)]
struct Me {
    username: String,
}

#[derive(Deserialize)]
struct Administrator {
    status: Standing,
    user: User,
}

/// What somebody is in a channel, among its administrators.
#[derive(PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Standing {
    Creator,
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
struct User {
    id: i64,
}

impl Bot {
    pub(super) fn new(base_url: &BaseUrl, token: &Token) -> Bot {
        let url = format!("{}/bot{}", base_url.0, token.0);
        Bot { provider: Provider::new(), url, username: OnceLock::new() }
    }

    /// The bot's username.
    pub async fn get_me(&self) -> Result<String, CallError> {
        Ok(self.call::<Me>("getMe", &json!({})).await?.username)
    }

    /// The bot's username, which is asked for once.
    pub async fn username(&self) -> Result<&str, CallError> {
        if let Some(known) = self.username.get() {
            return Ok(known);
        }
        let asked = self.get_me().await?;
        Ok(self.username.get_or_init(|| asked))
    }

    /// What happened since `offset`, which everything before is confirmed with; each update as it was written. Telegram
    /// answers as soon as there is something, or after a while.
    pub(super) async fn get_updates(
        &self,
        offset: Option<i64>,
        limit: usize,
    ) -> Result<Vec<Box<RawValue>>, CallError> {
        let parameters = json!({
            "offset": offset,
            "limit": limit,
            "timeout": LONG_POLL.as_secs(),
            "allowed_updates": UPDATES,
        });
        self.call_within("getUpdates", &parameters, LONG_POLL + ANSWER_MAX).await
    }

    pub(super) async fn set_webhook(&self, url: &str, secret: &str) -> Result<(), CallError> {
        let parameters = json!({ "url": url, "secret_token": secret, "allowed_updates": UPDATES });
        self.done("setWebhook", &parameters).await
    }

    pub(super) async fn delete_webhook(&self) -> Result<(), CallError> {
        self.done("deleteWebhook", &json!({})).await
    }

    /// Sends a message, and returns its number in the chat.
    pub(super) async fn send_message(&self, message: &Outgoing) -> Result<i64, CallError> {
        let mut parameters = message.parameters();
        parameters["protect_content"] = message.protected.into();
        Ok(self.call::<SentMessage>("sendMessage", &parameters).await?.message_id)
    }

    /// Puts another text and other buttons into a message.
    pub(super) async fn edit_message(&self, message_id: i64, message: &Outgoing) -> Result<(), CallError> {
        let mut parameters = message.parameters();
        parameters["message_id"] = message_id.into();
        self.done("editMessageText", &parameters).await
    }

    pub(super) async fn delete_message(&self, chat_id: i64, message_id: i64) -> Result<(), CallError> {
        self.done("deleteMessage", &json!({ "chat_id": chat_id, "message_id": message_id })).await
    }

    /// Answers whoever pressed a button; with a text, which they see for themselves alone.
    pub(super) async fn answer_callback(&self, id: &str, text: Option<&str>) -> Result<(), CallError> {
        let mut parameters = json!({ "callback_query_id": id });
        if let Some(text) = text {
            parameters["text"] = text.into();
            parameters["show_alert"] = true.into();
        }
        self.done("answerCallbackQuery", &parameters).await
    }

    /// Has a link made under which Stars are paid.
    pub async fn create_invoice_link(&self, invoice: &Invoice<'_>) -> Result<String, CallError> {
        let Invoice { title, description, payload, stars } = invoice;
        let parameters = json!({
            "title": title,
            "description": description,
            "payload": payload,
            "provider_token": "",
            "currency": "XTR",
            "prices": [{ "label": title, "amount": stars }],
        });
        self.call("createInvoiceLink", &parameters).await
    }

    /// Answers whoever is about to pay: that they may, or why not.
    pub(super) async fn answer_pre_checkout(&self, id: &str, refusal: Option<&str>) -> Result<(), CallError> {
        let mut parameters = json!({ "pre_checkout_query_id": id, "ok": refusal.is_none() });
        if let Some(refusal) = refusal {
            parameters["error_message"] = refusal.into();
        }
        self.done("answerPreCheckoutQuery", &parameters).await
    }

    /// Gives Stars back to whoever paid them. Those that went back before are no error.
    pub async fn refund_star_payment(&self, payer: i64, charge: &str) -> Result<(), CallError> {
        let parameters = json!({ "user_id": payer, "telegram_payment_charge_id": charge });
        match self.done("refundStarPayment", &parameters).await {
            Err(CallError::Refused { description, .. }) if description.contains("ALREADY_REFUNDED") => Ok(()),
            done => done,
        }
    }

    /// The ids of the people who run a public channel. The bot must be one of its administrators itself.
    pub async fn administrators(&self, channel: &Username) -> Result<Vec<i64>, CallError> {
        Ok(self.staff(channel).await?.into_iter().map(|administrator| administrator.user.id).collect())
    }

    /// The id of the person who owns a public channel, if it has an owner. The bot must be one of its administrators.
    pub async fn owner(&self, channel: &Username) -> Result<Option<i64>, CallError> {
        let owner = |administrator: &Administrator| administrator.status == Standing::Creator;
        Ok(self.staff(channel).await?.into_iter().find(owner).map(|owner| owner.user.id))
    }

    async fn staff(&self, channel: &Username) -> Result<Vec<Administrator>, CallError> {
        self.call("getChatAdministrators", &json!({ "chat_id": format!("@{channel}") })).await
    }

    /// Sets the menu of commands, for everybody or for people with a language.
    pub(super) async fn set_my_commands(
        &self,
        commands: &[(&str, &str)],
        language: &str,
    ) -> Result<(), CallError> {
        let command =
            |(command, description): &(&str, &str)| json!({ "command": command, "description": description });
        let commands: Vec<Value> = commands.iter().map(command).collect();
        let scope = json!({ "type": "all_private_chats" });
        let parameters = json!({ "commands": commands, "scope": scope, "language_code": language });
        self.done("setMyCommands", &parameters).await
    }

    async fn done(&self, method: &str, parameters: &Value) -> Result<(), CallError> {
        // What it says beside is true, or the message as it now is.
        self.call::<Value>(method, parameters).await.map(drop)
    }

    async fn call<T: DeserializeOwned>(
        &self,
        method: &str,
        parameters: &impl Serialize,
    ) -> Result<T, CallError> {
        self.call_within(method, parameters, ANSWER_MAX).await
    }

    async fn call_within<T: DeserializeOwned>(
        &self,
        method: &str,
        parameters: &impl Serialize,
        answer_max: Duration,
    ) -> Result<T, CallError> {
        let not_sent = |error: &dyn fmt::Display| CallError::NotSent(error.to_string());
        let body = serde_json::to_vec(parameters).map_err(|error| not_sent(&error))?;
        let request = Request::builder()
            .method(Method::POST)
            .uri(format!("{}/{method}", self.url))
            .header(CONTENT_TYPE, "application/json")
            .body(Bytes::from(body))
            .map_err(|error| not_sent(&error))?;
        read(&self.provider.call_within(answer_max, request).await?)
    }
}

impl Outgoing {
    fn parameters(&self) -> Value {
        let mut parameters = json!({
            "chat_id": self.chat_id,
            "text": self.html,
            "parse_mode": "HTML",
            "link_preview_options": { "is_disabled": true },
        });
        if let Some(keyboard) = &self.keyboard {
            parameters["reply_markup"] = keyboard.clone();
        }
        parameters
    }
}

/// Reads an answer. One that says that all is well, but not what came of it, is as good as none.
fn read<T: DeserializeOwned>(answer: &Response<Bytes>) -> Result<T, CallError> {
    let status = answer.status();
    let body = serde_json::from_slice::<Answer<'_>>(answer.body());
    match body {
        Ok(Answer { ok: true, result, .. }) if status.is_success() => {
            let unreadable = |_| CallError::NoAnswer("its answer cannot be read".to_owned());
            serde_json::from_str(result.map_or("null", RawValue::get)).map_err(unreadable)
        }
        Ok(Answer { ok: false, error_code, description, parameters, .. }) => {
            let code = error_code.filter(|_| status.is_success()).unwrap_or(status.as_u16());
            let description = description.unwrap_or_default().chars().take(DESCRIPTION_MAX_CHARS).collect();
            let retry_after = parameters.retry_after.map(Duration::from_secs);
            Err(CallError::Refused { code, description, retry_after })
        }
        Ok(_) | Err(_) if status.is_success() => {
            Err(CallError::NoAnswer("its answer cannot be read".to_owned()))
        }
        Ok(_) | Err(_) => {
            let description = status.canonical_reason().unwrap_or_default().to_owned();
            Err(CallError::Refused { code: status.as_u16(), description, retry_after: None })
        }
    }
}

impl From<Failure> for CallError {
    fn from(failure: Failure) -> CallError {
        match failure {
            Failure::NotSent(reason) => CallError::NotSent(reason),
            Failure::NoAnswer(reason) => CallError::NoAnswer(reason),
        }
    }
}

/// Not the token of a bot.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the token of a bot looks like 123456789:AAExampleExampleExample; @BotFather gives it")]
pub struct InvalidToken;

impl TryFrom<String> for Token {
    type Error = InvalidToken;

    fn try_from(text: String) -> Result<Token, InvalidToken> {
        let text = text.trim();
        let (bot, secret) = text.split_once(':').ok_or(InvalidToken)?;
        let number = (1..=20).contains(&bot.len()) && bot.bytes().all(|byte| byte.is_ascii_digit());
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        let secret = (8..=100).contains(&secret.len()) && secret.bytes().all(plain);
        if number && secret { Ok(Token(text.to_owned())) } else { Err(InvalidToken) }
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// Not where a Bot API could be.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the base URL of a Bot API looks like https://api.telegram.org, with nothing but a path behind")]
pub struct InvalidBaseUrl;

impl TryFrom<String> for BaseUrl {
    type Error = InvalidBaseUrl;

    fn try_from(text: String) -> Result<BaseUrl, InvalidBaseUrl> {
        let url = url::Url::parse(text.trim()).map_err(|_| InvalidBaseUrl)?;
        let bare = url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none();
        let speaks_http = matches!(url.scheme(), "https" | "http") && url.has_host();
        if bare && speaks_http {
            Ok(BaseUrl(url.as_str().trim_end_matches('/').to_owned()))
        } else {
            Err(InvalidBaseUrl)
        }
    }
}

impl Default for BaseUrl {
    fn default() -> BaseUrl {
        BaseUrl("https://api.telegram.org".to_owned())
    }
}

impl fmt::Debug for Bot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Bot(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &str) -> Result<i64, CallError> {
        let body = Bytes::copy_from_slice(body.as_bytes());
        read::<SentMessage>(&Response::builder().status(status).body(body).unwrap())
            .map(|sent| sent.message_id)
    }

    fn refused(code: u16, description: &str, retry_after: Option<u64>) -> Result<i64, CallError> {
        let retry_after = retry_after.map(Duration::from_secs);
        Err(CallError::Refused { code, description: description.to_owned(), retry_after })
    }

    #[test]
    fn an_answer_is_read_as_far_as_it_goes() {
        assert_eq!(answer(200, r#"{"ok":true,"result":{"message_id":7,"chat":{}},"new":1}"#), Ok(7));
        let flood = r#"{"ok":false,"error_code":429,"description":"Too Many Requests: retry after 5",
                        "parameters":{"retry_after":5,"migrate_to_chat_id":-1}}"#;
        assert_eq!(answer(429, flood), refused(429, "Too Many Requests: retry after 5", Some(5)));
        assert_eq!(answer(502, "<html>Bad Gateway</html>"), refused(502, "Bad Gateway", None));
        assert_eq!(answer(200, r#"{"ok":false,"error_code":400}"#), refused(400, "", None));
        // The HTTP status counts: a proxy may have put it there.
        assert_eq!(answer(500, r#"{"ok":true,"result":{"message_id":7}}"#), {
            refused(500, "Internal Server Error", None)
        });
        let long = answer(400, &format!(r#"{{"ok":false,"description":"{}"}}"#, "é".repeat(1_000)));
        assert_eq!(long, refused(400, &"é".repeat(DESCRIPTION_MAX_CHARS), None));
    }

    #[test]
    fn what_has_nothing_to_say_is_done_all_the_same() {
        for body in [r#"{"ok":true}"#, r#"{"ok":true,"result":null}"#, r#"{"ok":true,"result":true}"#] {
            let answer = Response::new(Bytes::from_static(body.as_bytes()));
            assert!(read::<Value>(&answer).is_ok(), "{body}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_no_answer() {
        for body in
            ["", "null", "[]", "{}", r#"{"ok":true}"#, r#"{"ok":true,"result":true}"#, r#"{"ok":tr"#, "\0"]
        {
            assert!(matches!(answer(200, body), Err(CallError::NoAnswer(_))), "{body}");
        }
    }

    #[test]
    fn a_token_is_two_parts_and_never_shown() {
        let token = Token::try_from(" 123456789:AAF-xyz_0123456789 ".to_owned()).unwrap();
        assert_eq!(token.0, "123456789:AAF-xyz_0123456789");
        assert!(!format!("{token:?} {:?}", Bot::new(&BaseUrl::default(), &token)).contains("123"));
        for text in [
            "",
            "123",
            "123:",
            ":AAF-xyz_0123456789",
            "1:short",
            "1:a/../../etc/passwd",
            "x:AAF-xyz_0123456789",
        ] {
            assert!(Token::try_from(text.to_owned()).is_err(), "{text}");
        }
    }

    #[test]
    fn a_base_url_has_a_scheme_and_a_host_and_no_secrets() {
        let url = |text: &str| BaseUrl::try_from(text.to_owned());
        assert_eq!(url("https://api.telegram.org/").unwrap(), BaseUrl::default());
        assert_eq!(url("http://10.0.0.1:8081/bots").unwrap().0, "http://10.0.0.1:8081/bots");
        for text in
            ["", "api.telegram.org", "ftp://host", "https://u:p@host", "https://host?x", "https://host#x"]
        {
            assert!(url(text).is_err(), "{text}");
        }
    }
}

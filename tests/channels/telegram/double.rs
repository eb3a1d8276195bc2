//! A Bot API on loopback: chats, messages and updates as the real one has them, and faults on demand.

use crate::support::must;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

pub(crate) const TOKEN: &str = "123456789:AAExample-token_of_a_bot";

/// What goes wrong with one call.
#[derive(Clone, Debug)]
pub(crate) enum Fault {
    /// It is answered with this status and this body, and nothing is done.
    Answer(u16, String),
    /// It is done, and then the connection is closed instead of an answer.
    Deaf,
    /// It is done, and the answer breaks off in the middle.
    Torn,
    /// It is done, and nothing is ever said of it.
    Hang,
}

/// A call as it came.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) method: String,
    pub(crate) body: Value,
}

/// A bot's side of Telegram. Ends when it is dropped.
#[derive(Debug)]
pub(crate) struct BotApi {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    world: Mutex<World>,
    changed: watch::Sender<u64>,
}

/// Everything that the Bot API knows.
#[derive(Debug, Default)]
pub(crate) struct World {
    pub(crate) calls: Vec<Call>,
    /// By chat and number, as they now are.
    pub(crate) messages: BTreeMap<(i64, i64), Value>,
    /// Who has blocked the bot.
    pub(crate) blocked: BTreeSet<i64>,
    /// Chats that do not exist.
    pub(crate) unknown: BTreeSet<i64>,
    /// The administrators of public channels, the owner first.
    pub(crate) administrators: BTreeMap<String, Vec<i64>>,
    pub(crate) webhook: Option<Value>,
    /// The payments whose Stars went back.
    pub(crate) paid_back: BTreeSet<String>,
    /// What the next calls of a method meet.
    pub(crate) faults: BTreeMap<String, VecDeque<Fault>>,
    /// Whether what was confirmed is sent again all the same.
    pub(crate) forgetful: bool,
    updates: Vec<Value>,
    next_update: i64,
    next_message: i64,
    /// The last offset that was asked with.
    pub(crate) offset: Option<i64>,
}

impl BotApi {
    pub(crate) async fn start() -> BotApi {
        BotApi::over(TcpListener::bind("127.0.0.1:0").await.unwrap())
    }

    fn over(listener: TcpListener) -> BotApi {
        let address = listener.local_addr().unwrap();
        let world = World { next_update: 1_000, next_message: 1, ..World::default() };
        let shared = Arc::new(Shared { world: Mutex::new(world), changed: watch::Sender::new(0) });
        let task = tokio::spawn(accept(listener, shared.clone()));
        BotApi { address, shared, task }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn world(&self) -> MutexGuard<'_, World> {
        self.shared.world.lock().unwrap()
    }

    /// Lets the next calls of a method meet faults.
    pub(crate) fn fail(&self, method: &str, faults: impl IntoIterator<Item = Fault>) {
        self.world().faults.entry(method.to_owned()).or_default().extend(faults);
    }

    /// Something happened, in an update of its own. Returns its number.
    pub(crate) fn happens(&self, update: Value) -> i64 {
        let mut world = self.world();
        let number = world.next_update;
        world.next_update += 1;
        let mut update = update;
        update["update_id"] = number.into();
        world.updates.push(update);
        drop(world);
        self.shared.tell();
        number
    }

    /// Waits until what is looked for is there.
    pub(crate) async fn until<T>(&self, what: &str, mut find: impl FnMut(&World) -> Option<T>) -> T {
        let mut changed = self.shared.changed.subscribe();
        let found = async {
            loop {
                changed.mark_unchanged();
                if let Some(found) = find(&self.world()) {
                    return found;
                }
                changed.changed().await.unwrap();
            }
        };
        must(what, found).await
    }

    /// Waits until everything up to this update is confirmed.
    pub(crate) async fn until_confirmed(&self, update: i64) {
        self.until("an update to be confirmed", |world| world.offset.filter(|offset| *offset > update)).await;
    }

    /// Waits for the how-manieth call of a method, counted from 1.
    pub(crate) async fn call(&self, method: &str, nth: usize) -> Call {
        let nth_of =
            |world: &World| world.calls.iter().filter(|call| call.method == method).nth(nth - 1).cloned();
        self.until(&format!("call {nth} of {method}"), nth_of).await
    }

    pub(crate) fn count(&self, method: &str) -> usize {
        self.world().calls.iter().filter(|call| call.method == method).count()
    }
}

impl Drop for BotApi {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Shared {
    fn tell(&self) {
        self.changed.send_modify(|version| *version += 1);
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    // Ends its connections with it.
    let mut open = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        open.spawn(serve(stream, shared.clone()));
    }
}

async fn serve(mut stream: TcpStream, shared: Arc<Shared>) -> Option<()> {
    let mut buffer = Vec::new();
    loop {
        let (path, body) = read(&mut stream, &mut buffer).await?;
        let method = path.rsplit('/').next()?.to_owned();
        let body: Value = serde_json::from_slice(&body).unwrap_or(Value::Null);
        let fault = {
            let mut world = shared.world.lock().unwrap();
            world.calls.push(Call { method: method.clone(), body: body.clone() });
            world.faults.get_mut(&method).and_then(VecDeque::pop_front)
        };
        shared.tell();
        if let Some(Fault::Answer(status, body)) = &fault {
            respond(&mut stream, *status, body).await?;
            continue;
        }
        let (status, answer) = if path != format!("/bot{TOKEN}/{method}") {
            refused(401, "Unauthorized")
        } else if method == "getUpdates" {
            updates(&shared, &body).await
        } else {
            let answer = shared.world.lock().unwrap().answer(&method, &body);
            shared.tell();
            answer
        };
        match fault {
            None => respond(&mut stream, status, &answer.to_string()).await?,
            Some(Fault::Deaf) => return None,
            Some(Fault::Torn) => {
                let head = "HTTP/1.1 200 OK\r\ncontent-length: 400\r\n\r\n{\"ok\":true,\"result\":{\"mess";
                stream.write_all(head.as_bytes()).await.ok()?;
                return None;
            }
            Some(Fault::Hang | Fault::Answer(..)) => std::future::pending().await,
        }
    }
}

async fn respond(stream: &mut TcpStream, status: u16, body: &str) -> Option<()> {
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status} Some\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n"
    );
    stream.write_all(format!("{head}{body}").as_bytes()).await.ok()
}

/// Reads a request: its path and its body.
async fn read(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<(String, Vec<u8>)> {
    let end = loop {
        if let Some(at) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
            break at + 4;
        }
        more(stream, buffer).await?;
    };
    let head = String::from_utf8(buffer[..end].to_vec()).ok()?.to_ascii_lowercase();
    let path = String::from_utf8(buffer[..end].to_vec()).ok()?.split(' ').nth(1)?.to_owned();
    let length =
        head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok()).unwrap_or(0);
    while buffer.len() < end + length {
        more(stream, buffer).await?;
    }
    let body = buffer[end..end + length].to_vec();
    buffer.drain(..end + length);
    Some((path, body))
}

async fn more(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<()> {
    let mut chunk = [0; 4_096];
    let count = stream.read(&mut chunk).await.ok().filter(|count| *count > 0)?;
    buffer.extend_from_slice(&chunk[..count]);
    Some(())
}

/// getUpdates: what is not confirmed, or the next thing that happens.
async fn updates(shared: &Shared, body: &Value) -> (u16, Value) {
    let mut changed = shared.changed.subscribe();
    let wait = Duration::from_secs(body["timeout"].as_u64().unwrap_or(0));
    let limit = usize::try_from(body["limit"].as_u64().unwrap_or(100)).unwrap();
    let some = async {
        loop {
            changed.mark_unchanged();
            {
                let mut world = shared.world.lock().unwrap();
                if world.webhook.is_some() {
                    let why = "Conflict: can't use getUpdates method while webhook is active; use deleteWebhook to \
                               delete the webhook first";
                    return refused(409, why);
                }
                let offset = body["offset"].as_i64();
                world.offset = offset.or(world.offset);
                let confirmed =
                    |update: &Value| offset.is_some_and(|offset| update["update_id"].as_i64() < Some(offset));
                if !world.forgetful {
                    world.updates.retain(|update| !confirmed(update));
                }
                let waiting: Vec<Value> = world.updates.iter().take(limit).cloned().collect();
                shared.changed.send_modify(|version| *version += 1);
                changed.mark_unchanged();
                if !waiting.is_empty() {
                    return (200, json!({ "ok": true, "result": waiting }));
                }
            }
            changed.changed().await.unwrap();
        }
    };
    tokio::time::timeout(wait, some).await.unwrap_or_else(|_| (200, json!({ "ok": true, "result": [] })))
}

pub(crate) fn refused(code: u16, description: &str) -> (u16, Value) {
    (code, json!({ "ok": false, "error_code": code, "description": description }))
}

/// A fault that is an error of the Bot API.
pub(crate) fn error(code: u16, description: &str) -> Fault {
    Fault::Answer(code, refused(code, description).1.to_string())
}

/// A fault that asks for a pause.
pub(crate) fn flood(retry_after: u64) -> Fault {
    let mut body = refused(429, "Too Many Requests: retry later").1;
    body["parameters"] = json!({ "retry_after": retry_after });
    Fault::Answer(429, body.to_string())
}

impl World {
    fn answer(&mut self, method: &str, body: &Value) -> (u16, Value) {
        let done = |result: Value| (200, json!({ "ok": true, "result": result }));
        match method {
            "getMe" => done(json!({ "id": 123456789, "is_bot": true, "username": "example_bot" })),
            "setMyCommands" | "answerCallbackQuery" | "answerPreCheckoutQuery" => done(true.into()),
            "createInvoiceLink" => invoice(body),
            "refundStarPayment" => {
                let charge = body["telegram_payment_charge_id"].as_str().unwrap_or_default();
                match self.paid_back.insert(charge.to_owned()) {
                    true => done(true.into()),
                    false => refused(400, "Bad Request: CHARGE_ALREADY_REFUNDED"),
                }
            }
            "setWebhook" => {
                self.webhook = Some(body.clone());
                done(true.into())
            }
            "deleteWebhook" => {
                self.webhook = None;
                done(true.into())
            }
            "sendMessage" => self.send(body),
            "editMessageText" => match self.messages.get_mut(&place(body)) {
                None => refused(400, "Bad Request: message to edit not found"),
                Some(message) if message["text"] == body["text"] => refused(
                    400,
                    "Bad Request: message is not modified: specified new message content and reply markup are exactly \
                     the same as a current content and reply markup of the message",
                ),
                Some(message) => {
                    message["text"] = body["text"].clone();
                    message["reply_markup"] = body["reply_markup"].clone();
                    done(message.clone())
                }
            },
            "deleteMessage" => match self.messages.remove(&place(body)) {
                None => refused(400, "Bad Request: message to delete not found"),
                Some(_) => done(true.into()),
            },
            "getChatAdministrators" => {
                let name = body["chat_id"].as_str().unwrap_or_default();
                match self.administrators.get(name) {
                    None => refused(400, "Bad Request: chat not found"),
                    Some(people) => {
                        let status = |at| if at == 0 { "creator" } else { "administrator" };
                        let member = |(at, id)| json!({ "status": status(at), "user": { "id": id } });
                        done(people.iter().enumerate().map(member).collect())
                    }
                }
            }
            _ => refused(404, "Not Found: method not found"),
        }
    }

    fn send(&mut self, body: &Value) -> (u16, Value) {
        let Some(chat) = body["chat_id"].as_i64() else {
            return refused(400, "Bad Request: chat_id is empty");
        };
        if self.unknown.contains(&chat) {
            return refused(400, "Bad Request: chat not found");
        }
        if self.blocked.contains(&chat) {
            return refused(403, "Forbidden: bot was blocked by the user");
        }
        let data = body.pointer("/reply_markup/inline_keyboard/0/0/callback_data").and_then(Value::as_str);
        if data.is_some_and(|data| !(1..=64).contains(&data.len())) {
            return refused(400, "Bad Request: BUTTON_DATA_INVALID");
        }
        let number = self.next_message;
        self.next_message += 1;
        let mut message = body.clone();
        message["message_id"] = number.into();
        message["chat"] = json!({ "id": chat, "type": "private" });
        self.messages.insert((chat, number), message.clone());
        (200, json!({ "ok": true, "result": message }))
    }

    /// The messages in a chat, the oldest first.
    pub(crate) fn chat(&self, chat: i64) -> Vec<&Value> {
        self.messages.range((chat, i64::MIN)..=(chat, i64::MAX)).map(|(_, message)| message).collect()
    }
}

/// A link under which Stars are paid, where the invoice is one.
fn invoice(body: &Value) -> (u16, Value) {
    let length = |name: &str| body[name].as_str().unwrap_or_default().chars().count();
    let good = (1..=32).contains(&length("title"))
        && (1..=255).contains(&length("description"))
        && (1..=128).contains(&length("payload"))
        && body["currency"] == "XTR"
        && body["provider_token"] == ""
        && body["prices"].as_array().is_some_and(|prices| prices.len() == 1)
        && body.pointer("/prices/0/amount").and_then(Value::as_i64).is_some_and(|stars| stars > 0);
    if !good {
        return refused(400, "Bad Request: STARS_INVOICE_INVALID");
    }
    (200, json!({ "ok": true, "result": "https://t.me/$invoice" }))
}

fn place(body: &Value) -> (i64, i64) {
    (body["chat_id"].as_i64().unwrap_or(0), body["message_id"].as_i64().unwrap_or(0))
}

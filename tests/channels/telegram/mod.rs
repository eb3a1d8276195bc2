//! A bot on Telegram, against a Bot API on loopback.

mod double;
mod faults;
mod input;
mod links;
mod reveal;
mod servers;
mod webhook;

use crate::support::{Server, Setup};
use chappe::channels::ChannelSettings;
use chappe::channels::route::{Line, Routes};
use chappe::channels::scripted::Scripted;
use chappe_core::ChannelEvent;
use chappe_core::text::ChannelName;
use double::{BotApi, TOKEN};
use serde_json::{Value, json};

const NOW: i64 = 1_795_000_000;
const PHONE: &str = "+391234567890";

/// Somebody on Telegram.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Person {
    id: i64,
    phone: &'static str,
    language: &'static str,
}

const ANN: Person = Person { id: 42, phone: "391234567890", language: "en" };
const BEN: Person = Person { id: 43, phone: "+391234567890", language: "de" };

impl Person {
    fn user(&self) -> Value {
        json!({ "id": self.id, "is_bot": false, "first_name": "Somebody", "language_code": self.language })
    }

    fn chat(&self) -> Value {
        json!({ "id": self.id, "type": "private", "first_name": "Somebody" })
    }

    fn message(&self, more: Value) -> Value {
        let mut message = json!({ "message_id": 1, "date": NOW, "chat": self.chat(), "from": self.user() });
        more.as_object().unwrap().iter().for_each(|(key, value)| message[key] = value.clone());
        json!({ "message": message })
    }

    fn says(&self, text: &str) -> Value {
        self.message(json!({ "text": text }))
    }

    fn contact(&self) -> Value {
        json!({ "phone_number": self.phone, "user_id": self.id, "first_name": "Somebody" })
    }

    fn shares(&self) -> Value {
        self.message(json!({ "contact": self.contact() }))
    }

    fn presses(&self, message: &Value, data: &str) -> Value {
        let message = json!({ "message_id": message["message_id"], "chat": message["chat"], "date": 0 });
        json!({ "callback_query": { "id": "cb1", "from": self.user(), "message": message, "data": data } })
    }
}

fn name(text: &str) -> ChannelName {
    ChannelName::parse(text).unwrap()
}

fn settings(url: &str, more: Value) -> ChannelSettings {
    let mut settings = json!({ "kind": "telegram", "token": TOKEN, "base_url": url });
    // The clock of these tests stands still, and so no second with room in it ever comes.
    settings["pace"] = json!({ "concurrency": 16 });
    more.as_object().unwrap().iter().for_each(|(key, value)| settings[key] = value.clone());
    serde_json::from_value(settings).unwrap()
}

/// A channel that takes everything and has it delivered.
fn sms() -> ChannelSettings {
    let delivered =
        || vec![ChannelEvent::Accepted { reference: None, poll_at: None }, ChannelEvent::Delivered];
    ChannelSettings::Scripted(Scripted::new(move |_, _, _| {
        let said = delivered().into();
        Box::pin(async move { said })
    }))
}

/// How a server is set up whose messages go to a bot, and then by SMS where `hops` says so.
fn setup(setup: &mut Setup, api: &BotApi, hops: &[&str], more: Value) {
    setup.clock_at(NOW);
    setup.settings.routes = Routes::all(Line::parse(hops).unwrap());
    setup.settings.channels.insert(name("bot"), settings(&api.url(), more));
    setup.settings.channels.insert(name("sms"), sms());
}

async fn serve(api: &BotApi, hops: &[&str], more: Value) -> Server {
    Server::start(|it| setup(it, api, hops, more)).await
}

/// Lets somebody subscribe, as people do.
async fn link(api: &BotApi, person: Person) {
    let started = api.happens(person.says("/start"));
    api.until_confirmed(started).await;
    let shared = api.happens(person.shares());
    api.until_confirmed(shared).await;
}

fn message() -> Value {
    json!({ "phone_number": PHONE, "code": "4821", "ttl": 60 })
}

async fn says(server: &Server, request: &str, line: &str) -> bool {
    server.timeline(request).await.iter().any(|found| found == line)
}

/// Waits for an event, and then looks for the whole line.
async fn until(server: &Server, request: &str, line: &str) {
    server.until(request, line.split(' ').next().unwrap()).await;
    assert!(says(server, request, line).await, "{line}: {:#?}", server.timeline(request).await);
}

//! Sender channels: registered by a customer, proven by their owner through a bot.

use crate::bot_api::{BotApi, Fault, TOKEN, error};
use crate::support::{Browser, Server};
use chappe::channels::ChannelSettings;
use chappe::store::SubscriberRow;
use chappe::store::console::people::Role;
use chappe::store::console::senders::SenderRow;
use chappe_core::text::ChannelName;
use chappe_core::{Mode, Phone};
use serde_json::json;
use std::time::Duration;

const ANNA: &str = "+9996600011";
const BRUNO: &str = "+9996600022";
const CHAT: i64 = 42;
const NOW: i64 = 1_795_000_000;

fn bot() -> ChannelName {
    ChannelName::parse("bot").unwrap()
}

async fn start(api: Option<&BotApi>) -> (Server, Browser) {
    let channel = api.map(|api| -> ChannelSettings {
        let settings =
            json!({ "kind": "telegram", "token": TOKEN, "base_url": api.url(), "updates": "none" });
        serde_json::from_value(settings).unwrap()
    });
    let server = Server::start(|setup| {
        setup.clock_at(NOW);
        setup.settings.channels.extend(channel.map(|channel| (bot(), channel)));
    })
    .await;
    server.admit("alice", ANNA, Role::Developer).await;
    let mut anna = Browser::new(&server);
    anna.log_in(&server, ANNA).await;
    anna.open("/senders").await;
    (server, anna)
}

impl Server {
    async fn sender(&self, mode: Mode) -> SenderRow {
        let account = self.account("alice", mode).await.id;
        self.reader().senders(account).await.unwrap().pop().unwrap()
    }

    /// Somebody shares a number with the bot.
    async fn share(&self, phone: &str, chat_id: i64) {
        let (phone, created_at) = (Phone::parse(phone).unwrap(), self.app.clock.now());
        let row = SubscriberRow {
            channel: bot(),
            phone,
            chat_id,
            language: "en".into(),
            blocked: false,
            created_at,
        };
        self.store().await.put_subscriber(&row).await.unwrap();
    }
}

#[tokio::test]
async fn a_channel_is_proven_by_its_owner() {
    let api = BotApi::start().await;
    let (server, mut anna) = start(Some(&api)).await;
    for wrong in ["", "ab", "1shop", "https://example.com/shop"] {
        let page = anna.submit("/senders", &[("username", wrong)]).await;
        assert!(page.text().contains("Write the username of a public channel"), "{wrong}");
    }
    let page = anna.submit("/senders", &[("username", "https://t.me/Example_Shop")]).await;
    assert_eq!(anna.at, "/senders/example_shop?said=sender-registered");
    for step in ["@example_bot", "https://t.me/example_bot", "share your number", "@example_shop"] {
        assert!(page.text().contains(step), "{step} is missing in {}", page.text());
    }
    let page = anna.submit("/senders", &[("username", "example_shop")]).await;
    assert!(page.text().contains("@example_shop is registered already."), "{}", page.text());

    let mut check = async |said: &str| {
        let page = anna.submit("/senders/example_shop/check", &[]).await;
        assert!(page.text().contains(said), "{said} is missing in {}", page.text());
    };
    check("The bot does not know your number yet.").await;
    server.share(BRUNO, 43).await;
    check("The bot does not know your number yet.").await;
    assert_eq!(api.count("getChatAdministrators"), 0, "there was nobody to look for");
    server.share(ANNA, CHAT).await;
    check("The bot cannot see who runs this channel.").await;
    api.world().administrators.insert("@example_shop".to_owned(), vec![43, CHAT]);
    check("not the owner of this channel").await;
    api.fail("getChatAdministrators", [Fault::Torn, error(502, "Bad Gateway")]);
    check("Telegram gave no answer.").await;
    check("Telegram gave no answer.").await;
    for mode in [Mode::Live, Mode::Test] {
        assert_eq!(server.sender(mode).await.proven_at, None);
    }
    api.world().administrators.insert("@example_shop".to_owned(), vec![CHAT, 43]);
    check("The channel is proven to be yours.").await;
    for mode in [Mode::Live, Mode::Test] {
        let sender = server.sender(mode).await;
        assert_eq!(
            (sender.proven_at, sender.verified),
            (Some(server.app.clock.now()), false),
            "the operator looks next"
        );
    }
    check("Nothing was changed.").await;
    assert_eq!(api.count("getMe"), 1, "the bot's name is asked for once");
    server.stop();
}

#[tokio::test]
async fn the_bot_is_not_kept_busy() {
    let api = BotApi::start().await;
    let (server, mut anna) = start(Some(&api)).await;
    server.share(ANNA, CHAT).await;
    anna.submit("/senders", &[("username", "first_shop")]).await;
    anna.submit("/senders", &[("username", "second_shop")]).await;
    for number in 0..12 {
        let shop = if number % 2 == 0 { "first_shop" } else { "second_shop" };
        let page = anna.submit(&format!("/senders/{shop}/check"), &[]).await;
        assert_eq!(page.text().contains("That was too often."), number >= 10, "{number}: {}", page.text());
    }
    assert_eq!(api.count("getChatAdministrators"), 10);
    server.app.clock.advance(Duration::from_secs(601));
    let page = anna.submit("/senders/first_shop/check", &[]).await;
    assert!(page.text().contains("The bot cannot see who runs this channel."), "{}", page.text());
    server.stop();
}

#[tokio::test]
async fn without_a_bot_the_page_says_what_is_to_be_done() {
    let (server, mut anna) = start(None).await;
    let page = anna.open("/senders").await;
    assert!(page.text().contains("There is no bot here to prove a channel through."), "{}", page.text());
    anna.submit("/senders", &[("username", "example_shop")]).await;
    let page = anna.open("/senders/example_shop").await;
    assert!(!page.text().contains("Check now"), "{}", page.text());
    let page = anna.submit("/senders/example_shop/check", &[]).await;
    assert!(page.text().contains("There is no bot here that could look."), "{}", page.text());
    server.appoint(ANNA).await;
    let page = anna.open("/senders").await;
    assert!(page.text().contains("Add a channel of the kind <code>telegram</code>"), "{}", page.text());
    server.stop();
}

#[tokio::test]
async fn a_channel_is_removed_and_not_somebody_elses() {
    let (server, mut anna) = start(None).await;
    server.admit("bob", BRUNO, Role::Owner).await;
    let mut bruno = Browser::new(&server);
    bruno.log_in(&server, BRUNO).await;
    bruno.open("/senders").await;
    anna.submit("/senders", &[("username", "example_shop")]).await;
    for (path, post) in [("", false), ("/remove", false), ("/remove", true), ("/check", true)] {
        let mut answers = Vec::new();
        for name in ["example_shop", "nobodys_shop", "%ff", "."] {
            let path = format!("/senders/{name}{path}");
            let answer = if post { bruno.post(&path, &[]).await } else { bruno.get(&path).await };
            answers.push((answer.status, answer.body));
        }
        assert_eq!(answers[0].0, 404, "{path}");
        assert!(answers.iter().all(|answer| *answer == answers[0]), "{path} {post}");
    }
    let page = anna.open("/senders/example_shop/remove").await;
    assert!(page.text().contains("Remove @example_shop?"));
    let page = anna.submit("/senders/example_shop/remove", &[]).await;
    assert!(page.text().contains("The channel is removed.") && page.text().contains("No channels yet"));
    assert_eq!(anna.get("/senders/example_shop").await.status, 404);
    server.stop();
}

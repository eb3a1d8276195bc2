//! Who can be reached, and what they get.

use super::double::BotApi;
use super::{ANN, BEN, PHONE, link, message, name, serve, settings, setup, until};
use crate::support::Server;
use serde_json::json;

#[tokio::test]
async fn somebody_shares_their_number_and_gets_a_code() {
    let api = BotApi::start().await;
    let server = serve(&api, &["bot"], json!({})).await;
    let unknown = server.api("sendVerificationMessage", message()).await;
    assert_eq!(unknown.error(), "PHONE_NUMBER_NOT_AVAILABLE");
    link(&api, ANN).await;
    let asked = api.call("sendMessage", 1).await.body;
    let button = &asked["reply_markup"]["keyboard"][0][0];
    assert_eq!((&asked["chat_id"], &button["request_contact"]), (&json!(42), &json!(true)));
    let linked = api.call("sendMessage", 2).await.body;
    assert!(linked["text"].as_str().unwrap().contains("+39*******890"), "{linked}");

    let request = server.send_until(message(), "delivered").await;
    let sent = api.call("sendMessage", 3).await.body;
    assert_eq!(sent["chat_id"], 42);
    assert!(sent["text"].as_str().unwrap().contains("<code>4821</code>"), "{sent}");
    assert_eq!((&sent["parse_mode"], &sent["protect_content"]), (&json!("HTML"), &json!(true)));
    assert_eq!(sent["reply_markup"]["inline_keyboard"][0][0]["copy_text"]["text"], "4821");
    let names = ["charged 0.01", "sent bot", "accepted bot", "delivered bot"];
    assert_eq!(server.timeline(&request).await, names);
    let check = json!({ "request_id": request, "code": "4821" });
    let verified = server.api("checkVerificationStatus", check).await;
    assert_eq!(verified.result()["verification_status"]["status"], "code_valid");
}

#[tokio::test]
async fn a_code_comes_in_the_language_of_the_person() {
    let api = BotApi::start().await;
    let server = serve(&api, &["bot"], json!({})).await;
    link(&api, BEN).await;
    server.send_until(message(), "delivered").await;
    let sent = api.call("sendMessage", 3).await.body;
    assert!(sent["text"].as_str().unwrap().contains("Bestätigungscode"), "{sent}");
}

#[tokio::test]
async fn a_revoked_code_is_deleted_wherever_it_went() {
    let api = BotApi::start().await;
    let server = serve(&api, &["bot"], json!({})).await;
    link(&api, ANN).await;
    let request = server.send_until(message(), "delivered").await;
    // Who is subscribed by now does not matter: the message is where it is.
    let stopped = api.happens(ANN.says("/stop"));
    api.until_confirmed(stopped).await;
    let sent = api.world().chat(ANN.id)[2]["message_id"].clone();
    server.api("revokeVerificationMessage", json!({ "request_id": request })).await.result();
    until(&server, &request, "withdrawn bot").await;
    assert_eq!(api.call("deleteMessage", 1).await.body, json!({ "chat_id": 42, "message_id": sent }));
    assert!(api.world().chat(ANN.id).iter().all(|message| message["message_id"] != sent));
}

#[tokio::test]
async fn whoever_says_stop_or_blocks_the_bot_costs_nothing_more() {
    let api = BotApi::start().await;
    let server = serve(&api, &["bot"], json!({})).await;
    let gone = [
        ANN.says("/stop"),
        json!({ "my_chat_member": {
            "chat": ANN.chat(), "from": ANN.user(), "date": 1,
            "old_chat_member": { "status": "member" }, "new_chat_member": { "status": "kicked" },
        } }),
    ];
    for update in gone {
        link(&api, ANN).await;
        server.send_until(message(), "delivered").await;
        let balance = server.balance().await;
        let gone = api.happens(update);
        api.until_confirmed(gone).await;
        for method in ["checkSendAbility", "sendVerificationMessage"] {
            let refused = server.api(method, json!({ "phone_number": PHONE, "code_length": 4 })).await;
            // Parameters that a method does not know do no harm.
            assert_eq!(refused.error(), "PHONE_NUMBER_NOT_AVAILABLE", "{method}");
        }
        assert_eq!(server.balance().await, balance);
    }
}

#[tokio::test]
async fn a_number_is_in_the_chat_that_shared_it_last() {
    let api = BotApi::start().await;
    let server = serve(&api, &["bot"], json!({})).await;
    link(&api, ANN).await;
    // The number has a new owner, which Telegram vouches for.
    link(&api, BEN).await;
    server.send_until(message(), "delivered").await;
    assert_eq!(api.call("sendMessage", 5).await.body["chat_id"], 43);
    // What the old one says is about nobody any more.
    let stopped = api.happens(ANN.says("/stop"));
    api.until_confirmed(stopped).await;
    server.send_until(message(), "delivered").await;
}

#[tokio::test]
async fn each_bot_has_people_of_its_own() {
    let (api, other) = (BotApi::start().await, BotApi::start().await);
    let server = Server::start(|it| {
        setup(it, &api, &["bot", "bot-2"], json!({}));
        it.settings.channels.insert(name("bot-2"), settings(&other.url(), json!({})));
    })
    .await;
    link(&other, ANN).await;
    let request = server.send_until(message(), "delivered").await;
    until(&server, &request, "delivered bot-2").await;
    assert!(server.timeline(&request).await.iter().any(|line| line.starts_with("skipped bot ")));
    assert_eq!(api.count("sendMessage"), 0);
}

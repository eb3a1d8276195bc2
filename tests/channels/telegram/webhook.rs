//! Updates that Telegram brings, instead of being asked for them.

use super::double::{BotApi, error};
use super::{ANN, message, serve, setup};
use crate::support::{Answer, Request, Server};
use serde_json::{Value, json};

const SECRET: &str = "a-secret_of_the-webhook";
const HEADER: &str = "x-telegram-bot-api-secret-token";

async fn hooked(api: &BotApi) -> Server {
    let webhook = json!({ "updates": "webhook", "webhook_secret": SECRET });
    let server = Server::start(|it| {
        setup(it, api, &["bot"], webhook);
        it.settings.public_url = Some("https://codes.example".to_owned());
    })
    .await;
    let hook = api.until("the webhook to be set", |world| world.webhook.clone()).await;
    assert_eq!(hook["url"], "https://codes.example/channels/bot/webhook");
    assert_eq!(hook["secret_token"], SECRET);
    let heard = json!(["message", "callback_query", "my_chat_member", "pre_checkout_query"]);
    assert_eq!(hook["allowed_updates"], heard);
    server
}

fn update(mut update: Value) -> Value {
    update["update_id"] = 1.into();
    update
}

async fn bring(server: &Server, request: Request) -> Answer {
    server.call(&request).await
}

fn post(secret: &str, body: impl ToString) -> Request {
    Request::post("/channels/bot/webhook").header(HEADER, secret).json(body)
}

#[tokio::test]
async fn what_telegram_brings_has_its_effect() {
    let api = BotApi::start().await;
    let server = hooked(&api).await;
    for update in [update(ANN.says("/start")), update(ANN.shares()), update(ANN.shares())] {
        assert_eq!(bring(&server, post(SECRET, update)).await.status, 200);
    }
    server.send_until(message(), "delivered").await;
    assert_eq!(bring(&server, post(SECRET, update(ANN.says("/stop")))).await.status, 200);
    let refused = server.api("sendVerificationMessage", message()).await;
    assert_eq!(refused.error(), "PHONE_NUMBER_NOT_AVAILABLE");
    assert_eq!(api.count("getUpdates"), 0);
}

#[tokio::test]
async fn what_anybody_else_brings_has_none() {
    let api = BotApi::start().await;
    let server = hooked(&api).await;
    let body = update(ANN.shares()).to_string();
    let bare = Request::post("/channels/bot/webhook").json(&body);
    for (request, status) in [
        (bare, 403),
        (post("", &body), 403),
        (post(&SECRET[1..], &body), 403),
        (post(&SECRET.to_uppercase(), &body), 403),
        (Request::get("/channels/bot/webhook").header(HEADER, SECRET), 403),
        (Request::post("/channels/bot/webhook/").header(HEADER, SECRET).json(&body), 403),
        (Request::post("/channels/bot/other").header(HEADER, SECRET).json(&body), 403),
        (Request::post("/channels/bot-2/webhook").header(HEADER, SECRET).json(&body), 403),
        (post(SECRET, "\u{0}"), 200),
        (post(SECRET, r#"{"update_id":"#), 200),
        (post(SECRET, "").body([0xff, 0xfe]), 400),
    ] {
        let answer = bring(&server, request.clone()).await;
        assert_eq!(answer.status, status, "{request:?}");
    }
    let refused = server.api("sendVerificationMessage", message()).await;
    assert_eq!(refused.error(), "PHONE_NUMBER_NOT_AVAILABLE");
}

#[tokio::test]
async fn a_bot_that_asks_is_told_nothing() {
    let api = BotApi::start().await;
    let server = serve(&api, &["bot"], json!({ "webhook_secret": SECRET })).await;
    assert_eq!(bring(&server, post(SECRET, update(ANN.shares()))).await.status, 403);
    // Nor one that has no secret to know Telegram by.
    let server = serve(&api, &["bot"], json!({ "updates": "webhook" })).await;
    for secret in ["", SECRET] {
        assert_eq!(bring(&server, post(secret, update(ANN.shares()))).await.status, 403);
    }
}

#[tokio::test]
async fn a_webhook_is_set_as_soon_as_it_can_be() {
    let api = BotApi::start().await;
    api.fail("setWebhook", [error(502, "Bad Gateway")]);
    hooked(&api).await;
    assert_eq!(api.count("setWebhook"), 2);
}

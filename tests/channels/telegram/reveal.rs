//! Codes behind a button.

use super::double::{BotApi, error};
use super::{ANN, BEN, link, message, serve, until};
use crate::support::Server;
use serde_json::{Value, json};
use std::time::Duration;

/// A server whose bot hides codes, somebody who is subscribed, and the message that they got.
async fn hidden(api: &BotApi) -> (Server, String, Value) {
    let server = serve(api, &["bot"], json!({ "reveal": true })).await;
    link(api, ANN).await;
    let request = server.send_until(message(), "delivered").await;
    let message = api.world().chat(ANN.id)[2].clone();
    (server, request, message)
}

fn data(message: &Value) -> String {
    let data = &message["reply_markup"]["inline_keyboard"][0][0]["callback_data"];
    data.as_str().unwrap().to_owned()
}

fn shown(api: &BotApi, message: &Value) -> Option<Value> {
    let place = (message["chat"]["id"].as_i64().unwrap(), message["message_id"].as_i64().unwrap());
    api.world().messages.get(&place).cloned()
}

#[tokio::test]
async fn opening_a_code_is_a_receipt() {
    let api = BotApi::start().await;
    let (server, request, message) = hidden(&api).await;
    assert!(!message.to_string().contains("4821"), "{message}");
    assert_eq!(message["protect_content"], true);
    let pressed = api.happens(ANN.presses(&message, &data(&message)));
    api.until_confirmed(pressed).await;
    until(&server, &request, "read bot").await;
    let now = shown(&api, &message).unwrap();
    assert!(now["text"].as_str().unwrap().contains("<code>4821</code>"), "{now}");
    assert_eq!(now["reply_markup"]["inline_keyboard"][0][0]["copy_text"]["text"], "4821");
    assert_eq!(api.call("answerCallbackQuery", 1).await.body, json!({ "callback_query_id": "cb1" }));
    let status = server.api("checkVerificationStatus", json!({ "request_id": request })).await;
    assert_eq!(status.result()["delivery_status"]["status"], "read");

    // A finger that was faster than the network.
    let again = api.happens(ANN.presses(&message, &data(&message)));
    api.until_confirmed(again).await;
    assert_eq!(api.call("answerCallbackQuery", 2).await.body, json!({ "callback_query_id": "cb1" }));
    let read = server.timeline(&request).await;
    assert_eq!(read.last().unwrap(), "read bot", "{read:#?}");
}

#[tokio::test]
async fn only_the_chat_that_got_it_can_open_it() {
    let api = BotApi::start().await;
    let (server, request, message) = hidden(&api).await;
    let data = data(&message);
    let mut elsewhere = message.clone();
    elsewhere["chat"] = BEN.chat();
    let in_a_group = json!({ "callback_query": {
        "id": "cb1", "from": ANN.user(), "data": data,
        "message": { "message_id": 7, "date": 1, "chat": { "id": -100, "type": "supergroup" } },
    } });
    let tampered = format!("{}A", &data[..data.len() - 1]);
    for update in [
        BEN.presses(&elsewhere, &data),
        BEN.presses(&message, &data),
        in_a_group,
        ANN.presses(&elsewhere, &data),
        BEN.presses(&elsewhere, &tampered),
        BEN.presses(&elsewhere, ""),
    ] {
        let pressed = api.happens(update);
        api.until_confirmed(pressed).await;
    }
    // None of the answers holds the code, and nothing was read.
    for call in &api.world().calls {
        assert!(!call.body.to_string().contains("4821"), "{call:?}");
    }
    assert_eq!(api.count("editMessageText"), 3, "what could not be deleted says that it is dead");
    assert!(!server.timeline(&request).await.iter().any(|line| line.starts_with("read")));
    assert_eq!(shown(&api, &message), Some(message));
}

#[tokio::test]
async fn a_dead_code_is_not_shown_and_goes_away() {
    for revoked in [true, false] {
        let api = BotApi::start().await;
        let (server, request, message) = hidden(&api).await;
        if revoked {
            // It cannot be deleted just now, so that the button is still there.
            api.fail("deleteMessage", [error(500, "Internal Server Error")]);
            server.api("revokeVerificationMessage", json!({ "request_id": request })).await.result();
            api.call("deleteMessage", 1).await;
        } else {
            server.advance(Duration::from_secs(600));
        }
        let pressed = api.happens(ANN.presses(&message, &data(&message)));
        api.until_confirmed(pressed).await;
        let answer = api.call("answerCallbackQuery", 1).await.body;
        assert_eq!(
            (&answer["text"], &answer["show_alert"]),
            (&json!("This code is no longer valid."), &json!(true))
        );
        assert_eq!(shown(&api, &message), None);
        assert!(!server.timeline(&request).await.iter().any(|line| line.starts_with("read")));
    }
}

#[tokio::test]
async fn what_cannot_be_shown_just_now_can_be_tried_again() {
    let api = BotApi::start().await;
    let (_server, _, message) = hidden(&api).await;
    api.fail("editMessageText", [error(500, "Internal Server Error")]);
    for (nth, text) in [(1, json!("That did not work. Please try again in a moment.")), (2, Value::Null)] {
        let pressed = api.happens(ANN.presses(&message, &data(&message)));
        api.until_confirmed(pressed).await;
        assert_eq!(api.call("answerCallbackQuery", nth).await.body["text"], text);
    }
    assert!(shown(&api, &message).unwrap()["text"].as_str().unwrap().contains("4821"));
}

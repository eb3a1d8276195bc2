//! What becomes of a message when the Bot API has a bad day.

use super::double::{BotApi, Fault, error, flood};
use super::{ANN, PHONE, link, message, name, says, serve, settings, setup, sms, until};
use crate::support::{Server, Vacancy};
use chappe::channels::route::{Line, Routes};
use serde_json::json;
use std::time::Duration;

#[tokio::test]
async fn whoever_has_blocked_the_bot_gets_an_sms_and_the_bot_is_not_tried_again() {
    let api = BotApi::start().await;
    let server = serve(&api, &["bot", "sms"], json!({})).await;
    link(&api, ANN).await;
    api.world().blocked.insert(ANN.id);
    let request = server.send_until(message(), "delivered").await;
    let told = "failed bot Telegram says: Forbidden: bot was blocked by the user";
    assert!(says(&server, &request, told).await, "{:#?}", server.timeline(&request).await);
    until(&server, &request, "delivered sms").await;
    let calls = api.count("sendMessage");
    let request = server.send_until(message(), "delivered").await;
    assert!(server.timeline(&request).await.iter().any(|line| line.starts_with("skipped bot ")));
    assert_eq!(api.count("sendMessage"), calls);
    // Sharing the number anew is a new beginning.
    api.world().blocked.clear();
    link(&api, ANN).await;
    let request = server.send_until(message(), "delivered").await;
    until(&server, &request, "delivered bot").await;
}

#[tokio::test]
async fn whoever_has_blocked_the_only_channel_is_refunded() {
    let api = BotApi::start().await;
    let server = serve(&api, &["bot"], json!({})).await;
    link(&api, ANN).await;
    api.world().blocked.insert(ANN.id);
    let before = server.balance().await;
    server.send_until(message(), "refunded").await;
    assert_eq!(server.balance().await, before);
    assert_eq!(server.api("sendVerificationMessage", message()).await.error(), "PHONE_NUMBER_NOT_AVAILABLE");
}

/// What a single fault of sendMessage comes to: the line of the timeline, and through which channel the code arrives.
async fn after(fault: Fault, line: &str, arrives: Option<&str>) {
    let api = BotApi::start().await;
    let server = serve(&api, &["bot", "sms"], json!({})).await;
    link(&api, ANN).await;
    api.fail("sendMessage", [fault]);
    let awaited = if arrives.is_some() { "delivered" } else { line.split(' ').next().unwrap() };
    let request = server.send_until(message(), awaited).await;
    assert!(says(&server, &request, line).await, "{line}: {:#?}", server.timeline(&request).await);
    if let Some(channel) = arrives {
        until(&server, &request, &format!("delivered {channel}")).await;
    }
}

#[tokio::test]
async fn what_was_certainly_not_sent_takes_the_next_hop() {
    for (fault, line) in [
        (flood(30), "failed bot Telegram wants a pause of 30 s"),
        (error(503, "Service Unavailable"), "failed bot the Bot API is out of service (503)"),
        (error(400, "Bad Request: chat not found"), "failed bot Telegram says: Bad Request: chat not found"),
        (
            error(401, "Unauthorized"),
            "failed bot Telegram does not know the bot's token: look at token of the channel",
        ),
        (
            Fault::Answer(302, String::new()),
            "failed bot the Bot API answers with a redirect: look at base_url of the channel",
        ),
    ] {
        after(fault, line, Some("sms")).await;
    }
}

#[tokio::test]
async fn what_may_have_been_sent_is_uncertain_and_never_sent_again() {
    for (fault, line) in [
        (error(500, "Internal Server Error"), "uncertain bot the Bot API failed (500)"),
        (error(504, "Gateway Timeout"), "uncertain bot the Bot API failed (504)"),
        (
            Fault::Answer(200, "<html>hello</html>".to_owned()),
            "uncertain bot no answer of the Bot API: its answer cannot be read",
        ),
    ] {
        after(fault, line, None).await;
    }
}

#[tokio::test]
async fn a_connection_that_breaks_leaves_it_uncertain() {
    for fault in [Fault::Deaf, Fault::Torn] {
        let api = BotApi::start().await;
        let server = serve(&api, &["bot"], json!({})).await;
        link(&api, ANN).await;
        api.fail("sendMessage", [fault]);
        let request = server.send_until(message(), "uncertain").await;
        let told = server.timeline(&request).await;
        assert!(told.last().unwrap().starts_with("uncertain bot no answer of the Bot API: "), "{told:#?}");
        assert_eq!(api.world().chat(ANN.id).len(), 3, "it was sent once");
    }
}

#[tokio::test]
async fn an_uncertain_message_leaves_its_turn_to_the_next_hop_in_time() {
    let api = BotApi::start().await;
    let server = serve(&api, &["bot:20", "sms"], json!({})).await;
    link(&api, ANN).await;
    api.fail("sendMessage", [Fault::Deaf]);
    let request = server.send_until(message(), "uncertain").await;
    server.advance(Duration::from_secs(20));
    until(&server, &request, "delivered sms").await;
    assert_eq!(api.count("sendMessage"), 3);
}

#[tokio::test]
async fn a_short_pause_is_kept_and_the_message_sent_after_it() {
    let api = BotApi::start().await;
    let server = serve(&api, &["bot", "sms"], json!({})).await;
    link(&api, ANN).await;
    api.fail("sendMessage", [flood(2)]);
    let request = server.send_until(message(), "postponed").await;
    assert!(says(&server, &request, "postponed bot Telegram wants a pause of 2 s").await);
    server.advance(Duration::from_secs(2));
    until(&server, &request, "delivered bot").await;
}

#[tokio::test]
async fn a_bot_api_that_is_not_there_takes_the_next_hop() {
    let api = BotApi::start().await;
    let vacancy = Vacancy::new();
    let closed = vacancy.address();
    let server = Server::start(|it| {
        setup(it, &api, &["bot", "sms"], json!({}));
        // One channel that people can subscribe at, and nobody can be written to through.
        it.settings.channels.insert(name("bot"), settings(&format!("http://{closed}"), json!({})));
    })
    .await;
    let inbox = server.app.inbox(name("bot"));
    let phone = chappe_core::Phone::parse(PHONE).unwrap();
    let news = chappe::channels::inbox::News::Subscribed { phone, chat_id: 42, language: String::new() };
    inbox.put(news).await.unwrap();
    let request = server.send_until(message(), "delivered").await;
    let told = server.timeline(&request).await;
    assert!(
        told.iter().any(|line| line.starts_with("failed bot the Bot API cannot be reached: ")),
        "{told:#?}"
    );
    until(&server, &request, "delivered sms").await;
}

#[tokio::test]
async fn a_message_that_is_gone_already_is_withdrawn_and_one_that_cannot_go_is_not() {
    for (fault, line) in [
        (error(400, "Bad Request: message to delete not found"), "withdrawn bot"),
        (
            error(400, "Bad Request: message can't be deleted for everyone"),
            "failed bot Telegram says: Bad Request: message can't be deleted for everyone",
        ),
    ] {
        let api = BotApi::start().await;
        let server = serve(&api, &["bot"], json!({})).await;
        link(&api, ANN).await;
        let request = server.send_until(message(), "delivered").await;
        // It is asked again until it says one or the other.
        api.fail("deleteMessage", [flood(1), error(502, "Bad Gateway"), fault]);
        server.api("revokeVerificationMessage", json!({ "request_id": request })).await.result();
        for nth in 1..=2 {
            server
                .until_told(&request, "at its end", |told| {
                    told.iter().filter(|line| line.starts_with("postponed bot ")).count() == nth
                })
                .await;
            server.advance(Duration::from_secs(31));
        }
        until(&server, &request, line).await;
        assert_eq!(api.count("deleteMessage"), 3);
    }
}

#[tokio::test]
async fn a_crash_after_the_hand_over_leaves_it_uncertain_and_sent_once() {
    let api = BotApi::start().await;
    let server = serve(&api, &["bot"], json!({})).await;
    link(&api, ANN).await;
    api.fail("sendMessage", [Fault::Hang]);
    let request = server.send(message()).await;
    api.call("sendMessage", 3).await;
    // Telegram has it, and nobody here ever hears of that.
    let home = server.stop();
    let mut next = crate::support::Setup::dev();
    setup(&mut next, &api, &["bot"], json!({}));
    let server = home.serve(next).await;
    // Where servers share a database, nobody knows that the other one is gone before its lease is over.
    server.advance(Duration::from_secs(31));
    until(&server, &request, "uncertain bot the hand-over was interrupted").await;
    let status = server.api("checkVerificationStatus", json!({ "request_id": request })).await.result();
    assert_eq!(status["delivery_status"]["status"], "sent");
    assert_eq!(api.world().chat(ANN.id).len(), 3);
    // The code arrived, and is good.
    let check = json!({ "request_id": request, "code": "4821" });
    let verified = server.api("checkVerificationStatus", check).await.result();
    assert_eq!(verified["verification_status"]["status"], "code_valid");
    assert_eq!(api.count("sendMessage"), 3);
}

#[tokio::test]
async fn many_messages_with_faults_each_come_to_one_end() {
    let api = BotApi::start().await;
    let server = Server::start(|it| {
        setup(it, &api, &["bot:20", "sms"], json!({}));
        it.settings.rules.sends_per_phone.max = 1_000;
        it.settings.routes = Routes::all(Line::parse(&["bot:20", "sms"]).unwrap());
        it.settings.channels.insert(name("sms"), sms());
    })
    .await;
    link(&api, ANN).await;
    let faults = (0..100).map(|at| match at % 20 {
        3 => Fault::Deaf,
        7 => error(400, "Bad Request: something else"),
        11 => error(500, "Internal Server Error"),
        15 => flood(1),
        // Nothing goes wrong with these.
        _ => Fault::Answer(200, json!({ "ok": true, "result": { "message_id": 1_000 + at } }).to_string()),
    });
    api.fail("sendMessage", faults);
    let mut requests = Vec::new();
    for _ in 0..100 {
        requests.push(server.send(message()).await);
    }
    for request in &requests {
        let settled = async {
            loop {
                let told = server.timeline(request).await;
                if told.iter().any(|line| line.starts_with("delivered")) {
                    return told;
                }
                server.app.engine.apply(Vec::new()).await.unwrap();
                server.advance(Duration::from_secs(1));
            }
        };
        let told = crate::support::must("an end", settled).await;
        assert_eq!(told.iter().filter(|line| line.starts_with("delivered")).count(), 1, "{told:#?}");
        assert_eq!(told.iter().filter(|line| line.starts_with("charged")).count(), 1, "{told:#?}");
        assert!(!told.iter().any(|line| line.starts_with("refunded")), "{told:#?}");
    }
    // A hundred, and once more for each of the five that had to wait.
    assert_eq!(api.count("sendMessage"), 2 + 105);
    assert_eq!(server.balance().await.to_string(), "99");
}

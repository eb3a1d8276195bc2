//! Whatever comes in: no panic, no effect that was not meant, and nothing in the way of what comes after.

use super::double::{BotApi, Fault, error};
use super::{ANN, BEN, link, message, serve};
use crate::support::Server;
use serde_json::{Value, json};

/// Whether the number can be reached, which costs a request that is refunded to nobody: so it asks for its price alone.
async fn is_reachable(server: &Server) -> bool {
    let answer = server.api("checkSendAbility", json!({ "phone_number": super::PHONE })).await;
    match answer.json()["ok"].as_bool().unwrap() {
        true => true,
        false => {
            assert_eq!(answer.error(), "PHONE_NUMBER_NOT_AVAILABLE");
            false
        }
    }
}

#[tokio::test]
async fn a_contact_that_is_not_ones_own_is_refused_kindly() {
    let api = BotApi::start().await;
    let server = serve(&api, &["bot"], json!({})).await;
    let mut own = ANN.contact();
    let mut nobodys = ANN.contact();
    nobodys.as_object_mut().unwrap().remove("user_id");
    for (nth, update) in [
        // Somebody else's.
        BEN.message(json!({ "contact": ANN.contact() })),
        // Typed in by hand: it belongs to nobody on Telegram.
        BEN.message(json!({ "contact": nobodys })),
        // One's own, but written by somebody else, or long ago.
        ANN.message(json!({ "contact": ANN.contact(), "forward_origin": { "type": "user" } })),
        ANN.message(json!({ "contact": ANN.contact(), "forward_date": 1, "forward_from": BEN.user() })),
        ANN.message(json!({ "contact": ANN.contact(), "via_bot": { "id": 9, "is_bot": true } })),
    ]
    .into_iter()
    .enumerate()
    {
        let shared = api.happens(update);
        api.until_confirmed(shared).await;
        let said = api.call("sendMessage", nth + 1).await.body;
        assert_eq!(said["reply_markup"]["keyboard"][0][0]["request_contact"], true, "{said}");
        assert!(!is_reachable(&server).await, "{said}");
    }
    own["phone_number"] = "a number".into();
    let shared = api.happens(ANN.message(json!({ "contact": own })));
    api.until_confirmed(shared).await;
    assert!(!is_reachable(&server).await);
}

#[tokio::test]
async fn groups_are_ignored() {
    let api = BotApi::start().await;
    let server = serve(&api, &["bot"], json!({})).await;
    let mut last = 0;
    for chat in [
        json!({ "id": -42, "type": "group", "title": "us" }),
        json!({ "id": -10_042, "type": "supergroup", "title": "us" }),
        json!({ "id": -10_042, "type": "channel", "title": "us" }),
        json!({ "id": 42, "type": "group" }),
    ] {
        for more in
            [json!({ "contact": ANN.contact() }), json!({ "text": "/start" }), json!({ "text": "/stop" })]
        {
            let mut update = ANN.message(more);
            update["message"]["chat"] = chat.clone();
            last = api.happens(update);
        }
    }
    api.until_confirmed(last).await;
    assert!(!is_reachable(&server).await);
    assert_eq!(api.count("sendMessage"), 0);
}

#[tokio::test]
async fn unknown_updates_and_garbage_are_passed_over() {
    let api = BotApi::start().await;
    let server = serve(&api, &["bot"], json!({})).await;
    let nested = (0..2_000).fold(json!(1), |inner, _| json!([inner]));
    for update in [
        json!({ "message_reaction": { "chat": { "id": 42 } } }),
        json!({ "message": null }),
        json!({ "message": 7 }),
        json!({ "message": { "chat": ANN.chat(), "from": ANN.user(), "contact": { "user_id": 42 } } }),
        json!({ "message": { "chat": ANN.chat(), "from": ANN.user(), "contact": "+391234567890" } }),
        json!({ "message": { "chat": { "id": "42", "type": "private" }, "from": ANN.user(), "text": "/start" } }),
        json!({ "callback_query": { "id": 7, "from": ANN.user(), "data": "r" } }),
        json!({ "my_chat_member": { "chat": ANN.chat() } }),
    ] {
        api.happens(update);
    }
    let mut deep = ANN.says("/start");
    deep["message"]["something_new"] = nested;
    api.happens(deep);
    let linked = api.happens(ANN.shares());
    api.until_confirmed(linked).await;
    assert!(is_reachable(&server).await, "what comes after has its effect");
}

#[tokio::test]
async fn answers_of_every_bad_kind_are_survived() {
    for fault in [
        Fault::Answer(200, "<html>a proxy</html>".to_owned()),
        Fault::Answer(200, json!({ "ok": true, "result": 7 }).to_string()),
        Fault::Answer(200, json!({ "ok": true, "result": [null, 7, {}, { "update_id": "x" }] }).to_string()),
        Fault::Answer(502, "<html>Bad Gateway</html>".to_owned()),
        Fault::Torn,
    ] {
        let api = BotApi::start().await;
        api.fail("getUpdates", [fault]);
        let server = serve(&api, &["bot"], json!({})).await;
        link(&api, ANN).await;
        assert!(is_reachable(&server).await);
    }
}

#[tokio::test]
async fn an_answer_that_is_too_long_is_asked_for_in_pieces() {
    let api = BotApi::start().await;
    let long = json!({ "ok": true, "result": [{ "update_id": 1, "x": "x".repeat(300 * 1024) }] });
    api.fail("getUpdates", [Fault::Answer(200, long.to_string())]);
    let server = serve(&api, &["bot"], json!({})).await;
    link(&api, ANN).await;
    assert!(is_reachable(&server).await);
    assert_eq!(api.call("getUpdates", 1).await.body["limit"], 100);
    assert_eq!(api.call("getUpdates", 2).await.body["limit"], 1);
    assert_eq!(api.call("getUpdates", 3).await.body["limit"], 100);
}

#[tokio::test]
async fn what_is_told_twice_happens_once() {
    let api = BotApi::start().await;
    let server = serve(&api, &["bot"], json!({ "reveal": true })).await;
    api.world().forgetful = true;
    let shared = api.happens(ANN.shares());
    api.until_confirmed(shared).await;
    let request = server.send_until(message(), "delivered").await;
    // Told again and again, and still one subscriber and one message.
    let asked = api.count("getUpdates");
    api.call("getUpdates", asked + 1).await;
    assert_eq!(server.timeline(&request).await.last().unwrap(), "delivered bot");
    assert!(is_reachable(&server).await);
}

#[tokio::test]
async fn a_webhook_that_was_left_behind_is_taken_away() {
    let api = BotApi::start().await;
    api.world().webhook = Some(json!({ "url": "https://old.example" }));
    let server = serve(&api, &["bot"], json!({})).await;
    link(&api, ANN).await;
    assert!(is_reachable(&server).await);
    assert_eq!(api.count("deleteWebhook"), 1);
}

#[tokio::test]
async fn a_server_that_asks_stops_at_once() {
    let api = BotApi::start().await;
    let mut server = serve(&api, &["bot"], json!({})).await;
    api.call("getUpdates", 1).await;
    let begun = std::time::Instant::now();
    server.stop_workers().await;
    assert!(begun.elapsed().as_secs() < 5, "a question that is held back for 25 s is not waited for");
}

#[tokio::test]
async fn another_program_that_asks_is_survived() {
    let api = BotApi::start().await;
    let conflict =
        "Conflict: terminated by other getUpdates request; make sure that only one bot instance is running";
    api.fail("getUpdates", [error(409, conflict)]);
    let server = serve(&api, &["bot"], json!({})).await;
    link(&api, ANN).await;
    assert!(is_reachable(&server).await);
    assert_eq!(api.count("deleteWebhook"), 0);
}

#[tokio::test]
async fn whoever_says_much_at_once_gets_one_answer() {
    let api = BotApi::start().await;
    let mut last = 0;
    for _ in 0..50 {
        api.happens(ANN.says("hello"));
        last = api.happens(BEN.says("hallo"));
    }
    let _server = serve(&api, &["bot"], json!({})).await;
    api.until_confirmed(last).await;
    let chats = api.world().messages.keys().map(|(chat, _)| *chat).collect::<Vec<_>>();
    assert_eq!(chats, [ANN.id, BEN.id]);
}

/// A small random source: the same numbers each time.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % end
    }
}

/// Something else in the place of a part of an update.
fn mutate(value: &mut Value, numbers: &mut Numbers) {
    let odd = || {
        [
            json!(null),
            json!(-1),
            json!(1.5e300),
            json!(i64::MIN),
            json!("\u{0}"),
            json!("\u{202e}/start"),
            json!("9".repeat(5_000)),
            json!([]),
            json!({ "id": {} }),
            json!(true),
        ]
    };
    match value {
        Value::Object(fields) if !fields.is_empty() && numbers.below(4) > 0 => {
            let at = numbers.below(fields.len());
            let key = fields.keys().nth(at).unwrap().clone();
            match numbers.below(8) {
                0 => drop(fields.remove(&key)),
                _ => mutate(&mut fields[&key], numbers),
            }
        }
        _ => *value = odd()[numbers.below(10)].clone(),
    }
}

#[tokio::test]
async fn two_thousand_broken_updates_change_nothing() {
    let api = BotApi::start().await;
    let server = serve(&api, &["bot"], json!({})).await;
    let before = server.balance().await;
    let mut numbers = Numbers(7);
    // None of these may subscribe anybody even if nothing in it is broken.
    let patterns = [
        BEN.message(json!({ "contact": ANN.contact() })),
        ANN.message(
            json!({ "contact": ANN.contact(), "forward_origin": { "type": "user" } , "forward_date": 1 }),
        ),
        json!({ "callback_query": {
            "id": "cb", "from": ANN.user(), "data": "rAAAA",
            "message": { "message_id": 7, "date": 1, "chat": ANN.chat() },
        } }),
        ANN.says("/stop"),
    ];
    let mut last = 0;
    for _ in 0..2_000 {
        let mut update = patterns[numbers.below(patterns.len())].clone();
        // One thing alone: two might mend each other.
        mutate(&mut update, &mut numbers);
        if !update.is_object() {
            continue;
        }
        last = api.happens(update);
    }
    api.until_confirmed(last).await;
    assert!(!is_reachable(&server).await);
    assert_eq!(server.balance().await, before);
    link(&api, ANN).await;
    assert!(is_reachable(&server).await);
}

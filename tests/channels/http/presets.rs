//! The presets, against answers and callbacks as the providers' documentation has them.

use super::double::{Provider, Reply};
use super::lives::{order, route};
use crate::support::{Request, Server};
use aws_lc_rs::hmac;
use base64::Engine;
use chappe::channels::ChannelSettings;
use chappe::channels::callback::Callbacks;
use chappe_core::RequestId;
use chappe_core::text::ChannelName;
use serde_json::{Value, json};

/// A provider as its documentation describes it.
struct Documented {
    preset: &'static str,
    vars: Value,
    /// What its example answers to a message.
    answer: (u16, Value),
    /// How the authorization of a message begins.
    authorization: &'static str,
    /// What must stand in the body of a message.
    body: &'static [&'static str],
    /// What its example reports of a delivered message: a query, a form or JSON; and at which address, if it is not the
    /// message's own.
    delivered: Told,
}

enum Told {
    Query(&'static str),
    Form(&'static str),
    Json(Value),
    /// At the account's own address.
    Account(Value),
}

const KEY: &str = "0123456789abcdef";

fn documented() -> Vec<Documented> {
    vec![
        Documented {
            preset: "twilio",
            vars: json!({"account_sid": "AC1", "auth_token": KEY}),
            answer: (201, json!({"sid": "SM1", "status": "queued", "error_code": null})),
            authorization: "Basic QUMxOjAxMj",
            body: &[
                "To=%2B393331234567",
                "From=Example",
                "StatusCallback=https%3A%2F%2Fcodes.example%2Fchannels%2Fsms%2F",
                "ValidityPeriod=60",
            ],
            delivered: Told::Form("MessageSid=SM1&MessageStatus=delivered&AccountSid=AC1"),
        },
        Documented {
            preset: "vonage",
            vars: json!({"api_key": "abcd1234", "api_secret": KEY}),
            answer: (202, json!({"message_uuid": "aaaaaaaa-bbbb-4ccc-8ddd-0123456789ab"})),
            authorization: "Basic YWJjZDEyMzQ6",
            body: &[
                "\"to\":\"393331234567\"",
                "\"channel\":\"sms\"",
                "\"webhook_url\":\"https://codes.example/channels/sms/",
            ],
            delivered: Told::Json(
                json!({"message_uuid": "aaaaaaaa-bbbb-4ccc-8ddd-0123456789ab", "status": "delivered"}),
            ),
        },
        Documented {
            preset: "messagebird",
            vars: json!({"access_key": KEY}),
            answer: (
                201,
                json!({"id": "e8077d803532c0b5937c639b60216938", "recipients": {"totalSentCount": 1}}),
            ),
            authorization: "AccessKey 0123",
            body: &[
                "\"recipients\":[\"393331234567\"]",
                "\"originator\":\"Example\"",
                "\"validity\":60",
                "\"reportUrl\"",
            ],
            delivered: Told::Query(
                "id=e8077d803532c0b5937c639b60216938&reference=x&recipient=31612345678&status=delivered&statusDatetime=2016-05-03T08%3A58%3A10%2B00%3A00",
            ),
        },
        Documented {
            preset: "sinch",
            vars: json!({"service_plan_id": "plan", "api_token": KEY}),
            answer: (
                201,
                json!({"id": "01FC66621XXXXX119Z8PMV1QPQ", "to": ["393331234567"], "canceled": false}),
            ),
            authorization: "Bearer 0123",
            body: &[
                "\"to\":[\"393331234567\"]",
                "\"delivery_report\":\"per_recipient_final\"",
                "\"callback_url\"",
            ],
            delivered: Told::Json(json!({
                "type": "recipient_delivery_report_sms", "batch_id": "01FC66621XXXXX119Z8PMV1QPQ", "code": 0,
                "recipient": "393331234567", "status": "Delivered",
            })),
        },
        Documented {
            preset: "infobip",
            vars: json!({"base_url": "x.api.infobip.com", "api_key": KEY}),
            answer: (
                200,
                json!({"bulkId": "b", "messages": [{
                    "messageId": "MESSAGE-ID-123-xyz", "destination": "393331234567",
                    "status": {"groupId": 1, "groupName": "PENDING", "id": 26, "name": "PENDING_ACCEPTED"},
                }]}),
            ),
            authorization: "App 0123",
            body: &[
                "\"sender\":\"Example\"",
                "\"to\":\"393331234567\"",
                "\"content\":{\"text\":",
                "\"webhooks\":{",
            ],
            delivered: Told::Json(json!({"results": [{
                "messageId": "MESSAGE-ID-123-xyz", "status": {"groupName": "DELIVERED", "name": "DELIVERED_TO_HANDSET"},
                "error": {"name": "NO_ERROR"},
            }]})),
        },
        Documented {
            preset: "plivo",
            vars: json!({"auth_id": "MA1", "auth_token": KEY}),
            answer: (
                202,
                json!({"message": "message(s) queued", "message_uuid": ["db3ce55a-7f1d-11e1-8ea7-1231380bc196"]}),
            ),
            authorization: "Basic TUExOj",
            body: &["\"dst\":\"393331234567\"", "\"src\":\"Example\"", "\"url\":\"https://codes.example"],
            delivered: Told::Form(
                "MessageUUID=db3ce55a-7f1d-11e1-8ea7-1231380bc196&Status=delivered&Units=1",
            ),
        },
        Documented {
            preset: "clickatell",
            vars: json!({"api_key": "a-key-of-theirs", "callback_key": KEY}),
            answer: (
                202,
                json!({"messages": [{"apiMessageId": "77fed4cf", "accepted": true, "to": "393331234567", "error": null}], "error": null}),
            ),
            authorization: "a-key",
            body: &["\"channel\":\"sms\"", "\"to\":\"393331234567\"", "\"content\":"],
            delivered: Told::Account(json!({"integrationId": "i", "event": {"messageStatusUpdate": [
                {"channel": "SMS", "messageId": "77fed4cf", "statusCode": 5, "status": "DEVICE_ACK"},
            ]}})),
        },
    ]
}

/// The preset as an operator sets it up, only that its address is `url`.
fn settings(documented: &Documented, url: &str) -> ChannelSettings {
    let settings = json!({
        "kind": "http", "preset": documented.preset, "url": url, "from": "Example", "vars": documented.vars,
    });
    serde_json::from_value(settings).unwrap()
}

#[tokio::test]
async fn each_preset_sends_and_hears_as_documented() {
    for documented in documented() {
        let name = documented.preset;
        let (status, answer) = documented.answer.clone();
        let mut provider = Provider::replying(move |_, _| Reply::Json(status, answer.clone(), None)).await;
        let channel = settings(&documented, &format!("http://{}/x", provider.address));
        let server = Server::start(route(&["sms"], [("sms", channel)])).await;
        let request = server.send_until(order(60), "accepted").await;
        let message = provider.next().await;
        let authorization = message.headers["authorization"].to_str().unwrap();
        assert!(authorization.starts_with(documented.authorization), "{name}: {authorization}");
        for part in documented.body {
            assert!(message.body.contains(part), "{name}: no {part} in {}", message.body);
        }
        let path = callback(&server, &request);
        let call = match &documented.delivered {
            Told::Query(query) => Request::get(&format!("{path}?{query}")),
            Told::Form(form) => {
                Request::post(&path).form(form).header("x-twilio-signature", twilio(&path, form))
            }
            Told::Json(json) => Request::post(&path).json(json),
            Told::Account(json) => Request::post(&format!("/channels/sms/status?key={KEY}")).json(json),
        };
        let answer = server.call(&call).await;
        assert_eq!(answer.status, 200, "{name}: {}", answer.head);
        assert_eq!(server.delivery(&request).await, "delivered", "{name}");
    }
}

#[tokio::test]
async fn what_infobip_and_clickatell_refuse_with_a_200_has_failed() {
    let refused = [
        (
            "infobip",
            json!({"messages": [{"status": {"groupName": "REJECTED", "name": "REJECTED_NETWORK", "description": "Network is forbidden"}}]}),
            "failed sms it answered 200: Network is forbidden",
        ),
        (
            "clickatell",
            json!({"messages": [{"accepted": false, "error": {"description": "Invalid destination"}}]}),
            "failed sms it answered 200: Invalid destination",
        ),
        ("infobip", json!({"messages": []}), "uncertain sms it answered 200"),
    ];
    for (preset, answer, said) in refused {
        let documented = documented().into_iter().find(|documented| documented.preset == preset).unwrap();
        let provider = Provider::replying(move |_, _| Reply::Json(200, answer.clone(), None)).await;
        let channel = settings(&documented, &format!("http://{}/x", provider.address));
        let server = Server::start(route(&["sms"], [("sms", channel)])).await;
        let request = server.send_until(order(60), said.split(' ').next().unwrap()).await;
        assert!(
            server.timeline(&request).await.contains(&said.to_owned()),
            "{:?}",
            server.timeline(&request).await
        );
    }
}

/// The address that the message of a request was given, as the house makes it.
fn callback(server: &Server, request: &str) -> String {
    let (name, request) = (ChannelName::parse("sms").unwrap(), RequestId::parse(request).unwrap());
    let callbacks = Callbacks::new(None, server.app.vault.callback_key());
    format!("/channels/sms/{}", callbacks.path_of_hop(&name, request, 0))
}

/// Twilio's signature of a form, made apart from the code under test.
fn twilio(path: &str, form: &str) -> String {
    let mut fields: Vec<&str> = form.split('&').collect();
    fields.sort_unstable();
    let text = format!("https://codes.example{path}{}", fields.concat().replace('=', ""));
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, KEY.as_bytes());
    base64::engine::general_purpose::STANDARD.encode(hmac::sign(&key, text.as_bytes()))
}

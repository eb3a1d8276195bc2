//! What becomes of messages: delivered, rejected, lost on the way.

use super::double::{PUBLIC_URL, Provider};
use crate::support::{Answer, Request, Server, Setup};
use chappe::channels::ChannelSettings;
use chappe::channels::route::{Line, Routes};
use chappe_core::text::ChannelName;
use serde_json::{Value, json};

const NOW: i64 = 1_789_894_598;
pub(crate) const PHONE: &str = "+393331234567";

/// A server whose messages take this route through these channels.
pub(crate) fn route<const N: usize>(
    hops: &[&str],
    channels: [(&str, ChannelSettings); N],
) -> impl FnOnce(&mut Setup) + use<N> {
    let line = Line::parse(hops).unwrap();
    let channels = channels.map(|(name, settings)| (ChannelName::parse(name).unwrap(), settings));
    move |setup| {
        setup.clock_at(NOW);
        setup.settings.public_url = Some(PUBLIC_URL.to_owned());
        setup.settings.routes = Routes::all(line);
        setup.settings.channels = channels.into();
    }
}

/// What a provider says at an address that it was given.
pub(crate) async fn tell(server: &Server, path: &str, what: Value) -> Answer {
    server.call(&Request::post(path).json(what)).await
}

pub(crate) async fn delivery(server: &Server, request: &str) -> String {
    let answer = server.api("checkVerificationStatus", json!({"request_id": request})).await.result();
    answer["delivery_status"]["status"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_code_is_taken_delivered_and_verified() {
    let mut provider = Provider::accepting().await;
    let server = Server::start(route(&["sms"], [("sms", provider.channel(json!({})))])).await;
    let request = server.send(json!({"phone_number": PHONE, "code_length": 6, "ttl": 60})).await;
    let message = provider.next().await;
    let (json, code) = (message.json(), message.code());
    assert_eq!(message.target, "/messages");
    assert_eq!(message.headers["content-type"], "application/json");
    assert_eq!((&json["to"], &json["from"], &json["ttl"]), (&PHONE.into(), &"Example".into(), &60.into()));
    assert_eq!(json["id"], format!("{request}-0"));
    assert_eq!(
        json["text"],
        format!("Il tuo codice di verifica è {code}. Valido per 10 min. Non condividerlo.")
    );
    server.until(&request, "accepted").await;
    assert_eq!(delivery(&server, &request).await, "sent");
    let answer = tell(&server, &message.callback(), json!({"id": "m-0", "status": "delivered"})).await;
    assert_eq!((answer.status, answer.text()), (200, "OK\n"));
    assert_eq!(delivery(&server, &request).await, "delivered");
    let check = json!({"request_id": request, "code": code});
    let verified = server.api("checkVerificationStatus", check).await.result();
    assert_eq!(verified["verification_status"]["status"], "code_valid");
}

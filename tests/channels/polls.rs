//! Channels that tell by themselves what became of a message, or do not: asking them is of no use.

use chappe::app::{Settings, lend};
use chappe::channels::route::Routes;
use chappe::channels::{Channels, Errand, Said};
use chappe::config::Config;
use chappe::env::{Clock, Random};
use chappe::vault::{MasterKey, Vault};
use chappe_core::book::Job;
use chappe_core::text::ChannelName;
use chappe_core::{AccountId, ChannelEvent, Phone, RequestId, Time};
use serde_json::{Value, json};
use std::time::Duration;

/// What a channel of these settings says when it is asked for a message that it has.
async fn asked(settings: Value) -> Said {
    let house: Settings = Config::defaults().unwrap().dev_settings().unwrap();
    let vault = Vault::new(&MasterKey::from_bytes([1; 32]));
    let lent = lend(&house, &vault, &Clock::manual(Time::from_secs(1_000)), &Random::seeded(1));
    let name = ChannelName::parse("channel").unwrap();
    let settings = [(name.clone(), serde_json::from_value(settings).unwrap())].into();
    let channels = Channels::new(Routes::none(), settings, &lent);
    let job = Job {
        request: RequestId::parse("222370177540343").unwrap(),
        hop: 0,
        channel: name.clone(),
        account: AccountId(100),
        phone: Phone::parse("+393331234567").unwrap(),
        sender: None,
        code: None,
        sent_at: Time::from_secs(1_000),
        until: Time::from_secs(1_060),
        asked_at: Time::from_secs(1_003),
        reference: None,
        delivered: false,
    };
    let asking = channels.outside(&name).unwrap().carry_out(Errand::Poll, &job, None);
    tokio::time::timeout(Duration::from_secs(5), asking).await.expect("nobody is called")
}

/// A message that another kind of channel was to be asked for, before the operator changed the kind: without an answer
/// it would be asked for again whenever a lease lapses, until its end.
#[tokio::test]
async fn who_has_nothing_to_tell_is_not_asked_again() {
    let nowhere = "http://127.0.0.1:1";
    for settings in [
        json!({"kind": "http", "url": nowhere, "body": {"to": "{to}", "text": "{text}"}}),
        json!({"kind": "smpp", "address": "127.0.0.1:1", "system_id": "me", "password": "secret"}),
        json!({"kind": "telegram", "base_url": nowhere, "token": "110201543:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw"}),
    ] {
        let never = Said::from(ChannelEvent::Accepted { reference: None, poll_at: None });
        assert_eq!(asked(settings.clone()).await, never, "{settings}");
    }
}

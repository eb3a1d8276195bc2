//! Against an SMSC that others have written: npm's `smpp`. `tests/peers/run` installs it and runs these.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

use chappe_smpp::{
    Address, Client, CommandStatus, Config, DownReason, Failure, IdFormat, Message, Outcome, Receipts, State,
    SubmitError, Uncertainty, session,
};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// How long anything here may take at most.
const PATIENCE: Duration = Duration::from_secs(20);

/// The SMSC, and what it tells.
struct Peer {
    process: Child,
    events: mpsc::UnboundedReceiver<Value>,
    port: u16,
}

impl Peer {
    async fn start() -> Peer {
        let folder = std::env::var("CHAPPE_SMPP_PEERS");
        let folder = folder.unwrap_or_else(|_| panic!("run these with crates/smpp/tests/peers/run"));
        let mut process = Command::new("node")
            .arg("smsc.mjs")
            .current_dir(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let (tell, events) = mpsc::unbounded_channel();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                if tell.send(serde_json::from_str(&line).unwrap()).is_err() {
                    return;
                }
            }
        });
        let mut peer = Peer { process, events, port: 0 };
        peer.port = u16::try_from(peer.event("listening").await["port"].as_u64().unwrap()).unwrap();
        peer
    }

    /// The next event, which must be this one.
    async fn event(&mut self, name: &str) -> Value {
        let event = timeout(PATIENCE, self.events.recv()).await.unwrap().unwrap();
        assert_eq!(event["event"], name, "{event}");
        event
    }

    /// The next submit_sm, as the peer understood it.
    async fn submit(&mut self) -> Value {
        self.event("submit").await
    }

    fn session(&self, config: Config) -> (Client, Receipts, JoinHandle<()>) {
        let port = self.port;
        let connect = move || TcpStream::connect(("127.0.0.1", port));
        let (client, receipts, driver) = session(config.check().unwrap(), connect, || 0);
        (client, receipts, tokio::spawn(driver.run()))
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn config() -> Config {
    let mut config = Config::new("esme", "secret");
    config.system_type = "OTP".to_owned();
    config.reconnect_min = Duration::from_millis(50);
    config
}

async fn until(client: &Client, wanted: impl Fn(&State) -> bool) -> State {
    let mut state = client.state();
    let state = timeout(PATIENCE, state.wait_for(|state| wanted(state))).await.unwrap().unwrap();
    state.clone()
}

async fn bound(client: &Client) {
    until(client, |state| *state == State::Bound).await;
}

fn message(text: &str) -> Message {
    let sender = Address::alphanumeric("Shop").unwrap();
    Message::new(Address::international("+393331234567").unwrap(), text).unwrap().with_source(sender)
}

#[tokio::test]
async fn every_field_arrives() {
    let mut peer = Peer::start().await;
    let (client, _receipts, driver) = peer.session(config());
    let bind = peer.event("bound").await;
    assert_eq!(
        (&bind["system_id"], &bind["system_type"], &bind["version"]),
        (&json!("esme"), &json!("OTP"), &json!(0x34))
    );
    bound(&client).await;
    let text = "Il codice è 1234: [€] ~^{}|\\ @$_";
    let message =
        message(text).with_validity(Duration::from_secs(90)).unwrap().with_service_type("OTP").unwrap();
    let submitted = client.submit(&message).await.unwrap();
    assert_eq!(submitted.ids, ["00000001"]);
    let submit = peer.submit().await;
    assert_eq!(
        (&submit["text"], &submit["coding"], &submit["concatenation"]),
        (&json!(text), &json!(0), &Value::Null)
    );
    assert_eq!(submit["source"], json!([5, 0, "Shop"]));
    assert_eq!(submit["destination"], json!([1, 1, "393331234567"]));
    assert_eq!((&submit["service_type"], &submit["registered_delivery"]), (&json!("OTP"), &json!(1)));
    let valid_for_s = submit["valid_for_s"].as_i64().unwrap();
    assert!((88..=91).contains(&valid_for_s), "{submit}");

    client.shut_down();
    peer.event("unbound").await;
    timeout(PATIENCE, driver).await.unwrap().unwrap();
    assert_eq!(*client.state().borrow(), State::Closed);
}

/// All that GSM 7-bit has, by the peer's own table.
#[tokio::test]
async fn every_character_of_the_alphabet_arrives() {
    let mut peer = Peer::start().await;
    let (client, _receipts, _driver) = peer.session(config());
    peer.event("bound").await;
    bound(&client).await;
    let ascii: String = (' '..='~').filter(|character| *character != '`').collect();
    let others = "£¥èéùìòÇ\nØø\rÅåΔΦΓΛΩΠΨΣΘΞÆæßÉ¤¡ÄÖÑÜ§¿äöñüà€";
    for text in [ascii.as_str(), others] {
        client.submit(&message(text)).await.unwrap();
        let submit = peer.submit().await;
        assert_eq!((&submit["text"], &submit["coding"]), (&json!(text), &json!(0)));
    }
}

#[tokio::test]
async fn long_texts_arrive_in_parts_of_either_alphabet() {
    let mut peer = Peer::start().await;
    let (client, _receipts, _driver) = peer.session(config());
    peer.event("bound").await;
    bound(&client).await;
    let gsm = "€1234567".repeat(40);
    let ucs2 = "Ваш код 1234 👍 ".repeat(12);
    for (text, coding, parts) in [(gsm, 0, 3), (ucs2, 8, 3)] {
        let ids = client.submit(&message(&text)).await.unwrap().ids;
        assert_eq!(ids.len(), parts);
        let mut whole = String::new();
        let mut references = Vec::new();
        for part in 1..=parts {
            let submit = peer.submit().await;
            assert_eq!(submit["coding"], coding);
            assert_eq!(submit["concatenation"].as_array().unwrap()[1..], [json!(parts), json!(part)]);
            references.push(submit["concatenation"][0].clone());
            whole.push_str(submit["text"].as_str().unwrap());
        }
        assert_eq!(whole, text);
        references.dedup();
        assert_eq!(references.len(), 1);
    }
}

#[tokio::test]
async fn receipts_of_both_kinds_are_understood_and_answered() {
    let mut peer = Peer::start().await;
    let mut config = config();
    config.id_format = IdFormat::SubmitHexReceiptDecimal;
    let (client, mut receipts, _driver) = peer.session(config);
    peer.event("bound").await;
    bound(&client).await;
    // So that the ids differ in their two spellings.
    for _ in 0..15 {
        client.submit(&message("a")).await.unwrap();
        peer.submit().await;
    }
    let submitted = client.submit(&message("receipt by text")).await.unwrap();
    peer.submit().await;
    let delivery = timeout(PATIENCE, receipts.next()).await.unwrap().unwrap();
    assert_eq!((&delivery.receipt.id, &delivery.receipt.outcome), (&submitted.ids[0], &Outcome::Delivered));
    delivery.acknowledge();
    assert_eq!(
        peer.event("receipt answered").await,
        json!({"event": "receipt answered", "id": "00000010", "status": 0})
    );
    // Not acknowledged: the peer hears ESME_RX_T_APPN.
    client.submit(&message("receipt by text")).await.unwrap();
    peer.submit().await;
    drop(timeout(PATIENCE, receipts.next()).await.unwrap().unwrap());
    assert_eq!(peer.event("receipt answered").await["status"], 0x64);
}

#[tokio::test]
async fn a_receipt_in_parameters_needs_no_text() {
    let mut peer = Peer::start().await;
    let (client, mut receipts, _driver) = peer.session(config());
    peer.event("bound").await;
    bound(&client).await;
    let submitted = client.submit(&message("receipt by parameters")).await.unwrap();
    peer.submit().await;
    let delivery = timeout(PATIENCE, receipts.next()).await.unwrap().unwrap();
    let failed = Outcome::Failed(Failure { stat: "UNDELIV", err: None });
    assert_eq!((&delivery.receipt.id, &delivery.receipt.outcome), (&submitted.ids[0], &failed));
    delivery.acknowledge();
    assert_eq!(peer.event("receipt answered").await["status"], 0);
}

#[tokio::test]
async fn refusals_are_told_apart() {
    let peer = Peer::start().await;
    let (client, _receipts, _driver) = peer.session(config());
    bound(&client).await;
    let refused = client.submit(&message("ESME_RINVDSTADR")).await;
    assert_eq!(refused, Err(SubmitError::Refused(CommandStatus(0x0B))));
    let later = client.submit(&message("ESME_RMSGQFUL")).await;
    assert!(matches!(later, Err(SubmitError::TryLater { status: CommandStatus(0x14), .. })), "{later:?}");
    let throttled = client.submit(&message("ESME_RTHROTTLED")).await;
    assert!(
        matches!(throttled, Err(SubmitError::TryLater { status: CommandStatus(0x58), .. })),
        "{throttled:?}"
    );

    let (stranger, _receipts, _driver) = peer.session(Config::new("esme", "wrong"));
    let state = until(&stranger, |state| matches!(state, State::Down { .. })).await;
    assert!(
        matches!(state, State::Down { reason: DownReason::Credentials(CommandStatus(0x0E)), .. }),
        "{state:?}"
    );
}

#[tokio::test]
async fn a_lost_connection_is_made_again() {
    let mut peer = Peer::start().await;
    let (client, _receipts, _driver) = peer.session(config());
    peer.event("bound").await;
    bound(&client).await;
    let lost = client.submit(&message("hang up")).await;
    let reason = Uncertainty::ConnectionLost;
    assert_eq!(lost, Err(SubmitError::Uncertain { reason, ids: Vec::new() }));
    peer.submit().await;
    peer.event("bound").await;
    bound(&client).await;
    assert!(client.submit(&message("again")).await.is_ok());
}

#[tokio::test]
async fn questions_go_both_ways() {
    let mut peer = Peer::start().await;
    let mut config = config();
    config.enquire_link_interval = Duration::from_millis(100);
    let (client, _receipts, _driver) = peer.session(config);
    peer.event("bound").await;
    peer.event("enquire_link").await;
    peer.event("enquire_link").await;
    assert_eq!(*client.state().borrow(), State::Bound);

    let mut config = self::config();
    config.system_type = "second".to_owned();
    let mut peer = Peer::start().await;
    let (client, _receipts, _driver) = peer.session(config);
    peer.event("bound").await;
    bound(&client).await;
    client.submit(&message("ask me")).await.unwrap();
    peer.submit().await;
    assert_eq!(peer.event("asked").await["status"], 0);
    client.submit(&message("nonsense")).await.unwrap();
    peer.submit().await;
    let nonsense = json!({"event": "nonsense answered", "command": "generic_nack", "status": 3});
    assert_eq!(peer.event("nonsense answered").await, nonsense);
}

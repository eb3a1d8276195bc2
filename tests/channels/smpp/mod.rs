//! SMS over SMPP, against an SMSC on loopback.

mod smsc;

use crate::support::{ALICE, Request, Server, Setup};
use chappe::channels::ChannelSettings;
use chappe::channels::route::{Line, Routes};
use chappe::channels::smpp::SmppSettings;
use chappe_core::text::ChannelName;
use chappe_core::{Delivery, RequestId};
use figment::Figment;
use figment::providers::{Format, Toml};
use rusmpp::CommandStatus;
use serde_json::json;
use smsc::{Act, Smsc, Submit};
use std::collections::BTreeMap;
use std::time::Duration;

const NOW: i64 = 1_789_894_598;
const PHONE: &str = "+393331234567";

fn settings(smsc: &Smsc, more: &str) -> ChannelSettings {
    let text = format!(
        "address = \"{}\"\nsystem_id = \"chappe\"\npassword = \"secret\"\nfrom = \"Example\"\n{more}",
        smsc.address
    );
    let settings: SmppSettings = Figment::from(Toml::string(&text)).extract().unwrap();
    ChannelSettings::Smpp(Box::new(settings))
}

fn sms(setup: &mut Setup, settings: ChannelSettings) {
    setup.clock_at(NOW);
    setup.balance = "1000";
    setup.settings.routes = Routes::all(Line::parse(&["sms"]).unwrap());
    setup.settings.channels = BTreeMap::from([(ChannelName::parse("sms").unwrap(), settings)]);
}

/// A server whose only channel this SMSC is.
async fn over(smsc: &Smsc, more: &str) -> Server {
    let settings = settings(smsc, more);
    Server::start(|setup| sms(setup, settings)).await
}

fn order(phone: &str) -> serde_json::Value {
    json!({"phone_number": phone, "code": "1234", "ttl": 60})
}

/// Everything that a channel can be asked takes a session, and that is there a moment after the server.
async fn bound(server: &Server, smsc: &Smsc) {
    let warm_up = server.send(order("+393330000000")).await;
    server.advance(Duration::from_secs(2));
    let mut tries = 0;
    while smsc.binds() == 0 || smsc.submits().is_empty() {
        tries += 1;
        assert!(tries < 600, "no session");
        tokio::time::sleep(Duration::from_millis(50)).await;
        server.advance(Duration::from_secs(1));
    }
    let _ = warm_up;
}

#[tokio::test]
async fn a_code_is_sent_delivered_and_verified() {
    let smsc = Smsc::start(|_| Act::TakeAndReport(vec!["ENROUTE", "DELIVRD"])).await;
    let server = over(&smsc, "webotp = \"example.com\"").await;
    bound(&server, &smsc).await;
    let request = server.send_until(order(PHONE), "delivered").await;
    let submit = smsc.submits().pop().unwrap();
    assert_eq!((submit.to.as_str(), submit.from.as_str()), ("393331234567", "Example"));
    assert!(
        submit.text.contains("codice") && submit.text.ends_with("\n\n@example.com #1234"),
        "{}",
        submit.text
    );
    assert_eq!(submit.validity, "000000000100000R", "as long as the message has");
    let checked = server.api("checkVerificationStatus", json!({"request_id": request, "code": "1234"})).await;
    assert_eq!(checked.result()["verification_status"]["status"], "code_valid");
    let timeline = server.timeline(&request).await;
    assert_eq!(timeline, ["charged 0.01", "sent sms", "accepted sms", "delivered sms", "verified"]);
}

#[tokio::test]
async fn a_receipt_may_come_before_the_answer() {
    let smsc = Smsc::start(|_| Act::ReportAndTake("DELIVRD")).await;
    let server = over(&smsc, "").await;
    bound(&server, &smsc).await;
    server.send_until(order(PHONE), "delivered").await;
    assert_eq!(smsc.verdict().await, CommandStatus::EsmeRok);
}

#[tokio::test]
async fn what_the_phone_refuses_is_refunded() {
    let smsc = Smsc::start(|submit: &Submit| match submit.to.as_str() {
        "393331234567" => Act::TakeAndReport(vec!["UNDELIV"]),
        "393331234568" => Act::Refuse(CommandStatus::EsmeRinvdstadr),
        _ => Act::Take,
    })
    .await;
    let server = over(&smsc, "").await;
    bound(&server, &smsc).await;
    for (phone, reason) in [
        ("+393331234567", "failed sms the SMSC says UNDELIV (err:000)"),
        ("+393331234568", "failed sms the SMSC says ESME_RINVDSTADR"),
    ] {
        let request = server.send_until(order(phone), "refunded").await;
        assert!(server.timeline(&request).await.contains(&reason.to_owned()));
        assert_eq!(server.delivery(&request).await, "expired");
    }
}

#[tokio::test]
async fn what_nobody_confirms_expires_and_is_refunded_and_a_late_receipt_is_noted() {
    let smsc = Smsc::start(|_| Act::Take).await;
    let server = over(&smsc, "").await;
    bound(&server, &smsc).await;
    let request = server.send_until(order(PHONE), "accepted").await;
    server.advance(Duration::from_secs(60));
    server.until(&request, "refunded").await;
    let id = smsc.submits().pop().unwrap().id;
    assert_eq!(smsc.report(&id, "DELIVRD").await, CommandStatus::EsmeRok);
    server.until(&request, "late_confirmation").await;
    assert_eq!(server.delivery(&request).await, "expired");
    // An SMS cannot be taken back, and that is said.
    server.until(&request, "failed").await;
}

#[tokio::test]
async fn a_throttled_message_comes_again() {
    let smsc = Smsc::start({
        let seen = std::sync::Mutex::new(0);
        move |submit: &Submit| {
            let mut seen = seen.lock().unwrap();
            *seen += usize::from(submit.to == "393331234567");
            match *seen {
                1 if submit.to == "393331234567" => Act::Refuse(CommandStatus::EsmeRthrottled),
                _ => Act::TakeAndReport(vec!["DELIVRD"]),
            }
        }
    })
    .await;
    let server = over(&smsc, "").await;
    bound(&server, &smsc).await;
    let request = server.send_until(order(PHONE), "postponed").await;
    server.advance(Duration::from_secs(10));
    server.until(&request, "delivered").await;
}

/// The request was read, the connection was cut: nobody knows, and nobody sends a second SMS.
#[tokio::test]
async fn a_connection_that_is_lost_in_the_middle_leaves_it_uncertain() {
    let mut smsc = Smsc::start(|submit: &Submit| match submit.to.as_str() {
        PHONE_DIGITS => Act::HangUp,
        _ => Act::TakeAndReport(vec!["DELIVRD"]),
    })
    .await;
    let server = over(&smsc, "").await;
    bound(&server, &smsc).await;
    let request = server.send_until(order(PHONE), "uncertain").await;
    smsc.stop().await;
    smsc.restart().await;
    let next = server.send(order("+393331234568")).await;
    let mut submits = smsc.submits();
    while !submits.iter().any(|submit| submit.to == "393331234568") {
        tokio::time::sleep(Duration::from_millis(50)).await;
        server.advance(Duration::from_millis(500));
        submits = smsc.submits();
    }
    server.until(&next, "delivered").await;
    let to_phone = smsc.submits().iter().filter(|submit| submit.to == PHONE_DIGITS).count();
    assert_eq!(to_phone, 1);
    server.advance(Duration::from_secs(60));
    server.until(&request, "refunded").await;
}

const PHONE_DIGITS: &str = "393331234567";

#[tokio::test]
async fn a_server_that_dies_between_submit_and_record_sends_nothing_twice() {
    let (reached, seen) = tokio::sync::mpsc::unbounded_channel();
    let smsc = Smsc::start(move |submit: &Submit| {
        reached.send(submit.to.clone()).unwrap();
        // Taken, but the answer never comes back.
        if submit.to == PHONE_DIGITS { Act::HangUp } else { Act::TakeAndReport(vec!["DELIVRD"]) }
    })
    .await;
    let mut seen = seen;
    let mut setup = Setup::dev();
    sms(&mut setup, settings(&smsc, ""));
    let server = over(&smsc, "").await;
    bound(&server, &smsc).await;
    let request = server.send(order(PHONE)).await;
    while seen.recv().await.unwrap() != PHONE_DIGITS {}
    // Cut off like a process that is killed: what was heard last may or may not be written down.
    let home = server.stop();
    let server = home.serve(setup).await;
    server.advance(Duration::from_secs(31));
    server.until(&request, "uncertain").await;
    bound(&server, &smsc).await;
    assert_eq!(smsc.submits().iter().filter(|submit| submit.to == PHONE_DIGITS).count(), 1);
}

#[tokio::test]
async fn receipts_that_are_nobodys_change_nothing() {
    let smsc = Smsc::start(|_| Act::Take).await;
    let server = over(&smsc, "").await;
    bound(&server, &smsc).await;
    let request = server.send_until(order(PHONE), "accepted").await;
    let id = smsc.submits().pop().unwrap().id;
    let before = server.balance().await;
    let nobodys = ["", "0", "m9999", "../m1", "m1'--"];
    nobodys.iter().for_each(|id| smsc.raw(deliver_sm(id)));
    for _ in nobodys {
        smsc.verdict().await;
    }
    assert_eq!((server.delivery(&request).await.as_str(), server.balance().await), ("sent", before));
    assert_eq!(smsc.report(&id, "DELIVRD").await, CommandStatus::EsmeRok);
    server.until(&request, "delivered").await;
}

/// A deliver_sm whose text is cut and odd.
fn deliver_sm(id: &str) -> Vec<u8> {
    let text = format!("id:{id} stat:DELIVRD err:000 text:x");
    let mut body = vec![0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, u8::try_from(text.len()).unwrap()];
    body.extend(text.as_bytes());
    let mut pdu = Vec::new();
    pdu.extend((16 + body.len() as u32).to_be_bytes());
    pdu.extend(5_u32.to_be_bytes());
    pdu.extend(0_u32.to_be_bytes());
    pdu.extend(77_u32.to_be_bytes());
    pdu.extend(body);
    pdu
}

/// Ten thousand messages with six in a hundred faults: every one ends in exactly one final state, and the books are right.
#[tokio::test]
async fn ten_thousand_messages_end_in_one_state_each() {
    const MESSAGES: usize = 10_000;
    let smsc = Smsc::start(|submit: &Submit| {
        let number: u64 = submit.to.parse().unwrap();
        match number % 100 {
            1 => Act::Refuse(CommandStatus::EsmeRinvdstadr),
            2 => Act::TakeAndReport(vec!["UNDELIV"]),
            3 => Act::TakeAndReport(vec!["DELIVRD", "DELIVRD"]),
            4 => Act::ReportAndTake("DELIVRD"),
            5 => Act::TakeAndReport(vec!["EXPIRED"]),
            // Which of the two is written down first, nobody can say; the other changes nothing.
            6 => Act::TakeAndReport(vec!["UNDELIV", "DELIVRD"]),
            _ => Act::TakeAndReport(vec!["DELIVRD"]),
        }
    })
    .await;
    let server = over(&smsc, "window = 100").await;
    bound(&server, &smsc).await;
    let requests: Vec<_> = (0..MESSAGES)
        .map(|number| {
            let phone = format!("+39333{:07}", 1_000_000 + number);
            Request::post("/sendVerificationMessage")
                .bearer(ALICE)
                .json(json!({"phone_number": phone, "code": "1234", "ttl": 3600}))
        })
        .collect();
    let mut ends = BTreeMap::new();
    for requests in requests.chunks(1_000) {
        for answer in server.at_once(requests).await {
            let request = answer.result()["request_id"].as_str().unwrap().to_owned();
            let end = ended(&server, &request).await;
            *ends.entry(end).or_insert(0) += 1;
        }
    }
    let expired = ends[&Delivery::Expired];
    assert!((MESSAGES * 3 / 100..=MESSAGES * 4 / 100).contains(&expired), "{ends:?}");
    assert_eq!(ends[&Delivery::Delivered] + expired, MESSAGES);
    // One submit each: nothing was sent twice. The first message made the session known.
    let mut to: Vec<_> = smsc.submits().into_iter().map(|submit| submit.to).collect();
    to.sort();
    assert!(to.windows(2).all(|pair| pair[0] != pair[1] || pair[0] == "393330000000"));
}

/// Where a message ends, once it does. Time goes on meanwhile, for those that wait for their turn.
async fn ended(server: &Server, request: &str) -> Delivery {
    let id = RequestId::parse(request).unwrap();
    for _ in 0..30_000 {
        match server.reader().request(id).await.unwrap().unwrap().delivery.unwrap() {
            Delivery::Sent => {}
            end => return end,
        }
        server.advance(Duration::from_millis(10));
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    panic!("{request} has no end: {:#?}", server.timeline(request).await);
}

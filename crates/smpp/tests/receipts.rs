//! Delivery receipts: what they say, whom they reach, and when the SMSC may forget them.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

mod support;

use chappe_smpp::{Config, Failure, IdFormat, Outcome, Receipt};
use rusmpp::pdus::{DataSm, DeliverSm};
use rusmpp::tlvs::MessageDeliveryRequestTlvValue as Parameter;
use rusmpp::types::{COctetString, OctetString};
use rusmpp::values::{
    DataCoding, ErrorCodeNetworkType, EsmClass, MessagePayload, MessageState, NetworkErrorCode,
};
use rusmpp::{CommandId, CommandStatus};
use std::str::FromStr;
use support::{RECEIPT, Smsc, bench, config, seconds};
use tokio::time::{Instant, timeout};

const TEXT: &str = "id:0123456789 sub:001 dlvrd:001 submit date:2611231402 done date:2611231403 stat:DELIVRD err:000 text:Your code";

fn receipt(id: &str, outcome: Outcome) -> Receipt {
    Receipt { id: id.to_owned(), outcome }
}

fn failed(stat: &'static str, err: Option<&str>) -> Outcome {
    Outcome::Failed(Failure { stat, err: err.map(str::to_owned) })
}

async fn answered(smsc: &mut Smsc, sequence: u32) -> CommandStatus {
    let answer = smsc.expect(CommandId::DeliverSmResp).await;
    assert_eq!(answer.sequence_number(), sequence);
    answer.status()
}

/// What a receipt is read as.
async fn read(settings: Config, esm_class: u8, text: &str, parameters: Vec<Parameter>) -> Option<Receipt> {
    let mut bench = bench(settings);
    let mut smsc = bench.bound().await;
    smsc.deliver_with(1, esm_class, text, parameters).await;
    tokio::select! {
        delivery = bench.receipts.next() => Some(delivery.unwrap().receipt.clone()),
        status = answered(&mut smsc, 1) => {
            assert_eq!(status, CommandStatus::EsmeRok);
            None
        }
    }
}

fn text_id(id: &str) -> Parameter {
    Parameter::ReceiptedMessageId(COctetString::from_str(id).unwrap())
}

#[tokio::test(start_paused = true)]
async fn texts_of_every_kind_are_understood() {
    let cases = [
        (TEXT, "0123456789", Outcome::Delivered),
        (
            "id:a1-B sub:1 dlvrd:0 submit date:1 done date:2 stat:UNDELIV err:027 Text:",
            "a1-B",
            failed("UNDELIV", Some("027")),
        ),
        ("id: 7 stat: EXPIRED err: 1", "7", failed("EXPIRED", Some("1"))),
        ("ID:7 STAT:REJECTD", "7", failed("REJECTD", None)),
        ("stat:deleted id:7", "7", failed("DELETED", None)),
        ("id:7 stat:UNDELIVERABLE err:", "7", failed("UNDELIV", None)),
        ("id:7\r\nstat:ACCEPTD\r\nerr:000", "7", Outcome::Pending),
        ("id:7 stat:ENROUTE", "7", Outcome::Pending),
        ("id:7 stat:UNKNOWN err:000", "7", Outcome::Unknown),
        ("id:7 stat:BUFFERED", "7", Outcome::Unknown),
        ("id:7", "7", Outcome::Unknown),
        ("msgid:8 id:7 substat:DELIVRD stat:EXPIRED", "7", failed("EXPIRED", None)),
        // Its author has no say.
        ("id:7 stat:UNDELIV text:id:8 stat:DELIVRD", "7", failed("UNDELIV", None)),
        ("id:7 text:id:8 stat:DELIVRD", "7", Outcome::Unknown),
    ];
    for (text, id, outcome) in cases {
        assert_eq!(read(config(), RECEIPT, text, Vec::new()).await, Some(receipt(id, outcome)), "{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn parameters_come_before_the_text() {
    let cases = [
        (MessageState::Delivered, Outcome::Delivered),
        (MessageState::Enroute, Outcome::Pending),
        (MessageState::Accepted, Outcome::Pending),
        (MessageState::Expired, failed("EXPIRED", Some("34"))),
        (MessageState::Deleted, failed("DELETED", Some("34"))),
        (MessageState::Undeliverable, failed("UNDELIV", Some("34"))),
        (MessageState::Rejected, failed("REJECTD", Some("34"))),
        (MessageState::Unknown, Outcome::Unknown),
    ];
    for (state, outcome) in cases {
        let parameters = vec![
            text_id("tlv"),
            Parameter::MessageState(state),
            Parameter::NetworkErrorCode(NetworkErrorCode::new(ErrorCodeNetworkType::Gsm, 34)),
        ];
        let expected = Some(receipt("tlv", outcome));
        assert_eq!(read(config(), RECEIPT, TEXT, parameters.clone()).await, expected);
        assert_eq!(read(config(), 0, "", parameters).await, expected, "they alone make a receipt");
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_from_a_phone_is_never_a_receipt() {
    assert_eq!(read(config(), 0, TEXT, Vec::new()).await, None);
    assert_eq!(read(config(), 0x40, TEXT, Vec::new()).await, None);
    // An acknowledgement by the recipient's phone is not the SMSC's word either.
    assert_eq!(read(config(), 0x08, TEXT, Vec::new()).await, None);
    assert_eq!(read(config(), 0, TEXT, vec![text_id("7")]).await, None);
}

#[tokio::test(start_paused = true)]
async fn a_receipt_that_names_no_message_is_passed_over() {
    for text in ["", "stat:DELIVRD", "id: ", "text:id:7"] {
        assert_eq!(read(config(), RECEIPT, text, Vec::new()).await, None, "{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_told_in_between_is_not_the_end() {
    let pending = Some(receipt("7", Outcome::Pending));
    assert_eq!(read(config(), 0x20, "id:7 stat:UNDELIV err:001", Vec::new()).await, pending);
    let delivered = Some(receipt("7", Outcome::Delivered));
    assert_eq!(read(config(), 0x20, "id:7 stat:DELIVRD", Vec::new()).await, delivered);
}

#[tokio::test(start_paused = true)]
async fn both_spellings_of_an_id_become_one() {
    let cases = [
        (IdFormat::AsIs, "00fF", "00fF", Some("00fF")),
        (IdFormat::SubmitHexReceiptDecimal, "00fF", "255", Some("255")),
        (IdFormat::SubmitHexReceiptDecimal, "ff", "0000000255", Some("255")),
        (IdFormat::SubmitDecimalReceiptHex, "0000000255", "000000FF", Some("255")),
        (IdFormat::SubmitDecimalReceiptHex, "255", "0255", None),
        (IdFormat::SubmitHexReceiptDecimal, "not-a-number", "not-a-number", Some("not-a-number")),
        (IdFormat::SubmitHexReceiptDecimal, "+ff", "255", None),
        (IdFormat::SubmitDecimalReceiptHex, &"9".repeat(60), &"9".repeat(60), Some(&"9".repeat(60))),
    ];
    for (format, submitted, reported, same) in cases {
        let mut settings = config();
        settings.id_format = format;
        let mut bench = bench(settings);
        let mut smsc = bench.bound().await;
        let sending = bench.submit("a");
        let (sequence, _) = smsc.submit().await;
        smsc.accept(sequence, submitted).await;
        smsc.deliver(1, RECEIPT, &format!("id:{reported} stat:DELIVRD")).await;
        let id = sending.await.unwrap().unwrap().ids.remove(0);
        let receipt = bench.receipts.next().await.unwrap().receipt.clone();
        match same {
            Some(same) => assert_eq!((id.as_str(), receipt.id.as_str()), (same, same)),
            None => assert_ne!(id, receipt.id),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn where_ids_are_spelled_in_two_ways_the_text_counts() {
    let mut settings = config();
    settings.id_format = IdFormat::SubmitHexReceiptDecimal;
    let read = read(settings, RECEIPT, "id:255 stat:DELIVRD", vec![text_id("ff")]).await;
    assert_eq!(read, Some(receipt("255", Outcome::Delivered)));
}

#[tokio::test(start_paused = true)]
async fn a_receipt_is_answered_once_it_is_acknowledged() {
    let mut bench = bench(config());
    let mut smsc = bench.bound().await;
    smsc.deliver(42, RECEIPT, TEXT).await;
    let delivery = bench.receipts.next().await.unwrap();
    assert!(timeout(seconds(9), smsc.next()).await.is_err(), "it was answered too early");
    delivery.acknowledge();
    assert_eq!(answered(&mut smsc, 42).await, CommandStatus::EsmeRok);
}

#[tokio::test(start_paused = true)]
async fn a_receipt_that_is_not_acknowledged_is_left_with_the_smsc() {
    let mut bench = bench(config());
    let mut smsc = bench.bound().await;
    smsc.deliver(1, RECEIPT, TEXT).await;
    drop(bench.receipts.next().await.unwrap());
    assert_eq!(answered(&mut smsc, 1).await, CommandStatus::EsmeRxTAppn);

    let start = Instant::now();
    smsc.deliver(2, RECEIPT, TEXT).await;
    let delivery = bench.receipts.next().await.unwrap();
    assert_eq!(answered(&mut smsc, 2).await, CommandStatus::EsmeRxTAppn);
    assert_eq!(start.elapsed().as_secs(), 10);
    // Too late: it does not count for the next one, even under the same sequence number.
    smsc.deliver(2, RECEIPT, TEXT).await;
    let again = bench.receipts.next().await.unwrap();
    delivery.acknowledge();
    assert!(timeout(seconds(5), smsc.next()).await.is_err());
    again.acknowledge();
    assert_eq!(answered(&mut smsc, 2).await, CommandStatus::EsmeRok);
}

#[tokio::test(start_paused = true)]
async fn an_acknowledgement_after_the_connection_was_lost_goes_nowhere() {
    let mut bench = bench(config());
    let mut smsc = bench.bound().await;
    smsc.deliver(7, RECEIPT, TEXT).await;
    let delivery = bench.receipts.next().await.unwrap();
    drop(smsc);
    let mut smsc = bench.bound().await;
    // The SMSC, having heard nothing, sends it again.
    smsc.deliver(7, RECEIPT, TEXT).await;
    let again = bench.receipts.next().await.unwrap();
    delivery.acknowledge();
    assert!(timeout(seconds(5), smsc.next()).await.is_err());
    again.acknowledge();
    assert_eq!(answered(&mut smsc, 7).await, CommandStatus::EsmeRok);
}

#[tokio::test(start_paused = true)]
async fn a_receipt_may_come_before_the_answer_and_twice() {
    let mut bench = bench(config());
    let mut smsc = bench.bound().await;
    let sending = bench.submit("a");
    let (sequence, _) = smsc.submit().await;
    for deliver in 1..=2 {
        smsc.deliver(deliver, RECEIPT, "id:early stat:DELIVRD").await;
        let delivery = bench.receipts.next().await.unwrap();
        assert_eq!(delivery.receipt, receipt("early", Outcome::Delivered));
        delivery.acknowledge();
        assert_eq!(answered(&mut smsc, deliver).await, CommandStatus::EsmeRok);
    }
    smsc.accept(sequence, "early").await;
    assert_eq!(sending.await.unwrap().unwrap().ids, ["early"]);
}

#[tokio::test(start_paused = true)]
async fn receipts_past_the_bound_are_left_with_the_smsc_and_hold_nothing_up() {
    let mut settings = config();
    settings.receipts = 2;
    let mut bench = bench(settings);
    let mut smsc = bench.bound().await;
    for sequence in 1..=4 {
        smsc.deliver(sequence, RECEIPT, TEXT).await;
    }
    assert_eq!(answered(&mut smsc, 3).await, CommandStatus::EsmeRxTAppn);
    assert_eq!(answered(&mut smsc, 4).await, CommandStatus::EsmeRxTAppn);
    let sending = bench.submit("a");
    let (sequence, _) = smsc.submit().await;
    smsc.accept(sequence, "id").await;
    assert!(sending.await.unwrap().is_ok());
    bench.receipts.next().await.unwrap().acknowledge();
    assert_eq!(answered(&mut smsc, 1).await, CommandStatus::EsmeRok);
    smsc.deliver(5, RECEIPT, TEXT).await;
    bench.receipts.next().await.unwrap().acknowledge();
    assert_eq!(answered(&mut smsc, 2).await, CommandStatus::EsmeRok);
    bench.receipts.next().await.unwrap().acknowledge();
    assert_eq!(answered(&mut smsc, 5).await, CommandStatus::EsmeRok);
}

#[tokio::test(start_paused = true)]
async fn what_is_taken_but_not_acknowledged_counts_too() {
    let mut settings = config();
    settings.receipts = 1;
    let mut bench = bench(settings);
    let mut smsc = bench.bound().await;
    smsc.deliver(1, RECEIPT, TEXT).await;
    let _held = bench.receipts.next().await.unwrap();
    smsc.deliver(2, RECEIPT, TEXT).await;
    let start = Instant::now();
    assert_eq!(answered(&mut smsc, 2).await, CommandStatus::EsmeRxTAppn);
    assert!(start.elapsed() < seconds(1), "it was given a place");
}

#[tokio::test(start_paused = true)]
async fn without_anybody_to_take_them_receipts_stay_with_the_smsc() {
    let mut bench = bench(config());
    let mut smsc = bench.bound().await;
    let (_, unused) = (bench.client.clone(), bench.receipts);
    drop(unused);
    smsc.deliver(1, RECEIPT, TEXT).await;
    assert_eq!(answered(&mut smsc, 1).await, CommandStatus::EsmeRxTAppn);
}

#[tokio::test(start_paused = true)]
async fn other_ways_to_bring_a_receipt_work_too() {
    let mut bench = bench(config());
    let mut smsc = bench.bound().await;
    let expected = receipt("7", Outcome::Delivered);
    let payload =
        || MessagePayload::new(rusmpp::types::AnyOctetString::from_static_slice(b"id:7 stat:DELIVRD"));

    // In a data_sm, which has no other place for a text.
    let data = DataSm::builder()
        .esm_class(EsmClass::from(RECEIPT))
        .push_tlv(rusmpp::tlvs::MessageSubmissionRequestTlvValue::MessagePayload(payload()))
        .build();
    smsc.send(CommandStatus::EsmeRok, 1, data).await;
    let delivery = bench.receipts.next().await.unwrap();
    assert_eq!(delivery.receipt, expected);
    delivery.acknowledge();
    assert_eq!(smsc.expect(CommandId::DataSmResp).await.sequence_number(), 1);

    // In the message_payload of a deliver_sm, as UCS-2, and behind a user data header.
    let ucs2: Vec<u8> = "id:7 stat:DELIVRD".encode_utf16().flat_map(u16::to_be_bytes).collect();
    let headed = [&[5, 0, 3, 1, 1, 1][..], b"id:7 stat:DELIVRD"].concat();
    let deliver = |esm_class| DeliverSm::builder().esm_class(EsmClass::from(esm_class));
    for deliver in [
        deliver(RECEIPT).tlvs(vec![Parameter::MessagePayload(payload())]),
        deliver(RECEIPT).data_coding(DataCoding::Ucs2).short_message(OctetString::from_vec(ucs2).unwrap()),
        deliver(RECEIPT | 0x40).short_message(OctetString::from_vec(headed).unwrap()),
    ] {
        smsc.send(CommandStatus::EsmeRok, 2, deliver.build()).await;
        assert_eq!(bench.receipts.next().await.unwrap().receipt, expected);
        smsc.expect(CommandId::DeliverSmResp).await;
    }
}

/// A deliver_sm as operators make them: an address in Latin 1, times that are neither empty nor full, an id parameter
/// without its NUL, and one cut off at the end.
#[tokio::test(start_paused = true)]
async fn a_sloppy_receipt_is_read_all_the_same() {
    let mut bench = bench(config());
    let mut smsc = bench.bound().await;
    let mut body = b"\0\x05\0Caf\xE9\0\x01\x0139333\0\x04\x00\x00261123\0soon\0\0\0\0\0".to_vec();
    let text = b"id:text stat:UNDELIV err:001";
    body.push(text.len() as u8);
    body.extend(text);
    body.extend(b"\x00\x1E\x00\x03tlv\x04\x27\x00\x01\x02\x14\x00\x00\x09cut");
    let mut pdu = (16 + body.len() as u32).to_be_bytes().to_vec();
    pdu.extend([0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 9]);
    pdu.extend(body);
    smsc.raw(&pdu).await;
    let delivery = bench.receipts.next().await.unwrap();
    assert_eq!(delivery.receipt, receipt("tlv", Outcome::Delivered));
    delivery.acknowledge();
    assert_eq!(answered(&mut smsc, 9).await, CommandStatus::EsmeRok);
}

#[tokio::test(start_paused = true)]
async fn an_unreadable_message_is_rejected_and_the_next_one_read() {
    let mut bench = bench(config());
    let mut smsc = bench.bound().await;
    // A deliver_sm that says nothing, and one whose text is shorter than it says.
    smsc.raw(&[0, 0, 0, 16, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 1]).await;
    assert_eq!(answered(&mut smsc, 1).await, CommandStatus::EsmeRxPAppn);
    let mut short = vec![0, 0, 0, 35, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 2];
    short.extend([0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 200, b'i', b'd']);
    smsc.raw(&short).await;
    assert_eq!(answered(&mut smsc, 2).await, CommandStatus::EsmeRxPAppn);
    smsc.deliver(3, RECEIPT, TEXT).await;
    assert_eq!(bench.receipts.next().await.unwrap().receipt.id, "0123456789");
}

//! What becomes of a submit, whatever the SMSC does.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

mod support;

use chappe_smpp::{
    Address, CommandStatus as Status, Message, NotSent, State, SubmitError, Submitted, Uncertainty,
};
use rusmpp::pdus::SubmitSmResp;
use rusmpp::values::{DataCoding, EsmClass, Npi, RegisteredDelivery, Ton};
use rusmpp::{CommandId, CommandStatus, Pdu};
use std::num::NonZeroU32;
use std::time::Duration;
use support::{bench, bench_with, config, message, seconds};
use tokio::time::{Instant, timeout};

fn taken(ids: &[&str]) -> Result<Submitted, SubmitError> {
    Ok(Submitted { ids: ids.iter().map(|id| (*id).to_owned()).collect() })
}

fn not_sent(why: NotSent) -> Result<Submitted, SubmitError> {
    Err(SubmitError::NotSent(why))
}

fn uncertain(reason: Uncertainty) -> Result<Submitted, SubmitError> {
    Err(SubmitError::Uncertain { reason, ids: Vec::new() })
}

#[tokio::test(start_paused = true)]
async fn a_message_arrives_as_it_was_meant() {
    let mut bench = bench(config());
    let mut smsc = bench.bound().await;
    let message = Message::new(Address::international("+39333").unwrap(), "Ciao €")
        .unwrap()
        .with_source(Address::alphanumeric("Shop").unwrap())
        .with_validity(seconds(90))
        .unwrap()
        .with_service_type("OTP")
        .unwrap();
    let client = bench.client.clone();
    let sending = tokio::spawn(async move { client.submit(&message).await });
    let (sequence, submit) = smsc.submit().await;
    assert_eq!((submit.dest_addr_ton, submit.dest_addr_npi), (Ton::International, Npi::Isdn));
    assert_eq!(submit.destination_addr.as_str(), "39333");
    assert_eq!((submit.source_addr_ton, submit.source_addr_npi), (Ton::Alphanumeric, Npi::Unknown));
    assert_eq!(submit.source_addr.as_str(), "Shop");
    assert_eq!(submit.registered_delivery, RegisteredDelivery::from(1));
    assert_eq!(submit.validity_period.as_str(), "000000000130000R");
    assert_eq!(submit.service_type.value().as_str(), "OTP");
    assert_eq!(submit.data_coding, DataCoding::McSpecific);
    assert_eq!(submit.esm_class, EsmClass::default());
    assert_eq!(submit.short_message().as_ref() as &[u8], [b'C', b'i', b'a', b'o', b' ', 0x1B, 0x65]);
    smsc.accept(sequence, "id-1").await;
    assert_eq!(sending.await.unwrap(), taken(&["id-1"]));
}

#[tokio::test(start_paused = true)]
async fn a_long_message_goes_in_parts_that_belong_together() {
    let mut bench = bench(config());
    let mut smsc = bench.bound().await;
    let sending = bench.submit(&"я".repeat(100));
    let mut references = Vec::new();
    for part in 1..=2 {
        let (sequence, submit) = smsc.submit().await;
        assert_eq!(submit.data_coding, DataCoding::Ucs2);
        assert_eq!(submit.esm_class, EsmClass::default().with_udhi_indicator());
        let octets: &[u8] = submit.short_message().as_ref();
        assert_eq!((&octets[..3], &octets[4..6]), (&[5, 0, 3][..], &[2, part][..]));
        references.push(octets[3]);
        smsc.accept(sequence, &format!("part-{part}")).await;
    }
    assert_eq!(references[0], references[1]);
    assert_eq!(sending.await.unwrap(), taken(&["part-1", "part-2"]));
}

#[tokio::test(start_paused = true)]
async fn what_was_taken_in_part_is_uncertain_and_its_rest_is_not_sent() {
    let mut bench = bench(config());
    let mut smsc = bench.bound().await;
    let sending = bench.submit(&"a".repeat(400));
    let (first, _) = smsc.submit().await;
    smsc.accept(first, "one").await;
    let (second, _) = smsc.submit().await;
    smsc.refuse(second, CommandStatus::EsmeRinvdstadr).await;
    let refused = SubmitError::Refused(Status(0x0B));
    let reason = Uncertainty::InPart(Box::new(refused));
    assert_eq!(sending.await.unwrap(), Err(SubmitError::Uncertain { reason, ids: vec!["one".to_owned()] }));
    // The next thing that the SMSC hears is somebody else's.
    let other = bench.submit("b");
    let (sequence, submit) = smsc.submit().await;
    assert_eq!(submit.short_message().as_ref() as &[u8], b"b");
    smsc.accept(sequence, "two").await;
    assert_eq!(other.await.unwrap(), taken(&["two"]));
}

#[tokio::test(start_paused = true)]
async fn a_refusal_keeps_its_name() {
    let mut bench = bench(config());
    let mut smsc = bench.bound().await;
    for (status, name) in [
        (CommandStatus::EsmeRinvdstadr, "ESME_RINVDSTADR"),
        (CommandStatus::EsmeRsubmitfail, "ESME_RSUBMITFAIL"),
        (CommandStatus::Other(0x0401), "command_status 0x00000401"),
    ] {
        let sending = bench.submit("a");
        let (sequence, _) = smsc.submit().await;
        smsc.refuse(sequence, status).await;
        let error = sending.await.unwrap().unwrap_err();
        assert_eq!(error, SubmitError::Refused(Status(status.into())));
        assert_eq!(error.to_string(), format!("refused: {name}"));
    }
    let sending = bench.submit("a");
    let (sequence, _) = smsc.submit().await;
    smsc.send(CommandStatus::EsmeRinvcmdid, sequence, Pdu::GenericNack).await;
    assert_eq!(sending.await.unwrap(), Err(SubmitError::Refused(Status(3))), "a generic_nack refuses too");
}

#[tokio::test(start_paused = true)]
async fn not_now_is_said_with_a_pause() {
    let mut bench = bench(config());
    let mut smsc = bench.bound().await;
    for status in [CommandStatus::EsmeRmsgqful, CommandStatus::EsmeRsyserr, CommandStatus::EsmeRxTAppn] {
        let sending = bench.submit("a");
        let (sequence, _) = smsc.submit().await;
        smsc.refuse(sequence, status).await;
        let expected = SubmitError::TryLater { status: Status(status.into()), after: seconds(10) };
        assert_eq!(sending.await.unwrap(), Err(expected));
    }
}

#[tokio::test(start_paused = true)]
async fn throttling_slows_the_whole_session_down() {
    let mut bench = bench(config());
    let mut smsc = bench.bound().await;
    for pause in [1, 2, 4] {
        let sending = bench.submit("a");
        let (sequence, _) = smsc.submit().await;
        let throttled = Instant::now();
        smsc.refuse(sequence, CommandStatus::EsmeRthrottled).await;
        let expected = SubmitError::TryLater { status: Status(0x58), after: seconds(pause) };
        assert_eq!(sending.await.unwrap(), Err(expected));
        let next = bench.submit("b");
        let (sequence, _) = smsc.submit().await;
        assert_eq!(throttled.elapsed().as_millis() / 10, u128::from(pause) * 100);
        smsc.accept(sequence, "id").await;
        assert!(next.await.unwrap().is_ok());
    }
}

#[tokio::test(start_paused = true)]
async fn the_window_bounds_what_is_unanswered() {
    let mut settings = config();
    settings.window = 2;
    let mut bench = bench(settings);
    let mut smsc = bench.bound().await;
    let _sending = [bench.submit("a"), bench.submit("b"), bench.submit("c")];
    let (first, _) = smsc.submit().await;
    let (_second, _) = smsc.submit().await;
    assert!(timeout(seconds(5), smsc.next()).await.is_err(), "a third one went out");
    smsc.accept(first, "id").await;
    smsc.submit().await;
}

#[tokio::test(start_paused = true)]
async fn a_bound_on_the_rate_spaces_submits_out() {
    let mut settings = config();
    settings.per_second = NonZeroU32::new(4);
    let mut bench = bench(settings);
    let mut smsc = bench.bound().await;
    let start = Instant::now();
    let _sending: Vec<_> = (0..5).map(|_| bench.submit("a")).collect();
    for _ in 0..5 {
        smsc.submit().await;
    }
    let took = start.elapsed();
    assert!(
        (seconds(1) - Duration::from_millis(15)..seconds(1) + Duration::from_millis(15)).contains(&took),
        "{took:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn answers_may_come_in_any_order() {
    let mut bench = bench(config());
    let mut smsc = bench.bound().await;
    let texts = ["a", "b", "c"];
    let mut sending = Vec::new();
    let mut sequences = Vec::new();
    for text in texts {
        sending.push(bench.submit(text));
        sequences.push(smsc.submit().await.0);
    }
    for (sequence, text) in sequences.iter().zip(texts).rev() {
        smsc.accept(*sequence, text).await;
    }
    for (sending, text) in sending.into_iter().zip(texts) {
        assert_eq!(sending.await.unwrap(), taken(&[text]));
    }
}

#[tokio::test(start_paused = true)]
async fn no_answer_is_uncertain_and_a_late_one_belongs_to_nobody() {
    let mut settings = config();
    settings.response_timeout = seconds(45);
    let mut bench = bench(settings);
    let mut smsc = bench.bound().await;
    let sending = bench.submit("a");
    let (sequence, _) = smsc.submit().await;
    // The line is alive; it is only this answer that does not come.
    let alive = async {
        loop {
            let enquire = smsc.expect(CommandId::EnquireLink).await;
            smsc.send(CommandStatus::EsmeRok, enquire.sequence_number(), Pdu::EnquireLinkResp).await;
        }
    };
    let result = tokio::select! { result = sending => result.unwrap(), () = alive => unreachable!() };
    assert_eq!(result, uncertain(Uncertainty::NoAnswer));
    let next = bench.submit("b");
    let (after, _) = smsc.submit().await;
    assert_ne!(after, sequence);
    smsc.accept(sequence, "late").await;
    smsc.accept(sequence, "late, twice").await;
    smsc.accept(after, "right").await;
    assert_eq!(next.await.unwrap(), taken(&["right"]));
}

#[tokio::test(start_paused = true)]
async fn what_was_read_before_the_connection_broke_is_uncertain() {
    let mut bench = bench(config());
    let mut smsc = bench.bound().await;
    let sending = bench.submit("a");
    smsc.submit().await;
    drop(smsc);
    assert_eq!(sending.await.unwrap(), uncertain(Uncertainty::ConnectionLost));
    // And it is not repeated.
    let mut smsc = bench.bound().await;
    assert!(timeout(seconds(5), smsc.next()).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn what_was_cut_off_while_it_was_written_is_uncertain_and_what_waited_behind_it_is_not() {
    // A pipe that a submit_sm does not fit into.
    let mut bench = bench_with(config(), 48);
    let mut smsc = bench.bound().await;
    let sending = bench.submit(&"a".repeat(160));
    let waiting = bench.submit("b");
    // The SMSC reads a part of it, and is gone.
    let mut some = [0; 20];
    tokio::io::AsyncReadExt::read_exact(smsc.pipe.get_mut(), &mut some).await.unwrap();
    assert_eq!(some[..8], [0, 0, 0, 205, 0, 0, 0, 4], "the beginning of a submit_sm");
    drop(smsc);
    // It was the writing that failed, and a transport may fail after it has sent. That the other never left is sure.
    assert_eq!(sending.await.unwrap(), uncertain(Uncertainty::ConnectionLost));
    assert_eq!(waiting.await.unwrap(), not_sent(NotSent::Disconnected));
}

#[tokio::test(start_paused = true)]
async fn what_the_smsc_never_took_off_the_line_was_not_sent() {
    let mut bench = bench_with(config(), 48);
    let _smsc = bench.bound().await;
    let sending = bench.submit(&"a".repeat(160));
    // It reads nothing more, and after a while it is given up.
    assert_eq!(sending.await.unwrap(), not_sent(NotSent::Disconnected));
}

#[tokio::test(start_paused = true)]
async fn an_answer_cut_off_in_the_middle_is_no_answer() {
    let mut bench = bench(config());
    let mut smsc = bench.bound().await;
    let sending = bench.submit("a");
    let (sequence, _) = smsc.submit().await;
    let mut answer = vec![0, 0, 0, 20, 0x80, 0, 0, 4, 0, 0, 0, 0];
    answer.extend(sequence.to_be_bytes());
    smsc.raw(&answer).await;
    drop(smsc);
    assert_eq!(sending.await.unwrap(), uncertain(Uncertainty::ConnectionLost));
}

#[tokio::test(start_paused = true)]
async fn success_without_an_id_is_uncertain() {
    let mut bench = bench(config());
    let mut smsc = bench.bound().await;
    let sending = bench.submit("a");
    let (sequence, _) = smsc.submit().await;
    smsc.send(CommandStatus::EsmeRok, sequence, SubmitSmResp::default()).await;
    assert_eq!(sending.await.unwrap(), uncertain(Uncertainty::NoId));
}

#[tokio::test(start_paused = true)]
async fn an_id_without_its_end_is_still_an_id() {
    let mut bench = bench(config());
    let mut smsc = bench.bound().await;
    let sending = bench.submit("a");
    let (sequence, _) = smsc.submit().await;
    let mut answer = vec![0, 0, 0, 19, 0x80, 0, 0, 4, 0, 0, 0, 0];
    answer.extend(sequence.to_be_bytes());
    answer.extend(b"abc");
    smsc.raw(&answer).await;
    assert_eq!(sending.await.unwrap(), taken(&["abc"]));
}

#[tokio::test(start_paused = true)]
async fn nothing_is_taken_without_a_bound_connection() {
    let mut bench = bench(config());
    let unbound = bench.accept().await;
    assert_eq!(
        bench.submit("a").await.unwrap(),
        not_sent(NotSent::Disconnected),
        "the bind has no answer yet"
    );
    drop(unbound);
    bench.down().await;
    assert_eq!(bench.submit("a").await.unwrap(), not_sent(NotSent::Disconnected));
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_takes_nothing_more() {
    let mut settings = config();
    settings.window = 1;
    settings.queue = 10;
    let mut bench = bench(settings);
    let mut smsc = bench.bound().await;
    // One in flight, one first in line, ten in the queue.
    let mut sending = vec![bench.submit("a")];
    smsc.submit().await;
    sending.push(bench.submit("a"));
    tokio::time::sleep(Duration::from_millis(10)).await;
    sending.extend((0..10).map(|_| bench.submit("a")));
    tokio::time::sleep(Duration::from_millis(10)).await;
    let full = bench.client.submit(&message("a")).await;
    assert_eq!(full, not_sent(NotSent::QueueFull));
    drop(smsc);
    let first = sending.remove(0).await.unwrap();
    assert_eq!(first, uncertain(Uncertainty::ConnectionLost));
    for waiting in sending {
        assert_eq!(waiting.await.unwrap(), not_sent(NotSent::Disconnected));
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_waits_longer_than_it_may() {
    let mut settings = config();
    settings.window = 1;
    settings.queue_timeout = seconds(3);
    let mut bench = bench(settings);
    let mut smsc = bench.bound().await;
    let _in_flight = bench.submit("a");
    smsc.submit().await;
    let start = Instant::now();
    let waiting = [bench.submit("b"), bench.submit("c")];
    for waiting in waiting {
        assert_eq!(waiting.await.unwrap(), not_sent(NotSent::Expired));
    }
    assert_eq!(start.elapsed().as_secs(), 3);
}

#[tokio::test(start_paused = true)]
async fn what_its_sender_gave_up_while_it_waited_is_not_sent() {
    let mut settings = config();
    settings.window = 1;
    let mut bench = bench(settings);
    let mut smsc = bench.bound().await;
    let _in_flight = bench.submit("a");
    let (sequence, _) = smsc.submit().await;
    let given_up = [bench.submit("b"), bench.submit("c")];
    tokio::time::sleep(seconds(1)).await;
    given_up.iter().for_each(|sending| sending.abort());
    let _waiting = bench.submit("d");
    tokio::time::sleep(seconds(1)).await;
    smsc.accept(sequence, "id").await;
    let (_, submit) = smsc.submit().await;
    assert_eq!(submit.short_message().as_ref() as &[u8], b"d");
}

#[tokio::test(start_paused = true)]
async fn shutting_down_lets_what_is_in_flight_be_answered() {
    let mut settings = config();
    settings.window = 1;
    let mut bench = bench(settings);
    let mut smsc = bench.bound().await;
    let in_flight = bench.submit("a");
    let (sequence, _) = smsc.submit().await;
    let waiting = [bench.submit("b"), bench.submit("c")];
    tokio::time::sleep(Duration::from_millis(10)).await;
    bench.client.shut_down();
    for waiting in waiting {
        assert_eq!(waiting.await.unwrap(), not_sent(NotSent::ShuttingDown));
    }
    assert_eq!(bench.submit("d").await.unwrap(), not_sent(NotSent::ShuttingDown));
    smsc.accept(sequence, "id").await;
    assert_eq!(in_flight.await.unwrap(), taken(&["id"]));
    let unbind = smsc.expect(CommandId::Unbind).await;
    smsc.send(CommandStatus::EsmeRok, unbind.sequence_number(), Pdu::UnbindResp).await;
    bench.driver.await.unwrap();
    assert_eq!(*bench.state.borrow(), State::Closed);
    assert!(bench.receipts.next().await.is_none());
    assert!(smsc.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn dropping_the_driver_leaves_no_submit_without_an_answer() {
    let mut bench = bench(config());
    let mut smsc = bench.bound().await;
    let in_flight = bench.submit("a");
    smsc.submit().await;
    bench.driver.abort();
    assert_eq!(in_flight.await.unwrap(), uncertain(Uncertainty::ConnectionLost));
    assert_eq!(bench.submit("b").await.unwrap(), not_sent(NotSent::ShuttingDown));
}

#[tokio::test(start_paused = true)]
async fn what_is_still_written_while_the_smsc_unbinds_is_uncertain() {
    let mut bench = bench_with(config(), 48);
    let mut smsc = bench.bound().await;
    let sending = bench.submit(&"a".repeat(160));
    let waiting = bench.submit("b");
    // The beginning of the submit_sm is on the line, and the SMSC has not read it when it says that it ends.
    tokio::time::sleep(seconds(1)).await;
    smsc.send(CommandStatus::EsmeRok, 1, Pdu::Unbind).await;
    smsc.submit().await;
    smsc.expect(CommandId::UnbindResp).await;
    assert_eq!(sending.await.unwrap(), uncertain(Uncertainty::ConnectionLost));
    // What waited behind it never leaves.
    assert_eq!(waiting.await.unwrap(), not_sent(NotSent::Disconnected));
    assert!(smsc.next().await.is_none());
}

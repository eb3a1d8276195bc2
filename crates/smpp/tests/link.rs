//! The connection: binding, keeping it alive, losing it, and making it again.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

mod support;

use chappe_smpp::{CommandStatus as Status, Config, DownReason, InvalidConfig, State, session};
use rusmpp::pdus::{BindTransceiverResp, QuerySm};
use rusmpp::values::InterfaceVersion;
use rusmpp::{Command, CommandId, CommandStatus, Pdu};
use std::io;
use std::time::Duration;
use support::{Bench, Smsc, bench, bench_with, config, seconds};
use tokio::time::{Instant, sleep, timeout};

fn reason(state: &State) -> DownReason {
    match state {
        State::Down { reason, .. } => reason.clone(),
        other => panic!("{other:?}"),
    }
}

/// How long until the next connection.
async fn pause(bench: &mut Bench) -> u64 {
    let start = Instant::now();
    drop(bench.accept().await);
    start.elapsed().as_secs()
}

/// Answers enquire_link for so long.
async fn stay_alive(smsc: &mut Smsc, time: Duration) {
    let answering = async {
        loop {
            let enquire = smsc.expect(CommandId::EnquireLink).await;
            smsc.send(CommandStatus::EsmeRok, enquire.sequence_number(), Pdu::EnquireLinkResp).await;
        }
    };
    let _: Result<(), _> = timeout(time, answering).await;
}

#[tokio::test(start_paused = true)]
async fn the_bind_says_who_we_are() {
    let mut settings = config();
    settings.system_type = "OTP".to_owned();
    settings.address_range = "^39".to_owned();
    let mut bench = bench(settings);
    let mut smsc = bench.accept().await;
    let command = smsc.expect(CommandId::BindTransceiver).await;
    let Some(Pdu::BindTransceiver(bind)) = command.pdu() else { panic!("{command:?}") };
    assert_eq!((bind.system_id.as_str(), bind.password.as_str()), ("esme", "secret"));
    assert_eq!((bind.system_type.as_str(), bind.address_range.as_str()), ("OTP", "^39"));
    assert_eq!(bind.interface_version, InterfaceVersion::Smpp3_4);
    assert_eq!(*bench.state.borrow(), State::Connecting);
    // What stands between request and answer is no answer.
    smsc.send(CommandStatus::EsmeRok, 9, Pdu::EnquireLink).await;
    smsc.send(CommandStatus::EsmeRok, command.sequence_number(), BindTransceiverResp::default()).await;
    bench.state.wait_for(|state| *state == State::Bound).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn refused_credentials_are_shown_and_tried_seldom() {
    for status in [CommandStatus::EsmeRinvpaswd, CommandStatus::EsmeRinvsysid, CommandStatus::EsmeRbindfail] {
        let mut bench = bench(config());
        bench.accept().await.bind(status).await;
        let refused = Status(status.into());
        assert_eq!(reason(&bench.down().await), DownReason::Credentials(refused));
        assert_eq!(pause(&mut bench).await, 300);
    }
}

#[tokio::test(start_paused = true)]
async fn a_bind_refused_for_another_reason_is_tried_again_soon() {
    let mut bench = bench(config());
    bench.accept().await.bind(CommandStatus::EsmeRalybnd).await;
    assert_eq!(reason(&bench.down().await), DownReason::Bind(Status(5)));
    assert_eq!(pause(&mut bench).await, 1);
}

#[tokio::test(start_paused = true)]
async fn a_bind_without_an_answer_is_given_up() {
    let mut bench = bench(config());
    let _smsc = bench.accept().await;
    assert_eq!(reason(&bench.down().await), DownReason::Silent);
}

#[tokio::test(start_paused = true)]
async fn pauses_double_up_to_a_bound_and_start_over_after_a_connection_that_held() {
    let mut bench = bench(config());
    drop(bench.accept().await);
    let mut pauses = Vec::new();
    for _ in 0..8 {
        pauses.push(pause(&mut bench).await);
    }
    assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60]);
    // One that is bound and closed at once is no success.
    let smsc = bench.bound().await;
    drop(smsc);
    assert_eq!(pause(&mut bench).await, 60);
    let mut smsc = bench.bound().await;
    stay_alive(&mut smsc, seconds(61)).await;
    drop(smsc);
    assert_eq!(pause(&mut bench).await, 1);
}

#[tokio::test(start_paused = true)]
async fn pauses_are_drawn_from_their_upper_half() {
    for (random, expected) in [(0, 60_000), (15_000, 45_000), (30_000, 30_000), (30_001, 60_000)] {
        let mut settings = config();
        settings.reconnect_min = seconds(60);
        let refuse = || std::future::ready(Err::<tokio::io::DuplexStream, _>(io::Error::other("no route")));
        let (client, _receipts, driver) = session(settings.check().unwrap(), refuse, move || random);
        let task = tokio::spawn(driver.run());
        let mut state = client.state();
        let state = state.wait_for(|state| matches!(state, State::Down { .. })).await.unwrap().clone();
        let State::Down { reason, retry_at } = state else { panic!("{state:?}") };
        assert_eq!(reason, DownReason::Connect("no route".to_owned()));
        assert_eq!((retry_at - Instant::now()).as_millis(), expected);
        task.abort();
    }
}

#[tokio::test(start_paused = true)]
async fn dialling_may_not_take_for_ever() {
    let never = || std::future::pending::<io::Result<tokio::io::DuplexStream>>();
    let (client, _receipts, driver) = session(config().check().unwrap(), never, || 0);
    let task = tokio::spawn(driver.run());
    let mut state = client.state();
    let start = Instant::now();
    state.wait_for(|state| matches!(state, State::Down { .. })).await.unwrap();
    assert_eq!(start.elapsed().as_secs(), 10);
    client.shut_down();
    task.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn silence_is_asked_about_and_then_given_up() {
    let mut bench = bench(config());
    let mut smsc = bench.bound().await;
    let start = Instant::now();
    smsc.expect(CommandId::EnquireLink).await;
    assert_eq!(start.elapsed().as_secs(), 30);
    assert_eq!(reason(&bench.down().await), DownReason::Silent);
    assert_eq!(start.elapsed().as_secs(), 40);
    assert!(smsc.next().await.is_none(), "the connection is closed");
}

#[tokio::test(start_paused = true)]
async fn whatever_comes_is_a_sign_of_life() {
    let mut bench = bench(config());
    let mut smsc = bench.bound().await;
    let start = Instant::now();
    smsc.expect(CommandId::EnquireLink).await;
    sleep(seconds(9)).await;
    smsc.send(CommandStatus::EsmeRok, 77, Pdu::EnquireLink).await;
    assert_eq!(smsc.expect(CommandId::EnquireLinkResp).await.sequence_number(), 77);
    smsc.expect(CommandId::EnquireLink).await;
    assert_eq!(start.elapsed().as_secs(), 69);
}

#[tokio::test(start_paused = true)]
async fn octets_that_make_no_pdu_are_no_sign_of_life() {
    let mut bench = bench(config());
    let mut smsc = bench.bound().await;
    let start = Instant::now();
    smsc.raw(&[0, 0, 0, 40]).await;
    let trickle = async {
        loop {
            sleep(seconds(5)).await;
            smsc.raw(&[0]).await;
        }
    };
    tokio::select! { state = bench.down() => assert_eq!(reason(&state), DownReason::Silent), () = trickle => {} }
    assert_eq!(start.elapsed().as_secs(), 40);
}

#[tokio::test(start_paused = true)]
async fn an_unbind_is_answered_and_followed_by_a_new_connection() {
    let mut bench = bench(config());
    let mut smsc = bench.bound().await;
    smsc.send(CommandStatus::EsmeRok, 5, Pdu::Unbind).await;
    assert_eq!(smsc.expect(CommandId::UnbindResp).await.sequence_number(), 5);
    assert_eq!(reason(&bench.down().await), DownReason::Unbound);
    bench.bound().await;
}

#[tokio::test(start_paused = true)]
async fn requests_that_make_no_sense_to_us_are_refused_and_stray_answers_passed_over() {
    let mut bench = bench(config());
    let mut smsc = bench.bound().await;
    smsc.send(CommandStatus::EsmeRok, 3, QuerySm::default()).await;
    let nack = smsc.expect(CommandId::GenericNack).await;
    assert_eq!((nack.sequence_number(), nack.status()), (3, CommandStatus::EsmeRinvcmdid));
    // command_id 0x0000FFFF, with a body
    smsc.raw(&[0, 0, 0, 18, 0, 0, 0xFF, 0xFF, 0, 0, 0, 0, 0, 0, 0, 4, 1, 2]).await;
    assert_eq!(smsc.expect(CommandId::GenericNack).await.sequence_number(), 4);
    // An answer of no known kind, one to nothing, and a generic_nack of nothing.
    smsc.raw(&[0, 0, 0, 16, 0x80, 0, 0xFF, 0xFF, 0, 0, 0, 0, 0, 0, 0, 5]).await;
    smsc.accept(999, "id").await;
    smsc.send(CommandStatus::EsmeRinvcmdlen, 0, Pdu::GenericNack).await;
    smsc.send(CommandStatus::EsmeRok, 6, Pdu::EnquireLink).await;
    assert_eq!(smsc.expect(CommandId::EnquireLinkResp).await.sequence_number(), 6);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_smpp_is_named_and_cut_off() {
    // A web server, a length that is none, one that is too long, and one that is the longest.
    for (octets, is_cut_off) in [
        (&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], true),
        (&[0, 0, 0, 15, 0, 0, 0, 0x15, 0, 0, 0, 0, 0, 0, 0, 1], true),
        (&[0, 1, 0, 1, 0, 0, 0, 0x15, 0, 0, 0, 0, 0, 0, 0, 1], true),
        (&[0, 1, 0, 0, 0, 0, 0, 0x15, 0, 0, 0, 0, 0, 0, 0, 1], false),
    ] {
        let mut bench = bench(config());
        let mut smsc = bench.bound().await;
        smsc.raw(octets).await;
        if is_cut_off {
            let nack = smsc.expect(CommandId::GenericNack).await;
            assert_eq!(nack.status(), CommandStatus::EsmeRinvcmdlen);
            assert!(matches!(reason(&bench.down().await), DownReason::Garbage(_)));
            assert!(smsc.next().await.is_none());
            bench.bound().await;
        } else {
            assert!(timeout(seconds(1), smsc.next()).await.is_err());
            assert_eq!(*bench.state.borrow(), State::Bound);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_smsc_that_asks_without_reading_has_to_wait() {
    let mut bench = bench_with(config(), 256);
    let mut smsc = bench.bound().await;
    let asking = async {
        for sequence in 1..=10_000 {
            smsc.send(CommandStatus::EsmeRok, sequence, Pdu::EnquireLink).await;
        }
    };
    assert!(timeout(seconds(5), asking).await.is_err(), "all that is asked was taken in");
    assert_eq!(reason(&bench.down().await), DownReason::Silent);
}

#[tokio::test(start_paused = true)]
async fn the_session_ends_when_nobody_can_use_it_any_more() {
    let mut bench = bench(config());
    let mut smsc = bench.bound().await;
    let Bench { client, driver, mut state, .. } = bench;
    drop(client);
    let unbind = smsc.expect(CommandId::Unbind).await;
    smsc.send(CommandStatus::EsmeRok, unbind.sequence_number(), Pdu::UnbindResp).await;
    driver.await.unwrap();
    assert_eq!(*state.borrow_and_update(), State::Closed);
}

#[tokio::test(start_paused = true)]
async fn an_unanswered_unbind_holds_nobody_up() {
    let mut bench = bench(config());
    let mut smsc = bench.bound().await;
    bench.client.shut_down();
    let start = Instant::now();
    smsc.expect(CommandId::Unbind).await;
    bench.driver.await.unwrap();
    assert_eq!(start.elapsed().as_secs(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_pause_ends_at_once_when_the_session_does() {
    let mut bench = bench(config());
    bench.accept().await.bind(CommandStatus::EsmeRinvpaswd).await;
    bench.down().await;
    let start = Instant::now();
    bench.client.shut_down();
    bench.driver.await.unwrap();
    assert!(start.elapsed() < seconds(1));
}

#[test]
fn a_configuration_that_cannot_work_is_refused() {
    fn fault(change: impl FnOnce(&mut Config)) -> InvalidConfig {
        let mut settings = config();
        change(&mut settings);
        settings.check().err().unwrap()
    }
    assert_eq!(fault(|c| c.system_id.clear()), InvalidConfig::NoSystemId);
    assert_eq!(fault(|c| c.system_id = "a".repeat(16)), InvalidConfig::Text("system_id", 15));
    assert_eq!(fault(|c| c.password = "a".repeat(9)), InvalidConfig::Text("password", 8));
    assert_eq!(fault(|c| c.password = "a\0b".to_owned()), InvalidConfig::Text("password", 8));
    assert_eq!(fault(|c| c.system_type = "è".to_owned()), InvalidConfig::Text("system_type", 12));
    assert_eq!(fault(|c| c.window = 0), InvalidConfig::TooSmall("window", 1));
    assert_eq!(fault(|c| c.queue = 9), InvalidConfig::TooSmall("queue", 10));
    assert_eq!(fault(|c| c.receipts = 0), InvalidConfig::TooSmall("receipts", 1));
    assert_eq!(
        fault(|c| c.enquire_link_interval = Duration::ZERO),
        InvalidConfig::NoTime("enquire_link_interval")
    );
    assert!(!format!("{:?}", config()).contains("secret"));
}

#[tokio::test(start_paused = true)]
async fn sequence_numbers_begin_anew_with_each_connection() {
    let mut bench = bench(config());
    for _ in 0..2 {
        let mut smsc = bench.accept().await;
        let bind: Command = smsc.expect(CommandId::BindTransceiver).await;
        assert_eq!(bind.sequence_number(), 1);
        smsc.send(CommandStatus::EsmeRok, 1, BindTransceiverResp::default()).await;
        bench.state.wait_for(|state| *state == State::Bound).await.unwrap();
        let _sending = bench.submit("a");
        assert_eq!(smsc.submit().await.0, 2);
    }
}

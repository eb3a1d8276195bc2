//! Routes through channels outside: fallback, breakers, what channels hear by themselves, and what a stop leaves behind.

use crate::support::{Receiver, Reply, Server, must};
use chappe::channels::gate::Admission;
use chappe::channels::inbox::{About, News, NotTaken};
use chappe::channels::route::{Line, Routes};
use chappe::channels::scripted::Scripted;
use chappe::channels::{ChannelSettings, Errand, Said};
use chappe_core::book::Job;
use chappe_core::text::ChannelName;
use chappe_core::{ChannelEvent, Phone, RequestId};
use serde_json::json;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::{Notify, Semaphore};

const NOW: i64 = 1_789_894_598;
const PHONE: &str = "+79123456719";

fn name(name: &str) -> ChannelName {
    ChannelName::parse(name).unwrap()
}

fn accepted(reference: &str) -> ChannelEvent {
    ChannelEvent::Accepted { reference: Some(reference.to_owned()), poll_at: None }
}

fn failed(reason: &str) -> ChannelEvent {
    ChannelEvent::Failed { reason: reason.to_owned() }
}

/// A channel that says the same to every message.
fn always(events: Vec<ChannelEvent>) -> Scripted {
    Scripted::new(move |_, _, _| {
        let said = Said::from(events.clone());
        Box::pin(async move { said })
    })
}

fn channels<const N: usize>(
    route: &[&str],
    channels: [(&str, Scripted); N],
) -> impl FnOnce(&mut crate::support::Setup) {
    let line = Line::parse(route).unwrap();
    let channels = channels.map(|(channel, script)| (name(channel), ChannelSettings::Scripted(script)));
    move |setup| {
        setup.clock_at(NOW);
        setup.settings.routes = Routes::all(line);
        setup.settings.channels = channels.into();
    }
}

#[tokio::test]
async fn a_third_hop_delivers_what_the_first_never_confirms_and_the_second_rejects() {
    let mut receiver = Receiver::start(|_| Reply::Status("200 OK")).await;
    let server = Server::start(channels(
        &["bot:30", "sms:60", "voice"],
        [
            ("bot", always(vec![accepted("b1")])),
            ("sms", always(vec![failed("no such subscriber")])),
            ("voice", always(vec![accepted("v1"), ChannelEvent::Delivered])),
        ],
    ))
    .await;
    let order = json!({"phone_number": PHONE, "code": "1234", "ttl": 300, "callback_url": receiver.url()});
    let request = server.send_until(order, "accepted").await;
    server.advance(Duration::from_secs(29));
    assert_eq!(server.delivery(&request).await, "sent");
    server.advance(Duration::from_secs(1));
    server.until(&request, "delivered").await;
    assert_eq!(server.delivery(&request).await, "delivered");

    // The first one says so after all: it is noted, and nothing else.
    let said = News::Said { about: About::Reference("b1".to_owned()), events: vec![ChannelEvent::Delivered] };
    server.app.inbox(name("bot")).put(said).await.unwrap();
    let timeline = server.timeline(&request).await;
    assert_eq!(
        timeline,
        [
            "charged 0.01",
            "sent bot",
            "accepted bot",
            "unconfirmed bot",
            "fallback sms",
            "failed sms no such subscriber",
            "fallback voice",
            "accepted voice",
            "delivered voice",
            "late_confirmation bot",
        ]
    );
    assert_eq!(server.balance().await.to_string(), "99.99");
    let checked = server.api("checkVerificationStatus", json!({"request_id": request, "code": "1234"})).await;
    assert_eq!(checked.result()["verification_status"]["status"], "code_valid");
    assert_eq!(receiver.next().await.status(), "delivered");
    assert!(receiver.waiting().is_none(), "one report");
}

#[tokio::test]
async fn a_message_that_every_hop_refuses_is_refunded_at_once() {
    let refuse = || always(vec![failed("not allowed")]);
    let server = Server::start(channels(&["bot:30", "sms"], [("bot", refuse()), ("sms", refuse())])).await;
    let request =
        server.send_until(json!({"phone_number": PHONE, "code": "1234", "ttl": 60}), "refunded").await;
    assert_eq!(server.delivery(&request).await, "expired");
    assert_eq!(server.balance().await.to_string(), "100");
}

#[tokio::test]
async fn a_channel_that_is_out_of_order_is_left_alone() {
    let (asked, order) = (Arc::new(Mutex::new(0)), Arc::new(Mutex::new(false)));
    let (count, in_order) = (asked.clone(), order.clone());
    let bot = Scripted::new(move |_, _, _| {
        *count.lock().unwrap() += 1;
        let said = match *in_order.lock().unwrap() {
            true => Said::from(vec![accepted("b"), ChannelEvent::Delivered]),
            false => {
                let reason = "connection refused".to_owned();
                ChannelEvent::Unavailable { after: Duration::from_secs(30), reason }.into()
            }
        };
        Box::pin(async move { said })
    });
    let sms = always(vec![accepted("s"), ChannelEvent::Delivered]);
    let server = Server::start(channels(&["bot:30", "sms"], [("bot", bot), ("sms", sms)])).await;
    let order_of = |phone: &str| json!({"phone_number": phone, "code": "1234"});
    let first = server.send_until(order_of("+79123456701"), "delivered").await;
    assert!(server.timeline(&first).await.contains(&"failed bot connection refused".to_owned()));
    let second = server.send_until(order_of("+79123456702"), "delivered").await;
    assert!(server.timeline(&second).await.contains(&"delivered sms".to_owned()));
    assert_eq!(*asked.lock().unwrap(), 1, "nobody asked it a second time");
    *order.lock().unwrap() = true;
    server.advance(Duration::from_secs(30));
    let third = server.send_until(order_of("+79123456703"), "delivered").await;
    assert!(server.timeline(&third).await.contains(&"delivered bot".to_owned()));
}

#[tokio::test]
async fn a_lone_channel_that_is_out_of_order_is_waited_for() {
    let calls = Arc::new(Mutex::new(0));
    let count = calls.clone();
    let sms = Scripted::new(move |_, _, _| {
        let mut calls = count.lock().unwrap();
        *calls += 1;
        let said = match *calls {
            1 => {
                let reason = "the provider answers 503".to_owned();
                ChannelEvent::Unavailable { after: Duration::from_secs(5), reason }.into()
            }
            _ => Said::from(vec![accepted("s"), ChannelEvent::Delivered]),
        };
        Box::pin(async move { said })
    });
    let server = Server::start(channels(&["sms"], [("sms", sms)])).await;
    let request = server.send_until(json!({"phone_number": PHONE, "code": "1234"}), "postponed").await;
    server.advance(Duration::from_secs(5));
    server.until(&request, "delivered").await;
    assert_eq!(*calls.lock().unwrap(), 2);
}

/// A message to somebody who has unsubscribed meanwhile never gets as far as the channel.
#[tokio::test]
async fn a_channel_that_was_not_asked_is_not_in_order_again() {
    let mut bot = always(vec![ChannelEvent::Unavailable {
        after: Duration::from_secs(1),
        reason: "connection refused".to_owned(),
    }]);
    bot.subscribers_only = true;
    let server = Server::start(channels(&["bot"], [("bot", bot)])).await;
    let inbox = server.app.inbox(name("bot"));
    let subscribed =
        || News::Subscribed { phone: Phone::parse(PHONE).unwrap(), chat_id: 77, language: String::new() };
    let left_alone_for =
        || match server.app.channels.outside(&name("bot")).unwrap().gate().admit(server.app.clock.now()) {
            Admission::Unwell { after, .. } => after,
            other => panic!("it is out of order, and not {other:?}"),
        };
    inbox.put(subscribed()).await.unwrap();
    let request = server.send_until(json!({"phone_number": PHONE, "code": "1234"}), "postponed").await;
    for count in 2..=4 {
        server.advance(Duration::from_secs(1));
        let postponed = |line: &&String| line.starts_with("postponed");
        let again = |timeline: &[String]| timeline.iter().filter(postponed).count() == count;
        server.until_told(&request, "postponed again", again).await;
    }
    assert_eq!(left_alone_for(), Duration::from_secs(1));
    inbox.put(News::Unsubscribed { chat_id: 77 }).await.unwrap();
    server.advance(Duration::from_secs(1));
    server.until(&request, "refunded").await;
    let said = "failed bot the number has not subscribed".to_owned();
    assert!(server.timeline(&request).await.contains(&said), "{:?}", server.timeline(&request).await);
    inbox.put(subscribed()).await.unwrap();
    server.send_until(json!({"phone_number": PHONE, "code": "1234"}), "postponed").await;
    assert_eq!(left_alone_for(), Duration::from_secs(5), "it was the fifth fault in a row");
}

#[tokio::test]
async fn what_a_channel_hears_counts_once_it_is_durable() {
    let server = Server::start(channels(&["sms"], [("sms", always(vec![accepted("abc")]))])).await;
    let request = server.send_until(json!({"phone_number": PHONE, "code": "1234"}), "accepted").await;
    let sms = server.app.inbox(name("sms"));
    let about = |reference: &str| News::Said {
        about: About::Reference(reference.to_owned()),
        events: vec![ChannelEvent::Delivered],
    };
    for unknown in ["abd", "", "ab\0c", &"x".repeat(10_000)] {
        assert_eq!(sms.put(about(unknown)).await, Err(NotTaken::Unknown), "{unknown:?}");
    }
    assert_eq!(
        server.app.inbox(name("bot")).put(about("abc")).await,
        Err(NotTaken::Unknown),
        "another channel's"
    );
    sms.put(about("abc")).await.unwrap();
    assert_eq!(server.delivery(&request).await, "delivered");
    sms.put(about("abc")).await.unwrap();
    let late = server.timeline(&request).await.iter().filter(|line| *line == "late_confirmation sms").count();
    assert_eq!(late, 1, "told twice, counted once");
}

/// The upstream's ids are our own: a channel that says something of a hop must be that hop's.
#[tokio::test]
async fn a_channel_does_not_speak_for_another_one() {
    let server = Server::start(channels(
        &["bot:30", "sms"],
        [("bot", always(vec![accepted("b1")])), ("sms", always(vec![accepted("s1")]))],
    ))
    .await;
    let request =
        server.send_until(json!({"phone_number": PHONE, "code": "1234", "ttl": 300}), "accepted").await;
    let id = RequestId::parse(&request).unwrap();
    let timeline = server.timeline(&request).await;
    let said = |hop, event: &ChannelEvent| News::Said {
        about: About::Hop(id, hop),
        events: vec![event.clone(), accepted("theirs")],
    };
    for event in [failed("no such subscriber"), ChannelEvent::Delivered, ChannelEvent::Read] {
        for (channel, hop) in [("sms", 0), ("bot", 1), ("voice", 0), ("voice", 1), ("bot", 2)] {
            // It is taken, so that nobody tells it for ever.
            server.app.inbox(name(channel)).put(said(hop, &event)).await.unwrap();
            assert_eq!(server.delivery(&request).await, "sent", "{channel} of hop {hop}: {event:?}");
        }
    }
    assert_eq!(server.timeline(&request).await, timeline);
    for channel in ["bot", "sms", "voice"] {
        assert_eq!(server.reader().message_of(&name(channel), "theirs").await.unwrap(), None);
    }
    server.app.inbox(name("bot")).put(said(0, &ChannelEvent::Delivered)).await.unwrap();
    assert_eq!(server.delivery(&request).await, "delivered");
}

/// An SMS that is never confirmed may be in the person's hand when the call after it fails.
#[tokio::test]
async fn the_code_of_an_earlier_hop_still_works_when_the_last_one_fails() {
    let server = Server::start(channels(
        &["sms:60", "voice"],
        [("sms", always(vec![accepted("s1")])), ("voice", always(vec![failed("nobody answers")]))],
    ))
    .await;
    let order = || json!({"phone_number": PHONE, "code": "1234", "ttl": 300});
    let entered = server.send_until(order(), "accepted").await;
    let waited_for = server.send_until(order(), "accepted").await;
    let given_up = server.send_until(order(), "accepted").await;
    server.advance(Duration::from_secs(60));
    for request in [&entered, &waited_for, &given_up] {
        server.until(request, "failed").await;
        assert_eq!(server.delivery(request).await, "sent");
    }
    let checked = server.api("checkVerificationStatus", json!({"request_id": entered, "code": "1234"})).await;
    assert_eq!(checked.result()["verification_status"]["status"], "code_valid");
    let sms = server.app.inbox(name("sms"));
    let said = |request: &str, event| News::Said {
        about: About::Hop(RequestId::parse(request).unwrap(), 0),
        events: vec![event],
    };
    sms.put(said(&entered, ChannelEvent::Delivered)).await.unwrap();
    assert_eq!(server.delivery(&entered).await, "delivered");
    sms.put(said(&given_up, failed("not reached"))).await.unwrap();
    assert_eq!(server.delivery(&given_up).await, "expired");
    server.advance(Duration::from_secs(240));
    server.until(&waited_for, "refunded").await;
    assert_eq!(server.balance().await.to_string(), "99.99", "one of three was delivered");
}

#[tokio::test]
async fn what_was_revoked_is_taken_back_until_the_channel_says_so() {
    let errands = Arc::new(Mutex::new(Vec::new()));
    let seen = errands.clone();
    let bot = Scripted::new(move |errand, job: &Job, _| {
        let mut seen = seen.lock().unwrap();
        seen.push((errand, job.reference.clone()));
        let said: Said = match (errand, seen.len()) {
            (Errand::Withdraw, 3..) => ChannelEvent::Withdrawn.into(),
            (Errand::Withdraw, _) => {
                let reason = "too many requests".to_owned();
                ChannelEvent::Postponed { after: Duration::from_secs(7), reason }.into()
            }
            _ => vec![accepted("42:7"), ChannelEvent::Delivered].into(),
        };
        Box::pin(async move { said })
    });
    let server = Server::start(channels(&["bot"], [("bot", bot)])).await;
    let request = server.send_until(json!({"phone_number": PHONE, "code": "1234"}), "delivered").await;
    server.api("revokeVerificationMessage", json!({"request_id": request})).await.result();
    server.until(&request, "postponed").await;
    server.advance(Duration::from_secs(7));
    server.until(&request, "withdrawn").await;
    let withdraw = (Errand::Withdraw, Some("42:7".to_owned()));
    assert_eq!(*errands.lock().unwrap(), [(Errand::Deliver, None), withdraw.clone(), withdraw]);
}

#[tokio::test]
async fn a_channel_for_subscribers_costs_nobody_else_anything() {
    let bot = || {
        let mut bot = Scripted::new(|_, _, addressee| {
            let said = match addressee.map(|addressee| addressee.chat_id) {
                Some(77) => Said::from(vec![accepted("77:1"), ChannelEvent::Delivered]),
                _ => Said { events: vec![failed("blocked by the recipient")], blocked: true },
            };
            Box::pin(async move { said })
        });
        bot.subscribers_only = true;
        bot
    };
    let server = Server::start(channels(&["bot"], [("bot", bot())])).await;
    let order = json!({"phone_number": PHONE, "code": "1234"});
    let unreachable = server.api("sendVerificationMessage", order.clone()).await.error();
    assert_eq!(unreachable, "PHONE_NUMBER_NOT_AVAILABLE");
    assert_eq!(server.balance().await.to_string(), "100");
    let subscribed = |chat_id| News::Subscribed {
        phone: Phone::parse(PHONE).unwrap(),
        chat_id,
        language: "de".to_owned(),
    };
    let inbox = server.app.inbox(name("bot"));
    inbox.put(subscribed(77)).await.unwrap();
    server.send_until(order.clone(), "delivered").await;
    // Who blocks the bot is not tried a second time.
    inbox.put(subscribed(78)).await.unwrap();
    server.send_until(order.clone(), "refunded").await;
    let unreachable = server.api("sendVerificationMessage", order.clone()).await.error();
    assert_eq!(unreachable, "PHONE_NUMBER_NOT_AVAILABLE");
    inbox.put(subscribed(77)).await.unwrap();
    server.send_until(order.clone(), "delivered").await;
    inbox.put(News::Unsubscribed { chat_id: 77 }).await.unwrap();
    let unreachable = server.api("checkSendAbility", json!({"phone_number": PHONE})).await.error();
    assert_eq!(unreachable, "PHONE_NUMBER_NOT_AVAILABLE");
}

/// A stop lets the channel finish what it has in its hands, and leaves the rest to whoever comes next.
#[tokio::test]
async fn a_stop_leaves_nothing_uncertain() {
    let (entered, go_on) = (Arc::new(Notify::new()), Arc::new(Semaphore::new(0)));
    let slow = {
        let (entered, go_on) = (entered.clone(), go_on.clone());
        let mut slow = Scripted::new(move |_, _, _| {
            let (entered, go_on) = (entered.clone(), go_on.clone());
            Box::pin(async move {
                entered.notify_one();
                go_on.acquire().await.unwrap().forget();
                vec![accepted("s"), ChannelEvent::Delivered].into()
            })
        });
        slow.pace.concurrency = NonZeroU32::MIN;
        slow
    };
    let setup = |script: Scripted| channels(&["sms"], [("sms", script)]);
    let mut server = Server::start(setup(slow)).await;
    let first = server.send(json!({"phone_number": "+79123456701", "code": "1234"})).await;
    entered.notified().await;
    let second = server.send(json!({"phone_number": "+79123456702", "code": "1234"})).await;
    let mut changed = server.app.changed.subscribe();
    let put_off = RequestId::parse(&second);
    let release = async {
        // The second one waits for the first to come out, and is sent away by the stop.
        while changed.recv().await.unwrap().1 != put_off {}
        go_on.add_permits(1);
    };
    tokio::join!(server.finish_workers(), release);
    assert_eq!(server.delivery(&first).await, "delivered");
    assert_eq!(server.timeline(&second).await, ["charged 0.01", "sent sms"]);
    let mut next = crate::support::Setup::dev();
    setup(always(vec![accepted("t"), ChannelEvent::Delivered]))(&mut next);
    let server = server.stop().serve(next).await;
    server.until(&second, "delivered").await;
    let id = RequestId::parse(&second).unwrap();
    assert_eq!(server.reader().message_of(&name("sms"), "t").await.unwrap(), Some((id, 0)));
}

/// An errand that has waited for long is not carried out behind the back of whoever looks after lapsed leases.
#[tokio::test]
async fn an_errand_that_has_waited_for_long_goes_back_to_its_row() {
    let (entered, go_on) = (Arc::new(Notify::new()), Arc::new(Semaphore::new(0)));
    let asked = Arc::new(Mutex::new(Vec::new()));
    let slow = {
        let (entered, go_on, asked) = (entered.clone(), go_on.clone(), asked.clone());
        let mut slow = Scripted::new(move |_, job: &Job, _| {
            asked.lock().unwrap().push(job.asked_at);
            let (entered, go_on) = (entered.clone(), go_on.clone());
            Box::pin(async move {
                entered.notify_one();
                go_on.acquire().await.unwrap().forget();
                vec![accepted("s"), ChannelEvent::Delivered].into()
            })
        });
        slow.pace.concurrency = NonZeroU32::MIN;
        slow
    };
    let server = Server::start(channels(&["sms"], [("sms", slow)])).await;
    server.send(json!({"phone_number": "+79123456701", "code": "1234"})).await;
    entered.notified().await;
    let mut changed = server.app.changed.subscribe();
    let second = server.send(json!({"phone_number": "+79123456702", "code": "1234"})).await;
    // Of the first one it may be told only now that it was sent.
    let mut change = async || while changed.recv().await.unwrap().1 != RequestId::parse(&second) {};
    must("it to be sent", change()).await;
    server.advance(Duration::from_secs(6));
    must("it to go back to its row", change()).await;
    go_on.add_permits(2);
    server.until(&second, "delivered").await;
    let asked = asked.lock().unwrap();
    assert_eq!(asked.last().unwrap().since(asked[0]), Duration::from_secs(6), "a lease of its own");
}

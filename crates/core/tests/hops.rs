//! Routes of several hops: who has his turn, for how long, and what every event does in every state of a hop.

#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use chappe_core::route::Reach;
use chappe_core::timeline::What;
use chappe_core::{ChannelEvent, Work, command::Rejection};
use std::collections::BTreeSet;
use support::{
    ALICE, Gate, Order, PHONE, PRICE, START, accepted, busy, cell, due_at, failed, postponed, progress, rows,
    to, unavailable, uncertain,
};

/// How far the first hop has got with a message × every event, 20 s after sending: what comes of it if it is the only hop,
/// and if it has 40 s and another one follows. Told are the hop that then has its turn and how far it has got, the delivery if it
/// is no longer `sent`, the work, and what the timeline gains. The ttl is 90 s, a lease 30 s; whoever puts the message off
/// does so for 10 s. `wait over`: a worker looks after 40 s; `in doubt`: while the clock is not trusted.
const PROGRESS: &str = "
given     | event         | the only hop                                | another hop follows
queued    | accepted      | 0 accepted, accepted                        | 0 accepted, accepted
queued    | accepted, ask | 0 accepted 30, accepted                     | 0 accepted 30, accepted
queued    | busy          | 0 queued 30                                 | 0 queued 30
queued    | postponed     | 0 queued 30, postponed                      | 0 queued 30, postponed
queued    | unavailable   | 0 queued 30, postponed                      | 1 leased 50, deliver:1, failed fallback
queued    | uncertain     | 0 uncertain, uncertain                      | 0 uncertain, uncertain
queued    | failed        | 0 ended, expired, failed expired refunded   | 1 leased 50, deliver:1, failed fallback
queued    | delivered     | 0 ended, delivered, delivered               | 0 ended, delivered, delivered
queued    | read          | 0 ended, read, read                         | 0 ended, read, read
queued    | withdrawn     | 0 queued 0, withdrawn                       | 0 queued 0, withdrawn
queued    | revoke        | 0 ended, revoked, revoked                   | 0 ended, revoked, revoked
queued    | wait over     | 0 leased 70, deliver:0                      | 1 leased 70, deliver:1, unconfirmed fallback
queued    | in doubt      | 0 leased 70, deliver:0                      | 0 leased 70, deliver:0

postponed | accepted      | 0 accepted, accepted                        | 0 accepted, accepted
postponed | accepted, ask | 0 accepted 30, accepted                     | 0 accepted 30, accepted
postponed | busy          | 0 queued 30                                 | 0 queued 30
postponed | postponed     | 0 queued 30, postponed                      | 0 queued 30, postponed
postponed | unavailable   | 0 queued 30, postponed                      | 1 leased 50, deliver:1, failed fallback
postponed | uncertain     | 0 uncertain, uncertain                      | 0 uncertain, uncertain
postponed | failed        | 0 ended, expired, failed expired refunded   | 1 leased 50, deliver:1, failed fallback
postponed | delivered     | 0 ended, delivered, delivered               | 0 ended, delivered, delivered
postponed | read          | 0 ended, read, read                         | 0 ended, read, read
postponed | withdrawn     | 0 queued 60, withdrawn                      | 0 queued 60, withdrawn
postponed | revoke        | 0 ended, revoked, revoked                   | 0 ended, revoked, revoked
postponed | wait over     | 0 queued 60                                 | 1 leased 70, deliver:1, unconfirmed fallback
postponed | in doubt      | 0 queued 60                                 | 0 queued 60

leased    | accepted      | 0 accepted, accepted                        | 0 accepted, accepted
leased    | accepted, ask | 0 accepted 30, accepted                     | 0 accepted 30, accepted
leased    | busy          | 0 queued 30                                 | 0 queued 30
leased    | postponed     | 0 queued 30, postponed                      | 0 queued 30, postponed
leased    | unavailable   | 0 queued 30, postponed                      | 1 leased 50, deliver:1, failed fallback
leased    | uncertain     | 0 uncertain, uncertain                      | 0 uncertain, uncertain
leased    | failed        | 0 ended, expired, failed expired refunded   | 1 leased 50, deliver:1, failed fallback
leased    | delivered     | 0 ended, delivered, delivered               | 0 ended, delivered, delivered
leased    | read          | 0 ended, read, read                         | 0 ended, read, read
leased    | withdrawn     | 0 leased 30, withdrawn                      | 0 leased 30, withdrawn
leased    | revoke        | 0 ended, revoked, revoked                   | 0 ended, revoked, revoked
leased    | wait over     | 0 uncertain, uncertain                      | 1 leased 70, deliver:1, unconfirmed fallback
leased    | in doubt      | 0 uncertain, uncertain                      | 0 uncertain, uncertain

accepted  | accepted      | 0 accepted                                  | 0 accepted
accepted  | accepted, ask | 0 accepted 30                               | 0 accepted 30
accepted  | busy          | 0 accepted 30                               | 0 accepted 30
accepted  | postponed     | 0 accepted 30, postponed                    | 0 accepted 30, postponed
accepted  | unavailable   | 0 accepted 30, postponed                    | 0 accepted 30, postponed
accepted  | uncertain     | 0 uncertain, uncertain                      | 0 uncertain, uncertain
accepted  | failed        | 0 ended, expired, failed expired refunded   | 1 leased 50, deliver:1, failed fallback
accepted  | delivered     | 0 accepted, delivered, delivered            | 0 accepted, delivered, delivered
accepted  | read          | 0 ended, read, read                         | 0 ended, read, read
accepted  | withdrawn     | 0 accepted, withdrawn                       | 0 accepted, withdrawn
accepted  | revoke        | 0 withdrawing 50, revoked, withdraw:0, revoked | 0 withdrawing 50, revoked, withdraw:0, revoked
accepted  | wait over     | 0 accepted                                  | 1 leased 70, deliver:1, unconfirmed fallback
accepted  | in doubt      | 0 accepted                                  | 0 accepted

ask at 60 | accepted      | 0 accepted                                  | 0 accepted
ask at 60 | accepted, ask | 0 accepted 30                               | 0 accepted 30
ask at 60 | busy          | 0 accepted 30                               | 0 accepted 30
ask at 60 | postponed     | 0 accepted 30, postponed                    | 0 accepted 30, postponed
ask at 60 | unavailable   | 0 accepted 30, postponed                    | 0 accepted 30, postponed
ask at 60 | uncertain     | 0 uncertain, uncertain                      | 0 uncertain, uncertain
ask at 60 | failed        | 0 ended, expired, failed expired refunded   | 1 leased 50, deliver:1, failed fallback
ask at 60 | delivered     | 0 accepted 60, delivered, delivered         | 0 accepted 60, delivered, delivered
ask at 60 | read          | 0 ended, read, read                         | 0 ended, read, read
ask at 60 | withdrawn     | 0 accepted 60, withdrawn                    | 0 accepted 60, withdrawn
ask at 60 | revoke        | 0 withdrawing 50, revoked, withdraw:0, revoked | 0 withdrawing 50, revoked, withdraw:0, revoked
ask at 60 | wait over     | 0 accepted 60                               | 1 leased 70, deliver:1, unconfirmed fallback
ask at 60 | in doubt      | 0 accepted 60                               | 0 accepted 60

uncertain | accepted      | 0 accepted, accepted                        | 0 accepted, accepted
uncertain | accepted, ask | 0 accepted 30, accepted                     | 0 accepted 30, accepted
uncertain | busy          | 0 uncertain                                 | 0 queued 30
uncertain | postponed     | 0 uncertain                                 | 0 queued 30, postponed
uncertain | unavailable   | 0 uncertain                                 | 0 queued 30, postponed
uncertain | uncertain     | 0 uncertain, uncertain                      | 0 uncertain, uncertain
uncertain | failed        | 0 ended, expired, failed expired refunded   | 1 leased 50, deliver:1, failed fallback
uncertain | delivered     | 0 ended, delivered, delivered               | 0 ended, delivered, delivered
uncertain | read          | 0 ended, read, read                         | 0 ended, read, read
uncertain | withdrawn     | 0 uncertain, withdrawn                      | 0 uncertain, withdrawn
uncertain | revoke        | 0 ended, revoked, revoked                   | 0 ended, revoked, revoked
uncertain | wait over     | 0 uncertain                                 | 1 leased 70, deliver:1, unconfirmed fallback
uncertain | in doubt      | 0 uncertain                                 | 0 uncertain
";

#[test]
fn every_event_in_every_state_of_a_hop() {
    let mut cases = BTreeSet::new();
    for row in rows(PROGRESS) {
        let [given, event, expected @ ..] = &row[..] else { panic!("{row:?}") };
        assert!(cases.insert((given.to_string(), event.to_string())), "{given}, {event} stands here twice");
        let found = [&["sms"][..], &["sms:40", "mail"]].map(|hops| after(hops, given, event));
        assert_eq!(found, expected, "{given}, then {event}");
    }
    assert_eq!(cases.len(), 6 * 13);
}

fn after(hops: &[&str], given: &str, event: &str) -> String {
    let mut gate = Gate::new();
    gate.store.lease_room = usize::from(given != "queued");
    let id = gate.sent(&Order { ttl: Some(90), hops, ..to(PHONE) });
    gate.store.lease_room = 1;
    match given {
        "queued" | "leased" => {}
        "postponed" => gate.hear(id, 0, &[postponed(60)]),
        "accepted" => gate.hear(id, 0, &[accepted(Some("ref"), None)]),
        "ask at 60" => gate.hear(id, 0, &[accepted(Some("ref"), Some(60))]),
        "uncertain" => gate.hear(id, 0, &[uncertain()]),
        _ => panic!("{given}"),
    }
    let events = gate.store.timeline(id).len();
    gate.at(20);
    match event {
        "accepted" => gate.hear(id, 0, &[accepted(Some("ref"), None)]),
        "accepted, ask" => gate.hear(id, 0, &[accepted(None, Some(30))]),
        "busy" => gate.hear(id, 0, &[busy(10)]),
        "postponed" => gate.hear(id, 0, &[postponed(10)]),
        "unavailable" => gate.hear(id, 0, &[unavailable(10)]),
        "uncertain" => gate.hear(id, 0, &[uncertain()]),
        "failed" => gate.hear(id, 0, &[failed()]),
        "delivered" => gate.hear(id, 0, &[ChannelEvent::Delivered]),
        "read" => gate.hear(id, 0, &[ChannelEvent::Read]),
        "withdrawn" => gate.hear(id, 0, &[ChannelEvent::Withdrawn]),
        "revoke" => gate.revoke(id).unwrap(),
        "wait over" => gate.at(40).due(id, true),
        "in doubt" => gate.at(40).due(id, false),
        _ => panic!("{event}"),
    }
    let message = gate.store.requests[&id].message.as_ref().unwrap();
    let delivery = Some(message.delivery.as_str()).filter(|status| *status != "sent");
    let told = [
        Some(format!("{} {}", message.hop, progress(&gate, id))),
        delivery.map(str::to_owned),
        Some(cell(gate.store.work.iter().map(asked_for))).filter(|work| work != "-"),
        Some(cell(&gate.store.timeline(id)[events..])).filter(|events| events != "-"),
    ];
    told.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// The first hop takes the message and never confirms, the second rejects it, the third delivers it. What the first one
/// says after that is written down and changes nothing; it was one message, and cost one fee.
#[test]
fn the_third_hop_delivers() {
    let mut gate = Gate::new();
    let hops = &["bot:30", "sms:20", "voice"];
    let id = gate.sent(&Order { hops, ttl: Some(300), callback: true, ..to(PHONE) });
    assert_eq!(handed_over(&gate), Some((0, "bot", 30)));
    gate.at(1).hear(id, 0, &[accepted(Some("b1"), None)]);
    assert_eq!(due_at(&gate, id), Some(30));
    gate.at(30).due(id, true);
    assert_eq!(handed_over(&gate), Some((1, "sms", 50)), "its wait begins with its turn");
    gate.at(31).hear(id, 1, &[failed()]);
    assert_eq!(handed_over(&gate), Some((2, "voice", 300)), "the last hop has as long as the message");
    gate.at(45).hear(id, 2, &[accepted(Some("v1"), None), ChannelEvent::Delivered]);
    let row = gate.store.requests[&id].clone();
    assert_eq!((row.channel().as_str(), gate.store.work.len()), ("voice", 0));
    gate.at(50).hear(id, 0, &[ChannelEvent::Delivered]);
    gate.at(300).due(id, true);
    gate.at(9_999).due(id, true);

    let after = &gate.store.requests[&id];
    assert_eq!((&after.message, after.reports), (&row.message, 1));
    assert_eq!(gate.store.moved(id), (true, false));
    assert_eq!(gate.balance(ALICE), 1_000_000 - PRICE);
    assert_eq!(gate.store.days, gate.store.recount());
    let lines: Vec<_> = gate.store.timelines[&id].iter().map(|event| event.to_string()).collect();
    let lines: Vec<_> = lines.iter().map(|line| line.split_once(' ').unwrap().1).collect();
    assert_eq!(
        lines,
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
}

/// The hop that confirms is the one that delivered, whoever has the turn. The one that has it is done with: whatever it
/// says, it is neither handed the message again nor does its failure cost anybody anything.
#[test]
fn an_earlier_hop_was_faster_after_all() {
    for (event, status) in [(ChannelEvent::Delivered, "delivered"), (ChannelEvent::Read, "read")] {
        for taken in [false, true] {
            let mut gate = Gate::new();
            let order = Order { hops: &["bot:30", "sms"], ttl: Some(300), callback: true, ..to(PHONE) };
            let id = gate.sent(&order);
            gate.hear(id, 0, &[accepted(Some("b1"), None)]);
            gate.at(30).due(id, true);
            if taken {
                gate.hear(id, 1, &[accepted(Some("s1"), Some(40))]);
            }
            gate.at(35).hear(id, 0, std::slice::from_ref(&event));
            let message = gate.store.requests[&id].message.as_ref().unwrap();
            assert_eq!((message.delivery.as_str(), message.hop, due_at(&gate, id)), (status, 0, None));
            assert_eq!(gate.store.days, gate.store.recount(), "it counts for the hop that delivered");
            let before = gate.store.requests[&id].message.clone();
            for event in [accepted(Some("s1"), Some(40)), busy(5), postponed(5), unavailable(5), failed()] {
                gate.hear(id, 1, &[event]);
                assert_eq!((&gate.store.requests[&id].message, &gate.store.work[..]), (&before, &[][..]));
            }
            gate.hear(id, 1, &[ChannelEvent::Delivered]);
            assert_eq!(gate.store.timeline(id).last(), Some(&"late_confirmation"));
            gate.at(300).due(id, true);
            assert_eq!(gate.store.moved(id), (true, false));
            assert_eq!((&gate.store.requests[&id].message, gate.store.reports_of(id).len()), (&before, 1));
        }
    }
}

/// Once the last hop has failed for good, nobody waits for the ttl.
#[test]
fn when_every_hop_has_failed_the_fee_goes_back_at_once() {
    let mut gate = Gate::new();
    let order = Order { hops: &["bot:30", "sms:30", "voice"], ttl: Some(300), callback: true, ..to(PHONE) };
    let id = gate.sent(&order);
    gate.at(1).hear(id, 0, &[failed()]);
    gate.at(2).hear(id, 1, &[unavailable(600)]);
    assert_eq!(
        handed_over(&gate),
        Some((2, "voice", 300)),
        "a channel that is out of order is not waited for"
    );
    gate.at(3).hear(id, 2, &[unavailable(5)]);
    assert_eq!(
        (progress(&gate, id).as_str(), due_at(&gate, id)),
        ("queued 8", Some(8)),
        "nobody comes after it"
    );
    gate.at(8).due(id, true);
    gate.at(9).hear(id, 2, &[failed()]);
    assert_eq!(gate.status(id).unwrap().delivery.unwrap().0.as_str(), "expired");
    assert_eq!((gate.store.moved(id), gate.balance(ALICE)), ((true, true), 1_000_000));
    assert_eq!(gate.store.reports_of(id).len(), 1);
    assert_eq!(
        gate.store.timeline(id)[2..],
        ["failed", "fallback", "failed", "fallback", "postponed", "failed", "expired", "refunded"]
    );
}

/// While the clock is not trusted nobody loses his turn by it; but whoever has it goes on.
#[test]
fn a_clock_in_doubt_ends_no_turn() {
    for (given, event, expected) in [
        ("room", vec![], "deliver:0"),
        ("leased", vec![], "-"),
        ("polled", vec![accepted(None, Some(35))], "poll:0"),
        ("accepted", vec![accepted(None, None)], "-"),
    ] {
        let mut gate = Gate::new();
        gate.store.lease_room = usize::from(given != "room");
        let id = gate.sent(&Order { hops: &["sms:30", "mail"], ttl: Some(300), ..to(PHONE) });
        gate.store.lease_room = 1;
        gate.hear(id, 0, &event);
        gate.at(40).due(id, false);
        assert_eq!(cell(gate.store.work.iter().map(asked_for)), expected, "{given}");
        let fallen_back = gate.store.timeline(id).contains(&"fallback");
        let uncertain = gate.store.timeline(id).contains(&"uncertain");
        assert_eq!((fallen_back, uncertain), (false, given == "leased"), "{given}");
        gate.at(41).due(id, true);
        assert_eq!(handed_over(&gate), Some((1, "mail", 300)), "{given}");
    }
}

/// What ends first, the hop's time or the message's, decides what comes; if a worker is late for both, it is over.
#[test]
fn expiry_and_the_end_of_a_turn() {
    for (hops, ttl, taken, secs, expected) in [
        (["sms:60", "mail"], Some(30), false, 29, "-"),
        (["sms:60", "mail"], Some(30), false, 30, "expired refunded"),
        (["sms:20", "mail"], Some(30), false, 20, "unconfirmed fallback"),
        (["sms:20", "mail"], Some(30), false, 30, "expired refunded"),
        (["sms:30", "mail"], Some(30), false, 30, "expired refunded"),
        (["sms:20", "mail"], Some(30), true, 19, "-"),
        (["sms:20", "mail"], Some(30), true, 20, "unconfirmed fallback"),
        (["sms:20", "mail"], Some(30), true, 9_999, "expired refunded"),
        // Without a ttl, what nobody took ends with its code; what a channel has does not, but is of no more use.
        (["sms:3600", "mail"], None, false, 600, "expired refunded"),
        (["sms:599", "mail"], None, true, 599, "unconfirmed fallback"),
        (["sms:599", "mail"], None, true, 600, "-"),
        (["sms:3600", "mail"], None, true, 3600, "-"),
    ] {
        let mut gate = Gate::new();
        let id = gate.sent(&Order { hops: &hops, ttl, ..to(PHONE) });
        let events = gate.store.timeline(id).len();
        gate.hear(
            id,
            0,
            if taken { &[ChannelEvent::Accepted { reference: None, poll_at: None }] } else { &[] },
        );
        let events = events + usize::from(taken);
        gate.at(secs).due(id, true);
        assert_eq!(cell(&gate.store.timeline(id)[events..]), expected, "{hops:?} {ttl:?} {taken} {secs}");
        let happened = expected != "-";
        assert_eq!(gate.store.moved(id).1, happened && expected.starts_with("expired"));
        if !happened && secs >= 600 {
            assert_eq!(due_at(&gate, id), None, "nobody looks at it again in vain");
        }
    }
}

/// A turn begins when the hop is next, whether or not a worker has a hand free.
#[test]
fn a_turn_begins_without_a_free_hand() {
    let mut gate = Gate::new();
    gate.store.lease_room = 0;
    let id = gate.sent(&Order { hops: &["sms:30", "mail:30", "voice"], ..to(PHONE) });
    gate.at(30).due(id, true);
    assert_eq!((progress(&gate, id).as_str(), due_at(&gate, id)), ("queued 30", Some(30)));
    gate.at(60).due(id, true);
    assert_eq!(gate.store.timeline(id)[2..], ["unconfirmed", "fallback", "unconfirmed", "fallback"]);
    gate.store.lease_room = 1;
    gate.at(61).due(id, true);
    assert_eq!(handed_over(&gate), Some((2, "voice", 600)));
}

/// A channel for subscribers is left out for anybody else, and the timeline says so; where nothing is left, nobody can be
/// reached and nobody pays.
#[test]
fn a_channel_for_subscribers_is_left_out_for_others() {
    let order = |hops| Order { hops, subscribers_only: &["bot", "club"], ..to(PHONE) };
    let subscribe = |gate: &mut Gate, channel: &str| {
        let channel = chappe_core::text::ChannelName::parse(channel).unwrap();
        gate.store.subscribers.insert((channel, support::phone(PHONE)));
    };
    for (hops, subscribed, route, skipped) in [
        (&["bot:30", "sms"][..], &[][..], "sms", "bot"),
        (&["bot:30", "sms"], &["bot"], "bot:30 sms", "-"),
        (&["bot:30", "sms"], &["club"], "sms", "bot"),
        (&["bot:30", "club:30", "sms"], &["club"], "club:30 sms", "bot"),
        (&["bot:30", "sms", "bot"], &[], "sms", "bot bot"),
        (&["sms:30", "bot"], &[], "sms:30", "bot"),
    ] {
        let mut gate = Gate::new();
        subscribed.iter().for_each(|channel| subscribe(&mut gate, channel));
        let id = gate.sent(&order(hops));
        let request = &gate.store.requests[&id];
        assert_eq!(cell(request.route.iter()), route, "{hops:?} {subscribed:?}");
        let left_out = gate.store.timelines[&id].iter().filter_map(|event| match &event.what {
            What::Skipped(channel, reason) => Some((channel.clone(), reason.as_str())),
            _ => None,
        });
        let left_out: Vec<_> = left_out.collect();
        assert!(left_out.iter().all(|(_, reason)| *reason == "the number has not subscribed"));
        assert_eq!(cell(left_out.iter().map(|(channel, _)| channel)), skipped);
        let ends_by_itself = request.message.as_ref().unwrap().hop_until.is_some();
        assert_eq!(ends_by_itself, request.route.len() > 1, "a wait counts only if another hop is left");
    }
    let mut gate = Gate::new();
    let unavailable = Err(Rejection::PhoneNumberNotAvailable);
    assert_eq!(gate.send(&order(&["bot:30", "club"])).map(drop), unavailable);
    assert_eq!(gate.check(&order(&["bot"])).map(drop), unavailable);
    assert_eq!((gate.store.requests.len(), gate.balance(ALICE)), (0, 1_000_000));
    // Somebody who has subscribed to one may still be out of reach for another reason.
    subscribe(&mut gate, "bot");
    assert_eq!(gate.send(&Order { reach: Reach::No, ..order(&["bot"]) }).map(drop), unavailable);
    assert!(gate.send(&order(&["bot"])).is_ok());
}

/// What counts is who has subscribed when the message is sent, not when it was asked about; the fee is paid all the same.
#[test]
fn who_unsubscribes_between_question_and_message_is_not_written_to() {
    let bot = (chappe_core::text::ChannelName::parse("bot").unwrap(), support::phone(PHONE));
    let mut gate = Gate::new();
    gate.store.subscribers.insert(bot.clone());
    let order = Order { hops: &["bot:30", "sms"], subscribers_only: &["bot"], ..to(PHONE) };
    let under = gate.check(&order).unwrap().request;
    assert_eq!(cell(gate.store.requests[&under].route.iter()), "bot:30 sms");
    gate.store.subscribers.remove(&bot);
    let alone = Order { hops: &["bot"], under: Some(under), ..order.clone() };
    assert_eq!(gate.send(&alone).map(drop), Err(Rejection::PhoneNumberNotAvailable));
    gate.send(&Order { under: Some(under), ..order }).unwrap();
    assert_eq!(handed_over(&gate), Some((0, "sms", 600)));
    assert_eq!(
        (gate.store.timeline(under), gate.balance(ALICE)),
        (vec!["checked", "charged", "sent", "skipped"], 1_000_000 - PRICE)
    );
    assert_eq!(gate.store.days, gate.store.recount());
}

/// The hop and the channel that were just handed the message, and until how many seconds after sending they may deliver.
fn handed_over(gate: &Gate) -> Option<(u8, &str, u64)> {
    match &gate.store.work[..] {
        [Work::Deliver(job)] => {
            assert!(job.code.is_some(), "nobody can deliver a message without its code");
            Some((job.hop, job.channel.as_str(), job.until.since(START).as_secs()))
        }
        _ => None,
    }
}

fn asked_for(work: &Work) -> String {
    match work {
        Work::Deliver(job) => format!("deliver:{}", job.hop),
        Work::Poll(job) => format!("poll:{}", job.hop),
        Work::Withdraw(job) => format!("withdraw:{}", job.hop),
    }
}

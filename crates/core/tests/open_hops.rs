//! Hops that may still deliver a message after their turn, and channels that speak of hops that are not theirs.

#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use chappe_core::{ChannelEvent, RequestId};
use support::{
    ALICE, Gate, Order, PHONE, accepted, busy, due_at, failed, postponed, progress, to, unavailable,
    uncertain,
};

/// A message on the route `hops` that every hop but the last has let pass in the way that stands here, each for 10 s, and
/// the last has failed for good at 50 s.
fn last_hop_failed(hops: &[&str], ways: &[&str], ttl: Option<u16>) -> (Gate, RequestId) {
    let mut gate = Gate::new();
    gate.store.lease_room = usize::from(ways[0] != "queued");
    let id = gate.sent(&Order { hops, ttl, callback: true, ..to(PHONE) });
    for (hop, way) in ways.iter().enumerate() {
        let (hop, began) = (hop as u8, 10 * hop as u64);
        match *way {
            "queued" | "leased" => {}
            "accepted" => gate.hear(id, hop, &[accepted(Some("ref"), None)]),
            "uncertain" => gate.hear(id, hop, &[uncertain()]),
            "uncertain, queued" => gate.hear(id, hop, &[uncertain(), postponed(60)]),
            "failed" => gate.at(began + 10).hear(id, hop, &[failed()]),
            "uncertain, failed" => gate.at(began + 10).hear(id, hop, &[uncertain(), failed()]),
            "unavailable" => gate.at(began + 10).hear(id, hop, &[unavailable(5)]),
            "postponed" => gate.hear(id, hop, &[postponed(60)]),
            _ => panic!("{way}"),
        }
        gate.store.lease_room = usize::from(ways.get(hop as usize + 1) != Some(&"queued"));
        gate.at(began + 10).due(id, true);
    }
    gate.at(50).hear(id, ways.len() as u8, &[failed()]);
    (gate, id)
}

/// When the last hop has failed for good, nobody waits any longer, unless an earlier one had the message handed to it
/// and has not failed. Until that one says more, the message is on its way for as long as its ttl allows.
#[test]
fn an_earlier_hop_that_may_still_deliver_is_waited_for() {
    for (hops, ways, waited_for) in [
        (&["sms:10", "voice"][..], &["accepted"][..], 0b1),
        (&["sms:10", "voice"], &["uncertain"], 0b1),
        (&["sms:10", "voice"], &["uncertain, queued"], 0b1),
        (&["sms:10", "voice"], &["leased"], 0b1),
        (&["sms:10", "voice"], &["queued"], 0),
        (&["sms:10", "voice"], &["postponed"], 0),
        (&["sms:10", "voice"], &["failed"], 0),
        (&["sms:10", "voice"], &["uncertain, failed"], 0),
        (&["sms:10", "voice"], &["unavailable"], 0),
        (&["bot:10", "sms:10", "voice"], &["accepted", "accepted"], 0b11),
        (&["bot:10", "sms:10", "voice"], &["accepted", "failed"], 0b1),
        (&["bot:10", "sms:10", "voice"], &["failed", "uncertain"], 0b10),
        (&["bot:10", "sms:10", "voice"], &["failed", "failed"], 0),
        (&["sms:10", "sandbox"], &["accepted"], 0b1),
    ] {
        for ttl in [Some(300), None] {
            let (mut gate, id) = last_hop_failed(hops, ways, ttl);
            let message = gate.store.requests[&id].message.clone().unwrap();
            let told = (message.delivery.as_str(), message.open_hops, gate.store.moved(id).1);
            if waited_for == 0 {
                assert_eq!(told, ("expired", 0, true), "{hops:?} {ways:?}");
                continue;
            }
            assert_eq!(told, ("sent", waited_for, false), "{hops:?} {ways:?}");
            assert_eq!(progress(&gate, id), "uncertain");
            assert_eq!((due_at(&gate, id), gate.store.reports_of(id).len()), (ttl.map(u64::from), 0));
            assert_eq!(gate.store.timeline(id).last(), Some(&"failed"));
            let sandbox = hops.last() == Some(&"sandbox");
            assert_eq!(message.code.is_some(), sandbox, "nobody is handed the code any more");
            assert_eq!(gate.enter(id, support::CODE).unwrap().verification.unwrap().0.as_str(), "code_valid");
            gate.at(299).due(id, true);
            assert_eq!(gate.store.work, []);
            gate.at(300).due(id, true);
            let status = gate.status(id).unwrap();
            assert_eq!(status.delivery.unwrap().0.as_str(), if ttl.is_some() { "expired" } else { "sent" });
            assert_eq!((status.refunded, gate.store.moved(id).1), (ttl.is_some(), ttl.is_some()));
            assert_eq!(gate.store.requests[&id].message.as_ref().unwrap().open_hops & !waited_for, 0);
        }
    }
}

/// The one that was waited for delivers, or fails as well: then nobody waits for the ttl.
#[test]
fn what_the_hop_that_was_waited_for_says_decides() {
    let (mut gate, id) = last_hop_failed(&["bot:10", "sms:10", "voice"], &["accepted", "uncertain"], None);
    gate.at(60).hear(id, 1, &[failed(), failed()]);
    gate.hear(id, 2, &[failed()]);
    assert_eq!((progress(&gate, id).as_str(), gate.store.moved(id)), ("uncertain", (true, false)));
    gate.at(61).hear(id, 0, &[ChannelEvent::Delivered]);
    let message = gate.store.requests[&id].message.clone().unwrap();
    assert_eq!((message.delivery.as_str(), message.hop, message.open_hops), ("delivered", 0, 0));
    gate.hear(id, 0, &[failed()]);
    assert_eq!((gate.store.requests[&id].message.clone().unwrap(), gate.store.moved(id).1), (message, false));
    assert_eq!(gate.store.reports_of(id).len(), 1);

    let (mut gate, id) = last_hop_failed(&["bot:10", "sms:10", "voice"], &["accepted", "uncertain"], None);
    gate.at(60).hear(id, 0, &[failed()]);
    assert_eq!(gate.store.moved(id), (true, false));
    gate.at(61).hear(id, 1, &[failed()]);
    assert_eq!(gate.status(id).unwrap().delivery.unwrap().0.as_str(), "expired");
    assert_eq!((gate.store.moved(id), gate.balance(ALICE)), ((true, true), 1_000_000));
    assert_eq!(
        gate.store.timeline(id)[gate.store.timeline(id).len() - 3..],
        ["failed", "expired", "refunded"]
    );
    assert_eq!(gate.store.reports_of(id).len(), 1);
}

/// As long as the hop that has its turn has not failed, an earlier one's failure ends nothing.
#[test]
fn an_earlier_hop_that_fails_leaves_the_later_one_its_turn() {
    for (said, progressed) in [
        (vec![], "leased 60"),
        (vec![accepted(Some("s1"), None)], "accepted"),
        (vec![uncertain()], "uncertain"),
        (vec![postponed(5)], "queued 35"),
    ] {
        let mut gate = Gate::new();
        let id = gate.sent(&Order { hops: &["bot:30", "sms"], ttl: Some(300), ..to(PHONE) });
        gate.hear(id, 0, &[accepted(Some("b1"), None)]);
        gate.at(30).due(id, true);
        gate.hear(id, 1, &said);
        gate.hear(id, 0, &[failed()]);
        assert_eq!((progress(&gate, id).as_str(), gate.store.moved(id).1), (progressed, false));
        gate.hear(id, 1, &[failed()]);
        assert_eq!(gate.store.moved(id), (true, true), "{progressed}: now nobody is left");
    }
}

/// Without a ttl a code may be too old for another hop, while a hop that has the message may still deliver it.
#[test]
fn too_late_for_the_next_hop() {
    let mut gate = Gate::new();
    let id = gate.sent(&Order { hops: &["bot:30", "sms:3600", "voice"], ..to(PHONE) });
    gate.hear(id, 0, &[accepted(Some("b1"), None)]);
    gate.at(30).due(id, true);
    gate.hear(id, 1, &[accepted(Some("s1"), None)]);
    gate.at(600).hear(id, 1, &[failed()]);
    let message = gate.store.requests[&id].message.as_ref().unwrap();
    assert_eq!((message.delivery.as_str(), message.hop, message.code), ("sent", 1, None));
    assert_eq!((progress(&gate, id).as_str(), due_at(&gate, id)), ("uncertain", None));
    gate.at(700).hear(id, 0, &[failed()]);
    assert_eq!(gate.store.moved(id), (true, true));
}

/// Whoever says after its turn that it has the message may deliver it; the timeline says so, as far as there is room for
/// the talk of channels.
#[test]
fn an_acceptance_after_the_turn() {
    let mut gate = Gate::new();
    gate.store.lease_room = 0;
    let id = gate.sent(&Order { hops: &["sms:10", "voice"], ttl: Some(300), ..to(PHONE) });
    gate.store.lease_room = 1;
    gate.at(10).due(id, true);
    assert_eq!(gate.store.requests[&id].message.as_ref().unwrap().open_hops, 0, "nobody was handed it");
    gate.at(11).hear(id, 0, &[accepted(Some("late"), None)]);
    let line = gate.store.timelines[&id].last().unwrap().to_string();
    assert_eq!(line.split_once(' ').unwrap().1, "accepted sms");
    assert_eq!(handed_over_hop(&gate, id), (1, 0b1), "it is the other one's turn all the same");
    gate.at(12).hear(id, 1, &[failed()]);
    assert_eq!((progress(&gate, id).as_str(), gate.store.moved(id).1), ("uncertain", false));
    (0..200).for_each(|_| gate.hear(id, 0, &[accepted(Some("late"), None)]));
    gate.at(300).due(id, true);
    let timeline = gate.store.timeline(id);
    assert!(timeline.len() < 100 && timeline.ends_with(&["accepted", "expired", "refunded"]));
}

/// A channel speaks for its own hops alone, whatever ids of requests it has heard of.
#[test]
fn a_channel_is_not_heard_on_another_ones_hop() {
    for event in [
        accepted(Some("theirs"), Some(60)),
        busy(5),
        postponed(5),
        unavailable(5),
        uncertain(),
        failed(),
        ChannelEvent::Delivered,
        ChannelEvent::Read,
        ChannelEvent::Withdrawn,
    ] {
        let mut gate = Gate::new();
        let id = gate.sent(&Order { hops: &["bot:30", "sms"], ttl: Some(300), ..to(PHONE) });
        let before = (gate.store.requests[&id].clone(), gate.store.timeline(id).len());
        gate.store.work.clear();
        for (channel, hop) in [("sms", 0), ("bot", 1), ("mail", 0), ("mail", 1), ("mail", 2)] {
            gate.hear_from(channel, id, hop, std::slice::from_ref(&event));
            let after = (gate.store.requests[&id].clone(), gate.store.timeline(id).len());
            assert_eq!(after, before, "{channel} on hop {hop}: {event:?}");
            assert_eq!((gate.store.work.len(), gate.store.channel_references.len()), (0, 0));
        }
        gate.hear_from("bot", id, 0, &[failed()]);
        assert_eq!(gate.store.requests[&id].message.as_ref().unwrap().hop, 1, "its own it may");
    }
}

/// Which hop has its turn, and which may deliver the message beside it.
fn handed_over_hop(gate: &Gate, id: RequestId) -> (u8, u8) {
    let message = gate.store.requests[&id].message.as_ref().unwrap();
    (message.hop, message.open_hops)
}

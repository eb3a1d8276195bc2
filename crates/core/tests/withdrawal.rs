//! Taking messages back: from whom, how often, and until when.

#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use chappe_core::request::Progress;
use chappe_core::{ChannelEvent, RequestId, Work};
use std::time::Duration;
use support::{Gate, HOUR, Order, PHONE, START, accepted, cell, failed, to};

/// The hop and the reference of every message that is to be taken back.
fn asked_back(gate: &Gate) -> Vec<(u8, Option<&str>)> {
    let work = gate.store.work.iter();
    work.map(|work| match work {
        Work::Withdraw(job) => (job.hop, job.reference.as_deref()),
        other => panic!("{other:?}"),
    })
    .collect()
}

/// Whoever takes a message over that is wanted no more is asked to give it back, whichever hop it is; unless it has no
/// name for it, or is the sandbox, which shows what became of it by itself.
#[test]
fn a_late_acceptance_is_taken_back_by_its_name() {
    for (hops, reference, expected) in [
        (["sms", "mail"], Some("late"), vec![(0, Some("late"))]),
        (["sms", "mail"], None, vec![]),
        (["sandbox", "mail"], Some("late"), vec![]),
    ] {
        let mut gate = Gate::new();
        let id = gate.sent(&Order { hops: &hops, ..to(PHONE) });
        gate.hear(id, 0, &[failed()]);
        gate.revoke(id).unwrap();
        assert_eq!(asked_back(&gate), [], "nobody has named it yet");
        gate.hear(id, 0, &[accepted(reference, None)]);
        assert_eq!(asked_back(&gate), expected, "{hops:?}, {reference:?}");
    }
}

/// A message that was accepted under the name `ref`, has a ttl of 60 s, and is asked back from the tenth second on: after
/// that it was revoked, with or without having arrived before.
fn asked_back_at_10(arrived: bool) -> (Gate, RequestId) {
    let mut gate = Gate::new();
    let id = gate.sent(&Order { ttl: Some(60), ..to(PHONE) });
    gate.hear(id, 0, &[accepted(Some("ref"), None)]);
    if arrived {
        gate.at(5).hear(id, 0, &[ChannelEvent::Delivered]);
    }
    gate.at(10).revoke(id).unwrap();
    assert_eq!((asked_back(&gate), progress(&gate, id)), (vec![(0, Some("ref"))], asked_until(40)));
    (gate, id)
}

fn progress(gate: &Gate, id: RequestId) -> Progress {
    gate.store.requests[&id].message.as_ref().unwrap().progress
}

fn asked_until(secs: u64) -> Progress {
    Progress::Withdrawing(START + Duration::from_secs(secs))
}

/// Every way into it, with and without a name.
#[test]
fn what_a_channel_has_is_asked_back_when_it_is_over() {
    for name in [Some("ref"), None] {
        for way in ["expired", "revoked", "revoked after delivery", "failed", "late"] {
            let mut gate = Gate::new();
            let id = gate.sent(&Order { ttl: Some(60), ..to(PHONE) });
            match way {
                "expired" => {
                    gate.hear(id, 0, &[accepted(name, None)]);
                    gate.at(60).due(id, true);
                }
                "revoked" => {
                    gate.hear(id, 0, &[accepted(name, None)]);
                    gate.at(60).revoke(id).unwrap();
                }
                "revoked after delivery" => {
                    gate.hear(id, 0, &[accepted(name, None), ChannelEvent::Delivered]);
                    gate.at(60).revoke(id).unwrap();
                }
                "failed" => {
                    gate.hear(id, 0, &[accepted(name, None)]);
                    gate.at(60).hear(id, 0, &[failed()]);
                }
                _ => {
                    gate.revoke(id).unwrap();
                    gate.at(60).hear(id, 0, &[accepted(name, None)]);
                }
            }
            // A message that it cannot deliver is nowhere.
            let asked = name.is_some() && way != "failed";
            let expected = if asked { vec![(0, name)] } else { vec![] };
            assert_eq!(asked_back(&gate), expected, "{way}, {name:?}");
            let asks_again = progress(&gate, id) == asked_until(90);
            assert_eq!(asks_again, asked, "{way}, {name:?}: {:?}", progress(&gate, id));
        }
    }
}

/// It is asked again after every lease, or when the channel wants to be, until it has said that it took the message back
/// or cannot. All that changes is the timeline.
#[test]
fn it_is_asked_until_it_has_said() {
    for (said, line) in [(ChannelEvent::Withdrawn, "withdrawn"), (failed(), "failed")] {
        for arrived in [false, true] {
            let (mut gate, id) = asked_back_at_10(arrived);
            let view = gate.status(id).unwrap();
            let events = gate.store.timeline(id).len();
            gate.at(39).due(id, true);
            assert_eq!(asked_back(&gate), []);
            gate.at(40).due(id, true);
            assert_eq!((asked_back(&gate), progress(&gate, id)), (vec![(0, Some("ref"))], asked_until(70)));
            let after = Duration::from_secs(5);
            gate.at(50).hear(id, 0, &[ChannelEvent::Busy { after }]);
            assert_eq!(progress(&gate, id), asked_until(55));
            let reason = "503".to_owned();
            gate.at(50).hear(
                id,
                0,
                &[ChannelEvent::Unavailable { after: after * 2, reason: reason.clone() }],
            );
            assert_eq!(progress(&gate, id), asked_until(60));
            gate.at(50).hear(id, 0, &[ChannelEvent::Postponed { after, reason: reason.clone() }]);
            assert_eq!(progress(&gate, id), asked_until(55));
            gate.at(51).hear(id, 0, &[ChannelEvent::Uncertain { reason }, accepted(Some("ref"), None)]);
            let asked = if arrived { asked_until(55) } else { asked_until(81) };
            assert_eq!(
                progress(&gate, id),
                asked,
                "it says once more that it has it, and it is asked once more"
            );
            // The clock's word is not needed for this.
            gate.at(81).due(id, false);
            assert_eq!(asked_back(&gate), [(0, Some("ref"))]);
            gate.at(90).hear(id, 0, std::slice::from_ref(&said));
            assert_eq!(progress(&gate, id), Progress::Ended);
            let message = gate.store.requests[&id].message.as_ref().unwrap();
            assert_eq!(message.due_at(), None);
            gate.at(9_999).due(id, true);
            assert_eq!(asked_back(&gate), []);
            assert_eq!(
                cell(&gate.store.timeline(id)[events..]),
                format!("postponed postponed uncertain {line}")
            );
            assert_eq!(gate.status(id).unwrap(), view, "nobody is told or refunded");
        }
    }
}

/// After two days no channel can take anything back, and it is asked no more.
#[test]
fn nobody_is_asked_for_ever() {
    let (mut gate, id) = asked_back_at_10(false);
    gate.at(48 * HOUR).due(id, true);
    assert_eq!(asked_back(&gate), [(0, Some("ref"))]);
    let row = &gate.store.requests[&id];
    let due_at = row.message.as_ref().unwrap().due_at().unwrap();
    gate.now = due_at;
    gate.due(id, true);
    assert_eq!((asked_back(&gate), progress(&gate, id)), (vec![], Progress::Ended));
    assert_eq!(gate.store.requests[&id].message.as_ref().unwrap().due_at(), None);
}

/// That it was read is worth knowing, and no reason to leave it there; also if another hop has brought it.
#[test]
fn a_message_that_is_read_is_still_taken_back() {
    for speaker in [0, 1] {
        let mut gate = Gate::new();
        let id = gate.sent(&Order { hops: &["bot:30", "sms"], ..to(PHONE) });
        gate.hear(id, 0, &[accepted(Some("b1"), None)]);
        gate.at(30).due(id, true);
        gate.at(31).hear(id, 1, &[accepted(Some("s1"), None), ChannelEvent::Delivered]);
        gate.at(32).revoke(id).unwrap();
        gate.at(33).hear(id, speaker, &[ChannelEvent::Read]);
        assert_eq!(gate.status(id).unwrap().delivery.unwrap().0.as_str(), "read");
        gate.at(62).due(id, true);
        assert_eq!(asked_back(&gate), [(1, Some("s1"))], "as hop {speaker} says that it was read");
    }
}

/// Whatever another hop says, the one that is asked is still asked.
#[test]
fn another_hop_does_not_end_it() {
    for said in [ChannelEvent::Withdrawn, failed(), ChannelEvent::Delivered] {
        let mut gate = Gate::new();
        let id = gate.sent(&Order { hops: &["bot:30", "sms"], ..to(PHONE) });
        gate.at(30).due(id, true);
        gate.hear(id, 1, &[accepted(Some("s1"), None)]);
        gate.revoke(id).unwrap();
        gate.hear(id, 0, &[said]);
        gate.at(60).due(id, true);
        assert_eq!(asked_back(&gate), [(1, Some("s1"))]);
    }
}

/// A channel that says it over and over leaves room for what becomes of the message.
#[test]
fn withdrawals_do_not_fill_a_timeline() {
    let mut gate = Gate::new();
    let id = gate.sent(&Order { ttl: Some(60), ..to(PHONE) });
    (0..200).for_each(|_| gate.hear(id, 0, &[ChannelEvent::Withdrawn]));
    gate.at(60).due(id, true);
    assert!(gate.store.timeline(id).ends_with(&["expired", "refunded"]));
}

/// What channels call messages is known of every hop but the sandbox, the last message of a name being the one it means.
#[test]
fn names_are_noted_with_their_hops() {
    let mut gate = Gate::new();
    let id = gate.sent(&Order { hops: &["sms", "sandbox", "mail"], ..to(PHONE) });
    gate.hear(id, 0, &[accepted(Some("one"), None), accepted(None, None), failed()]);
    gate.hear(id, 1, &[accepted(Some("two"), None), failed()]);
    gate.at(5).hear(id, 2, &[accepted(Some("one"), None)]);
    gate.at(6).hear(id, 0, &[accepted(Some("late"), None)]);
    gate.hear(id, 9, &[accepted(Some("nobody's"), None)]);
    let names = |gate: &Gate| {
        let named = gate.store.channel_references.values();
        cell(named.map(|named| {
            let secs = named.at.since(START).as_secs();
            format!(
                "{}/{}={}.{}@{secs}",
                named.channel,
                named.reference,
                named.request.number() % 10,
                named.hop
            )
        }))
    };
    assert_eq!(names(&gate), "mail/one=1.2@5 sms/late=1.0@6 sms/one=1.0@0");
    let next = gate.sent(&to(PHONE));
    gate.hear(next, 0, &[accepted(Some("one"), None)]);
    assert_eq!(names(&gate), "mail/one=1.2@5 sms/late=1.0@6 sms/one=2.0@6");
}

/// What no database could look for is no name: the message is as one that the channel did not name.
#[test]
fn a_name_is_short_and_printable() {
    let longest = "é".repeat(127);
    for (name, kept) in
        [(longest.as_str(), true), (&format!("{longest}__"), false), ("a\0b", false), ("a\nb", false)]
    {
        let mut gate = Gate::new();
        let id = gate.sent(&to(PHONE));
        gate.hear(id, 0, &[accepted(Some(name), None)]);
        assert_eq!(gate.store.channel_references.len(), usize::from(kept));
        assert_eq!(gate.store.timeline(id).last(), Some(&"accepted"), "it has the message all the same");
        gate.revoke(id).unwrap();
        assert_eq!(asked_back(&gate).len(), usize::from(kept));
    }
}

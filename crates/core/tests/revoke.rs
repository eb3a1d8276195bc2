//! Revoking again: who says it twice, or too late, changes nothing.

#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use chappe_core::{ChannelEvent, Command};
use support::{CODE, Gate, Order, PHONE, to};

/// A revocation that ends neither a delivery nor a code is no event.
#[test]
fn nothing_is_revoked_twice() {
    for (secs, events) in [(599, &["revoked"][..]), (600, &[])] {
        let mut gate = Gate::new();
        let id = gate.sent(&to(PHONE));
        gate.hear(id, 0, &[accepted(), ChannelEvent::Delivered]);
        gate.at(secs).revoke(id).unwrap();
        assert_eq!(gate.store.work.len(), events.len(), "at {secs}");
        gate.revoke(id).unwrap();
        assert_eq!(gate.store.work, [], "at {secs}");
        assert_eq!(&gate.store.timeline(id)[4..], events, "at {secs}");
    }
}

fn accepted() -> ChannelEvent {
    ChannelEvent::Accepted { reference: Some("ref".to_owned()), poll_at: None }
}

/// Who revokes again changes no row, and the channel is not asked again. A code that was right lives on when its message
/// is withdrawn, and is no reason either.
#[test]
fn a_second_revocation_changes_nothing() {
    for right_before in [false, true] {
        for end in ["revoked", "expired", "over"] {
            let mut gate = Gate::new();
            let id = gate.sent(&Order { callback: true, ttl: Some(60), ..to(PHONE) });
            if right_before {
                gate.at(5).enter(id, CODE).unwrap();
            }
            match end {
                "revoked" => gate.at(10).revoke(id).unwrap(),
                "expired" => gate.at(60).due(id, true),
                _ => gate.at(10).hear(id, 0, &[accepted(), ChannelEvent::Delivered]),
            }
            let secs = if end == "over" { 610 } else { 70 };
            let (row, events) = (gate.store.requests[&id].clone(), gate.store.timeline(id).len());
            let status = gate.at(secs).status(id).unwrap();
            let again = Command::Revoke { caller: support::ALICE, now: gate.now, request: id };
            assert_eq!(gate.store.rows_changed_by(&again), 0, "{end}, right before: {right_before}");
            gate.revoke(id).unwrap();
            assert_eq!(gate.store.work, [], "{end}, right before: {right_before}");
            assert_eq!(gate.store.requests[&id], row);
            assert_eq!(gate.store.timeline(id).len(), events);
            assert_eq!(gate.status(id).unwrap(), status);
        }
    }
}

/// Nothing was sent, so nothing is revoked.
#[test]
fn a_question_alone_is_not_changed_by_a_revocation() {
    let mut gate = Gate::new();
    let id = gate.check(&to(PHONE)).unwrap().request;
    let revoke = Command::Revoke { caller: support::ALICE, now: gate.now, request: id };
    assert_eq!(gate.store.rows_changed_by(&revoke), 0);
    gate.revoke(id).unwrap();
}

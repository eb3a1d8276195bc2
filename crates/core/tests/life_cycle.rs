//! The life of a message and of its code, as tables: in every state, what every event does.

#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use chappe_core::request::Progress;
use chappe_core::{ChannelEvent, Delivery, Money, RequestId, Time, Work};
use std::collections::BTreeSet;
use std::time::Duration;
use support::{CODE, Gate, LOCKED, MAGIC, Order, PHONE, PRICE, START, WRONG, cell, rows, to};

/// Every delivery status × every event: the status after it, whether the fee was given back, the report it makes, the
/// work it asks for, and what it adds to the timeline.
///
/// `hop left`: another hop comes after the one that speaks. `older`: a hop that failed before speaks up once more.
/// Every message here has a ttl of 60 s, a lease of 30 s and a callback URL.
const DELIVERY: &str = "
given     | event              | status    | refunded | report    | work      | timeline
sent      | accepted           | sent      | -        | -         | -         | accepted
sent      | postponed          | sent      | -        | -         | -         | postponed
sent      | busy               | sent      | -        | -         | -         | -
sent      | unavailable        | sent      | -        | -         | -         | postponed
sent      | unavailable, hop left | sent      | -        | -         | deliver:1 | failed fallback
sent      | withdrawn          | sent      | -        | -         | -         | withdrawn
sent      | failed             | expired   | refunded | expired   | -         | failed expired refunded
sent      | failed, hop left   | sent      | -        | -         | deliver:1 | failed fallback
sent      | uncertain          | sent      | -        | -         | -         | uncertain
sent      | delivered          | delivered | -        | delivered | -         | delivered
sent      | read               | read      | -        | read      | -         | read
sent      | revoke             | revoked   | -        | revoked   | -         | revoked
sent      | due before ttl     | sent      | -        | -         | -         | -
sent      | due at ttl         | expired   | refunded | expired   | -         | expired refunded
sent      | due, clock in doubt| sent      | -        | -         | -         | -
sent      | lapsed, sandbox    | sent      | -        | -         | deliver:0 | -
sent      | lapsed, sms        | sent      | -        | -         | -         | uncertain
sent      | older accepted     | sent      | -        | -         | -         | accepted
sent      | older postponed    | sent      | -        | -         | -         | -
sent      | older busy         | sent      | -        | -         | -         | -
sent      | older unavailable  | sent      | -        | -         | -         | -
sent      | older withdrawn    | sent      | -        | -         | -         | withdrawn
sent      | older failed       | sent      | -        | -         | -         | failed
sent      | older uncertain    | sent      | -        | -         | -         | uncertain
sent      | older delivered    | delivered | -        | delivered | -         | delivered
sent      | older read         | read      | -        | read      | -         | read

delivered | accepted           | delivered | -        | -         | -         | -
delivered | postponed          | delivered | -        | -         | -         | postponed
delivered | busy               | delivered | -        | -         | -         | -
delivered | unavailable        | delivered | -        | -         | -         | postponed
delivered | unavailable, hop left | delivered | -        | -         | -         | postponed
delivered | withdrawn          | delivered | -        | -         | -         | withdrawn
delivered | failed             | delivered | -        | -         | -         | failed
delivered | failed, hop left   | delivered | -        | -         | -         | failed
delivered | uncertain          | delivered | -        | -         | -         | uncertain
delivered | delivered          | delivered | -        | -         | -         | late_confirmation
delivered | read               | read      | -        | read      | -         | read
delivered | revoke             | delivered | -        | -         | withdraw  | revoked
delivered | due before ttl     | delivered | -        | -         | -         | -
delivered | due at ttl         | delivered | -        | -         | -         | -
delivered | due, clock in doubt| delivered | -        | -         | -         | -
delivered | lapsed, sandbox    | delivered | -        | -         | -         | -
delivered | lapsed, sms        | delivered | -        | -         | -         | -
delivered | older accepted     | delivered | -        | -         | -         | accepted
delivered | older postponed    | delivered | -        | -         | -         | -
delivered | older busy         | delivered | -        | -         | -         | -
delivered | older unavailable  | delivered | -        | -         | -         | -
delivered | older withdrawn    | delivered | -        | -         | -         | withdrawn
delivered | older failed       | delivered | -        | -         | -         | failed
delivered | older uncertain    | delivered | -        | -         | -         | uncertain
delivered | older delivered    | delivered | -        | -         | -         | late_confirmation
delivered | older read         | read      | -        | read      | -         | read

read      | accepted           | read      | -        | -         | -         | -
read      | postponed          | read      | -        | -         | -         | -
read      | busy               | read      | -        | -         | -         | -
read      | unavailable        | read      | -        | -         | -         | -
read      | unavailable, hop left | read      | -        | -         | -         | -
read      | withdrawn          | read      | -        | -         | -         | withdrawn
read      | failed             | read      | -        | -         | -         | failed
read      | failed, hop left   | read      | -        | -         | -         | failed
read      | uncertain          | read      | -        | -         | -         | uncertain
read      | delivered          | read      | -        | -         | -         | late_confirmation
read      | read               | read      | -        | -         | -         | late_confirmation
read      | revoke             | read      | -        | -         | withdraw  | revoked
read      | due before ttl     | read      | -        | -         | -         | -
read      | due at ttl         | read      | -        | -         | -         | -
read      | due, clock in doubt| read      | -        | -         | -         | -
read      | lapsed, sandbox    | read      | -        | -         | -         | -
read      | lapsed, sms        | read      | -        | -         | -         | -
read      | older accepted     | read      | -        | -         | -         | accepted
read      | older postponed    | read      | -        | -         | -         | -
read      | older busy         | read      | -        | -         | -         | -
read      | older unavailable  | read      | -        | -         | -         | -
read      | older withdrawn    | read      | -        | -         | -         | withdrawn
read      | older failed       | read      | -        | -         | -         | failed
read      | older uncertain    | read      | -        | -         | -         | uncertain
read      | older delivered    | read      | -        | -         | -         | late_confirmation
read      | older read         | read      | -        | -         | -         | late_confirmation

expired   | accepted           | expired   | refunded | -         | withdraw  | -
expired   | postponed          | expired   | refunded | -         | -         | -
expired   | busy               | expired   | refunded | -         | -         | -
expired   | unavailable        | expired   | refunded | -         | -         | -
expired   | unavailable, hop left | expired   | refunded | -         | -         | -
expired   | withdrawn          | expired   | refunded | -         | -         | withdrawn
expired   | failed             | expired   | refunded | -         | -         | failed
expired   | failed, hop left   | expired   | refunded | -         | -         | failed
expired   | uncertain          | expired   | refunded | -         | -         | uncertain
expired   | delivered          | expired   | refunded | -         | -         | late_confirmation
expired   | read               | expired   | refunded | -         | -         | late_confirmation
expired   | revoke             | expired   | refunded | -         | -         | -
expired   | due before ttl     | expired   | refunded | -         | -         | -
expired   | due at ttl         | expired   | refunded | -         | -         | -
expired   | due, clock in doubt| expired   | refunded | -         | -         | -
expired   | lapsed, sandbox    | expired   | refunded | -         | -         | -
expired   | lapsed, sms        | expired   | refunded | -         | -         | -
expired   | older accepted     | expired   | refunded | -         | withdraw  | accepted
expired   | older postponed    | expired   | refunded | -         | -         | -
expired   | older busy         | expired   | refunded | -         | -         | -
expired   | older unavailable  | expired   | refunded | -         | -         | -
expired   | older withdrawn    | expired   | refunded | -         | -         | withdrawn
expired   | older failed       | expired   | refunded | -         | -         | failed
expired   | older uncertain    | expired   | refunded | -         | -         | uncertain
expired   | older delivered    | expired   | refunded | -         | -         | late_confirmation
expired   | older read         | expired   | refunded | -         | -         | late_confirmation

revoked   | accepted           | revoked   | -        | -         | withdraw  | -
revoked   | postponed          | revoked   | -        | -         | -         | -
revoked   | busy               | revoked   | -        | -         | -         | -
revoked   | unavailable        | revoked   | -        | -         | -         | -
revoked   | unavailable, hop left | revoked   | -        | -         | -         | -
revoked   | withdrawn          | revoked   | -        | -         | -         | withdrawn
revoked   | failed             | revoked   | -        | -         | -         | failed
revoked   | failed, hop left   | revoked   | -        | -         | -         | failed
revoked   | uncertain          | revoked   | -        | -         | -         | uncertain
revoked   | delivered          | revoked   | -        | -         | -         | late_confirmation
revoked   | read               | revoked   | -        | -         | -         | late_confirmation
revoked   | revoke             | revoked   | -        | -         | -         | -
revoked   | due before ttl     | revoked   | -        | -         | -         | -
revoked   | due at ttl         | revoked   | -        | -         | -         | -
revoked   | due, clock in doubt| revoked   | -        | -         | -         | -
revoked   | lapsed, sandbox    | revoked   | -        | -         | -         | -
revoked   | lapsed, sms        | revoked   | -        | -         | -         | -
revoked   | older accepted     | revoked   | -        | -         | withdraw  | accepted
revoked   | older postponed    | revoked   | -        | -         | -         | -
revoked   | older busy         | revoked   | -        | -         | -         | -
revoked   | older unavailable  | revoked   | -        | -         | -         | -
revoked   | older withdrawn    | revoked   | -        | -         | -         | withdrawn
revoked   | older failed       | revoked   | -        | -         | -         | failed
revoked   | older uncertain    | revoked   | -        | -         | -         | uncertain
revoked   | older delivered    | revoked   | -        | -         | -         | late_confirmation
revoked   | older read         | revoked   | -        | -         | -         | late_confirmation
";

#[test]
fn every_event_in_every_delivery_status() {
    let mut cases = BTreeSet::new();
    for row in rows(DELIVERY) {
        let [given, event, expected @ ..] = &row[..] else { panic!("{row:?}") };
        assert!(cases.insert((given.to_string(), event.to_string())), "{given}, {event} stands here twice");
        assert_eq!(after(given, event), expected, "{given}, then {event}");
    }
    assert_eq!(cases.len(), Delivery::ALL.len() * 26);
}

/// Brings a message into a delivery status, lets the event happen, and tells what came of it in the table's words.
fn after(given: &str, event: &str) -> Vec<String> {
    let (mut gate, id, hop) = message_in(given, event);
    let (events, reports) = (gate.store.timeline(id).len(), gate.store.reports_of(id).len());
    happen(&mut gate, id, hop, event, if given == "expired" { 70 } else { 20 });
    let work = cell(gate.store.work.iter().map(asked_for));

    let request = &gate.store.requests[&id];
    let new_reports: Vec<_> = gate.store.reports_of(id).split_off(reports);
    let message = request.message.as_ref().unwrap();
    for report in &new_reports {
        assert_eq!(report.delivery, (message.delivery, gate.now), "a report tells of the change");
        assert_eq!(report.refunded, request.refunded, "the refund and the report are made together");
        assert_eq!(report.due_at, gate.now);
    }
    assert_eq!(gate.store.moved(id), (true, request.refunded), "charged once, refunded as it says");
    let back = PRICE * i64::from(request.refunded);
    let (status, refunded) = (message.delivery.as_str(), cell(request.refunded.then_some("refunded")));
    assert_eq!(gate.balance(support::ALICE), 1_000_000 - PRICE + back);
    vec![
        status.to_owned(),
        refunded,
        cell(gate.store.reports_of(id)[reports..].iter().map(|report| report.delivery.0.as_str())),
        work,
        cell(&gate.store.timeline(id)[events..]),
    ]
}

fn message_in(given: &str, event: &str) -> (Gate, RequestId, u8) {
    let older = event.starts_with("older");
    let hops: &[&str] = match event {
        "lapsed, sandbox" => &["sandbox"],
        "failed, hop left" | "unavailable, hop left" => &["sms", "mail"],
        _ if older => &["sms", "mail"],
        _ => &["sms"],
    };
    let mut gate = Gate::new();
    let id = gate.sent(&Order { ttl: Some(60), callback: true, hops, ..to(PHONE) });
    if older {
        gate.hear(id, 0, &[failed()]);
    }
    let hop = u8::from(older);
    match given {
        "sent" => {}
        "delivered" => gate.at(5).hear(id, hop, &[accepted(None), ChannelEvent::Delivered]),
        "read" => gate.at(5).hear(id, hop, &[accepted(None), ChannelEvent::Delivered, ChannelEvent::Read]),
        "expired" => gate.at(60).due(id, true),
        "revoked" => gate.at(5).revoke(id).unwrap(),
        _ => panic!("{given}"),
    }
    let now = gate.store.requests[&id].message.as_ref().unwrap().delivery;
    assert_eq!(now.as_str(), given);
    (gate, id, hop)
}

fn happen(gate: &mut Gate, id: RequestId, hop: u8, event: &str, secs: u64) {
    let gate = gate.at(secs);
    let (speaker, said) = event.strip_prefix("older ").map_or((hop, event), |said| (hop - 1, said));
    match said {
        "accepted" => gate.hear(id, speaker, &[accepted(None)]),
        "postponed" => gate.hear(id, speaker, &[postponed(10)]),
        "busy" => gate.hear(id, speaker, &[ChannelEvent::Busy { after: Duration::from_secs(10) }]),
        "unavailable" | "unavailable, hop left" => gate.hear(id, speaker, &[unavailable(10)]),
        "withdrawn" => gate.hear(id, speaker, &[ChannelEvent::Withdrawn]),
        "failed" | "failed, hop left" => gate.hear(id, speaker, &[failed()]),
        "uncertain" => gate.hear(id, speaker, &[uncertain()]),
        "delivered" => gate.hear(id, speaker, &[ChannelEvent::Delivered]),
        "read" => gate.hear(id, speaker, &[ChannelEvent::Read]),
        "revoke" => gate.revoke(id).unwrap(),
        "due before ttl" => gate.due(id, true),
        "due at ttl" => gate.at(secs.max(60)).due(id, true),
        "due, clock in doubt" => gate.at(secs.max(60)).due(id, false),
        "lapsed, sandbox" | "lapsed, sms" => gate.at(secs.max(30)).due(id, true),
        _ => panic!("{said}"),
    }
}

/// What a worker who looks at a message is asked to do, by how far its channel has got. The columns are seconds after
/// sending: with a ttl of 60 s, and without one, where an untaken message ends with its code's life (600 s).
const DUE: &str = "
given                     | ttl, 9  | ttl, 10 | ttl, 30   | ttl, 60 | none, 9 | none, 599 | none, 600
queued                    | deliver | deliver | deliver   | expired | deliver | deliver   | expired
postponed until 10        | -       | deliver | deliver   | expired | -       | deliver   | expired
handed over until 30      | -       | -       | uncertain | expired | -       | uncertain | expired
accepted                  | -       | -       | -         | expired | -       | -         | -
accepted, ask at 10       | -       | poll    | poll      | expired | -       | poll      | poll
uncertain                 | -       | -       | -         | expired | -       | -         | -
delivered                 | -       | -       | -         | -       | -       | -         | -
delivered, ask at 10      | -       | poll    | poll      | poll    | -       | poll      | poll
delivered before accepted | -       | -       | -         | -       | -       | -         | -
revoked                   | -       | -       | -         | -       | -       | -         | -
failed                    | -       | -       | -         | -       | -       | -         | -
";

#[test]
fn what_a_due_message_asks_for() {
    for row in rows(DUE) {
        let moments = [(true, 9), (true, 10), (true, 30), (true, 60), (false, 9), (false, 599), (false, 600)];
        let found: Vec<_> = moments.iter().map(|(ttl, secs)| due(row[0], *ttl, *secs)).collect();
        assert_eq!(found, row[1..], "{}", row[0]);
    }
}

fn due(given: &str, ttl: bool, secs: u64) -> String {
    let mut gate = Gate::new();
    gate.store.lease_room = usize::from(given != "queued");
    let id = gate.sent(&Order { ttl: ttl.then_some(60), ..to(PHONE) });
    gate.store.lease_room = 1;
    let poll_at = given.ends_with("ask at 10").then_some(START + Duration::from_secs(10));
    match given {
        "queued" | "handed over until 30" => {}
        "postponed until 10" => gate.hear(id, 0, &[postponed(10)]),
        "accepted" | "accepted, ask at 10" => gate.hear(id, 0, &[accepted(poll_at)]),
        "uncertain" => gate.hear(id, 0, &[uncertain()]),
        "delivered" | "delivered, ask at 10" => {
            gate.hear(id, 0, &[accepted(poll_at), ChannelEvent::Delivered]);
        }
        "delivered before accepted" => gate.hear(id, 0, &[ChannelEvent::Delivered, accepted(None)]),
        "revoked" => gate.revoke(id).unwrap(),
        "failed" => gate.hear(id, 0, &[failed()]),
        _ => panic!("{given}"),
    }
    let events = gate.store.timeline(id).len();
    let due_at = gate.store.requests[&id].message.as_ref().unwrap().due_at();
    gate.at(secs).due(id, true);
    let happened = &gate.store.timeline(id)[events..];
    let nothing = gate.store.work.is_empty() && happened.is_empty();
    assert_eq!(
        due_at.is_none_or(|at| at > gate.now),
        nothing,
        "{given} at {secs}: workers look when it is due"
    );
    match (&gate.store.work[..], happened) {
        ([Work::Deliver(_)], []) => "deliver".to_owned(),
        ([Work::Poll(_)], []) => "poll".to_owned(),
        ([] | [Work::Withdraw(_)], ["expired", "refunded"]) => "expired".to_owned(),
        ([], events) => cell(events),
        other => panic!("{given} at {secs}: {other:?}"),
    }
}

#[test]
fn a_message_without_a_worker_waits_and_a_poll_is_leased() {
    let mut gate = Gate::new();
    gate.store.lease_room = 0;
    let id = gate.sent(&to(PHONE));
    let progress = |gate: &Gate| gate.store.requests[&id].message.as_ref().unwrap().progress;
    assert_eq!(progress(&gate), Progress::Queued(START));
    gate.at(7).due(id, true);
    assert_eq!(
        (progress(&gate), gate.store.work.len()),
        (Progress::Queued(START), 0),
        "nothing is written for it"
    );
    gate.store.lease_room = 1;
    gate.at(8).due(id, true);
    assert_eq!(progress(&gate), Progress::Leased(START + Duration::from_secs(38)));

    // Of one batch, as many are handed over as there is room for.
    let ids = [gate.new_id(), gate.new_id()];
    let commands = ids.map(|id| to(MAGIC).send_command(support::ALICE, gate.now, id)).to_vec();
    assert!(gate.store.run_batch(commands).iter().all(Result::is_ok));
    assert_eq!(gate.store.work.iter().map(asked_for).collect::<Vec<_>>(), ["deliver:0"]);
    let second = gate.store.requests[&ids[1]].message.as_ref().unwrap();
    assert_eq!(second.progress, Progress::Queued(gate.now));

    let asked_again = |gate: &mut Gate, secs| {
        gate.at(secs).due(id, true);
        cell(gate.store.work.iter().map(asked_for))
    };
    gate.hear(id, 0, &[accepted(Some(START + Duration::from_secs(10)))]);
    assert_eq!([10, 39, 40].map(|secs| asked_again(&mut gate, secs)), ["poll:0", "-", "poll:0"]);
}

/// A channel may say twice that it has a message, to name it or to be asked again: that is one event.
#[test]
fn a_second_acceptance_adds_to_the_first() {
    let mut gate = Gate::new();
    let id = gate.sent(&to(PHONE));
    let poll_at = Some(START + Duration::from_secs(10));
    gate.hear(id, 0, &[accepted(None), ChannelEvent::Accepted { reference: None, poll_at }]);
    let message = gate.store.requests[&id].message.as_ref().unwrap();
    assert_eq!(
        (message.channel_reference.as_deref(), message.progress),
        (Some("ref"), Progress::Accepted(poll_at))
    );
    assert_eq!(gate.store.timeline(id), ["charged", "sent", "accepted"]);
}

/// What one channel calls a message means nothing to the next.
#[test]
fn a_hop_begins_without_a_reference() {
    let mut gate = Gate::new();
    let id = gate.sent(&Order { hops: &["sms", "mail"], ..to(PHONE) });
    gate.hear(id, 0, &[accepted(None), failed()]);
    let [Work::Deliver(job)] = &gate.store.work[..] else { panic!("{:?}", gate.store.work) };
    assert_eq!((job.hop, job.channel.as_str(), &job.reference), (1, "mail", &None));
    assert_eq!(job.code.map(|code| code.expose().to_owned()).as_deref(), Some(CODE));
    assert_eq!((job.request, job.phone, job.sent_at), (id, support::phone(PHONE), START));
}

/// However much a channel has to say, a row stays a row: the store of these tests refuses a longer timeline.
#[test]
fn a_timeline_is_bounded() {
    let mut gate = Gate::new();
    let id = gate.sent(&to(PHONE));
    for _ in 0..30 {
        gate.hear(id, 0, &[postponed(1), uncertain(), postponed(1), uncertain()]);
    }
    assert!(gate.store.timeline(id).len() >= 50);
}

#[test]
fn statuses_are_read_as_they_are_written() {
    use chappe_core::Verification;
    assert!(Delivery::ALL.into_iter().all(|status| Delivery::parse(status.as_str()) == Some(status)));
    assert!(Verification::ALL.into_iter().all(|status| Verification::parse(status.as_str()) == Some(status)));
    assert_eq!((Delivery::parse("Sent"), Verification::parse("code_valid ")), (None, None));
}

/// The ttl is exact to the microsecond, and the first of delivery and expiry decides about the money.
#[test]
fn delivered_in_time_is_never_refunded() {
    for (delivered_first, status, refunded) in [(true, "delivered", false), (false, "expired", true)] {
        let mut gate = Gate::new();
        let id = gate.sent(&Order { ttl: Some(30), ..to(PHONE) });
        gate.hear(id, 0, &[accepted(None)]);
        gate.now = Time::from_micros(START.micros() + 29_999_999);
        gate.due(id, true);
        assert_eq!(gate.status(id).unwrap().delivery, Some((Delivery::Sent, START)));
        if delivered_first {
            gate.hear(id, 0, &[ChannelEvent::Delivered]);
        }
        gate.at(30).due(id, true);
        gate.hear(id, 0, &[ChannelEvent::Delivered]);
        gate.at(5000).due(id, true);
        let view = gate.status(id).unwrap();
        assert_eq!((view.delivery.unwrap().0.as_str(), view.refunded), (status, refunded));
        assert_eq!(view.cost, Money::from_micros(PRICE), "the cost stays what it was");
    }
}

/// The code itself is kept as long as some channel may have to be given it, and no longer. The sandbox is the phone.
#[test]
fn the_code_is_forgotten_once_it_was_handed_over() {
    for (hops, events, kept) in [
        (&["sms"][..], vec![], true),
        (&["sms"], vec![postponed(10)], true),
        (&["sms"], vec![accepted(None)], false),
        (&["sms"], vec![ChannelEvent::Delivered], false),
        (&["sms"], vec![failed()], false),
        (&["sms", "mail"], vec![accepted(None)], true),
        (&["sms", "mail"], vec![accepted(None), ChannelEvent::Delivered], false),
        (&["sms", "mail"], vec![failed()], true),
        (&["sandbox"], vec![accepted(None), ChannelEvent::Delivered], true),
    ] {
        let mut gate = Gate::new();
        let id = gate.sent(&Order { hops, ..to(PHONE) });
        gate.hear(id, 0, &events);
        let code = gate.store.requests[&id].message.as_ref().unwrap().code;
        assert_eq!(code.is_some(), kept, "{hops:?} {events:?}");
    }
    let mut gate = Gate::new();
    let id = gate.sent(&Order { hops: &["sms", "mail"], ..to(PHONE) });
    gate.revoke(id).unwrap();
    assert_eq!(gate.store.requests[&id].message.as_ref().unwrap().code, None, "revoked");
}

/// Every state of a code × right, wrong and no code entered: the verdict and the second (after sending) since when it
/// holds; and, after `then`, what a look without a code shows from there on.
const VERIFICATION: &str = "
given                        | at   | right code         | then          | wrong code         | then          | no code
nothing sent                 | 10   | code_invalid 10    | -             | code_invalid 10    | -             | -
no code yet                  | 10   | code_valid 10      | code_valid 10 | code_invalid 10    | code_invalid 10 | -
wrong 1                      | 10   | code_valid 10      | code_valid 10 | code_invalid 10    | code_invalid 10 | code_invalid 1
wrong 4                      | 10   | code_valid 10      | code_valid 10 | code_invalid 10    | code_invalid 10 | code_invalid 4
wrong 5                      | 10   | exceeded 10        | exceeded 10   | exceeded 10        | exceeded 10   | code_invalid 5
exceeded at 6                | 10   | exceeded 6         | exceeded 6    | exceeded 6         | exceeded 6    | exceeded 6
valid at 5                   | 10   | code_valid 5       | code_valid 5  | code_invalid 10    | code_valid 5  | code_valid 5
valid at 5, 4 wrong after    | 10   | code_valid 5       | code_valid 5  | code_invalid 10    | code_valid 5  | code_valid 5
valid at 5, 5 wrong after    | 10   | exceeded 10        | code_valid 5  | exceeded 10        | code_valid 5  | code_valid 5
no code yet                  | 599  | code_valid 599     | code_valid 599 | code_invalid 599  | code_invalid 599 | -
no code yet                  | 600  | expired 600        | expired 600   | expired 600        | expired 600   | expired 600
wrong 4                      | 601  | expired 600        | expired 600   | expired 600        | expired 600   | expired 600
exceeded at 6                | 601  | expired 600        | expired 600   | expired 600        | expired 600   | expired 600
valid at 5                   | 601  | expired 600        | code_valid 5  | expired 600        | code_valid 5  | code_valid 5
delivered at 500             | 1099 | code_valid 1099    | code_valid 1099 | code_invalid 1099 | code_invalid 1099 | -
delivered at 500             | 1100 | expired 1100       | expired 1100  | expired 1100       | expired 1100  | expired 1100
delivered at 500, read 900   | 1100 | expired 1100       | expired 1100  | expired 1100       | expired 1100  | expired 1100
read at 500                  | 1099 | code_valid 1099    | code_valid 1099 | code_invalid 1099 | code_invalid 1099 | -
delivered at 700             | 800  | code_valid 800     | code_valid 800 | code_invalid 800  | code_invalid 800 | -
revoked at 5                 | 10   | expired 5          | expired 5     | expired 5          | expired 5     | expired 5
wrong 4, revoked at 5        | 10   | expired 5          | expired 5     | expired 5          | expired 5     | expired 5
delivered, revoked at 5      | 10   | expired 5          | expired 5     | expired 5          | expired 5     | expired 5
valid at 4, revoked at 5     | 10   | code_valid 4       | code_valid 4  | code_invalid 10    | code_valid 4  | code_valid 4
life over, revoked at 700    | 701  | expired 600        | expired 600   | expired 600        | expired 600   | expired 600
delivery expired at 30       | 40   | expired 30         | expired 30    | expired 30         | expired 30    | expired 30
valid at 5, expired at 30    | 40   | expired 30         | code_valid 5  | expired 30         | code_valid 5  | code_valid 5
failed at 5                  | 10   | expired 5          | expired 5     | expired 5          | expired 5     | expired 5
single use, valid at 5       | 35   | code_valid 5       | code_valid 5  | code_invalid 35    | code_valid 5  | code_valid 5
single use, valid at 5       | 36   | expired 36         | code_valid 5  | code_invalid 36    | code_valid 5  | code_valid 5
single use, no code yet      | 36   | code_valid 36      | code_valid 36 | code_invalid 36    | code_invalid 36 | -
locked magic number          | 10   | exceeded 10        | exceeded 10   | exceeded 10        | exceeded 10   | -
locked, asked at 6           | 10   | exceeded 6         | exceeded 6    | exceeded 6         | exceeded 6    | exceeded 6
locked magic number          | 600  | expired 600        | expired 600   | expired 600        | expired 600   | expired 600
";

#[test]
fn every_code_in_every_state_of_verification() {
    for row in rows(VERIFICATION) {
        let (given, secs) = (row[0], row[1].parse().unwrap());
        let mut found = Vec::new();
        for code in [CODE, WRONG] {
            let (mut gate, id) = code_in(given);
            let verdict = gate.at(secs).enter(id, code).unwrap();
            assert_eq!(verdict.code_entered.as_deref(), Some(code), "every code is given back");
            found.extend([verdict.verification, gate.status(id).unwrap().verification]);
        }
        let (mut gate, id) = code_in(given);
        let view = gate.at(secs).status(id).unwrap();
        assert_eq!(view.code_entered, None);
        found.push(view.verification);
        let found: Vec<_> = found.into_iter().map(verdict_cell).collect();
        assert_eq!(found, row[2..], "{given}, at {secs}");
    }
}

/// Brings a code into a state. The numbers in the table's words are seconds after sending.
fn code_in(given: &str) -> (Gate, RequestId) {
    let mut gate = Gate::new();
    gate.store.accounts.get_mut(&support::ALICE.account).unwrap().single_use = given.starts_with("single");
    let number = if given.starts_with("locked") { LOCKED } else { MAGIC };
    if given == "nothing sent" {
        let id = gate.check(&to(number)).unwrap().request;
        return (gate, id);
    }
    let id = gate.sent(&Order { ttl: given.contains("expired at 30").then_some(30), ..to(number) });
    let wrong_at = |gate: &mut Gate, seconds: &[u64]| {
        for second in seconds {
            gate.at(*second).enter(id, WRONG).unwrap();
        }
    };
    match given.split(", ").next().unwrap() {
        "wrong 1" => wrong_at(&mut gate, &[1]),
        "wrong 4" => wrong_at(&mut gate, &[1, 2, 3, 4]),
        "wrong 5" => wrong_at(&mut gate, &[1, 2, 3, 4, 5]),
        "exceeded at 6" => wrong_at(&mut gate, &[1, 2, 3, 4, 5, 6]),
        "valid at 4" => drop(gate.at(4).enter(id, CODE)),
        "valid at 5" => drop(gate.at(5).enter(id, CODE)),
        "delivered" => gate.at(3).hear(id, 0, &[ChannelEvent::Delivered]),
        "delivered at 500" => gate.at(500).hear(id, 0, &[ChannelEvent::Delivered]),
        "delivered at 700" => gate.at(700).hear(id, 0, &[accepted(None), ChannelEvent::Delivered]),
        "read at 500" => gate.at(500).hear(id, 0, &[ChannelEvent::Read]),
        "revoked at 5" => gate.at(5).revoke(id).unwrap(),
        "failed at 5" => gate.at(5).hear(id, 0, &[failed()]),
        "delivery expired at 30" => gate.at(30).due(id, true),
        "no code yet" | "life over" | "single use" | "locked" | "locked magic number" => {}
        _ => panic!("{given}"),
    }
    match given.split(", ").nth(1) {
        Some("4 wrong after") => wrong_at(&mut gate, &[6, 7, 8, 9]),
        Some("5 wrong after") => wrong_at(&mut gate, &[6, 7, 8, 9, 9]),
        Some("read 900") => gate.at(900).hear(id, 0, &[ChannelEvent::Read]),
        Some("revoked at 5") => gate.at(5).revoke(id).unwrap(),
        Some("revoked at 700") => gate.at(700).revoke(id).unwrap(),
        Some("expired at 30") => gate.at(30).due(id, true),
        Some("valid at 5") => drop(gate.at(5).enter(id, CODE)),
        Some("asked at 6") => drop(gate.at(6).enter(id, CODE)),
        Some("no code yet") | None => {}
        Some(_) => panic!("{given}"),
    }
    (gate, id)
}

fn verdict_cell(verification: Option<(chappe_core::Verification, Time)>) -> String {
    let word = |(verdict, at): (chappe_core::Verification, Time)| {
        let since = at.since(START);
        assert_eq!(since.subsec_micros(), 0);
        format!("{} {}", verdict.as_str().trim_start_matches("code_max_attempts_"), since.as_secs())
    };
    cell(verification.map(word))
}

/// Also of another length: it is a wrong code, not a wrong call.
#[test]
fn a_code_of_another_length_is_a_wrong_one() {
    let mut gate = Gate::new();
    let id = gate.sent(&to(PHONE));
    for code in ["1", "12345", "00001234", "x"] {
        assert_eq!(verdict_cell(gate.enter(id, code).unwrap().verification), "code_invalid 0");
    }
    assert_eq!(verdict_cell(gate.enter(id, CODE).unwrap().verification), "code_valid 0");
}

fn asked_for(work: &Work) -> String {
    match work {
        Work::Deliver(job) => format!("deliver:{}", job.hop),
        Work::Poll(job) => format!("poll:{}", job.hop),
        Work::Withdraw(_) => "withdraw".to_owned(),
    }
}

fn accepted(poll_at: Option<Time>) -> ChannelEvent {
    ChannelEvent::Accepted { reference: Some("ref".to_owned()), poll_at }
}

fn postponed(secs: u64) -> ChannelEvent {
    ChannelEvent::Postponed { after: Duration::from_secs(secs), reason: "busy".to_owned() }
}

fn unavailable(secs: u64) -> ChannelEvent {
    ChannelEvent::Unavailable { after: Duration::from_secs(secs), reason: "503".to_owned() }
}

fn failed() -> ChannelEvent {
    ChannelEvent::Failed { reason: "no such subscriber".to_owned() }
}

fn uncertain() -> ChannelEvent {
    ChannelEvent::Uncertain { reason: "connection lost".to_owned() }
}

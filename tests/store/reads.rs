//! What workers read: what is due, and to whom.

use crate::house::{House, WINDOW, on_every_database};
use crate::reference::{OTHER, Order, PHONE, to};
use chappe::store::Busy;
use chappe_core::report::Attempt;
use chappe_core::{ChannelEvent, Command, Outcome, Rejection, ReportId, RequestId, Time};
use std::time::Duration;

on_every_database! {
    an_empty_database_has_nothing_due,
    reports_of_a_request_come_one_after_the_other,
    busy_receivers_and_accounts_are_left_alone,
    the_longest_due_comes_first,
    a_batch_that_changes_nothing_leaves_nothing,
    texts_come_back_as_they_were,
    the_highest_id_is_known,
    a_server_that_starts_again_has_not_forgotten_what_was_sent,
}

fn with_reports(number: &str) -> Order<'_> {
    Order { callback: true, ..to(number) }
}

impl House {
    async fn hear(&mut self, request: RequestId, events: &[ChannelEvent]) {
        let channel = self.row(request).await.channel().clone();
        let command = Command::Channel { now: self.now, request, hop: 0, channel, events: events.to_vec() };
        self.command(command).await.unwrap();
    }

    async fn due(&self, busy: &Busy) -> Vec<ReportId> {
        self.reader.due_reports(self.now, busy, 100).await.unwrap().iter().map(|due| due.id).collect()
    }
}

async fn an_empty_database_has_nothing_due(house: House) {
    assert_eq!(house.reader.next_due_request().await.unwrap(), None);
    assert_eq!(house.reader.next_due_report(house.now).await.unwrap(), None);
    assert!(house.reader.due_requests(house.now, 10).await.unwrap().is_empty());
    assert!(house.due(&Busy::default()).await.is_empty());
    assert!(house.reader.sandbox_messages(None, None, 10).await.unwrap().is_empty());
    let unknown = RequestId::parse("123456789012345").unwrap();
    assert!(house.reader.sandbox_message(unknown).await.unwrap().is_none());
    assert!(house.reader.request(unknown).await.unwrap().is_none());
    house.reader.keep_lane().await.unwrap();
    house.audit().await;
}

async fn reports_of_a_request_come_one_after_the_other(mut house: House) {
    let request = house.send(house.people.alice, &with_reports(PHONE)).await.unwrap().request;
    house.hear(request, &[ChannelEvent::Delivered, ChannelEvent::Read]).await;
    let (first, second) = (ReportId { request, seq: 1 }, ReportId { request, seq: 2 });
    assert_eq!(house.due(&Busy::default()).await, [first]);
    let claimed =
        house.batch(&[first, second].map(|report| Command::ClaimReport { now: house.now, report })).await;
    assert!(matches!(&claimed[0], Ok(Outcome::Report(job)) if job.report.id == first && job.report.leased));
    assert_eq!(claimed[1], Ok(Outcome::Done), "not before the first is through");
    assert!(house.due(&Busy::default()).await.is_empty(), "leased");
    let lapses = house.reader.next_due_report(house.now).await.unwrap();
    assert_eq!(lapses, Some(house.now + Duration::from_secs(30)));

    // Whoever claimed it is gone: after the lease it is there again.
    house.wait(30);
    assert_eq!(house.due(&Busy::default()).await, [first]);
    let took = Duration::from_millis(80);
    let conclude =
        |now, attempt| Command::ConcludeReport { now, report: first, attempt, took, jitter_permille: 0 };
    let failed = Attempt::Failed("no\0 answer".to_owned());
    house.command(Command::ClaimReport { now: house.now, report: first }).await.unwrap();
    let _ = house.batch(&[conclude(house.now, Attempt::Failed("503".to_owned()))]).await;
    assert_eq!(
        house.reader.next_due_report(house.now).await.unwrap(),
        Some(house.now + Duration::from_secs(5))
    );
    house.wait(5);
    // What comes from outside may hold anything.
    let _ = house.batch(&[conclude(house.now, failed)]).await;
    house.wait(30);
    house.command(conclude(house.now, Attempt::Acknowledged)).await.unwrap();
    assert_eq!(house.due(&Busy::default()).await, [second]);
    house.audit().await;
}

async fn busy_receivers_and_accounts_are_left_alone(mut house: House) {
    let (alice, bob) = (house.people.alice, house.people.bob);
    let mut made = Vec::new();
    for caller in [alice, bob] {
        let request = house.send(caller, &with_reports(OTHER)).await.unwrap().request;
        house.hear(request, &[ChannelEvent::Delivered]).await;
        made.push(ReportId { request, seq: 1 });
        house.wait(1);
    }
    assert_eq!(house.due(&Busy::default()).await, made);
    let busy = |receivers: &[&str], accounts: &[i64]| Busy {
        receivers: receivers.iter().map(|receiver| (*receiver).to_owned()).collect(),
        accounts: accounts.to_vec(),
    };
    assert_eq!(house.due(&busy(&["https://other.example"], &[alice.account.0])).await, made[1..]);
    assert_eq!(house.due(&busy(&[], &[alice.account.0, bob.account.0])).await, []);
    assert_eq!(house.due(&busy(&["https://example.com"], &[])).await, []);
    assert_eq!(house.reader.due_reports(house.now, &Busy::default(), 1).await.unwrap().len(), 1);
}

async fn the_longest_due_comes_first(mut house: House) {
    let ttl = |secs| Order { ttl: Some(secs), ..to(PHONE) };
    let mut ids = Vec::new();
    for secs in [90, 60, 30] {
        let id = house.send(house.people.alice, &ttl(secs)).await.unwrap().request;
        let poll_at = None;
        house.hear(id, &[ChannelEvent::Accepted { reference: Some("x".to_owned()), poll_at }]).await;
        ids.push(id);
    }
    ids.reverse();
    let next = house.reader.next_due_request().await.unwrap();
    assert_eq!(next, Some(house.now + Duration::from_secs(30)));
    house.wait(60);
    assert_eq!(house.reader.due_requests(house.now, 10).await.unwrap(), ids[..2]);
    assert_eq!(house.reader.due_requests(house.now, 1).await.unwrap(), ids[..1]);
    let expire = ids.iter().map(|id| Command::Due { now: house.now, request: *id, may_expire: true });
    let expire: Vec<_> = expire.collect();
    house.batch(&expire).await;
    assert_eq!(house.balance(house.people.alice).await, 990_000, "two fees were given back");
    house.audit().await;
}

async fn a_batch_that_changes_nothing_leaves_nothing(mut house: House) {
    let before = house.account("alice").await;
    let alice = house.people.alice;
    let balance = house.balance(alice).await;
    let unknown = RequestId::parse("123456789012345").unwrap();
    let refused = house.status(alice, unknown).await.unwrap_err();
    assert_eq!(refused, Rejection::RequestIdInvalid);
    assert_eq!(house.balance(alice).await, balance);
    let empty = house.batch(&[]).await;
    assert!(empty.is_empty());
    assert_eq!(house.account("alice").await.transfers, before.transfers);
    // Another account's request is as unknown as one that never was.
    let request = house.send(alice, &to(PHONE)).await.unwrap().request;
    assert_eq!(house.status(house.people.bob, request).await, Err(refused));
    assert!(house.status(alice, request).await.is_ok());
}

async fn texts_come_back_as_they_were(mut house: House) {
    let payload = "{\"a\":[1,2],\"quote\":\"'\\\\\"} ,;\u{1F600}é\u{202e}\t\n";
    let order = Order { payload: Some(payload), callback: true, ..to(PHONE) };
    let request = house.send(house.people.alice, &order).await.unwrap().request;
    let view = house.status(house.people.alice, request).await.unwrap();
    assert_eq!(view.payload.unwrap().as_str(), payload);
    let reason = "{curly, \"quoted\" \\ NULL é}".to_owned();
    house
        .hear(request, &[ChannelEvent::Postponed { after: Duration::from_secs(1), reason: reason.clone() }])
        .await;
    let row = house.reader.request(request).await.unwrap().unwrap();
    assert!(row.timeline.contains(&reason), "{}", row.timeline);
    let reference = Some("NULL".to_owned());
    house.hear(request, &[ChannelEvent::Accepted { reference, poll_at: Some(house.now) }]).await;
    let due = Command::Due { now: house.now, request, may_expire: true };
    let (_, news) = crate::house::run(&mut house.store, &house.rules, &[due]).await.unwrap();
    let jobs = format!("{:?}", news.work);
    assert!(jobs.contains("reference: Some(\"NULL\")"), "{jobs}");
}

async fn the_highest_id_is_known(mut house: House) {
    assert_eq!(house.store.last_request().await.unwrap(), None);
    let mut highest = None;
    for _ in 0..3 {
        highest = highest.max(Some(house.send(house.people.alice, &to(PHONE)).await.unwrap().request));
    }
    assert_eq!(house.store.last_request().await.unwrap(), highest);
    assert_eq!(house.store.lane(), 0, "the first server has the first lane");
    assert!(Time::from_micros(0) < house.now);
}

async fn a_server_that_starts_again_has_not_forgotten_what_was_sent(mut house: House) {
    let (alice, twin) = (house.people.alice, house.people.twin);
    for caller in [alice, alice, alice, twin] {
        house.send(caller, &to(PHONE)).await.unwrap();
    }
    house.wait(1).store.settle().await.unwrap();
    house.store = house.place.open().await;
    house.store.start_serving(house.now, WINDOW).await.unwrap();
    house.reader = house.store.reader().unwrap();
    // Five are allowed in ten minutes, real and play messages each.
    for _ in 0..2 {
        house.send(alice, &to(PHONE)).await.unwrap();
    }
    assert_eq!(house.send(alice, &to(PHONE)).await, Err(Rejection::FloodWait(599)));
    house.send(twin, &to(PHONE)).await.unwrap();
    house.wait(599).send(alice, &to(PHONE)).await.unwrap();
    house.audit().await;
}

//! What people look for among requests and reports, and how a database finds it.

use crate::house::{House, channel, on_every_database};
use crate::reference::{CODE, OTHER, Order, PHONE, WRONG, phone, to};
use chappe::store::console::reports::{ReportLine, ReportSearch};
use chappe::store::console::requests::{Found, ROWS_MAX, RequestLine, Search, Span, Status};
use chappe::store::{Change, Statement};
use chappe_core::command::Caller;
use chappe_core::phone::Country;
use chappe_core::report::{Attempt, State};
use chappe_core::{ChannelEvent, Command, ReportId, RequestId, Verification};
use std::time::Duration;

on_every_database! {
    requests_are_found_by_what_is_known_of_them,
    requests_come_in_pages,
    a_search_says_how_far_back_it_has_looked,
    a_story_is_whole_and_its_owners_alone,
    reports_are_found_by_state_and_receiver,
    lost_reports_are_found_the_oldest_first,
}

/// How far apart the ids of copies are: farther than those of a test's own requests reach.
pub(crate) const APART: i64 = 1_000_003;

impl House {
    async fn found(&self, caller: Caller, search: &Search) -> Vec<RequestId> {
        let found = self.reader.requests(caller.account, search, 50).await.unwrap();
        assert_eq!((found.more, found.reached), (None, None));
        found.rows.iter().map(|row| row.id).collect()
    }

    async fn arrive(&mut self, request: RequestId, events: &[ChannelEvent]) {
        let channel = self.row(request).await.channel().clone();
        let command = Command::Channel { now: self.now, request, hop: 0, channel, events: events.to_vec() };
        self.command(command).await.unwrap();
    }

    /// Tries a report, with this outcome, after 80 ms.
    async fn attempt(&mut self, request: RequestId, seq: u8, attempt: Attempt) {
        let (now, report) = (self.now, ReportId { request, seq });
        let took = Duration::from_millis(80);
        let conclude = Command::ConcludeReport { now, report, attempt, took, jitter_permille: 0 };
        self.batch(&[Command::ClaimReport { now, report }, conclude]).await;
    }

    /// Tries a report as often as it is tried.
    async fn lose(&mut self, request: RequestId, seq: u8) {
        for _ in 0..11 {
            self.attempt(request, seq, Attempt::Failed("503".to_owned())).await;
            self.wait(60_000);
        }
    }

    /// Gives every request a report more, of which each fiftieth is lost.
    pub(crate) async fn fill_reports(&mut self) {
        let put = Statement::new(
            "INSERT INTO report (request_id, seq, account_id, token_id, receiver, delivery, delivery_at, refunded, state,
                                 attempts, due_at, leased)
             SELECT id, 3, account_id, token_id, 'https://example.com', 'delivered', created_at, 0,
                    CASE WHEN id % 50 = 0 THEN 'lost' ELSE 'acknowledged' END, 11, created_at, 0 FROM request",
        );
        assert!(self.store.change(&Change::default().must(put)).await.unwrap());
    }

    /// Puts requests into the database that cost nothing and do nothing: copies of one that is there.
    pub(crate) async fn fill(&mut self, like: RequestId, count: i64) {
        let columns = "account_id, token_id, phone_key, phone_sealed, country, created_at, cost, refunded,
                       ability_checked, route, channel, reports, events, timeline, attempts, hop, open_hops";
        let put = Statement::new(format!(
            "WITH RECURSIVE numbers (n) AS (SELECT CAST($2 AS bigint) UNION ALL SELECT n - 1 FROM numbers WHERE n > 1)
             INSERT INTO request (id, {columns})
             SELECT request.id - $3 * n, {columns} FROM request JOIN numbers ON 1 = 1 WHERE id = $1"
        ));
        let put = put.with(like.number()).with(count).with(APART);
        assert!(self.store.change(&Change::default().must(put)).await.unwrap());
    }
}

fn ids(found: &Found<RequestLine, RequestId>) -> Vec<RequestId> {
    found.rows.iter().map(|row| row.id).collect()
}

fn names(found: &Found<ReportLine, ReportId>) -> Vec<(RequestId, u8)> {
    found.rows.iter().map(|row| (row.id.request, row.id.seq)).collect()
}

async fn requests_are_found_by_what_is_known_of_them(mut house: House) {
    let alice = house.people.alice;
    let read = house.send(alice, &to(PHONE)).await.unwrap().request;
    house.arrive(read, &[ChannelEvent::Delivered, ChannelEvent::Read]).await;
    house.enter(alice, read, CODE).await.unwrap();
    let ttl = Order { ttl: Some(30), hops: &["mail"], payload: Some("order 7"), ..to(OTHER) };
    let expired = house.send(alice, &ttl).await.unwrap().request;
    let delivered = house.send(alice, &to(PHONE)).await.unwrap().request;
    house.arrive(delivered, &[ChannelEvent::Delivered]).await;
    house.enter(alice, delivered, WRONG).await.unwrap();
    house.wait(30);
    let due = Command::Due { now: house.now, request: expired, may_expire: true };
    house.command(due).await.unwrap();
    let revoked = house.send(alice, &to(OTHER)).await.unwrap().request;
    house.command(Command::Revoke { caller: alice, now: house.now, request: revoked }).await.unwrap();
    let sent = house.send(alice, &to(OTHER)).await.unwrap().request;
    let check = to(OTHER).check_command(alice, house.now, crate::house::fresh_id());
    house.command(check).await.unwrap();
    let bobs = house.send(house.people.bob, &to(PHONE)).await.unwrap().request;

    let all = house.found(alice, &Search::ALL).await;
    let checked = all[0];
    assert_eq!(all, [checked, sent, revoked, delivered, expired, read]);
    assert_eq!(house.found(house.people.bob, &Search::ALL).await, [bobs]);
    for (status, expected) in [
        (Status::Checked, vec![checked]),
        (Status::Message, vec![sent, revoked, delivered, expired, read]),
        (Status::Sent, vec![sent]),
        (Status::Delivered, vec![delivered, read]),
        (Status::Read, vec![read]),
        (Status::Expired, vec![expired]),
        (Status::Revoked, vec![revoked]),
        (Status::Verified, vec![read]),
        (Status::Refunded, vec![expired]),
    ] {
        let found = house.found(alice, &Search { status: Some(status), ..Search::ALL }).await;
        assert_eq!(found, expected, "{status:?}");
    }
    let by_phone = Search { phone: Some(phone(PHONE)), ..Search::ALL };
    assert_eq!(house.found(alice, &by_phone).await, [delivered, read]);
    let both = Search { status: Some(Status::Read), ..by_phone };
    assert_eq!(house.found(alice, &both).await, [read]);
    let by_channel = Search { channel: Some(channel("mail")), ..Search::ALL };
    assert_eq!(house.found(alice, &by_channel).await, [expired]);
    let country = house.reader.requests(alice.account, &Search::ALL, 1).await.unwrap().rows[0].country;
    let by_country = Search { country: Some(country), ..Search::ALL };
    assert_eq!(house.found(alice, &by_country).await, all);
    let elsewhere = Search { country: Country::parse("AQ"), ..Search::ALL };
    assert!(house.found(alice, &elsewhere).await.is_empty());
    let span = Span { from: expired.number(), before: revoked.number() };
    assert_eq!(house.found(alice, &Search { span, ..Search::ALL }).await, [delivered, expired]);

    let kinds = house.reader.kinds_of_requests(alice.account, house.now.day()).await.unwrap();
    let channels: Vec<_> = kinds.iter().map(|(_, channel)| channel.as_str()).collect();
    assert!(channels.contains(&"mail") && channels.len() == 2, "{kinds:?}");
    assert!(house.reader.kinds_of_requests(alice.account, house.now.day() + 1).await.unwrap().is_empty());

    let found = house.reader.requests(alice.account, &Search::ALL, 50).await.unwrap();
    let row = |id| found.rows.iter().find(|row| row.id == id).unwrap();
    assert_eq!(row(expired).payload, "order 7");
    assert!(row(expired).refunded && row(expired).cost.is_positive());
    assert_eq!(row(read).verification(house.now), Some(Verification::Valid));
    assert_eq!(row(delivered).verification(house.now), Some(Verification::Invalid));
    assert_eq!(row(sent).verification(house.now), None);
    assert_eq!(row(sent).verification(house.wait(100_000).now), Some(Verification::Expired));
    assert_eq!(row(checked).verification(house.now), None);
}

async fn requests_come_in_pages(mut house: House) {
    let alice = house.people.alice;
    let mut sent = Vec::new();
    for _ in 0..5 {
        sent.push(house.send(alice, &to(PHONE)).await.unwrap().request);
    }
    sent.reverse();
    let mut search = Search { phone: Some(phone(PHONE)), ..Search::ALL };
    let mut pages = Vec::new();
    loop {
        let found = house.reader.requests(alice.account, &search, 2).await.unwrap();
        pages.push(ids(&found));
        let Some(more) = found.more else { break };
        search.span.before = more.number();
    }
    assert_eq!(pages, [&sent[..2], &sent[2..4], &sent[4..]]);
    // A page that is exactly full has none after it.
    search.span = Span::ALL;
    let found = house.reader.requests(alice.account, &search, 5).await.unwrap();
    assert_eq!((found.more, found.reached), (None, None));
}

async fn a_search_says_how_far_back_it_has_looked(mut house: House) {
    let alice = house.people.alice;
    let sent = house.send(alice, &to(PHONE)).await.unwrap().request;
    let oldest = to(OTHER).check_command(alice, house.now, crate::house::fresh_id());
    house.command(oldest).await.unwrap();
    let like = house.found(alice, &Search::ALL).await[0];
    // Those that are found lie at both ends of more than what is looked through at once.
    house.fill(like, 2 * ROWS_MAX).await;
    let mut search = Search { status: Some(Status::Message), ..Search::ALL };
    let found = house.reader.requests(alice.account, &search, 50).await.unwrap();
    assert_eq!(ids(&found), [sent], "the newest but one");
    let mut reached = found.reached.expect("there are older ones");
    let mut steps = 1;
    loop {
        search.span.before = reached.number();
        let found = house.reader.requests(alice.account, &search, 50).await.unwrap();
        assert!(found.rows.is_empty() && found.more.is_none());
        steps += 1;
        let Some(further) = found.reached else { break };
        assert!(further < reached);
        reached = further;
    }
    assert_eq!(steps, 3, "20,002 requests, 10,000 at a time");
    // Without filters each one fits, and nothing has to be looked through.
    let all = house.reader.requests(alice.account, &Search::ALL, 2).await.unwrap();
    assert_eq!((ids(&all), all.more, all.reached), (vec![like, sent], Some(sent), None));
}

async fn a_story_is_whole_and_its_owners_alone(mut house: House) {
    let alice = house.people.alice;
    let order = Order { ttl: Some(30), callback: true, hops: &["sms", "mail"], ..to(PHONE) };
    let request = house.send(alice, &order).await.unwrap().request;
    house.wait(30);
    house.command(Command::Due { now: house.now, request, may_expire: true }).await.unwrap();
    house.attempt(request, 1, Attempt::Failed("503".to_owned())).await;
    let story = house.reader.request_story(alice.account, request).await.unwrap().unwrap();
    assert_eq!((story.line.id, story.token, story.ttl_s), (request, alice.token, Some(30)));
    assert_eq!(story.route, ["sms", "mail"]);
    assert_eq!(story.callback_url.as_deref(), Some("https://example.com/hook"));
    let names: Vec<_> = story.events.iter().map(|event| event.name.as_str()).collect();
    assert_eq!(names, ["charged", "sent", "expired", "refunded"]);
    assert_eq!(story.events[1].detail, "sms");
    let moved: Vec<_> = story.transfers.iter().map(|one| (one.kind.as_str(), one.amount)).collect();
    assert_eq!(moved, [("charge", story.line.cost), ("refund", story.line.cost)]);
    assert_eq!(story.transfers[1].balance_after.micros(), house.balance(alice).await);
    let [report] = &story.reports[..] else { panic!("{:?}", story.reports) };
    assert_eq!((report.state, report.attempts), (State::Pending, 1));
    assert_eq!(report.last_attempt, Some((house.now, Duration::from_millis(80))));
    assert_eq!(report.last_result.as_deref(), Some("503"));
    for other in [house.people.bob, house.people.twin] {
        assert!(house.reader.request_story(other.account, request).await.unwrap().is_none());
        assert!(house.reader.reports_of(other.account, request).await.unwrap().is_empty());
    }
}

async fn reports_are_found_by_state_and_receiver(mut house: House) {
    let alice = house.people.alice;
    let mut requests = Vec::new();
    for _ in 0..3 {
        let request = house.send(alice, &Order { callback: true, ..to(PHONE) }).await.unwrap().request;
        house.arrive(request, &[ChannelEvent::Delivered, ChannelEvent::Read]).await;
        requests.push(request);
    }
    house.send(alice, &to(OTHER)).await.unwrap();
    let [first, second, third] = requests[..] else { panic!() };
    house.attempt(first, 1, Attempt::Acknowledged).await;
    house.lose(second, 1).await;
    let by = async |search: ReportSearch| {
        let found = house.reader.reports(alice.account, &search, 50).await.unwrap();
        assert_eq!((found.more, found.reached), (None, None));
        names(&found)
    };
    let all = [(third, 2), (third, 1), (second, 2), (second, 1), (first, 2), (first, 1)];
    assert_eq!(by(ReportSearch::ALL).await, all);
    let state = |state| ReportSearch { state: Some(state), ..ReportSearch::ALL };
    assert_eq!(by(state(State::Acknowledged)).await, [(first, 1)]);
    assert_eq!(by(state(State::Lost)).await, [(second, 1)]);
    assert_eq!(by(state(State::Pending)).await, [(third, 2), (third, 1), (second, 2), (first, 2)]);
    let to_host = |text: &str| ReportSearch { receiver: text.to_owned(), ..ReportSearch::ALL };
    assert_eq!(by(to_host("example.com")).await, all);
    assert!(by(to_host("example_com")).await.is_empty(), "what is typed is no pattern");
    assert!(by(ReportSearch { state: Some(State::Lost), ..to_host("example.org") }).await.is_empty());
    let span = Span { from: second.number(), before: second.number() + 1 };
    assert_eq!(by(ReportSearch { span, ..ReportSearch::ALL }).await, [(second, 2), (second, 1)]);
    assert!(
        house.reader.reports(house.people.bob.account, &ReportSearch::ALL, 50).await.unwrap().rows.is_empty()
    );
    // In pages that end between two reports of a request.
    let mut search = ReportSearch::ALL;
    let mut pages = Vec::new();
    loop {
        let found = house.reader.reports(alice.account, &search, 1).await.unwrap();
        pages.extend(names(&found));
        search.before = found.more;
        if found.more.is_none() {
            break;
        }
    }
    assert_eq!(pages, all);
}

async fn lost_reports_are_found_the_oldest_first(mut house: House) {
    let alice = house.people.alice;
    let mut requests = Vec::new();
    for _ in 0..3 {
        let request = house.send(alice, &Order { callback: true, ..to(PHONE) }).await.unwrap().request;
        house.arrive(request, &[ChannelEvent::Delivered, ChannelEvent::Read]).await;
        house.lose(request, 1).await;
        house.lose(request, 2).await;
        requests.push(request);
    }
    let lost = async |since: RequestId, after, limit| {
        let found = house.reader.lost_reports(alice.account, since, after, limit).await.unwrap();
        found.iter().map(|id| (id.request, id.seq)).collect::<Vec<_>>()
    };
    let all: Vec<_> = requests.iter().flat_map(|request| [(*request, 1), (*request, 2)]).collect();
    assert_eq!(lost(requests[0], None, 100).await, all);
    assert_eq!(lost(requests[1], None, 3).await, all[2..5]);
    let after = Some(ReportId { request: requests[1], seq: 1 });
    assert_eq!(lost(requests[0], after, 100).await, all[3..]);
    let count = async |since, most| house.reader.count_lost(alice.account, since, most).await.unwrap();
    assert_eq!((count(requests[0], 100).await, count(requests[2], 100).await), (6, 2));
    assert_eq!(count(requests[0], 4).await, 4, "no more are counted");
    let again = Command::ResendReport {
        now: house.now,
        account: alice.account,
        report: ReportId { request: requests[0], seq: 1 },
    };
    house.command(again).await.unwrap();
    assert_eq!(house.reader.count_lost(alice.account, requests[0], 100).await.unwrap(), 5);
    house.audit().await;
}

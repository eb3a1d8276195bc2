//! What pages sum up, on both databases: what it comes to, and how the databases go about it.

use crate::house::{House, on_every_database};
use crate::reference::{OTHER, PHONE, to};
use chappe::store::console::statistics::{Sums, sums};
use chappe::store::{Cell, Change, Reader, Statement};
use chappe_core::statistics::Counters;
use chappe_core::{AccountId, ChannelEvent, Command, Money, RequestId};

on_every_database! {
    sums_are_what_happened,
    sums_are_read_by_their_key,
}

impl House {
    async fn happens(&mut self, request: RequestId, event: ChannelEvent) {
        let channel = self.row(request).await.channel().clone();
        let events = vec![event];
        let command = Command::Channel { now: self.now, request, hop: 0, channel, events };
        self.command(command).await.unwrap();
    }
}

async fn sums_are_what_happened(mut house: House) {
    let (alice, bob) = (house.people.alice, house.people.bob);
    let today = house.now.day();
    assert_eq!(house.reader.sums(alice.account, 0, 0, i32::MAX).await.unwrap(), Sums::default());
    assert!(!house.reader.has_statistics(alice.account).await.unwrap());

    let first = house.send(alice, &to(PHONE)).await.unwrap();
    house.happens(first.request, ChannelEvent::Delivered).await;
    house.send(bob, &to(PHONE)).await.unwrap();
    house.wait(86_400);
    let second = house.send(alice, &to(OTHER)).await.unwrap();
    house.happens(second.request, ChannelEvent::Read).await;

    let cost = first.cost;
    let one = Counters { sent: 1, delivered: 1, charged: cost, ..Counters::default() };
    let other = Counters { read: 1, charged: second.cost, ..one };
    let all = house.reader.sums(alice.account, today, today, today + 1).await.unwrap();
    assert_eq!(all.days, [(today, one), (today + 1, other)]);
    let mut both = one;
    both += other;
    let sum = |parts: &[(String, Counters)]| {
        let mut total = Counters::default();
        parts.iter().for_each(|(_, counters)| total += *counters);
        total
    };
    assert_eq!((sum(&all.countries), sum(&all.channels)), (both, both));
    assert_eq!(both.charged, Money::from_micros(cost.micros() + second.cost.micros()));

    let latest = house.reader.sums(alice.account, today, today + 1, today + 1).await.unwrap();
    assert_eq!(latest.days, all.days, "days go back further than the rest");
    assert_eq!((sum(&latest.countries), sum(&latest.channels)), (other, other));
    let later = house.reader.sums(alice.account, today + 2, today + 2, today + 3).await.unwrap();
    assert_eq!(later, Sums::default());
    assert!(house.reader.has_statistics(alice.account).await.unwrap());
    house.audit().await;
}

/// How the database goes about a statement.
async fn plan(reader: &Reader, statement: &Statement) -> String {
    let how = match reader {
        Reader::Sqlite(_) => "EXPLAIN QUERY PLAN",
        Reader::Postgres(_) => "EXPLAIN",
    };
    let rows = reader.rows(&statement.explained(how)).await.unwrap();
    let text = |row: Vec<Cell>| match row.last() {
        Some(Cell::Text(text)) => text.clone(),
        other => panic!("a plan is text, not {other:?}"),
    };
    rows.into_iter().map(text).collect::<Vec<_>>().join("\n")
}

async fn sums_are_read_by_their_key(mut house: House) {
    let fill = Statement::new(
        "WITH RECURSIVE number (at) AS (SELECT 0 UNION ALL SELECT at + 1 FROM number WHERE at < 19999)
         INSERT INTO day SELECT 100 + at / 2000, 20000 + at % 2000, 'IT', 'sms', 1, 1, 1, 1, 0, 0, 1, 10, 0 FROM number",
    );
    let analyse = Statement::new("ANALYZE day");
    house.store.change(&Change::default().and(fill).and(analyse)).await.unwrap();
    let plan = plan(&house.reader, &sums(AccountId(103), 21_900, 21_950, 21_979)).await;
    let reads = match &house.reader {
        Reader::Sqlite(_) => {
            plan.matches("SEARCH day USING PRIMARY KEY (account_id=? AND day>? AND day<?)").count()
        }
        Reader::Postgres(_) => plan.matches("on day_pkey").count() + plan.matches("using day_pkey").count(),
    };
    assert_eq!(reads, 3, "{plan}");
}

//! What pages ask stays bounded however much there is: in a house where every table has grown, each question that the
//! sources hold is asked, and nobody goes through more rows for it than is written here.

use crate::crowd::{CROWD, Known};
use crate::house::{House, channel};
use crate::reference::{PHONE, START, phone};
use crate::statements::{fits, plain, written};
use chappe::store::asked::{self, Asked};
use chappe::store::console::movements::{MovementFilter, Side};
use chappe::store::console::payments::Collector;
use chappe::store::console::people::CustomerId;
use chappe::store::console::reports::ReportSearch;
use chappe::store::console::requests::{NUMBERS_MAX, ROWS_MAX, Search, Span, Status};
use chappe::store::{Cell, Statement};
use chappe_core::ledger::Kind;
use chappe_core::phone::Country;
use chappe_core::report::State;
use chappe_core::{Mode, RequestId, TokenId};
use serde_json::Value;
use std::time::Duration;

/// How many rows a question may go through.
const ROWS: i64 = 1_000;
/// How many steps SQLite's machine takes for a row that it goes through. One that it gives takes more, but those are few.
const STEPS_PER_ROW: i64 = 12;

/// A search through requests or reports of one account, each of which has to be looked at.
const SEARCHED: i64 = ROWS_MAX + ROWS;
/// All customers of a crowd with their accounts, looked at for several things.
const HOUSE: i64 = 12 * CROWD;

/// Who may go through more: how its text begins after its columns or what it holds, how many rows, and why that is bounded
/// nevertheless.
const MORE: &[(&str, i64, &str)] = &[
    ("FROM (SELECT id FROM request", NUMBERS_MAX, "the bound of a search itself"),
    (
        "AND phone_key = $5 ORDER BY",
        NUMBERS_MAX,
        "a search for a number goes through an index, up to its bound",
    ),
    ("last_check FROM request WHERE", SEARCHED, "a search goes no further than its bound"),
    ("FROM (SELECT request_id FROM report", SEARCHED, "the bound of a search itself"),
    ("last_ms FROM report WHERE", SEARCHED, "a search goes no further than its bound"),
    ("JOIN report ON request_id = lost_request", SEARCHED, "a search goes no further than its bound"),
    (
        "SELECT 0, day, '', CAST(sum(checked)",
        30_000,
        "180 days with 30 countries and channels, of which each is a sum",
    ),
    (
        "sum(charged), 0) AS bigint), CAST(coalesce(sum(refunded)",
        2_000,
        "30 days with 30 countries and channels",
    ),
    ("SELECT DISTINCT country, channel FROM day", 2_000, "30 days with 30 countries and channels"),
    ("WHERE customer.low_balance IS NOT NULL", 2 * CROWD, "once a minute, and no page"),
    ("FROM person WHERE operator = 1", CROWD + ROWS, "for the command line alone"),
    ("WHERE customer.id < $1 AND lower(name) LIKE", 2 * CROWD, "the operator looks for a name"),
    (
        "FROM account WHERE mode = 'live' AND customer_id IS NOT NULL",
        HOUSE,
        "the operator sums up all customers",
    ),
    ("FROM sender JOIN account", HOUSE, "the operator's senders, 20 of a customer at most"),
    ("FROM account JOIN day", HOUSE, "the operator sums up all customers"),
    (
        "FROM account JOIN request ON request.id IN",
        HOUSE,
        "whoever sees all accounts is on a development server",
    ),
    ("FROM account CROSS JOIN LATERAL", HOUSE, "whoever sees all accounts is on a development server"),
];

/// Asks for whatever pages ask for.
async fn everything_is_asked(house: &House, known: &Known) {
    let (pages, account, now) = (&house.reader, known.caller.account, house.now);
    let today = now.day();
    requests_are_asked_for(house, known).await;
    money_is_asked_for(house, known).await;
    for days in [1, 7, 30, 90] {
        pages.sums(account, today - 2 * days, today - days, today).await.unwrap();
    }
    assert!(pages.has_statistics(account).await.unwrap());

    assert_eq!(pages.token_page(account, None, 50).await.unwrap().len(), 50);
    assert_eq!(pages.token_page(account, Some(TokenId(1)), 50).await.unwrap().len(), 0);
    assert!(pages.token_of(known.customer, known.caller.token).await.unwrap().is_some());
    assert_eq!(pages.token_with([9; 32]).await.unwrap(), None);
    assert!(pages.good_tokens(account, now).await.unwrap() > 50);
    assert!(!pages.has_good_token(account, "nobody's", now).await.unwrap());
    assert_eq!(pages.senders(account).await.unwrap().len(), 1);

    assert_eq!(pages.audit_log(Some(known.customer), None, 50).await.unwrap().len(), 50);
    assert_eq!(pages.audit_log(Some(CustomerId(999_999)), None, 50).await.unwrap().len(), 0);
    assert_eq!(pages.audit_log(None, None, 50).await.unwrap().len(), 50);
    for action in ["token.create", "member.add", "never.done"] {
        pages.done_since(known.customer, action, now - Duration::from_secs(24 * 3_600)).await.unwrap();
    }

    assert!(pages.person(known.person).await.unwrap().is_some());
    assert!(pages.person_of(known.phone).await.unwrap().is_some());
    assert!(pages.operators().await.unwrap().is_empty());
    assert_eq!(pages.memberships(known.person).await.unwrap().len(), 1);
    assert!(pages.invitations(known.person).await.unwrap().is_empty());
    assert!(pages.invitations(known.person).await.unwrap().is_empty());
    assert_eq!(pages.members(known.customer).await.unwrap().len(), 1);
    assert!(pages.customer(known.customer).await.unwrap().is_some());
    assert!(pages.customer_named(known.name).await.unwrap().is_some());
    assert!(pages.session(known.session).await.unwrap().is_some());
    assert!(pages.sessions(known.person, START).await.unwrap().len() > 50);
    assert!(pages.login([1; 32]).await.unwrap().is_none());
    assert_eq!(pages.logins_from("192.0.2.7", START).await.unwrap(), 0);

    assert_eq!(pages.customers("", None, today - 30, 50).await.unwrap().len(), 50);
    assert_eq!(pages.customers(known.name, None, today - 30, 50).await.unwrap().len(), 1);
    assert!(pages.house_totals(today - 30).await.unwrap().customers > 1_000);
    assert!(pages.accounts_of(known.customer).await.unwrap().is_some());
    assert_eq!(pages.sender_lines(None, 50).await.unwrap().len(), 50);
    assert_eq!(pages.sender_lines(Some(known.customer), 50).await.unwrap().len(), 1);
    assert!(!pages.channel_sums(today - 30).await.unwrap().is_empty());
    pages.waiting(now).await.unwrap();
}

async fn requests_are_asked_for(house: &House, known: &Known) {
    let (pages, account) = (&house.reader, known.caller.account);
    let day = Span { from: known.newest.number() - 86_400_000_000, before: i64::MAX };
    let mut searches = vec![Search::ALL, Search { span: day, ..Search::ALL }];
    searches.extend(Status::ALL.map(|status| Search { status: Some(status), ..Search::ALL }));
    searches.push(Search { phone: Some(phone("+391234501001")), ..Search::ALL });
    searches.push(Search { country: Some(Country::UNKNOWN), ..Search::ALL });
    searches.push(Search { country: Country::parse("AQ"), ..Search::ALL });
    searches.push(Search { channel: Some(channel("nowhere")), ..Search::ALL });
    for search in &searches {
        pages.requests(account, search, 50).await.unwrap();
    }
    let story = pages.request_story(account, known.reported).await.unwrap().unwrap();
    assert_eq!((story.reports.len(), story.transfers.len()), (2, 1));
    assert!(!pages.kinds_of_requests(account, house.now.day() - 30).await.unwrap().is_empty());

    for state in [None, Some(State::Pending), Some(State::Acknowledged), Some(State::Lost)] {
        for receiver in ["", "example.com", "nowhere"] {
            let search = ReportSearch { state, receiver: receiver.to_owned(), ..ReportSearch::ALL };
            let found = pages.reports(account, &search, 50).await.unwrap();
            let search = ReportSearch { before: found.more, ..search };
            pages.reports(account, &search, 50).await.unwrap();
        }
    }
    let oldest = RequestId::floor(START - Duration::from_secs(400 * 24 * 3_600));
    assert_eq!(pages.count_lost(account, oldest, 1_000).await.unwrap(), 1_000);
    assert_eq!(pages.lost_reports(account, oldest, None, 500).await.unwrap().len(), 500);

    for account in [None, Some(account)] {
        for phone in [None, Some(phone("+391234501001")), Some(phone(PHONE))] {
            pages.sandbox_messages(account, phone, 50).await.unwrap();
        }
    }
    assert!(pages.sandbox_message(known.newest).await.unwrap().is_some());
}

async fn money_is_asked_for(house: &House, known: &Known) {
    let (pages, account, name, now) = (&house.reader, known.caller.account, known.name, house.now);
    let days = |days: u64| now - Duration::from_secs(days * 24 * 3_600);
    let kinds = [None, Some(Kind::Charge), Some(Kind::Refund), Some(Kind::Deposit), Some(Kind::Adjustment)];
    let spans =
        [(None, None), (Some(days(1)), None), (None, Some(days(30))), (Some(days(30)), Some(days(29)))];
    for kind in kinds {
        for (from, to) in spans {
            for side in [Side::Before(i64::MAX), Side::Before(30_000), Side::After(0), Side::After(30_000)] {
                pages.movements(account, &MovementFilter { kind, from, to }, side, 51).await.unwrap();
            }
        }
    }
    assert!(pages.turnover(account, now.day() - 30).await.unwrap().charged.is_positive());
    assert!(pages.deposits(account, days(30)).await.unwrap().is_positive());
    assert!(pages.balance(account).await.unwrap().is_positive());
    assert!(pages.low_balances().await.unwrap().is_empty());
    assert!(pages.payment(&format!("{name} 7")).await.unwrap().is_some());
    assert!(pages.payment_of(Collector::Stripe, &format!("{name} 7")).await.unwrap().is_some());
    assert_eq!(pages.payments(account, 10).await.unwrap().len(), 10);
    assert!(pages.customer_of(account).await.unwrap().is_some());
    assert_eq!(pages.payments_begun(account, days(1)).await.unwrap(), 1);
    assert_eq!(pages.account(name, Mode::Live).await.unwrap().id, account);
}

#[tokio::test]
async fn nothing_that_pages_ask_of_sqlite_goes_through_a_table() {
    let mut house = House::sqlite().await;
    let asked = ask(&mut house).await;
    let faults = asked.iter().filter_map(|Asked { statement, steps }| {
        let most = most(statement) * STEPS_PER_ROW;
        (*steps > most).then(|| format!("{steps} steps, and {most} are enough:\n{statement:?}"))
    });
    complain(&faults.collect::<Vec<_>>());
}

#[tokio::test]
async fn nothing_that_pages_ask_of_postgresql_goes_through_a_table() {
    let mut house = House::postgres().await;
    let asked = ask(&mut house).await;
    let shown = house.reader.rows(&Statement::new("SHOW plan_cache_mode")).await.unwrap();
    assert_eq!(shown, [[Cell::Text("force_custom_plan".to_owned())]], "each is planned for its values");
    let client = house.database().client().await;
    client.batch_execute("SET jit = off; SET plan_cache_mode = force_custom_plan").await.unwrap();
    let mut faults = Vec::new();
    for Asked { statement, .. } in &asked {
        let most = most(statement);
        client.batch_execute(&format!("PREPARE asked AS {}", statement.text())).await.unwrap();
        let values: Vec<String> = statement.values().iter().map(literal).collect();
        let values = if values.is_empty() { String::new() } else { format!("({})", values.join(", ")) };
        let explain = format!("EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) EXECUTE asked{values}");
        let rows = client.simple_query(&explain).await.unwrap();
        let plan = rows.iter().find_map(|row| match row {
            tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0),
            _ => None,
        });
        let plan: Value = serde_json::from_str(plan.unwrap()).unwrap();
        let through = gone_through(&plan[0]["Plan"]);
        if through > most {
            faults.push(format!("{through} rows, and {most} are enough:\n{statement:?}\n{plan:#}"));
        }
        client.batch_execute("DEALLOCATE asked").await.unwrap();
    }
    complain(&faults);
}

fn complain(faults: &[String]) {
    assert!(faults.is_empty(), "{} of them:\n{}", faults.len(), faults.join("\n\n"));
}

/// All that is asked, once everything is: no statement of the sources is left out.
async fn ask(house: &mut House) -> Vec<Asked> {
    let known = house.crowd().await;
    asked::record();
    for known in &known {
        everything_is_asked(house, known).await;
    }
    let asked = asked::recorded();
    let texts: Vec<String> = asked.iter().map(|asked| plain(asked.statement.text())).collect();
    let reads = |text: &str| text.starts_with("SELECT ") || text.starts_with("WITH ");
    let written = written(&["console"]).into_iter().filter(|(_, pattern)| reads(pattern));
    let missing: Vec<_> =
        written.filter(|(_, pattern)| !texts.iter().any(|text| fits(pattern, text))).collect();
    assert!(missing.is_empty(), "nobody asks {missing:#?} in a full house");
    asked
}

/// How many rows a question may go through.
fn most(statement: &Statement) -> i64 {
    let text = plain(statement.text());
    MORE.iter().find(|(part, ..)| text.contains(part)).map_or(ROWS, |(_, rows, _)| *rows)
}

/// A value as SQL has it.
fn literal(cell: &Cell) -> String {
    match cell {
        Cell::Null => "NULL".to_owned(),
        Cell::Number(number) => number.to_string(),
        Cell::Text(text) => format!("'{}'", text.replace('\'', "''")),
        Cell::Bytes(bytes) => {
            format!("'\\x{}'", bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
        }
    }
}

/// How many rows of tables are read for a plan: those that it goes on with, and those that it leaves.
fn gone_through(node: &Value) -> i64 {
    // Newer servers tell the mean of several loops with a point in it.
    #[allow(clippy::cast_possible_truncation)] // Far below.
    let number = |name: &str| node[name].as_f64().unwrap_or_default().ceil() as i64;
    let rows = ["Actual Rows", "Rows Removed by Filter", "Rows Removed by Index Recheck"].map(number);
    let of_table = node.get("Relation Name").is_some();
    let here = if of_table { rows.iter().sum::<i64>() * number("Actual Loops") } else { 0 };
    let below: i64 = node["Plans"].as_array().map_or(0, |plans| plans.iter().map(gone_through).sum());
    here + below
}

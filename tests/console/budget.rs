//! The budget: every movement, the file for spreadsheets, the warning, and play money.

use crate::support::{Answer, Browser, Server};
use chappe::store::console::people::Role;
use chappe_core::ledger::Kind;
use chappe_core::{Command, Mode, Money};
use serde_json::json;

const ANNA: &str = "+9996600011";
const BRUNO: &str = "+9996600022";

async fn seated(server: &Server, phone: &str, role: Role) -> Browser {
    server.admit("alice", phone, role).await;
    let mut browser = Browser::new(server);
    browser.log_in(server, phone).await;
    browser
}

async fn book(server: &Server, amount: &str, reason: &str) {
    let command = Command::Credit {
        now: server.app.clock.now(),
        account: server.account("alice", Mode::Live).await.id,
        kind: Kind::Adjustment,
        amount: amount.parse().unwrap(),
        reference: None,
        reason: reason.to_owned(),
    };
    server.app.engine.submit(command).await.unwrap();
}

/// How many movements a page lists.
fn listed(page: &Answer) -> usize {
    let list = page.text().split_once("id=\"list\"").expect("a list").1;
    list.matches("<tr><th scope=\"row\"").count()
}

/// Where the link with this relation leads.
fn link(page: &Answer, rel: &str) -> Option<String> {
    let text = page.text();
    let (before, _) = text.split_once(&format!("\" rel=\"{rel}\""))?;
    Some(before.rsplit('"').next()?.replace("&#38;", "&").replace("&amp;", "&"))
}

#[tokio::test]
async fn every_movement_is_listed_with_the_balance_after_it() {
    let server = Server::start(|_| {}).await;
    let mut anna = seated(&server, ANNA, Role::Finance).await;
    server.send(json!({ "phone_number": "+9996600100", "code": "4821" })).await;
    for number in 0..60 {
        book(&server, "0.000001", &format!("number {number}")).await;
    }
    let first = anna.open("/budget").await;
    assert_eq!((first.status, listed(&first)), (200, 50), "{}", first.text());
    assert!(first.text().contains(&server.balance().await.to_string()), "{}", first.text());
    assert!(first.text().contains("number 59") && !first.text().contains("number 9<"));
    assert_eq!(link(&first, "prev"), None);
    let second = anna.open(&link(&first, "next").unwrap()).await;
    assert_eq!((listed(&second), link(&second, "next")), (12, None));
    assert!(second.text().contains("Fee") && second.text().contains("to begin with"));
    // Whoever may not see requests is given no link to one.
    assert!(!second.text().contains("/requests/"), "{}", second.text());
    let back = anna.open(&link(&second, "prev").unwrap()).await;
    assert_eq!(listed(&back), 50);
    assert!(back.text().contains("number 59"));

    let fees = anna.open("/budget?kind=charge").await;
    assert_eq!(listed(&fees), 1);
    let none = anna.open("/budget?kind=deposit&from=2000-01-01&to=2000-01-31").await;
    assert!(none.text().contains("Nothing matches"), "{}", none.text());
    let odd = anna.open("/budget?from=yesterday").await;
    assert_eq!(odd.status, 200);
    assert!(odd.text().contains("Write the day as in 2026-09-20."), "{}", odd.text());
    server.stop();
}

#[tokio::test]
async fn the_file_for_spreadsheets_holds_every_movement_and_no_formula() {
    let server = Server::start(|_| {}).await;
    let mut anna = seated(&server, ANNA, Role::Owner).await;
    server.send(json!({ "phone_number": "+9996600100", "code": "4821" })).await;
    book(&server, "-1.5", "=HYPERLINK(\"http://evil.example\")").await;
    for _ in 0..1_100 {
        book(&server, "0.001", "x").await;
    }
    let file = anna.get("/budget.csv").await;
    assert_eq!(file.header("content-type"), Some("text/csv; charset=utf-8; header=present"));
    let disposition = file.header("content-disposition").unwrap();
    assert!(disposition.starts_with("attachment; filename=\"chappe-live-"), "{disposition}");
    let text = file.text();
    assert!(text.contains("\"'=HYPERLINK(\"\"http://evil.example\"\")\""), "{text:.800}");
    let rows: Vec<&str> = text.trim_end().split("\r\n").skip(1).collect();
    assert_eq!(rows.len(), 1_103);
    let mut sum = Money::ZERO;
    for (at, row) in rows.iter().enumerate() {
        assert_eq!(row.split(',').next(), Some((at + 1).to_string().as_str()), "no gap");
        let mut cells = row.rsplit(',');
        let balance: Money = cells.next().unwrap().parse().unwrap();
        sum = sum.checked_add(cells.next().unwrap().parse().unwrap()).unwrap();
        assert_eq!(sum, balance, "{row}");
    }
    assert_eq!(sum, server.balance().await);
    let few = anna.get("/budget.csv?kind=charge").await;
    assert_eq!(few.text().matches("\r\n").count(), 2);
    assert_eq!(anna.get("/budget.csv?to=soon").await.status, 400);
    server.stop();
}

#[tokio::test]
async fn a_low_balance_is_warned_of() {
    let server = Server::start(|_| {}).await;
    let mut anna = seated(&server, ANNA, Role::Finance).await;
    let page = anna.open("/budget").await;
    assert!(!page.text().contains("running low"));
    let page = anna.submit("/budget/alert", &[("alert", "a lot")]).await;
    assert!(page.text().contains("Write an amount above zero"), "{}", page.text());
    let page = anna.submit("/budget/alert", &[("alert", "100.000001")]).await;
    assert!(page.text().contains("running low") && page.text().contains("value=\"100.000001\""));
    let page = anna.submit("/budget/alert", &[("alert", "100")]).await;
    assert!(!page.text().contains("running low"));
    let page = anna.submit("/budget/alert", &[("alert", "")]).await;
    assert!(!page.text().contains("value=\"100\""));
    let entries = server.app.pages.audit_log(None, None, 10).await.unwrap();
    let told: Vec<_> = entries.iter().filter(|(_, entry)| entry.action == "budget.alert").collect();
    assert_eq!(told.len(), 3);
    assert_eq!(told[0].1.detail, "never");
    server.stop();
}

#[tokio::test]
async fn developers_see_no_money_and_strangers_no_other_customers() {
    let server = Server::start(|_| {}).await;
    let mut anna = seated(&server, ANNA, Role::Developer).await;
    for path in ["/budget", "/budget.csv", "/budget/add", "/budget/payments/x"] {
        assert_eq!(anna.get(path).await.status, 403, "{path}");
    }
    anna.open("/login").await;
    let mut nobody = Browser::new(&server);
    for path in ["/budget", "/budget.csv", "/budget/add", "/budget/payments/x"] {
        assert_eq!(nobody.get(path).await.status, 303, "{path}");
    }
    server.stop();
}

#[tokio::test]
async fn play_money_is_there_at_once_and_real_money_is_the_operators() {
    let server = Server::start(|_| {}).await;
    let mut anna = seated(&server, ANNA, Role::Owner).await;
    let page = anna.open("/budget/add").await;
    let account = server.account("alice", Mode::Live).await.id;
    assert!(page.text().contains(&format!("alice {}", account.0)), "{}", page.text());
    let refused = anna.submit("/budget/add", &[("amount", "5"), ("method", "stripe")]).await;
    assert_eq!((refused.status, server.balance().await.to_string().as_str()), (200, "100"));

    anna.submit("/switch", &[("mode", "test"), ("back", "/budget/add")]).await;
    for (amount, said) in [
        ("", "Write an amount such as"),
        ("-1", "from 0.000001 to 1000"),
        ("1000.1", "from 0.000001 to 1000"),
    ] {
        let page = anna.submit("/budget/add", &[("amount", amount)]).await;
        assert!(page.text().contains(said), "{amount}: {}", page.text());
    }
    let page = anna.submit("/budget/add", &[("amount", "12.5")]).await;
    assert_eq!(anna.at, "/budget?said=added");
    assert!(page.text().contains("play money for Somebody"), "{}", page.text());
    assert_eq!(server.account("alice", Mode::Test).await.balance.to_string(), "112.5");
    assert_eq!(server.balance().await.to_string(), "100");
    server.stop();
}

#[tokio::test]
async fn an_empty_budget_says_how_to_begin() {
    let server = Server::start(|setup| setup.balance = "0").await;
    let mut bruno = seated(&server, BRUNO, Role::Owner).await;
    let page = bruno.open("/budget").await;
    assert!(page.text().contains("No movements yet"), "{}", page.text());
    assert!(page.text().contains("curl http") && page.text().contains(crate::support::ALICE));
    server.stop();
}

//! The pages of those who run the gateway.

use crate::support::{Browser, Server};
use chappe::store::console::people::Role;
use chappe_core::Mode;
use chappe_core::text::Username;
use std::time::Duration;

const OTTO: &str = "+9996600033";
const ANNA: &str = "+9996600011";

const PAGES: [&str; 6] = [
    "/operator",
    "/operator/accounts/1",
    "/operator/senders",
    "/operator/channels",
    "/operator/prices",
    "/operator/log",
];

async fn operator(server: &Server) -> Browser {
    server.appoint(OTTO).await;
    let mut otto = Browser::new(server);
    otto.log_in(server, OTTO).await;
    otto
}

async fn page_of(server: &Server, customer: &str) -> String {
    let id = server.app.pages.customer_named(customer).await.unwrap().unwrap();
    format!("/operator/accounts/{}", id.0)
}

#[tokio::test]
async fn to_others_the_pages_do_not_exist() {
    let server = Server::start(|_| {}).await;
    server.admit("alice", ANNA, Role::Owner).await;
    let mut anna = Browser::new(&server);
    anna.log_in(&server, ANNA).await;
    anna.open("/budget").await;
    let unknown = anna.get("/operator/accounts/x").await;
    assert_eq!(unknown.status, 404);
    let here = page_of(&server, "alice").await;
    for path in PAGES.into_iter().chain([here.as_str(), "/operator/payments/x/refund"]) {
        let answer = anna.get(path).await;
        assert_eq!((answer.status, answer.text()), (404, unknown.text()), "{path}");
    }
    anna.open("/budget").await;
    let form = [("amount", "5"), ("reference", "r"), ("reason", "x"), ("verify", "1 x")];
    for path in ["credit", "adjust"].map(|what| format!("{here}/{what}")) {
        assert_eq!(anna.post(&path, &form).await.status, 404, "{path}");
    }
    for path in ["/operator/senders", "/operator/payments/x/refund"] {
        assert_eq!(anna.post(path, &form).await.status, 404, "{path}");
    }
    assert_eq!(server.balance().await.to_string(), "100");
    let mut nobody = Browser::new(&server);
    assert_eq!(nobody.get("/operator").await.status, 303);
    server.stop();
}

#[tokio::test]
async fn every_customer_is_listed_and_found() {
    let server = Server::start(|_| {}).await;
    server.admit("alice", ANNA, Role::Owner).await;
    let mut otto = operator(&server).await;
    let page = otto.open("/operator").await;
    assert!(page.text().contains(">alice</a>") && page.text().contains(">bob</a>"), "{}", page.text());
    assert!(page.text().contains("<span class=\"figure\">200</span>"), "{}", page.text());
    for (asked, alice, bob) in
        [("ALI", true, false), ("bob", false, true), ("%2B9996600011", true, false), ("zz", false, false)]
    {
        let page = otto.open(&format!("/operator?q={asked}")).await;
        let has = |name: &str| page.text().contains(&format!(">{name}</a>"));
        assert_eq!((has("alice"), has("bob")), (alice, bob), "{asked}");
    }
    let here = page_of(&server, "alice").await;
    let page = otto.open(&here).await;
    assert!(page.text().contains("to begin with") && page.text().contains("Somebody"), "{}", page.text());
    assert!(!page.text().contains(crate::support::ALICE), "a token is shown to nobody here");
    assert_eq!(otto.get("/operator/accounts/999").await.status, 404);
    server.stop();
}

#[tokio::test]
async fn money_is_booked_by_hand_once_and_noted() {
    let server = Server::start(|_| {}).await;
    let mut otto = operator(&server).await;
    let here = page_of(&server, "alice").await;
    let credit = format!("{here}/credit");
    otto.open(&here).await;
    let page = otto.submit(&credit, &[("amount", "-5"), ("reference", ""), ("reason", "")]).await;
    assert!(page.text().contains("Write an amount above zero") && page.text().contains("Fill this in."));
    let good = [("amount", "25.5"), ("reference", "INV-1"), ("reason", "paid by wire"), ("mode", "live")];
    let page = otto.submit(&credit, &good).await;
    assert!(page.text().contains("Booked.") && page.text().contains("paid by wire (INV-1)"));
    assert_eq!(server.balance().await.to_string(), "125.5");
    let page = otto.submit(&credit, &good).await;
    assert!(page.text().contains("was booked before"), "{}", page.text());
    let other = [("amount", "26"), ("reference", "INV-1"), ("reason", "x"), ("mode", "test")];
    let page = otto.submit(&credit, &other).await;
    assert!(page.text().contains("used before, for 25.5 to the live account of alice"), "{}", page.text());
    let much = [("amount", "9000000000000"), ("reference", "INV-2"), ("reason", "x")];
    let page = otto.submit(&credit, &much).await;
    assert!(page.text().contains("So much the account cannot hold."), "{}", page.text());

    let adjust = format!("{here}/adjust");
    for (change, said) in [("0", "with its sign"), ("x", "with its sign"), ("-200", "has only 125.5")] {
        let page = otto.submit(&adjust, &[("change", change), ("why", "a slip")]).await;
        assert!(page.text().contains(said), "{change}: {}", page.text());
    }
    let page = otto.submit(&adjust, &[("change", "-0.5"), ("why", "a slip")]).await;
    assert!(page.text().contains("Booked."), "{}", page.text());
    otto.submit(&adjust, &[("change", "+7"), ("why", "play"), ("mode", "test")]).await;
    assert_eq!(server.balance().await.to_string(), "125");
    assert_eq!(server.account("alice", Mode::Test).await.balance.to_string(), "107");

    let page = otto.open("/operator/log").await;
    for said in ["account.credit", "25.5 to the live account (INV-1): paid by wire", "account.adjust"] {
        assert!(page.text().contains(said), "{said}: {}", page.text());
    }
    assert_eq!(otto.get("/operator/accounts/999").await.status, 404);
    assert_eq!(otto.post("/operator/accounts/999/credit", &good).await.status, 404);
    server.stop();
}

#[tokio::test]
async fn money_wants_a_proof_of_late() {
    let server = Server::start(|setup| setup.clock_at(1_795_000_000)).await;
    let mut otto = operator(&server).await;
    let here = page_of(&server, "alice").await;
    server.app.clock.advance(Duration::from_secs(16 * 60));
    otto.open(&here).await;
    let good = [("amount", "25.5"), ("reference", "INV-1"), ("reason", "paid by wire")];
    let answer = otto.post(&format!("{here}/credit"), &good).await;
    assert!(answer.header("location").unwrap().starts_with("/confirm?then="), "{}", answer.head);
    let answer = otto.post(&format!("{here}/adjust"), &[("change", "1"), ("why", "x")]).await;
    assert!(answer.header("location").unwrap().starts_with("/confirm?then="), "{}", answer.head);
    assert_eq!(server.balance().await.to_string(), "100");
    server.stop();
}

#[tokio::test]
async fn senders_are_verified_refused_and_withdrawn() {
    let server = Server::start(|_| {}).await;
    let mut otto = operator(&server).await;
    let page = otto.open("/operator/senders").await;
    assert!(page.text().contains("No senders") && page.text().contains("Nothing waits for you."));
    let name = Username::parse("alice_news").unwrap();
    let mut store = server.store().await;
    for mode in [Mode::Live, Mode::Test] {
        let account = server.account("alice", mode).await.id;
        store.put_sender(account, &name, false, server.app.clock.now()).await.unwrap();
    }
    let customer = server.app.pages.customer_named("alice").await.unwrap().unwrap();
    let named = format!("{} alice_news", customer.0);
    let page = otto.open("/operator/senders").await;
    assert!(page.text().contains("1 wait for you") && page.text().contains("not proven"), "{}", page.text());
    let senders = async |mode| server.account("alice", mode).await.senders;
    otto.submit("/operator/senders", &[("verify", &named)]).await;
    for mode in [Mode::Live, Mode::Test] {
        assert_eq!(senders(mode).await, [(name.clone(), true)]);
    }
    let page = otto.submit("/operator/senders", &[("refuse", &named)]).await;
    assert!(page.text().contains("Withdrawn."), "{}", page.text());
    assert_eq!(senders(Mode::Live).await, [(name.clone(), false)], "withdrawn: it waits again");
    let page = otto.submit("/operator/senders", &[("refuse", &named)]).await;
    assert!(page.text().contains("Refused. The channel is off this list"), "{}", page.text());
    assert_eq!(senders(Mode::Test).await, []);
    // Whom it concerns is told, until they register it again or a month has passed.
    server.admit("alice", ANNA, Role::Owner).await;
    let mut anna = Browser::new(&server);
    anna.log_in(&server, ANNA).await;
    let told = "The operator refused <b>@alice_news</b>";
    assert!(anna.open("/senders").await.text().contains(told));
    server.app.clock.advance(Duration::from_secs(30 * 24 * 3600));
    anna.log_in(&server, ANNA).await;
    otto.log_in(&server, OTTO).await;
    assert!(!anna.open("/senders").await.text().contains(told), "a month later");
    otto.open("/operator/senders").await;
    let page = otto.submit("/operator/senders", &[("verify", &named)]).await;
    assert!(page.text().contains("no longer there"), "{}", page.text());
    assert_eq!(otto.post("/operator/senders", &[("verify", "x")]).await.status, 400);
    let log = otto.open("/operator/log").await;
    for action in ["sender.verify", "sender.withdraw", "sender.refuse"] {
        assert!(log.text().contains(action), "{action}: {}", log.text());
    }
    server.stop();
}

#[tokio::test]
async fn in_the_log_of_everything_one_can_look_for_something() {
    let server = Server::start(|_| {}).await;
    server.admit("alice", ANNA, Role::Owner).await;
    let mut otto = operator(&server).await;
    let here = page_of(&server, "alice").await;
    otto.open(&here).await;
    let good = [("amount", "25.5"), ("reference", "INV-1"), ("reason", "paid by wire"), ("mode", "live")];
    otto.submit(&format!("{here}/credit"), &good).await;
    for (query, credit, log_in) in [
        ("", true, true),
        ("?what=account.", true, false),
        ("?what=log", false, true),
        ("?q=INV-1", true, false),
        ("?q=nobody", false, false),
    ] {
        let page = otto.open(&format!("/operator/log{query}")).await;
        let has = |action: &str| page.text().contains(&format!(">{action}</td>"));
        assert_eq!((has("account.credit"), has("log-in")), (credit, log_in), "{query}");
    }
    let page = otto.open("/operator/log?what=account.").await;
    assert!(page.text().contains(&format!("<a href=\"{here}\" data-row>alice</a>")), "{}", page.text());
    let none = otto.open("/operator/log?q=nobody").await;
    assert!(none.text().contains("No entry fits.") && none.text().contains("href=\"/operator/log\">Clear"));
    server.stop();
}

#[tokio::test]
async fn prices_limits_and_routes_are_shown_as_they_are() {
    let server = Server::start(|_| {}).await;
    let mut otto = operator(&server).await;
    let page = otto.open("/operator/prices").await;
    for said in ["all others", "0.01", "5 within 600 s", "chappe.toml"] {
        assert!(page.text().contains(said), "{said}: {}", page.text());
    }
    let page = otto.open("/operator/prices?phone_number=%2B39+333+123+4567").await;
    assert!(page.text().contains("(Italy) costs 0.01, the price of all others"), "{}", page.text());
    let page = otto.open("/operator/prices?phone_number=12").await;
    assert!(page.text().contains("Write the number with its country code"), "{}", page.text());
    let page = otto.open("/operator/channels").await;
    assert!(page.text().contains("No channels") && page.text().contains("the sandbox"), "{}", page.text());
    server.stop();
}

//! Two customers: whatever is another's is answered like what never was, byte for byte, wherever it can be named. For the
//! API and the sandbox, tests/wire does the same.

use crate::roles::{For, TABLE};
use crate::support::{ALICE, ALICE_TEST, Answer, Browser, Receiver, Reply, Server};
use chappe::store::console::payments::{self, Collector, PaymentRow, PaymentState};
use chappe::store::console::people::Role;
use chappe::store::console::senders;
use chappe_core::text::Username;
use chappe_core::{Mode, Money, Phone};
use serde_json::json;

const ANNA: &str = "+9996600011";
const FINN: &str = "+9996600022";
const BRUNO: &str = "+9996600033";

/// What can be named.
struct Names {
    request: String,
    token: String,
    person: String,
    session: String,
    sender: String,
    payment: String,
    phone: String,
}

/// What nobody has, in names as long as these.
fn nobodys(names: &Names) -> Names {
    let number = |like: &str| format!("{:1>1$}", "", like.len().max(3));
    Names {
        request: "123456789012345".to_owned(),
        token: number(&names.token),
        person: number(&names.person),
        session: number(&names.session),
        sender: "nobody_shop".to_owned(),
        payment: "stripe-nobodys".to_owned(),
        phone: "+9996600099".to_owned(),
    }
}

type Ask = (&'static str, String, Vec<(&'static str, String)>);

/// Everything that can be asked by name: what stands in paths, as the table of the roles has it, then what stands in
/// queries and forms.
fn asks(of: &Names) -> Vec<Ask> {
    let mut asks: Vec<Ask> = Vec::new();
    for (method, pattern, whom, fields, _) in TABLE.iter().copied() {
        if pattern.contains('{') && matches!(whom, For::Members(_)) {
            let id = if pattern.starts_with("/requests") { &of.request } else { &of.token };
            let path = pattern.replace("{id}", id).replace("{username}", &of.sender);
            let path = path.replace("{person}", &of.person).replace("{payment}", &of.payment);
            asks.push((
                method,
                path,
                fields.iter().map(|(name, value)| (*name, (*value).to_owned())).collect(),
            ));
        }
    }
    for path in ["/requests", "/requests.csv", "/reports"] {
        for field in ["q", "before", "further"] {
            asks.push(("GET", format!("{path}?{field}={}", of.request), Vec::new()));
        }
    }
    asks.push(("GET", format!("/reports?before={}-1", of.request), Vec::new()));
    asks.push(("GET", format!("/requests?q={}", of.phone.replace('+', "%2B")), Vec::new()));
    let report = format!("{}-1", of.request);
    let since = ("since", "2020-01-01T00:00".to_owned());
    let forms = [
        ("/reports/again", vec![("report", report.clone())]),
        ("/reports/recover", vec![since, ("after", report)]),
        (
            "/reports/check",
            vec![
                ("token", of.token.clone()),
                ("timestamp", "1795000000".to_owned()),
                ("signature", "00".repeat(32)),
                ("body", "{}".to_owned()),
            ],
        ),
        ("/sessions/end", vec![("session", of.session.clone())]),
        ("/senders", vec![("username", of.sender.clone())]),
        ("/team", vec![("phone_number", of.phone.clone()), ("role", "finance".to_owned())]),
    ];
    asks.extend(forms.into_iter().map(|(path, fields)| ("POST", path.to_owned(), fields)));
    asks
}

/// An answer without what the question itself says, and without its date.
fn told(answer: &Answer, names: &Names) -> (u16, String, String) {
    let plain = |text: &str| {
        let text = text.replace(&names.request, "REQUEST").replace(&names.sender, "SENDER");
        let text = text.replace(&names.payment, "PAYMENT").replace(&names.phone, "PHONE");
        text.replace(&names.phone.replace('+', "%2B"), "PHONE")
    };
    let head: Vec<_> = answer
        .head
        .lines()
        .filter(|line| !line.starts_with("date:") && !line.starts_with("content-length:"))
        .collect();
    (answer.status, plain(&head.join("\n")), plain(answer.text()))
}

impl Browser {
    async fn ask(&mut self, (method, path, fields): &Ask) -> Answer {
        let fields: Vec<_> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
        match *method {
            "GET" => self.get(path).await,
            _ => self.post(path, &fields).await,
        }
    }
}

/// Gives Alice one of everything.
async fn furnish(server: &Server, receiver: &Receiver) -> Names {
    let (mut store, reader, now) = (server.store().await, server.reader(), server.app.clock.now());
    let order = json!({"phone_number": "+9996600001", "code_length": 6, "callback_url": receiver.url()});
    let request = server.send(order).await;
    let account = server.account("alice", Mode::Live).await.id;
    let token = reader.token_page(account, None, 1).await.unwrap().remove(0).id.0;
    let person = reader.person_of(Phone::parse(FINN).unwrap()).await.unwrap().unwrap().id;
    let anna = reader.person_of(Phone::parse(ANNA).unwrap()).await.unwrap().unwrap().id;
    let alice = reader.memberships(anna).await.unwrap().remove(0);
    let sender = Username::parse("alices_shop").unwrap();
    assert!(store.change(&senders::register(&alice, &sender, now)).await.unwrap());
    let payment = PaymentRow {
        id: "stripe-alices!".to_owned(),
        collector: Collector::Stripe,
        account,
        amount: Money::from_micros(5_000_000),
        price: "500 EUR".to_owned(),
        link: "https://pay.invalid/".to_owned(),
        state: PaymentState::Open,
        charge: None,
        payer: String::new(),
        refunded: Money::ZERO,
        created_at: now,
    };
    assert!(store.change(&payments::begin(&payment)).await.unwrap());
    Names {
        request,
        token: token.to_string(),
        person: person.0.to_string(),
        session: reader.sessions(anna, now).await.unwrap().remove(0).id.to_string(),
        sender: sender.to_string(),
        payment: payment.id,
        phone: FINN.to_owned(),
    }
}

#[tokio::test]
async fn what_is_anothers_is_like_what_never_was() {
    let server = Server::start(|setup| setup.clock_at(1_795_000_000)).await;
    server.admit("alice", ANNA, Role::Owner).await;
    server.admit("alice", FINN, Role::Finance).await;
    server.admit("bob", BRUNO, Role::Owner).await;
    let mut anna = Browser::new(&server);
    anna.log_in(&server, ANNA).await;
    let mut bruno = Browser::new(&server);
    bruno.log_in(&server, BRUNO).await;
    let receiver = Receiver::replying(Reply::Status("200 OK")).await;
    let alices = furnish(&server, &receiver).await;
    let nobodys = nobodys(&alices);

    let (theirs, none) = (asks(&alices), asks(&nobodys));
    assert!(theirs.len() > 30, "only {}", theirs.len());
    let mut faults = Vec::new();
    for (of_alice, of_nobody) in theirs.iter().zip(&none) {
        bruno.open("/profile").await;
        let named = told(&bruno.ask(of_alice).await, &alices);
        let unknown = told(&bruno.ask(of_nobody).await, &nobodys);
        if named != unknown {
            let line = |text: &str, other: &str| {
                let differs = text.lines().zip(other.lines()).find(|(one, two)| one != two);
                differs.map_or_else(String::new, |(one, two)| format!("{one}\n{two}"))
            };
            let (head, body) = (line(&named.1, &unknown.1), line(&named.2, &unknown.2));
            faults.push(format!("{of_alice:?}: {} and {}\n{head}\n{body}", named.0, unknown.0));
        }
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n\n"));

    // And Alice has everything that she had.
    for (path, part) in [
        (format!("/requests/{}", alices.request), "Message accepted"),
        (format!("/tokens/{}", alices.token), ">Revoke"),
        ("/senders/alices_shop".to_owned(), "@alices_shop"),
        (format!("/budget/payments/{}", alices.payment), "https://pay.invalid/"),
    ] {
        let page = anna.get(&path).await;
        assert!(page.status == 200 && page.text().contains(part), "{path}: {}", page.text());
    }
    let team = anna.open("/team").await;
    assert_eq!(team.text().matches("/remove\"").count(), 2, "{}", team.text());
    let log = anna.open("/log").await;
    for action in
        ["report.resend", "report.recover", "token.show", "token.revoke", "member.remove", "sender.remove"]
    {
        assert!(!log.text().contains(action), "{action}");
    }
    for token in [ALICE, ALICE_TEST] {
        server.api_as(token, "getBalance", json!({})).await.result();
    }
    server.stop();
}

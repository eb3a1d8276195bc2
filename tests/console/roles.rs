//! Every route of the console, tried by everybody: nobody, somebody without a customer, the owner of another customer, each
//! role, and whoever runs the gateway. A route that is in the sources and not in the table fails the suite.

use crate::support::{ALICE, Browser, Events, Request, Server};
use chappe::store::NewToken;
use chappe::store::console::people::{self, Role};
use chappe::store::console::{senders, sessions};
use chappe_core::text::Username;
use chappe_core::{Mode, Phone};
use std::collections::BTreeSet;

/// Whom a route is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum For {
    /// Whoever comes.
    Everybody,
    /// Whoever is logged in.
    People,
    /// Members of the customer with these roles.
    Members(&'static [Role]),
    /// Whoever runs the gateway; to all others there is no such page.
    Operators,
}

use For::{Everybody, Members, Operators, People};

const ALL: For = Members(&[Role::Owner, Role::Developer, Role::Finance]);
const TECHNICAL: For = Members(&[Role::Owner, Role::Developer]);
const FINANCIAL: For = Members(&[Role::Owner, Role::Finance]);
const OWNERS: For = Members(&[Role::Owner]);

/// A route, whom it is for, what is sent there, and what those whom it is for are answered.
pub(crate) type Line = (&'static str, &'static str, For, &'static [(&'static str, &'static str)], u16);

/// In place of `{…}` stands what is Alice's.
pub(crate) const TABLE: &[Line] = &[
    ("GET", "/login", Everybody, &[], 200),
    ("POST", "/login", Everybody, &[], 200),
    ("GET", "/login/code", Everybody, &[], 303),
    ("POST", "/login/code", Everybody, &[], 303),
    ("POST", "/login/again", Everybody, &[], 303),
    ("GET", "/login/link", Everybody, &[], 200),
    ("GET", "/login/telegram", Everybody, &[], 404),
    ("POST", "/login/link", Everybody, &[("key", "guessed")], 404),
    ("GET", "/confirm", People, &[], 200),
    ("POST", "/confirm", People, &[], 303),
    ("POST", "/logout", People, &[], 303),
    ("GET", "/welcome", People, &[], 303),
    ("POST", "/welcome", People, &[], 303),
    ("GET", "/invitations", People, &[], 200),
    ("POST", "/invitations", People, &[("customer", "1"), ("answer", "accept")], 404),
    ("POST", "/switch", ALL, &[("mode", "live")], 303),
    ("GET", "/live/events", ALL, &[], 200),
    ("GET", "/overview", ALL, &[], 200),
    ("GET", "/reference", Everybody, &[], 200),
    ("GET", "/requests", TECHNICAL, &[], 200),
    ("GET", "/requests.csv", TECHNICAL, &[], 200),
    ("GET", "/requests/{id}", TECHNICAL, &[], 200),
    ("GET", "/reports", TECHNICAL, &[], 200),
    ("POST", "/reports/again", TECHNICAL, &[("report", "1")], 404),
    ("POST", "/reports/recover", TECHNICAL, &[], 200),
    ("POST", "/reports/check", TECHNICAL, &[], 200),
    ("GET", "/tokens", TECHNICAL, &[], 200),
    ("POST", "/tokens", TECHNICAL, &[("name", "new"), ("life", "never")], 303),
    ("GET", "/tokens/new", TECHNICAL, &[], 200),
    ("GET", "/tokens/{id}", TECHNICAL, &[], 200),
    ("POST", "/tokens/{id}/show", TECHNICAL, &[], 200),
    ("POST", "/tokens/{id}/ranges", TECHNICAL, &[], 303),
    ("POST", "/tokens/{id}/name", TECHNICAL, &[("name", "other")], 303),
    ("GET", "/tokens/{id}/rotate", TECHNICAL, &[], 200),
    ("POST", "/tokens/{id}/rotate", TECHNICAL, &[("overlap", "0s"), ("life", "never")], 303),
    ("GET", "/tokens/{id}/revoke", TECHNICAL, &[], 200),
    ("POST", "/tokens/{id}/revoke", TECHNICAL, &[], 303),
    ("GET", "/senders", TECHNICAL, &[], 200),
    ("POST", "/senders", TECHNICAL, &[("username", "another_shop")], 303),
    ("GET", "/senders/{username}", TECHNICAL, &[], 200),
    ("POST", "/senders/{username}/check", TECHNICAL, &[], 303),
    ("GET", "/senders/{username}/remove", TECHNICAL, &[], 200),
    ("POST", "/senders/{username}/remove", TECHNICAL, &[], 303),
    ("GET", "/team", ALL, &[], 200),
    ("POST", "/team", OWNERS, &[("phone_number", NEW), ("role", "finance")], 303),
    ("GET", "/team/{person}", OWNERS, &[], 200),
    ("POST", "/team/{person}", OWNERS, &[("role", "developer")], 303),
    ("GET", "/team/{person}/remove", OWNERS, &[], 200),
    ("POST", "/team/{person}/remove", OWNERS, &[], 303),
    ("GET", "/profile", People, &[], 200),
    ("POST", "/profile", People, &[("name", "Somebody")], 303),
    ("POST", "/profile/customer", OWNERS, &[], 200),
    ("POST", "/profile/own-number", OWNERS, &[("number", "none")], 303),
    ("GET", "/sessions", People, &[], 200),
    ("POST", "/sessions/end", People, &[("session", "1")], 303),
    ("POST", "/sessions/others", People, &[], 303),
    ("GET", "/log", OWNERS, &[], 200),
    ("GET", "/budget", FINANCIAL, &[], 200),
    ("GET", "/budget.csv", FINANCIAL, &[], 200),
    ("POST", "/budget/alert", FINANCIAL, &[("alert", "5")], 303),
    ("GET", "/budget/add", FINANCIAL, &[], 200),
    ("POST", "/budget/add", FINANCIAL, &[("amount", "5")], 200),
    ("GET", "/budget/payments/{payment}", FINANCIAL, &[], 404),
    ("GET", "/operator", Operators, &[], 200),
    ("GET", "/operator/accounts/{customer}", Operators, &[], 200),
    ("POST", "/operator/accounts/{customer}/credit", Operators, &[], 200),
    ("POST", "/operator/accounts/{customer}/adjust", Operators, &[], 200),
    ("GET", "/operator/payments/{payment}/refund", Operators, &[], 404),
    ("POST", "/operator/payments/{payment}/refund", Operators, &[], 404),
    ("GET", "/operator/senders", Operators, &[], 200),
    ("POST", "/operator/senders", Operators, &[("verify", "0 nobodys_shop")], 303),
    ("GET", "/operator/channels", Operators, &[], 200),
    ("GET", "/operator/prices", Operators, &[], 200),
    ("GET", "/operator/log", Operators, &[], 200),
];

/// These are not behind the log-in: the sandbox has a guard of its own (tests/wire/sandbox.rs), and what pages are made
/// of is everybody's.
const OPEN: [&str; 2] = ["sandbox.rs", "assets.rs"];

const OWNER: &str = "+9996600001";
const DEVELOPER: &str = "+9996600002";
const FINANCE: &str = "+9996600003";
const OTHER: &str = "+9996600004";
const STRANGER: &str = "+9996600005";
const OPERATOR: &str = "+9996600006";
const TARGET: &str = "+9996600007";
const NEW: &str = "+9996600008";
const SHOP: &str = "alices_shop";

/// Who tries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Who {
    Nobody,
    /// Somebody without a customer.
    Stranger,
    /// Runs the gateway, and has no customer.
    Operator,
    /// The owner of another customer.
    Other,
    Member(Role),
}

const EVERYBODY: [(Who, &str); 7] = [
    (Who::Nobody, ""),
    (Who::Stranger, STRANGER),
    (Who::Operator, OPERATOR),
    (Who::Other, OTHER),
    (Who::Member(Role::Finance), FINANCE),
    (Who::Member(Role::Developer), DEVELOPER),
    (Who::Member(Role::Owner), OWNER),
];

/// What is Alice's, in a state in which everything can be done to it.
struct Things {
    request: String,
    token: String,
    person: String,
    customer: String,
}

impl Things {
    fn path(&self, pattern: &str) -> String {
        let id = if pattern.starts_with("/requests") { &self.request } else { &self.token };
        let path = pattern.replace("{id}", id).replace("{username}", SHOP).replace("{person}", &self.person);
        path.replace("{customer}", &self.customer).replace("{payment}", "stripe-nobodys")
    }
}

impl Server {
    /// Makes anew whatever the one before may have used up.
    async fn things(&self, request: &str, nth: usize) -> Things {
        let mut store = self.store().await;
        let now = self.app.clock.now();
        let (live, test) =
            (self.account("alice", Mode::Live).await.id, self.account("alice", Mode::Test).await.id);
        let text = format!("token number {nth} of alice");
        for used in self.reader().token_page(live, None, 5).await.unwrap() {
            if *used.text != *ALICE {
                store.end_token(used.id, now, now).await.unwrap();
            }
        }
        let token = NewToken { account: live, name: "one", text: &text, expires_at: None, allowed: &[] };
        let token = store.create_token(&token, now).await.unwrap().0.to_string();
        let customer = self.reader().customer_named("alice").await.unwrap().unwrap();
        let alice =
            people::MembershipRow { customer, name: "alice".to_owned(), role: Role::Owner, live, test };
        for name in [SHOP, "another_shop"] {
            store.change(&senders::remove(&alice, &Username::parse(name).unwrap())).await.unwrap();
        }
        store.change(&senders::register(&alice, &Username::parse(SHOP).unwrap(), now)).await.unwrap();
        for (phone, role) in [(TARGET, Some(Role::Finance)), (NEW, None)] {
            let phone = Phone::parse(phone).unwrap();
            store.change(&people::know(self.reader().vault(), phone, "Target", now)).await.unwrap();
            let person = self.reader().person_of(phone).await.unwrap().unwrap().id;
            store.change(&people::part(customer, person)).await.unwrap();
            if let Some(role) = role {
                store.change(&people::join(customer, person, role, now)).await.unwrap();
            }
        }
        let target = self.reader().person_of(Phone::parse(TARGET).unwrap()).await.unwrap().unwrap();
        let (person, customer) = (target.id.0.to_string(), customer.0.to_string());
        Things { request: request.to_owned(), token, person, customer }
    }

    /// A browser in which the owner of a number is logged in, by a link as the operator makes them.
    async fn let_in(&self, phone: &str, nth: usize) -> Browser {
        let mut browser = Browser::new(self);
        if phone.is_empty() {
            return browser;
        }
        let (vault, key) = (self.reader().vault(), format!("link number {nth}"));
        let phone = Phone::parse(phone).unwrap();
        let begun = sessions::begin(vault, vault.session_digest(&key), phone, None, self.app.clock.now(), "");
        self.store().await.change(&begun).await.unwrap();
        let answer = browser.post("/login/link", &[("key", &key)]).await;
        assert_eq!(answer.header("location"), Some("/overview"), "{}", answer.text());
        // For what its forms hold.
        browser.open("/profile").await;
        assert!(!browser.csrf.is_empty());
        browser
    }
}

/// What somebody is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Status(u16),
    /// They are asked to log in.
    LogIn,
    /// They are asked who they are.
    Welcome,
}

fn expected(who: Who, (method, path, whom, _, status): Line) -> Verdict {
    let names = path.contains('{');
    match (whom, who) {
        // Without a log-in that was begun, there is no code to be entered.
        (Everybody, _) if path.starts_with("/login/") && status == 303 => Verdict::LogIn,
        (Everybody, _) => Verdict::Status(status),
        (_, _) if path == "/logout" => Verdict::LogIn,
        (_, Who::Nobody) if path.starts_with("/reports/") && method == "GET" => Verdict::Status(status),
        (_, Who::Nobody) => Verdict::LogIn,
        // The one page that is for those alone who have no customer.
        (People, Who::Stranger | Who::Operator) if path == "/welcome" => Verdict::Status(200),
        // They are asked on the page that comes first.
        (People, Who::Stranger | Who::Operator) if (method, path) == ("GET", "/invitations") => {
            Verdict::Welcome
        }
        (People, Who::Stranger) if path == "/profile" || (method, path) == ("GET", "/sessions") => {
            if (method, path) == ("POST", "/profile") { Verdict::Status(status) } else { Verdict::Welcome }
        }
        (People, _) => Verdict::Status(status),
        (Operators, Who::Operator) => Verdict::Status(status),
        (Operators, _) => Verdict::Status(404),
        (Members(_), Who::Stranger | Who::Operator) => Verdict::Welcome,
        (Members(_), Who::Other) if names => Verdict::Status(404),
        (Members(_), Who::Other) => Verdict::Status(status),
        (Members(roles), Who::Member(role)) if roles.contains(&role) => Verdict::Status(status),
        (Members(_), Who::Member(_)) => Verdict::Status(403),
    }
}

async fn ask(
    server: &Server,
    browser: &mut Browser,
    method: &str,
    path: &str,
    fields: &[(&str, &str)],
) -> Verdict {
    let listens = path == "/live/events" && !browser.cookies.is_empty();
    let answer = match method {
        "GET" if listens => browser.open_events(server, path).await,
        "GET" => browser.get(path).await,
        "POST" => browser.post(path, fields).await,
        other => panic!("{other}"),
    };
    match answer.header("location") {
        Some(to) if to == "/login" || to.starts_with("/login?") => Verdict::LogIn,
        Some("/welcome") => Verdict::Welcome,
        _ => Verdict::Status(answer.status),
    }
}

impl Browser {
    /// Asks for a stream that never ends, or for why there is none.
    async fn open_events(&mut self, server: &Server, path: &str) -> crate::support::Answer {
        let cookies: Vec<_> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let request = Request::get(path).header("cookie", cookies.join("; "));
        let member = self.get("/team").await.status != 303;
        if !member {
            return self.get(path).await;
        }
        Events::listen(server.connect().await, &request).await.head
    }
}

#[tokio::test]
async fn every_route_is_for_whom_it_is_meant() {
    let server = Server::start(|_| {}).await;
    server.admit("alice", OWNER, Role::Owner).await;
    server.admit("alice", DEVELOPER, Role::Developer).await;
    server.admit("alice", FINANCE, Role::Finance).await;
    server.admit("bob", OTHER, Role::Owner).await;
    server.appoint(OPERATOR).await;
    let form = "phone_number=%2B9996600099&code_length=6";
    let sent =
        server.call(&Request::post("/sendVerificationMessage").bearer(ALICE).form(form)).await.result();
    let request = sent["request_id"].as_str().unwrap().to_owned();
    let mut nth = 0;
    let mut faults = Vec::new();
    for line in TABLE.iter().copied() {
        let (method, pattern, _, fields, _) = line;
        for (who, phone) in EVERYBODY {
            nth += 1;
            let things = server.things(&request, nth).await;
            let path = things.path(pattern);
            let mut browser = server.let_in(phone, nth).await;
            let verdict = ask(&server, &mut browser, method, &path, fields).await;
            if verdict != expected(who, line) {
                faults
                    .push(format!("{method} {pattern}: {who:?}: {verdict:?}, not {:?}", expected(who, line)));
            }
        }
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
    server.stop();
}

/// The routes in the sources: each method and path.
fn routes() -> BTreeSet<(String, String)> {
    let mut found = BTreeSet::new();
    let mut folders = vec![std::path::PathBuf::from(format!("{}/src/console", env!("CARGO_MANIFEST_DIR")))];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|kind| kind == "rs")
                && !OPEN.iter().any(|open| path.ends_with(open))
            {
                let text = std::fs::read_to_string(&path).unwrap();
                for rest in text.split(".route(").skip(1) {
                    let Some((_, rest)) = rest.split_once('"') else { continue };
                    let (route, rest) = rest.split_once('"').unwrap();
                    // Up to the end of the call, or to the next one.
                    let end = rest.find(".route(").unwrap_or(rest.len());
                    let methods = &rest[..rest[..end].find([';', '}']).unwrap_or(end)];
                    // Up is where everybody is sent who asks for an address that only forms are sent to.
                    let methods = methods.replace("get(up)", "");
                    for (call, method) in [("get(", "GET"), ("post(", "POST")] {
                        if methods.contains(call) {
                            found.insert((method.to_owned(), route.to_owned()));
                        }
                    }
                }
            }
        }
    }
    found
}

#[test]
fn every_route_is_in_the_table() {
    let table: BTreeSet<_> =
        TABLE.iter().map(|(method, path, ..)| ((*method).to_owned(), (*path).to_owned())).collect();
    let routes = routes();
    assert!(routes.len() > 40, "only these routes were found: {routes:#?}");
    let missing: Vec<_> = routes.difference(&table).collect();
    assert!(missing.is_empty(), "say in the table who may come here: {missing:#?}");
    let gone: Vec<_> = table.difference(&routes).collect();
    assert!(gone.is_empty(), "these are no routes: {gone:#?}");
}

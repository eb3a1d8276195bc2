//! Who belongs to a customer, what they say of it, and where they are logged in.

use crate::support::{Answer, Browser, Request, Server};
use chappe::store::console::people::{PersonId, Role};
use chappe_core::{Mode, Phone};
use std::time::Duration;

const ANNA: &str = "+9996600011";
const BRUNO: &str = "+9996600022";
const CARLA: &str = "+9996600033";
const NOW: i64 = 1_795_000_000;

impl Server {
    async fn person(&self, phone: &str) -> PersonId {
        self.reader().person_of(Phone::parse(phone).unwrap()).await.unwrap().unwrap().id
    }

    /// The role of a number at Alice.
    async fn role(&self, phone: &str) -> Option<Role> {
        let alice = self.reader().customer_named("alice").await.unwrap().unwrap();
        let members = self.reader().members(alice).await.unwrap();
        members
            .into_iter()
            .find(|member| Some(member.person.phone) == Phone::parse(phone))
            .map(|member| member.role)
    }
}

impl Browser {
    /// Says yes to what a customer asks.
    async fn join(&mut self, server: &Server, customer: &str) -> Answer {
        let customer = server.reader().customer_named(customer).await.unwrap().unwrap().0.to_string();
        self.submit("/invitations", &[("customer", &customer), ("answer", "accept")]).await
    }
}

async fn start() -> (Server, Browser) {
    let server = Server::start(|setup| setup.clock_at(NOW)).await;
    server.admit("alice", ANNA, Role::Owner).await;
    let mut anna = Browser::new(&server);
    anna.log_in(&server, ANNA).await;
    (server, anna)
}

#[tokio::test]
async fn an_owner_says_who_belongs_to_the_team() {
    let (server, mut anna) = start().await;
    anna.open("/team").await;
    for (fields, fault) in [
        ([("phone_number", "12"), ("role", "owner")], "with its country code"),
        ([("phone_number", BRUNO), ("role", "king")], "Choose a role."),
        ([("phone_number", ANNA), ("role", "finance")], "They belong to the team already"),
    ] {
        let page = anna.submit("/team", &fields).await;
        assert!(page.text().contains(fault), "{fault} is missing in {}", page.text());
    }
    let page = anna.submit("/team", &[("phone_number", "+999 660 00 22"), ("role", "finance")]).await;
    assert!(page.text().contains("They are asked as soon as they log in"), "{}", page.text());
    assert_eq!(server.role(BRUNO).await, Some(Role::Finance));

    let mut bruno = Browser::new(&server);
    let page = bruno.log_in(&server, BRUNO).await;
    assert!(bruno.at == "/welcome" && page.text().contains("as finance"), "{}", page.text());
    let page = bruno.join(&server, "alice").await;
    assert!(page.text().contains("You belong to the team now."), "{}", page.text());
    assert_eq!(bruno.get("/tokens").await.status, 403);
    let page = bruno.get("/team").await;
    assert!(!page.text().contains(ANNA) && !page.text().contains("Invite a member"), "{}", page.text());
    assert!(page.text().contains("(you)"));

    let id = server.person(BRUNO).await.0;
    let page = anna.submit(&format!("/team/{id}"), &[("role", "developer")]).await;
    assert!(page.text().contains("Saved."), "{}", page.text());
    assert_eq!(bruno.get("/tokens").await.status, 200, "at once");
    let page = anna.open(&format!("/team/{id}/remove")).await;
    assert!(page.text().contains("rotate those"), "{}", page.text());
    anna.submit(&format!("/team/{id}/remove"), &[]).await;
    let answer = bruno.get("/tokens").await;
    assert_eq!((answer.status, answer.header("location")), (303, Some("/welcome")), "at once");

    let log = anna.open("/log").await.text().to_owned();
    for action in ["member.invite", "member.accept", "member.role", "member.remove"] {
        assert!(log.contains(action), "{action}");
    }
    assert!(!log.contains(BRUNO), "numbers are masked");
    server.stop();
}

#[tokio::test]
async fn an_account_keeps_an_owner() {
    let (server, mut anna) = start().await;
    let id = server.person(ANNA).await.0;
    anna.open("/team").await;
    let page = anna.submit(&format!("/team/{id}"), &[("role", "finance")]).await;
    assert!(page.text().contains("An account needs an owner"), "{}", page.text());
    let page = anna.submit(&format!("/team/{id}/remove"), &[]).await;
    assert!(page.text().contains("An account needs an owner"), "{}", page.text());
    assert_eq!(server.role(ANNA).await, Some(Role::Owner));

    anna.submit("/team", &[("phone_number", BRUNO), ("role", "owner")]).await;
    let page = anna.submit(&format!("/team/{id}"), &[("role", "finance")]).await;
    assert!(page.text().contains("An account needs an owner"), "who was asked may say no");
    let mut bruno = Browser::new(&server);
    bruno.log_in(&server, BRUNO).await;
    bruno.join(&server, "alice").await;
    anna.submit(&format!("/team/{id}"), &[("role", "finance")]).await;
    assert_eq!(server.role(ANNA).await, Some(Role::Finance), "another one is there");
    server.stop();
}

/// Otherwise whoever knows a number could learn whose it is, and put other people's work on an account of their own.
#[tokio::test]
async fn who_is_asked_stays_unknown_and_sees_nothing_until_they_say_yes() {
    let (server, mut anna) = start().await;
    server.admit("bob", BRUNO, Role::Owner).await;
    let mut bruno = Browser::new(&server);
    bruno.log_in(&server, BRUNO).await;
    bruno.open("/profile").await;
    bruno.submit("/profile", &[("name", "Bruno Bianchi")]).await;

    anna.open("/team").await;
    for (number, role) in [(BRUNO, "owner"), (CARLA, "developer")] {
        anna.submit("/team", &[("phone_number", number), ("role", role)]).await;
    }
    let page = anna.open("/team").await;
    assert_eq!(page.text().matches("has not answered yet").count(), 2, "{}", page.text());
    let log = anna.open("/log").await;
    let id = server.person(BRUNO).await.0;
    let member = anna.open(&format!("/team/{id}")).await;
    for page in [&page, &log, &member] {
        assert!(!page.text().contains("Bianchi"), "{}", page.text());
    }

    let page = bruno.open("/overview").await;
    assert!(page.text().contains("Somebody asks you to work on their account"), "{}", page.text());
    assert!(!page.text().contains("alice"), "it is still Bob's alone: {}", page.text());
    let alice = server.reader().customer_named("alice").await.unwrap().unwrap().0.to_string();
    let turned = bruno.post("/switch", &[("customer", &alice)]).await;
    assert_eq!(turned.status, 404);
    for fields in
        [[("customer", "999999"), ("answer", "accept")], [("customer", &alice), ("answer", "perhaps")]]
    {
        assert_eq!(bruno.post("/invitations", &fields).await.status, 404);
    }
    let page = bruno.open("/invitations").await;
    assert!(page.text().contains(">alice</h2>") && page.text().contains("as owner"), "{}", page.text());
    let page = bruno.submit("/invitations", &[("customer", &alice), ("answer", "decline")]).await;
    assert!(page.text().contains("You have declined."), "{}", page.text());
    assert_eq!(bruno.post("/invitations", &[("customer", &alice), ("answer", "accept")]).await.status, 404);
    assert_eq!(server.role(BRUNO).await, None);
    let log = anna.open("/log").await;
    assert!(log.text().contains("member.decline") && !log.text().contains("Bianchi"), "{}", log.text());

    // Whoever belongs nowhere yet may do without an account of their own.
    let mut carla = Browser::new(&server);
    let page = carla.log_in(&server, CARLA).await;
    assert!(carla.at == "/welcome" && page.text().contains("Who are you?"), "{}", page.text());
    let page = carla.join(&server, "alice").await;
    assert_eq!(carla.at, "/overview?said=joined", "{}", page.text());
    assert!(anna.open("/log").await.text().contains("member.accept"));
    server.stop();
}

#[tokio::test]
async fn whoever_adds_people_has_lately_proved_who_they_are() {
    let (server, mut anna) = start().await;
    server.admit("alice", BRUNO, Role::Finance).await;
    let id = server.person(BRUNO).await.0;
    anna.open("/team").await;
    server.app.clock.advance(Duration::from_secs(15 * 60 + 1));
    for (path, fields, back) in [
        ("/team".to_owned(), vec![("phone_number", CARLA), ("role", "owner")], "%2Fteam".to_owned()),
        (format!("/team/{id}"), vec![("role", "owner")], format!("%2Fteam%2F{id}")),
        (format!("/team/{id}/remove"), vec![], format!("%2Fteam%2F{id}%2Fremove")),
        ("/profile/own-number".to_owned(), vec![("number", "mine")], "%2Fprofile".to_owned()),
    ] {
        let answer = anna.post(&path, &fields).await;
        let asked = format!("/confirm?then={back}");
        assert_eq!((answer.status, answer.header("location")), (303, Some(asked.as_str())), "{path}");
    }
    assert_eq!((server.role(BRUNO).await, server.role(CARLA).await), (Some(Role::Finance), None));
    server.stop();
}

#[tokio::test]
async fn members_of_others_are_like_none() {
    let (server, mut anna) = start().await;
    server.admit("bob", BRUNO, Role::Owner).await;
    anna.open("/team").await;
    let id = server.person(BRUNO).await.0;
    for (path, post) in [("", false), ("/remove", false), ("", true), ("/remove", true)] {
        let mut answers = Vec::new();
        for id in [id.to_string(), "999999".to_owned(), "x".to_owned()] {
            let path = format!("/team/{id}{path}");
            let answer = match post {
                true => anna.post(&path, &[("role", "finance")]).await,
                false => anna.get(&path).await,
            };
            answers.push((answer.status, answer.body));
        }
        assert_eq!(answers[0].0, 404, "{path} {post}");
        assert!(answers.iter().all(|answer| *answer == answers[0]), "{path} {post}");
    }
    let bob = server.reader().customer_named("bob").await.unwrap().unwrap();
    assert_eq!(server.reader().members(bob).await.unwrap().len(), 1);
    server.stop();
}

#[tokio::test]
async fn people_say_what_they_are_called_and_what_the_company_is() {
    let (server, mut anna) = start().await;
    anna.open("/profile").await;
    let page = anna.submit("/profile", &[("name", "")]).await;
    assert!(page.text().contains("Fill this in."));
    let page = anna.submit("/profile", &[("name", "Anna <Rossi>")]).await;
    assert!(page.text().contains("Anna &#60;Rossi&#62;"), "{}", page.text());
    let details = [
        ("company", "Rossi"),
        ("email", "anna@rossi.example"),
        ("country", "Italy"),
        ("city", "Bologna"),
        ("purpose", "Tables"),
        ("website", "ftp://rossi"),
    ];
    let page = anna.submit("/profile/customer", &details).await;
    assert!(page.text().contains("such as https://example.com") && page.text().contains("value=\"Bologna\""));
    anna.submit("/profile/customer", &details[..5]).await;
    let alice = server.reader().customer_named("alice").await.unwrap().unwrap();
    let profile = server.reader().customer(alice).await.unwrap().unwrap().profile;
    assert_eq!((profile.company.as_str(), profile.city.as_str()), ("Rossi", "Bologna"));
    server.stop();
}

#[tokio::test]
async fn the_number_for_free_messages_is_the_persons_own_or_none() {
    let (server, mut anna) = start().await;
    anna.open("/profile").await;
    for (number, expected) in [("mine", Phone::parse(ANNA)), ("none", None), ("mine", Phone::parse(ANNA))] {
        let page = anna.submit("/profile/own-number", &[("number", number)]).await;
        assert!(page.text().contains("Saved."), "{}", page.text());
        for mode in [Mode::Live, Mode::Test] {
            assert_eq!(server.account("alice", mode).await.own_number, expected);
        }
    }
    let answer = anna.post("/profile/own-number", &[("number", BRUNO)]).await;
    assert_eq!(answer.status, 400, "somebody else's");
    assert_eq!(server.account("alice", Mode::Live).await.own_number, Phone::parse(ANNA));
    let token = crate::support::ALICE;
    let form = format!("phone_number=%2B{}&code_length=6", &ANNA[1..]);
    let sent = server.call(&Request::post("/sendVerificationMessage").bearer(token).form(form)).await;
    assert_eq!(sent.result()["request_cost"], 0, "free, and known by the next call");
    server.stop();
}

#[tokio::test]
async fn sessions_are_seen_and_ended_by_whose_they_are() {
    let (server, mut anna) = start().await;
    server.admit("alice", BRUNO, Role::Owner).await;
    let (mut phone, mut tablet, mut bruno) =
        (Browser::new(&server), Browser::new(&server), Browser::new(&server));
    phone.log_in(&server, ANNA).await;
    tablet.log_in(&server, ANNA).await;
    bruno.log_in(&server, BRUNO).await;
    let of = async |phone: &str| {
        let person = server.person(phone).await;
        server.reader().sessions(person, server.app.clock.now() - Duration::from_secs(60)).await.unwrap()
    };
    let page = anna.open("/sessions").await;
    assert_eq!(page.text().matches("name=\"session\"").count(), 2, "{}", page.text());
    assert!(page.text().contains("this one"));

    let theirs = of(BRUNO).await[0].id.to_string();
    for id in [theirs.as_str(), "77"] {
        let page = anna.submit("/sessions/end", &[("session", id)]).await;
        assert!(page.text().contains("That is no longer there."), "{}", page.text());
    }
    assert_eq!(bruno.get("/team").await.status, 200);

    let value =
        page.text().split("name=\"session\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    anna.submit("/sessions/end", &[("session", &value)]).await;
    let mut left = 0;
    for browser in [&mut phone, &mut tablet] {
        left += u8::from(browser.get("/team").await.status == 200);
    }
    assert_eq!(left, 1, "one of the two");
    let page = anna.submit("/sessions/others", &[]).await;
    assert!(page.text().contains("All other sessions are ended."), "{}", page.text());
    assert_eq!((phone.get("/team").await.status, tablet.get("/team").await.status), (303, 303));
    assert_eq!((anna.get("/team").await.status, of(ANNA).await.len()), (200, 1));
    server.stop();
}

#[tokio::test]
async fn the_audit_log_is_searched() {
    let (server, mut anna) = start().await;
    let id = server.person(ANNA).await.0;
    anna.open("/team").await;
    anna.submit("/team", &[("phone_number", BRUNO), ("role", "developer")]).await;
    anna.submit("/senders", &[("username", "@Rossi_Shop")]).await;
    anna.submit(&format!("/team/{id}"), &[("role", "finance")]).await;
    let page = anna.open("/log").await.text().to_owned();
    assert!(page.contains("member.invite") && page.contains("sender.create") && page.contains("127.0.0.1"));
    assert!(!page.contains("member.role"), "what came to nothing is not noted as done");
    let page = anna.open("/log?what=sender.").await.text().to_owned();
    assert!(page.contains("@rossi_shop") && !page.contains("member.invite"), "{page}");
    let page = anna.open("/log?q=ROSSI_").await.text().to_owned();
    assert!(page.contains("sender.create") && !page.contains("member.invite"), "{page}");
    let page = anna.open("/log?q=%3Cscript%3E").await.text().to_owned();
    assert!(
        page.contains("No entry fits.") && page.contains("&#60;script&#62;") && !page.contains("q=<"),
        "{page}"
    );

    // What others do is not in it.
    server.admit("bob", CARLA, Role::Owner).await;
    let mut carla = Browser::new(&server);
    carla.log_in(&server, CARLA).await;
    let page = carla.open("/log").await.text().to_owned();
    assert!(page.contains("Nothing yet") && !page.contains("rossi"), "{page}");
    server.stop();
}

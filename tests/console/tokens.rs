//! API tokens: made, shown, limited, replaced and ended by people, and heard of by the very next call.

use crate::support::{ALICE, BOB, Browser, Request, Server};
use chappe::store::TokenRow;
use chappe::store::console::people::Role;
use std::time::Duration;

const ANNA: &str = "+9996600011";
const NOW: i64 = 1_795_000_000;

async fn start() -> (Server, Browser) {
    let server = Server::start(|setup| setup.clock_at(NOW)).await;
    server.admit("alice", ANNA, Role::Developer).await;
    let mut anna = Browser::new(&server);
    anna.log_in(&server, ANNA).await;
    (server, anna)
}

impl Server {
    /// What a call with this token is answered: `OK`, or the error's name.
    async fn knock(&self, token: &str) -> String {
        let call = Request::post("/checkSendAbility").bearer(token).form("phone_number=%2B9996600099");
        let error = self.call(&call).await.error();
        if error.is_empty() { "OK".to_owned() } else { error }
    }

    async fn newest_token(&self) -> TokenRow {
        let tokens = self.reader().tokens(None).await.unwrap();
        tokens.into_iter().max_by_key(|token| token.id).unwrap()
    }
}

#[tokio::test]
async fn a_token_is_made_shown_when_asked_for_and_works_at_once() {
    let (server, mut anna) = start().await;
    anna.open("/tokens/new").await;
    let page =
        anna.submit("/tokens", &[("name", ""), ("ranges", "127.0.0.1, nowhere"), ("life", "1y")]).await;
    for fault in ["Fill this in.", "“nowhere” is no address", "Choose one."] {
        assert!(page.text().contains(fault), "{fault} is missing in {}", page.text());
    }
    let form =
        [("name", "Shop <b>"), ("ranges", "127.0.0.1\r\n2001:db8::/32"), ("life", "30d"), ("mode", "live")];
    let page = anna.submit("/tokens", &form).await;
    let token = server.newest_token().await;
    assert_eq!(anna.at, format!("/tokens/{}?said=token-created", token.id.0));
    let again = anna.post("/tokens", &form).await;
    assert!(again.text().contains("A token of this name is there already."), "{}", again.text());
    assert_eq!(server.newest_token().await.id, token.id, "the same form twice makes one");
    assert_eq!((token.name.as_str(), token.allowed.len()), ("Shop <b>", 2));
    assert_eq!(token.expires_at, Some(token.created_at + Duration::from_secs(30 * 24 * 3600)));
    assert!(token.text.starts_with("chappe_live_") && token.text.len() == 44);
    assert!(page.text().contains("The token is made.") && page.text().contains("Shop &#60;b&#62;"));

    for path in ["/tokens".to_owned(), format!("/tokens/{}", token.id.0), "/tokens/new".to_owned()] {
        let page = anna.open(&path).await;
        assert_eq!(page.status, 200);
        assert!(!page.text().contains(token.text.as_str()), "{path} shows what nobody asked for");
        assert!(!page.text().contains(ALICE), "{path}");
    }
    let shown = anna.post(&format!("/tokens/{}/show", token.id.0), &[]).await;
    assert_eq!((shown.status, shown.header("cache-control")), (200, Some("no-store")));
    assert!(shown.text().contains(token.text.as_str()));
    assert_eq!(server.knock(&token.text).await, "OK");

    let page = server.owner_log().await;
    for action in ["token.create", "token.show"] {
        assert!(page.contains(action), "{action} is missing");
    }
    assert!(!page.contains(token.text.as_str()));
    server.stop();
}

impl Server {
    /// The audit log of Alice, as an owner sees it.
    async fn owner_log(&self) -> String {
        let owner = "+9996600077";
        self.admit("alice", owner, Role::Owner).await;
        let mut browser = Browser::new(self);
        browser.log_in(self, owner).await;
        browser.open("/log").await.text().to_owned()
    }
}

#[tokio::test]
async fn a_token_that_is_replaced_works_as_long_as_was_chosen() {
    let (server, mut anna) = start().await;
    let old = server.token(ALICE).await;
    let path = format!("/tokens/{}", old.id.0);
    anna.open(&path).await;
    anna.submit(&format!("{path}/ranges"), &[("ranges", "127.0.0.0/8")]).await;
    let page = anna.open(&format!("{path}/rotate")).await;
    assert!(page.text().contains("Rotate first"), "{}", page.text());
    anna.submit(&format!("{path}/rotate"), &[("overlap", "1h"), ("life", "never")]).await;
    let new = server.newest_token().await;
    assert_eq!(anna.at, format!("/tokens/{}?said=token-rotated", new.id.0));
    assert_eq!((new.name.as_str(), new.expires_at), ("first", None));
    assert_eq!(new.allowed, ["127.0.0.0/8".parse().unwrap()]);
    assert_eq!((server.knock(ALICE).await.as_str(), server.knock(&new.text).await.as_str()), ("OK", "OK"));
    server.app.clock.advance(Duration::from_secs(3599));
    assert_eq!(server.knock(ALICE).await, "OK");
    server.app.clock.advance(Duration::from_secs(1));
    assert_eq!(server.knock(ALICE).await, "ACCESS_TOKEN_INVALID");
    assert_eq!(server.knock(&new.text).await, "OK");

    // At once, where it may have leaked.
    anna.log_in(&server, ANNA).await;
    anna.open("/tokens").await;
    let path = format!("/tokens/{}", new.id.0);
    anna.submit(&format!("{path}/rotate"), &[("overlap", "0s"), ("life", "90d")]).await;
    assert_eq!(server.knock(&new.text).await, "ACCESS_TOKEN_INVALID");
    assert_eq!(server.knock(&server.newest_token().await.text).await, "OK");
    let page = anna.submit(&format!("{path}/rotate"), &[("overlap", "0s"), ("life", "90d")]).await;
    assert!(page.text().contains("This token has ended already."), "{}", page.text());
    server.stop();
}

#[tokio::test]
async fn a_token_that_is_revoked_is_refused_at_once() {
    let (server, mut anna) = start().await;
    let id = server.token(ALICE).await.id.0;
    assert_eq!(server.knock(ALICE).await, "OK");
    let page = anna.open(&format!("/tokens/{id}/revoke")).await;
    assert!(page.text().contains("This cannot be undone."), "{}", page.text());
    assert_eq!(server.knock(ALICE).await, "OK", "looking at the question answers nothing");
    let page = anna.submit(&format!("/tokens/{id}/revoke"), &[]).await;
    assert!(page.text().contains("The token is revoked."), "{}", page.text());
    assert_eq!(server.knock(ALICE).await, "ACCESS_TOKEN_INVALID");
    let page = anna.open(&format!("/tokens/{id}")).await;
    assert!(!page.text().contains("/show\"") && !page.text().contains("/rotate\""), "{}", page.text());
    let shown = anna.submit(&format!("/tokens/{id}/show"), &[]).await;
    assert!(shown.text().contains("This token has ended already.") && !shown.text().contains(ALICE));
    server.stop();
}

#[tokio::test]
async fn a_list_of_addresses_is_told_apart_from_the_pages() {
    let (server, mut anna) = start().await;
    let path = format!("/tokens/{}", server.token(ALICE).await.id.0);
    let page = anna.open(&path).await;
    assert!(page.text().contains("<code>127.0.0.1</code>. A call from there would pass."), "{}", page.text());
    anna.submit(&format!("{path}/ranges"), &[("ranges", "203.0.113.0/24 ::ffff:198.51.100.0/120")]).await;
    assert_eq!(server.knock(ALICE).await, "IP_NOT_ALLOWED");
    for (address, answer) in [
        ("203.0.113.9", "<code>203.0.113.9</code> would pass."),
        ("::ffff:203.0.113.9", "<code>::ffff:203.0.113.9</code> would pass."),
        ("198.51.100.77", "<code>198.51.100.77</code> would pass."),
        ("192.0.2.1", "<code>192.0.2.1</code> would be answered <code>IP_NOT_ALLOWED</code>."),
        ("here", "Write an address, such as 203.0.113.7."),
    ] {
        let page = anna.open(&format!("{path}?address={address}")).await;
        assert!(page.text().contains(answer), "{address}: {}", page.text());
        assert!(page.text().contains("A call from there would be refused."), "{address}");
    }
    anna.submit(&format!("{path}/ranges"), &[("ranges", "")]).await;
    assert_eq!(server.knock(ALICE).await, "OK");
    let page = anna.submit(&format!("{path}/name"), &[("name", "The shop")]).await;
    assert!(page.text().contains("<h1>The shop</h1>"), "{}", page.text());
    server.stop();
}

#[tokio::test]
async fn whoever_has_not_lately_proved_who_they_are_is_asked_first() {
    let (server, mut anna) = start().await;
    let id = server.token(ALICE).await.id.0;
    anna.open("/tokens").await;
    let before = server.reader().tokens_version().await.unwrap();
    server.app.clock.advance(Duration::from_secs(15 * 60 + 1));
    for (path, fields, back) in [
        ("/tokens".to_owned(), vec![("name", "x"), ("life", "never")], "%2Ftokens%2Fnew".to_owned()),
        (format!("/tokens/{id}/show"), vec![], format!("%2Ftokens%2F{id}")),
        (format!("/tokens/{id}/ranges"), vec![("ranges", "192.0.2.1")], format!("%2Ftokens%2F{id}")),
        (
            format!("/tokens/{id}/rotate"),
            vec![("overlap", "0s"), ("life", "never")],
            format!("%2Ftokens%2F{id}%2Frotate"),
        ),
        (format!("/tokens/{id}/revoke"), vec![], format!("%2Ftokens%2F{id}%2Frevoke")),
    ] {
        let answer = anna.post(&path, &fields).await;
        let asked = format!("/confirm?then={back}");
        assert_eq!((answer.status, answer.header("location")), (303, Some(asked.as_str())), "{path}");
        assert!(!String::from_utf8_lossy(&answer.body).contains(ALICE));
    }
    assert_eq!(server.reader().tokens_version().await.unwrap(), before, "nothing was done");
    let page = anna.get(&format!("/tokens/{id}")).await;
    assert!(!page.text().contains("<textarea"), "a form that could not be sent: {}", page.text());

    // Once it is proved, it goes on where it was.
    anna.open(&format!("/tokens/{id}/revoke")).await;
    assert_eq!(anna.at, format!("/confirm?then=%2Ftokens%2F{id}%2Frevoke"));
    let then = format!("/tokens/{id}/revoke");
    anna.submit("/confirm", &[("then", &then)]).await;
    let code = server.code_of(ANNA).await;
    let page = anna.submit("/login/code", &[("code", &code), ("then", &then)]).await;
    assert_eq!((anna.at.as_str(), page.status), (then.as_str(), 200));
    anna.submit(&then, &[]).await;
    assert_eq!(server.knock(ALICE).await, "ACCESS_TOKEN_INVALID");
    server.stop();
}

#[tokio::test]
async fn tokens_of_others_are_like_none() {
    let (server, mut anna) = start().await;
    let id = server.token(BOB).await.id.0;
    anna.open("/tokens").await;
    for (path, fields) in [
        ("", None),
        ("/rotate", None),
        ("/revoke", None),
        ("/show", Some(vec![])),
        ("/ranges", Some(vec![("ranges", "192.0.2.1")])),
        ("/name", Some(vec![("name", "mine")])),
        ("/rotate", Some(vec![("overlap", "0s"), ("life", "never")])),
        ("/revoke", Some(vec![])),
    ] {
        let mut answers = Vec::new();
        for id in [id.to_string(), "999999".to_owned(), "nothing".to_owned(), "%ff".to_owned()] {
            let path = format!("/tokens/{id}{path}");
            let answer = match &fields {
                None => anna.get(&path).await,
                Some(fields) => anna.post(&path, fields).await,
            };
            answers.push((answer.status, answer.body));
        }
        assert_eq!(answers[0].0, 404, "{path}");
        assert!(answers.iter().all(|answer| *answer == answers[0]), "{path}");
    }
    assert_eq!(server.knock(BOB).await, "OK");
    assert_eq!(server.token(BOB).await.name, "first");
    server.stop();
}

#[tokio::test]
async fn tokens_are_made_in_bounds_and_listed_in_pages() {
    let (server, mut anna) = start().await;
    anna.open("/tokens").await;
    for number in 0..50 {
        let answer = anna.post("/tokens", &[("name", &format!("token {number}")), ("life", "never")]).await;
        assert_eq!(answer.status, 303, "{number}: {}", answer.text());
    }
    let page = anna.post("/tokens", &[("name", "one more"), ("life", "never")]).await;
    assert!(page.text().contains("no more until tomorrow"), "{}", page.text());
    let page = anna.open("/tokens").await;
    assert!(page.text().contains(">token 49<") && !page.text().contains(">first<"));
    let older = page.text().split("href=\"").find(|rest| rest.starts_with("/tokens?before=")).unwrap();
    let page = anna.open(older.split('"').next().unwrap()).await;
    assert!(page.text().contains(">first<") && !page.text().contains(">token 0<"), "{}", page.text());
    server.stop();
}

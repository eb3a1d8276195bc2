//! The built-in phone: its JSON API, its events, its page, and who is let in.

use crate::support::{ALICE, ALICE_TEST, Answer, BOB, BOB_TEST, Events, Request, Server};
use chappe::channels::route::Routes;
use chappe::store::NewToken;
use chappe_core::text::Username;
use serde_json::{Value, json};
use std::time::Duration;

const NOW: i64 = 1_789_894_598;
const PHONE: &str = "+79123456719";
const OTHER: &str = "+79123456720";

async fn dev() -> Server {
    Server::start(|setup| setup.clock_at(NOW)).await
}

/// Not `chappe dev`: the sandbox shows every tester what is the tester's own.
async fn serve() -> Server {
    Server::start(|setup| {
        setup.serve();
        setup.clock_at(NOW);
    })
    .await
}

fn get(path: &str) -> Request {
    Request::get(&format!("/sandbox{path}"))
}

fn post(path: &str) -> Request {
    Request::post(&format!("/sandbox{path}"))
}

/// The request ids of a list.
fn ids(answer: &Answer) -> Vec<String> {
    assert_eq!(answer.status, 200, "{}", answer.text());
    let list = answer.json();
    list.as_array()
        .unwrap()
        .iter()
        .map(|message| message["request_id"].as_str().unwrap().to_owned())
        .collect()
}

async fn delivered(server: &Server, phone: &str) -> String {
    server.send_until(json!({"phone_number": phone, "code": "0042"}), "delivered").await
}

#[tokio::test]
async fn a_message_has_arrived_when_its_send_is_answered() {
    let server = Server::start(|setup| {
        setup.clock_at(NOW);
        // Nobody else can deliver it.
        setup.workers = false;
        setup.sandbox_at_once = Some(true);
    })
    .await;
    for (phone, status) in [
        (PHONE, "delivered"),
        ("+9996600001", "delivered"),
        ("+9996630001", "sent"),
        ("+9996660001", "delivered"),
        ("+9996680001", "read"),
        ("+9996690001", "sent"),
    ] {
        let request = server.send(json!({"phone_number": phone, "code": "0042"})).await;
        let answer = server.api("checkVerificationStatus", json!({"request_id": request})).await.result();
        assert_eq!(answer["delivery_status"]["status"], status, "{phone}");
    }
    // The first hop of this one failed, and the second delivered.
    let latest = server.call(&get("/messages/latest?phone_number=%2B9996660001")).await.json();
    assert_eq!(latest["delivery_status"], "delivered");
}

#[tokio::test]
async fn a_message_looks_like_this() {
    let server = dev().await;
    let account = server.token(ALICE).await.account;
    let sender = Username::parse("My_Channel").unwrap();
    server.store().await.put_sender(account, &sender, true, server.app.clock.now()).await.unwrap();
    let send = json!({"phone_number": PHONE, "code": "0042", "ttl": 60, "sender_username": "my_channel", "payload": "p"});
    let full = server.send_until(send, "delivered").await;
    let plain = delivered(&server, PHONE).await;
    let list = server.call(&get("/messages")).await;
    assert_eq!(list.header("cache-control"), Some("no-store"));
    let text = "0042 is your verification code. Do not share it with anyone.";
    let expected = format!(
        r#"[{{"request_id":"{plain}","phone_number":"79123456719","code":"0042","text":"{text}","delivery_status":"delivered","sent_at":{NOW}}},{{"request_id":"{full}","phone_number":"79123456719","code":"0042","text":"{text}","sender_username":"my_channel","delivery_status":"delivered","sent_at":{NOW},"expires_at":{}}}]"#,
        NOW + 60
    );
    assert_eq!(list.text(), expected, "the newest first");
}

#[tokio::test]
async fn the_inbox_is_listed_and_filtered() {
    let server = dev().await;
    assert_eq!(server.call(&get("/messages")).await.text(), "[]");
    assert_eq!(server.call(&get("/messages/latest")).await.verdict(), (404, "NOT_FOUND".to_owned()));
    let first = delivered(&server, PHONE).await;
    let second = delivered(&server, OTHER).await;
    let third = delivered(&server, PHONE).await;
    assert_eq!(ids(&server.call(&get("/messages")).await), [&*third, &*second, &*first]);
    assert_eq!(server.call(&get("/messages/latest")).await.json()["request_id"], third.as_str());

    for spelt in [
        "%2B79123456719",
        "79123456719",
        "+79123456719",
        "%2B7%20912%20345-67-19",
        "+7+(912)+345-67-19",
        "%2079123456719",
    ] {
        let list = server.call(&get(&format!("/messages?phone_number={spelt}"))).await;
        assert_eq!(ids(&list), [&*third, &*first], "{spelt}");
        let latest = server.call(&get(&format!("/messages/latest?phone_number={spelt}"))).await;
        assert_eq!(latest.json()["request_id"], third.as_str(), "{spelt}");
    }
    let all = server.call(&get("/messages?phone_number=&other=1")).await;
    assert_eq!(ids(&all).len(), 3);
    let none = server.call(&get("/messages/latest?phone_number=79123456721")).await;
    assert_eq!(none.verdict(), (404, "NOT_FOUND".to_owned()));
    for bad in ["1", "abc", "%00", "%ff", "79123456719x", "079123456719", "%3Cscript%3E"] {
        let answer = server.call(&get(&format!("/messages?phone_number={bad}"))).await;
        assert_eq!(answer.verdict(), (400, "PHONE_NUMBER_INVALID".to_owned()), "{bad}");
    }
}

#[tokio::test]
async fn the_list_is_bounded() {
    let server = Server::start(|setup| setup.workers = false).await;
    let send = Request::post("/sendVerificationMessage")
        .bearer(ALICE)
        .json(json!({"phone_number": "+9996630001", "code": "1234"}));
    server.at_once(&vec![send; 130]).await;
    let list = ids(&server.call(&get("/messages")).await);
    assert_eq!(list.len(), 100);
    assert!(list.windows(2).all(|pair| pair[0] > pair[1]), "the newest first");
    let page = server.call(&get("")).await;
    assert!(page.body.len() < 60 * 1024, "{} bytes", page.body.len());
}

#[tokio::test]
async fn messages_are_marked() {
    let server = dev().await;
    let undelivered = |ttl: i64| json!({"phone_number": "+9996630001", "code": "1234", "ttl": ttl});
    let mark = async |request: &str, event: &str| {
        let answer = server.call(&post(&format!("/messages/{request}/{event}"))).await;
        (answer.status, answer.json()["delivery_status"].as_str().unwrap_or_default().to_owned())
    };
    let request = server.send_until(undelivered(60), "accepted").await;
    for (event, status) in
        [("delivered", "delivered"), ("read", "read"), ("delivered", "read"), ("failed", "read")]
    {
        assert_eq!(mark(&request, event).await, (200, status.to_owned()));
    }
    let status = server.api("checkVerificationStatus", json!({"request_id": request})).await.result();
    assert_eq!((&status["delivery_status"]["status"], status.get("is_refunded")), (&json!("read"), None));

    let request = server.send_until(undelivered(60), "accepted").await;
    assert_eq!(mark(&request, "failed").await, (200, "expired".to_owned()));
    assert_eq!(mark(&request, "delivered").await, (200, "expired".to_owned()), "it is over");
    let status = server.api("checkVerificationStatus", json!({"request_id": request})).await.result();
    assert_eq!(status["is_refunded"], true);
    assert_eq!(server.balance().await.to_string(), "99.99");

    for (request, event) in [
        (request.as_str(), "sent"),
        (&request, "revoked"),
        (&request, "DELIVERED"),
        ("100000000000000", "read"),
        ("1", "read"),
        ("x", "read"),
        ("..", "read"),
    ] {
        let answer = server.call(&post(&format!("/messages/{request}/{event}"))).await;
        assert_eq!(answer.verdict(), (404, "NOT_FOUND".to_owned()), "{request} {event}");
    }
}

#[tokio::test]
async fn the_inbox_is_emptied() {
    let server = dev().await;
    for request in [Request::new("DELETE", "/sandbox/messages"), post("/clear")] {
        let message = delivered(&server, PHONE).await;
        assert_eq!(server.call(&request).await.json(), json!({"ok": true}));
        assert_eq!(server.call(&get("/messages")).await.text(), "[]");
        // The phone is empty; the code is as good as before.
        let check = json!({"request_id": message, "code": "0042"});
        let status = server.api("checkVerificationStatus", check).await.result();
        assert_eq!(status["verification_status"]["status"], "code_valid");
        assert_eq!(server.call(&post(&format!("/messages/{message}/read"))).await.status, 404);
        assert_eq!(server.call(&get("/messages")).await.text(), "[]", "nothing brings it back");
    }
}

#[tokio::test]
async fn the_clock_is_moved() {
    let server = dev().await;
    let undelivered = json!({"phone_number": "+9996630001", "code": "1234", "ttl": 60});
    let request = server.send_until(undelivered.clone(), "accepted").await;
    let unlimited =
        server.send_until(json!({"phone_number": "+9996630001", "code": "1234"}), "accepted").await;
    let status = async |request: &str| {
        let status = server.api("checkVerificationStatus", json!({"request_id": request})).await.result();
        (status["delivery_status"]["status"].as_str().unwrap().to_owned(), status["is_refunded"] == true)
    };
    let advance = async |seconds: u64| {
        let answer = server.call(&post("/clock").json(json!({"advance_s": seconds}))).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()["now"].as_i64().unwrap()
    };
    assert_eq!(advance(0).await, NOW);
    assert_eq!(advance(59).await, NOW + 59);
    assert_eq!(status(&request).await, ("sent".to_owned(), false));
    assert_eq!(advance(1).await, NOW + 60);
    // What fell due is done when the clock answers.
    assert_eq!(status(&request).await, ("expired".to_owned(), true));
    assert_eq!(server.balance().await.to_string(), "99.99");
    assert_eq!(advance(366 * 86_400).await, NOW + 60 + 366 * 86_400);
    assert_eq!(status(&unlimited).await, ("sent".to_owned(), false), "without a ttl it waits for ever");

    let now = server.app.clock.now();
    for body in [
        "",
        "{}",
        "[]",
        "null",
        r#"{"advance_s":-1}"#,
        r#"{"advance_s":1.5}"#,
        r#"{"advance_s":"1"}"#,
        r#"{"advance_s":null}"#,
        r#"{"advance_s":18446744073709551616}"#,
        r#"{"advance_s":1e3}"#,
        "{",
        &format!("{{\"advance_s\":1{}}}", " ".repeat(5_000)),
    ] {
        let answer = server.call(&post("/clock").json(body)).await;
        assert_eq!(answer.verdict(), (400, "BODY_INVALID".to_owned()), "{body:.30}");
    }
    for seconds in [366 * 86_400 + 1, u64::MAX] {
        let answer = server.call(&post("/clock").json(json!({"advance_s": seconds}))).await;
        assert_eq!(answer.verdict(), (400, "ADVANCE_TOO_FAR".to_owned()));
    }
    for form in ["", "advance_s=", "advance_s=-1", "advance_s=x", "other=1"] {
        assert_eq!(
            server.call(&post("/clock").form(form)).await.verdict(),
            (400, "BODY_INVALID".to_owned()),
            "{form}"
        );
    }
    assert_eq!(server.app.clock.now(), now);
}

#[tokio::test]
async fn changes_are_told_as_they_happen() {
    let server = dev().await;
    let mut events = server.events().await;
    assert_eq!(events.head.header("cache-control"), Some("no-store"));
    let request = server
        .send_until(json!({"phone_number": "+9996630001", "code": "0042", "ttl": 60}), "accepted")
        .await;
    let message = events.until(&request, "sent").await;
    assert_eq!(message, server.call(&get("/messages/latest")).await.json(), "the same as the list says");
    server.call(&post(&format!("/messages/{request}/delivered"))).await;
    events.until(&request, "delivered").await;
    server.api("revokeVerificationMessage", json!({"request_id": request})).await.result();
    server.call(&post(&format!("/messages/{request}/read"))).await;
    events.until(&request, "read").await;
    let mut others = server.events().await;
    server.call(&post("/clock").json(json!({"advance_s": 5}))).await;
    server.call(&Request::new("DELETE", "/sandbox/messages")).await;
    for listener in [&mut events, &mut others] {
        assert_eq!(next_but_messages(listener).await, ("clock".to_owned(), json!({"now": NOW + 5})));
        assert_eq!(next_but_messages(listener).await, ("cleared".to_owned(), json!({})));
    }
    // A server that stops lets its listeners go.
    server.app.stopping.send_replace(true);
    assert_eq!(events.next().await, None);
}

async fn next_but_messages(events: &mut Events) -> (String, Value) {
    loop {
        let event = events.next().await.unwrap();
        if event.0 != "message" {
            return event;
        }
    }
}

/// Without JavaScript, buttons send forms, and want to see the page again.
#[tokio::test]
async fn forms_lead_back_to_the_page() {
    let server = dev().await;
    let request = server.send_until(json!({"phone_number": "+9996630001", "code": "0042"}), "accepted").await;
    let html = |request: Request| request.header("accept", "text/html,application/xhtml+xml,*/*;q=0.8");
    let mark = |event: &str, form: &str| html(post(&format!("/messages/{request}/{event}"))).form(form);
    for (request, to) in [
        (mark("delivered", "phone_number="), "/sandbox"),
        (mark("read", "phone_number=9996630001"), "/sandbox?phone_number=9996630001"),
        (mark("read", "phone_number=%2B9996630001"), "/sandbox?phone_number=9996630001"),
        (mark("read", "phone_number=%0d%0aset-cookie:x"), "/sandbox"),
        (mark("read", "phone_number=//evil.example"), "/sandbox"),
        (html(post("/clock")).form("advance_s=60"), "/sandbox"),
        (html(post("/clear")).form(""), "/sandbox"),
    ] {
        let answer = server.call(&request).await;
        assert_eq!((answer.status, answer.header("location")), (303, Some(to)), "{request:?}");
    }
    assert_eq!(server.app.clock.now().secs(), NOW + 60);
    assert_eq!(server.call(&get("/messages")).await.text(), "[]");
}

#[tokio::test]
async fn other_sites_cannot_reach_in() {
    let server = dev().await;
    let request = delivered(&server, PHONE).await;
    let mark = format!("/messages/{request}/read");
    let (host, port) = (server.address.to_string(), server.address.port());
    let everything = || {
        [
            get(""),
            get("/messages"),
            get("/messages/latest"),
            get("/events"),
            post(&mark),
            post("/clear"),
            post("/clock").json(json!({"advance_s": 60})),
            Request::new("DELETE", "/sandbox/messages"),
        ]
    };
    let changing = 4;
    for foreign in [
        "evil.example",
        "evil.example:80",
        "127.0.0.1.evil.example",
        "localhost.evil.example:8787",
        "1.2.3.4.5",
    ] {
        for request in everything() {
            let answer = server.call(&request.header("host", foreign)).await;
            assert_eq!(answer.verdict(), (403, "FOREIGN_ORIGIN".to_owned()), "{foreign}");
        }
    }
    for (name, value) in [
        ("origin", "http://evil.example"),
        ("origin", "null"),
        ("origin", "https://localhost:1"),
        ("origin", "evil"),
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
    ] {
        for request in everything().into_iter().skip(changing) {
            let answer = server.call(&request.header("host", &host).header(name, value)).await;
            assert_eq!(answer.verdict(), (403, "FOREIGN_ORIGIN".to_owned()), "{name}: {value}");
        }
    }
    assert_eq!(server.app.clock.now().secs(), NOW);
    assert_eq!(server.call(&get("/messages/latest")).await.json()["delivery_status"], "delivered");

    for ours in [host.clone(), format!("localhost:{port}"), format!("[::1]:{port}"), "chappe".to_owned()] {
        let request = post(&mark).header("host", &ours).header("origin", format!("http://{ours}"));
        assert_eq!(server.call(&request.header("sec-fetch-site", "same-origin")).await.status, 200, "{ours}");
    }
}

#[tokio::test]
async fn beside_development_a_token_is_needed_whose_messages_go_there() {
    let server = Server::start(|setup| {
        setup.serve();
        setup.settings.routes = Routes::none();
        setup.clock_at(NOW);
    })
    .await;
    let allowed = ["192.0.2.7/32".parse().unwrap()];
    let account = server.token(ALICE_TEST).await.account;
    let elsewhere = NewToken { account, name: "e", text: "elsewhere", expires_at: None, allowed: &allowed };
    server.store().await.create_token(&elsewhere, server.app.clock.now()).await.unwrap();
    server.app.tokens.refresh(server.reader()).await.unwrap();
    let send = json!({"phone_number": PHONE, "code": "0042"});
    let sent = server.api_as(ALICE_TEST, "sendVerificationMessage", send).await.result();
    let request = sent["request_id"].as_str().unwrap().to_owned();
    server.until(&request, "delivered").await;
    let mark = format!("/messages/{request}/read");
    for (method, path) in [
        ("GET", "/messages"),
        ("GET", "/messages/latest"),
        ("GET", "/events"),
        ("DELETE", "/messages"),
        ("POST", "/clear"),
        ("POST", &mark),
    ] {
        let request = || Request::new(method, &format!("/sandbox{path}"));
        for request in [
            request(),
            request().bearer("unknown"),
            request().bearer(ALICE),
            request().bearer("elsewhere"),
            request().header("authorization", format!("Basic {ALICE_TEST}")),
            Request::new(method, &format!("/sandbox{path}?access_token={ALICE_TEST}")),
        ] {
            let answer = server.call(&request).await;
            assert_eq!(answer.verdict(), (401, "ACCESS_TOKEN_INVALID".to_owned()), "{request:?}");
        }
        let answer = server.call(&request().bearer(ALICE_TEST).bearer(ALICE)).await;
        assert_eq!(answer.verdict(), (400, "PARAMETER_CONFLICT".to_owned()));
    }
    // The page and the clock are nobody's.
    for request in [get(""), get("/"), post("/clock").json(json!({"advance_s": 60}))] {
        let answer = server.call(&request.bearer(ALICE_TEST)).await;
        assert_eq!(answer.verdict(), (200, "UNKNOWN_METHOD".to_owned()));
    }
    assert_eq!(server.app.clock.now().secs(), NOW);
    assert_eq!(
        server.call(&get("/messages/latest").bearer(ALICE_TEST)).await.json()["delivery_status"],
        "delivered"
    );
}

#[tokio::test]
async fn testers_see_what_is_their_own() {
    let server = serve().await;
    let send = async |token: &str| {
        let send = json!({"phone_number": PHONE, "code": "0042"});
        let sent = server.api_as(token, "sendVerificationMessage", send).await.result();
        let request = sent["request_id"].as_str().unwrap().to_owned();
        server.until(&request, "delivered").await;
        request
    };
    let mut events = Events::listen(server.connect().await, &get("/events").bearer(ALICE_TEST)).await;
    let live = send(ALICE).await;
    let bobs = send(BOB_TEST).await;
    let alices = send(ALICE_TEST).await;
    assert_eq!(events.message().await["request_id"], alices.as_str(), "the first that she hears of");
    assert_eq!(ids(&server.call(&get("/messages").bearer(ALICE_TEST)).await), [&*alices]);
    assert_eq!(ids(&server.call(&get("/messages").bearer(BOB_TEST)).await), [&*bobs]);
    assert_eq!(
        ids(&server.call(&get("/messages").bearer(ALICE)).await),
        [&*live],
        "where live messages go there too"
    );
    assert_eq!(server.call(&get("/messages").bearer(BOB)).await.text(), "[]");
    let latest = get("/messages/latest?phone_number=%2B79123456719").bearer(BOB_TEST);
    assert_eq!(server.call(&latest).await.json()["request_id"], bobs.as_str());
    for foreign in [&live, &bobs] {
        let answer = server.call(&post(&format!("/messages/{foreign}/read")).bearer(ALICE_TEST)).await;
        assert_eq!(answer.verdict(), (404, "NOT_FOUND".to_owned()));
    }
    let answer = server.call(&post(&format!("/messages/{alices}/read")).bearer(ALICE_TEST)).await;
    assert_eq!(answer.json()["delivery_status"], "read");
    server.call(&Request::new("DELETE", "/sandbox/messages").bearer(ALICE_TEST)).await;
    assert_eq!(server.call(&get("/messages").bearer(ALICE_TEST)).await.text(), "[]");
    assert_eq!(ids(&server.call(&get("/messages").bearer(BOB_TEST)).await), [&*bobs]);
}

#[tokio::test]
async fn another_testers_clearing_is_not_told() {
    let server = serve().await;
    let mut bobs = Events::listen(server.connect().await, &get("/events").bearer(BOB_TEST)).await;
    server.call(&Request::new("DELETE", "/sandbox/messages").bearer(ALICE_TEST)).await;
    let send = json!({"phone_number": PHONE, "code": "0042"});
    server.api_as(BOB_TEST, "sendVerificationMessage", send).await.result();
    let (event, _) = bobs.next().await.unwrap();
    assert_eq!(event, "message");
}

#[tokio::test]
async fn the_page_is_locked_down_and_lets_no_text_become_markup() {
    let server = dev().await;
    // The first good live token is shown on the page. Make it one that would be markup.
    let (mut store, now) = (server.store().await, server.app.clock.now());
    let hostile = "</code><script>alert('t')</script>";
    let account = server.token(ALICE).await.account;
    let token = NewToken { account, name: "<b>", text: hostile, expires_at: None, allowed: &[] };
    store.create_token(&token, now).await.unwrap();
    let send = json!({"phone_number": PHONE, "code": "0042", "payload": "<script>alert('p')</script>"});
    server.send_until(send, "delivered").await;
    for token in server.reader().tokens(None).await.unwrap() {
        if *token.text != hostile {
            store.end_token(token.id, now, now).await.unwrap();
        }
    }
    server.app.tokens.refresh(server.reader()).await.unwrap();

    for target in
        ["", "?phone_number=%22%3E%3Cscript%3Ealert('q')%3C/script%3E", "?phone_number=%2B79123456719"]
    {
        let host = "\"><script>alert('h')<&script>";
        let page = server.call(&get(target).header("host", host)).await;
        let html = page.text();
        assert_eq!(page.status, 200);
        let policy = page.header("content-security-policy").unwrap();
        for directive in [
            "default-src 'none'",
            "script-src 'self'",
            "frame-ancestors 'none'",
            "base-uri 'none'",
            "form-action 'self'",
        ] {
            assert!(policy.contains(directive), "{policy}");
        }
        assert!(!policy.contains("unsafe") && !policy.contains('*'), "{policy}");
        for (name, value) in [
            ("content-type", "text/html; charset=utf-8"),
            ("cache-control", "no-store"),
            ("x-content-type-options", "nosniff"),
        ] {
            assert_eq!(page.header(name), Some(value));
        }
        // The address holds a phone number.
        let referrer = page.header("referrer-policy").unwrap();
        assert!(["no-referrer", "same-origin"].contains(&referrer), "{referrer}");
        assert!(html.contains("0042") || target.contains("script"), "the message is there");
        assert!(html.contains("alert(&#39;t&#39;)") && html.contains("alert(&#39;h&#39;)"));
        assert!(!html.contains("alert('"), "text became markup");
        assert!(!html.contains("alert(&#39;p&#39;)"), "a payload is nobody's to see");
        // What the policy would block anyway is not there: scripts and styles in the page itself.
        let scripts = html.matches("<script").count();
        assert_eq!((scripts, html.matches("<script src=\"/assets/").count()), (1, 1));
        assert!(!html.contains("<style") && !html.contains(" style=") && !html.contains("javascript:"));
        assert!(!html.contains(" onclick=") && !html.contains(" onload=") && !html.contains(" onerror="));
    }
}

/// Every live page costs a connection and a read a change: there is an end to them.
#[tokio::test]
async fn live_pages_are_bounded() {
    let server = dev().await;
    let mut listeners: Vec<_> = (0..256).map(|_| server.app.changed.subscribe()).collect();
    let answer = server.call(&get("/events")).await;
    assert_eq!(answer.verdict(), (503, "TOO_MANY_STREAMS".to_owned()));
    listeners.pop();
    server.events().await;
}

/// What a magic number does, told by its timeline; and that none of them is limited.
#[tokio::test]
async fn magic_numbers_keep_their_word() {
    let server = dev().await;
    for (number, expected) in [
        ("+9996600001", "sent accepted delivered"),
        ("+9996610001", "sent accepted delivered read"),
        ("+9996630001", "sent accepted expired refunded"),
        ("+9996640001", "sent accepted delivered"),
        ("+9996660001", "sent failed fallback accepted delivered"),
        ("+9996670001", "sent accepted delivered"),
        ("+9996680001", "sent read late_confirmation late_confirmation late_confirmation"),
        ("+9996690001", "sent accepted uncertain expired refunded"),
    ] {
        for _ in 0..7 {
            let send = json!({"phone_number": number, "code": "1234", "ttl": 60});
            // What comes out of order is past being taken over.
            let taken = if expected.contains("accepted") { "accepted" } else { "late_confirmation" };
            let request = server.send_until(send, taken).await;
            for (event, wait) in [("read", 1), ("delivered", 10), ("expired", 60)] {
                if expected.split(' ').any(|name| name == event) {
                    server.advance(Duration::from_secs(wait));
                    server.until(&request, event).await;
                }
            }
            let id = chappe_core::RequestId::parse(&request).unwrap();
            let timeline = server.reader().request(id).await.unwrap().unwrap().timeline;
            let names: Vec<&str> = timeline.lines().filter_map(|line| line.split(' ').nth(1)).collect();
            let names: Vec<&str> = names.into_iter().filter(|name| *name != "charged").collect();
            assert_eq!(names.join(" "), expected, "{number}");
        }
    }
    let check = json!({"phone_number": "+9996650001", "code": "1234"});
    assert_eq!(server.api("sendVerificationMessage", check).await.error(), "FLOOD_WAIT_5");
    let locked = server.send(json!({"phone_number": "+9996670001", "code": "1234"})).await;
    for code in ["1234", "4321"] {
        let check = json!({"request_id": locked, "code": code});
        let status = server.api("checkVerificationStatus", check).await.result();
        assert_eq!(status["verification_status"]["status"], "code_max_attempts_exceeded");
    }
}

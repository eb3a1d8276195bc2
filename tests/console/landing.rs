//! The landing page and the API reference: what everybody may see.

use crate::support::{ALICE, Browser, Request, Server};
use chappe::store::console::people::Role;
use chappe_core::Money;
use chappe_core::price::Prices;

const ANNA: &str = "+9996600011";
const HTML: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";

fn browser() -> Request {
    Request::get("/").header("accept", HTML)
}

#[tokio::test]
async fn a_browser_is_shown_how_to_begin() {
    let server = Server::start(|_| {}).await;
    let page = server.call(&browser()).await;
    assert_eq!((page.status, page.header("vary")), (200, Some("accept")));
    assert!(page.header("content-security-policy").unwrap().contains("script-src 'self'"));
    let text = page.text();
    for part in [
        "Codes that arrive.",
        "curl http://localhost/sendVerificationMessage",
        &format!("Bearer {ALICE}"),
        "href=\"/login\"",
        "href=\"/reference\"",
        "href=\"/sandbox\"",
        "0.01 per code",
    ] {
        assert!(text.contains(part), "{part} is missing in {text}");
    }

    server.admit("alice", ANNA, Role::Owner).await;
    let mut anna = Browser::new(&server);
    anna.log_in(&server, ANNA).await;
    let page = anna.send(browser()).await;
    assert!(page.text().contains("href=\"/overview\">Go to the console"), "{}", page.text());
    server.stop();
}

#[tokio::test]
async fn what_a_code_costs_is_said_for_all_numbers() {
    let list = |default: &str, others: &[(&str, &str)]| {
        let price = |text: &str| text.parse::<Money>().unwrap();
        let others = others.iter().map(|(prefix, text)| ((*prefix).to_owned(), price(text)));
        Prices::new(price(default), others.collect()).unwrap()
    };
    for (prices, said) in [
        (list("0.01", &[("39", "0.05"), ("49", "0.002")]), "0.002 to 0.05 per code, by where it goes."),
        (list("0", &[("39", "0.05")]), "0 to 0.05 per code, by where it goes."),
        (list("0.01", &[("39", "0.01")]), "0.01 per code."),
    ] {
        let server = Server::start(|setup| setup.settings.rules.prices = prices).await;
        let page = server.call(&browser()).await;
        assert!(page.text().contains(said), "{said}: {}", page.text());
        server.stop();
    }
    let free = list("0", &[]);
    let server = Server::start(|setup| setup.settings.rules.prices = free).await;
    assert!(!server.call(&browser()).await.text().contains("Test accounts are free."));
    server.stop();
}

#[tokio::test]
async fn for_real_nobody_is_shown_a_token_or_a_sandbox() {
    let server = Server::start(|setup| {
        setup.serve();
        setup.settings.console.sign_up = false;
    })
    .await;
    let page = server.call(&browser()).await;
    let text = page.text();
    assert!(text.contains("Bearer YOUR_TOKEN") && !text.contains(ALICE), "{text}");
    assert!(text.contains("curl https://") && !text.contains("/sandbox"), "{text}");
    assert!(text.contains(">Log in</a>") && !text.contains("Start with your phone number"), "{text}");
    // What cannot be a host is not put into a command.
    let torn = server.call(&browser().header("host", "a';rm${IFS}-rf'")).await;
    assert!(!torn.text().contains("rm${IFS}"), "{}", torn.text());
    server.stop();
}

#[tokio::test]
async fn to_programs_the_root_is_no_method() {
    let server = Server::start(|_| {}).await;
    let mut answers = Vec::new();
    for request in [
        Request::get("/nothing").bearer(ALICE),
        Request::get("/").bearer(ALICE),
        Request::get("/"),
        Request::get("/").header("accept", "*/*"),
        Request::get("/?a=b").header("accept", "application/json"),
        Request::post("/").header("accept", HTML).form("a=b"),
        Request::new("PUT", "/").header("accept", HTML),
        Request::new("OPTIONS", "/").header("accept", HTML),
        Request::get("//").header("accept", HTML),
    ] {
        let answer = server.call(&request).await;
        let head = answer.head.lines().filter(|line| !line.starts_with("date: "));
        answers.push((head.map(str::to_owned).collect::<Vec<_>>(), answer.body));
    }
    let odd: Vec<_> = answers.iter().filter(|answer| **answer != answers[0]).collect();
    assert!(odd.is_empty(), "{odd:?} beside {:?}", answers[0]);
    server.stop();
}

#[tokio::test]
async fn the_reference_is_the_document() {
    let server = Server::start(|_| {}).await;
    let page = server.call(&Request::get("/reference")).await;
    assert_eq!(page.status, 200);
    let text = page.text();
    let document = server.call(&Request::get("/openapi.json")).await.json();
    let schemas = document["components"]["schemas"].as_object().unwrap();
    let errors = schemas.keys().filter(|name| name.contains('_') && !name.contains(char::is_lowercase));
    let methods = ["checkSendAbility", "sendVerificationMessage", "getBalance", "ttl", "Idempotency-Key"];
    let names: Vec<&str> = errors.map(String::as_str).chain(methods).collect();
    assert!(names.len() > 25, "{names:?}");
    for name in names {
        assert!(
            text.contains(&format!("<code>{name}</code>")) || text.contains(&format!(">{name}</h2>")),
            "{name}"
        );
    }
    assert!(text.contains("curl http://localhost/revokeVerificationMessage"), "{text}");
    assert!(!text.contains('`') && !text.contains("391234567890"), "{text}");
    assert!(text.len() < 45 * 1024, "{} bytes", text.len());
    server.stop();
}

#[tokio::test]
async fn assets_are_served_as_what_they_are() {
    let server = Server::start(|_| {}).await;
    for (path, kind) in [
        ("/assets/chappe.css", "text/css; charset=utf-8"),
        ("/assets/sandbox.css", "text/css; charset=utf-8"),
        ("/assets/console.css", "text/css; charset=utf-8"),
        ("/assets/common.js", "text/javascript; charset=utf-8"),
        ("/assets/console.js", "text/javascript; charset=utf-8"),
        ("/assets/sandbox.js", "text/javascript; charset=utf-8"),
        ("/assets/icon.svg", "image/svg+xml"),
        ("/openapi.json", "application/json"),
    ] {
        let answer = server.call(&Request::get(path)).await;
        assert_eq!((answer.status, answer.header("content-type")), (200, Some(kind)), "{path}");
        assert!(!answer.body.is_empty());
    }
    for (path, text) in [("/healthz", "ok\n"), ("/readyz", "ready\n")] {
        assert_eq!(server.call(&Request::get(path)).await.text(), text);
    }
    for path in
        ["/assets/../Cargo.toml", "/assets/%2e%2e/Cargo.toml", "/assets/", "/favicon.ico", "/.git/config"]
    {
        assert_eq!(server.call(&Request::get(path)).await.error(), "UNKNOWN_METHOD", "{path}");
    }
}

//! The overview.

use crate::support::{ALICE, BOB, Browser, Server};
use chappe::store::console::people::Role;
use chappe::store::{Change, Statement};
use chappe_core::Mode;
use serde_json::json;

const ANNA: &str = "+9996600011";
const BRUNO: &str = "+9996600022";
const CARLA: &str = "+9996600033";

/// What stands between two texts.
fn between<'t>(text: &'t str, from: &str, to: &str) -> &'t str {
    let rest = text.split_once(from).unwrap_or_else(|| panic!("no {from} in {text}")).1;
    rest.split_once(to).unwrap().0
}

/// The command that a page shows, as a shell would read it.
fn command(page: &str) -> String {
    let shown = between(page, "<code id=\"curl\">", "</code>");
    shown.replace("&#39;", "'").replace("&#38;", "&")
}

#[tokio::test]
async fn an_empty_account_shows_how_to_send_its_first_code() {
    let server = Server::start(|_| {}).await;
    server.admit("alice", ANNA, Role::Owner).await;
    server.admit("alice", CARLA, Role::Finance).await;
    let mut anna = Browser::new(&server);
    anna.log_in(&server, ANNA).await;
    let page = anna.open("/overview").await;
    assert_eq!(page.status, 200);
    let line = command(page.text());
    assert!(line.starts_with("curl http://localhost/sendVerificationMessage"), "{line}");
    assert!(line.contains(&format!("'Authorization: Bearer {ALICE}'")), "{line}");
    assert!(!page.text().contains("id=\"funnel\""));

    // The line does what the page says: the account is not empty any more.
    let phone = between(&line, "phone_number=", " ");
    server.send_until(json!({"phone_number": phone, "code_length": 6}), "delivered").await;
    let page = anna.open("/overview").await;
    assert!(page.text().contains("id=\"funnel\"") && !page.text().contains("No codes yet"));

    // In test mode there is another account, which is still empty, and has a token of its own.
    anna.post("/switch", &[("mode", "test"), ("back", "/overview")]).await;
    let page = anna.open("/overview").await;
    assert!(page.text().contains("No codes yet") && !page.text().contains(ALICE));

    // Whoever may see no tokens is shown none.
    let mut carla = Browser::new(&server);
    carla.log_in(&server, CARLA).await;
    carla.post("/switch", &[("mode", "test"), ("back", "/overview")]).await;
    let line = command(carla.open("/overview").await.text());
    assert!(line.contains("'Authorization: Bearer TOKEN'"), "{line}");
    server.stop();
}

#[tokio::test]
async fn every_number_is_exact_and_leads_to_its_list() {
    let server = Server::start(|setup| setup.clock_at(1_795_000_000)).await;
    server.admit("alice", ANNA, Role::Owner).await;
    let mut anna = Browser::new(&server);
    anna.log_in(&server, ANNA).await;
    // Yesterday one, today two and another customer's.
    let delivered = |number: &str| json!({"phone_number": number, "code": "123456"});
    server.send_until(delivered("+9996600101"), "delivered").await;
    server.advance(std::time::Duration::from_secs(86_400));
    let first = server.send_until(delivered("+9996600102"), "delivered").await;
    let second = server.send_until(delivered("+9996610103"), "delivered").await;
    server.advance(std::time::Duration::from_secs(1));
    server.until(&second, "read").await;
    let checked = server.api("checkVerificationStatus", json!({"request_id": first, "code": "123456"})).await;
    assert_eq!(checked.error(), "");
    server.api_as(BOB, "sendVerificationMessage", delivered("+9996600104")).await;

    anna.log_in(&server, ANNA).await;
    let page = anna.open("/overview?days=1").await;
    let text = page.text();
    assert!(text.contains("Today (UTC), beside the whole of yesterday"), "{text}");
    let today = "from=2026-11-19&#38;to=2026-11-19";
    for (filter, value) in [
        ("status=message&#38;", "2"),
        ("status=delivered&#38;", "2"),
        ("status=read&#38;", "1"),
        ("status=verified&#38;", "1"),
        ("country=ZZ&#38;", "Unknown"),
        ("channel=sandbox&#38;", "sandbox"),
        ("status=verified&#38;", "50 %"),
    ] {
        let link = format!("<a href=\"/requests?{filter}{today}\">{value}</a>");
        assert!(text.contains(&link), "{link} is missing in {text}");
    }
    assert!(text.contains("100 % more") && text.contains("100 % of sent"), "{text}");
    // Three were sent at 0.01, and one of them yesterday: that is the pace.
    let balance = server.balance().await;
    assert!(text.contains(&format!("<a href=\"/budget\">{balance}</a>")), "{text}");
    assert!(text.contains("enough for"), "{text}");

    let page = anna.open("/overview?days=7").await;
    assert!(
        page.text()
            .contains("<a href=\"/requests?status=message&#38;from=2026-11-13&#38;to=2026-11-19\">3</a>")
    );
    let page = anna.open("/overview?days=8").await;
    assert!(page.text().contains("the 30 days before"), "a period that there is none of is the usual one");
    server.stop();
}

#[tokio::test]
async fn each_role_sees_what_it_is_for() {
    let server = Server::start(|_| {}).await;
    server.send_until(json!({"phone_number": "+9996600101", "code": "123456"}), "delivered").await;
    for (phone, role) in [(ANNA, Role::Owner), (BRUNO, Role::Developer), (CARLA, Role::Finance)] {
        server.admit("alice", phone, role).await;
        let mut browser = Browser::new(&server);
        browser.log_in(&server, phone).await;
        let page = browser.open("/overview").await;
        assert_eq!(page.status, 200, "{role}");
        let text = page.text();
        assert_eq!(text.contains("<dt>Balance</dt>"), role != Role::Developer, "{role}");
        assert_eq!(text.contains("href=\"/requests?"), role != Role::Finance, "{role}");
        assert!(text.contains("<span class=\"figure\">"), "{role}");
    }
    let nobody = Browser::new(&server).get("/overview").await;
    assert_eq!((nobody.status, nobody.header("location")), (303, Some("/login?then=%2Foverview")));
    server.stop();
}

/// What a page weighs at most when it is loaded for the first time, with all that it needs.
const FIRST_LOAD_MAX: usize = 100 * 1024;
/// What every page of the console needs: styles, scripts, and what these load.
const NEEDED: [&str; 5] = [
    "/assets/chappe.css",
    "/assets/console.css",
    "/assets/console.js",
    "/assets/common.js",
    "/assets/icon.svg",
];

/// Alice has sent to 240 countries through 6 channels, each day for half a year.
async fn fill(server: &Server) {
    let (account, today) = (server.account("alice", Mode::Live).await.id, server.app.clock.now().day());
    let put = Statement::new(
        "WITH RECURSIVE number (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM number WHERE n < 43199)
         INSERT INTO day SELECT $1, $2 - n % 180, 'C' || (n / 180), 'channel number ' || (n / 180 % 6),
                                1234567, 1234567, 1234567, 1234567, 1234567, 0, 1234567, 98765432109, 12345678 FROM number",
    );
    let put = put.with(account.0).with(i64::from(today));
    server.store().await.change(&Change::default().and(put)).await.unwrap();
}

#[tokio::test]
async fn the_fullest_page_is_light() {
    let server = Server::start(|_| {}).await;
    server.admit("alice", ANNA, Role::Owner).await;
    let mut anna = Browser::new(&server);
    anna.log_in(&server, ANNA).await;
    fill(&server).await;
    let mut needed = 0;
    for asset in NEEDED {
        needed += anna.get(asset).await.text().len();
    }
    for (path, bars) in [
        ("/overview?days=1", 1),
        ("/overview?days=7", 7),
        ("/overview?days=30", 30),
        ("/overview?days=90", 13),
        ("/overview?days=30&countries=1", 30),
        ("/overview?days=30&countries=6", 30),
        ("/overview?days=30&countries=18446744073709551615", 30),
        ("/budget", 30),
    ] {
        let page = anna.open(path).await;
        let text = page.text();
        assert_eq!(text.matches("class=\"hit\"").count(), bars, "{path}");
        let loads = text.matches(" src=\"").count() + text.matches("<link rel=\"").count();
        assert!(loads <= NEEDED.len(), "{path} needs something that is not counted here");
        let bytes = needed + text.len();
        assert!(bytes <= FIRST_LOAD_MAX, "{path}: {bytes} bytes");
    }
    // Each of 240 countries is on one of six pages of 40.
    let page = anna.open("/overview?days=30").await;
    assert!(
        page.text().contains("href=\"/overview?days=30&#38;countries=1#countries\">230 more</a>"),
        "{}",
        page.text()
    );
    let page = anna.open("/overview?days=30&countries=5").await;
    assert!(page.text().contains("countries=6#countries\">40 more</a>"), "{}", page.text());
    assert!(!anna.open("/overview?days=30&countries=6").await.text().contains(" more</a>"));
    // The audit would miss the requests.
    let undo = Statement::new("DELETE FROM day WHERE channel LIKE 'channel number %'");
    server.store().await.change(&Change::default().and(undo)).await.unwrap();
    server.stop();
}

//! What `chappe doctor` finds of an upstream.

use super::double::{Double, Play};
use super::settings;
use super::upstream::Upstream;
use chappe::app::{Settings, lend};
use chappe::channels::Channels;
use chappe::channels::finding::{Finding, Level};
use chappe::channels::route::Routes;
use chappe::config::Config;
use chappe::env::{Clock, Random};
use chappe::vault::{MasterKey, Vault};
use chappe_core::Time;
use chappe_core::text::ChannelName;
use serde_json::{Value, json};
use std::time::Duration;

async fn examine(base_url: &str, more: Value, public_url: Option<&str>, now: Time) -> Vec<Finding> {
    let settings_of_dev = Config::defaults().unwrap().dev_settings().unwrap();
    let house = Settings { public_url: public_url.map(str::to_owned), ..settings_of_dev };
    let vault = Vault::new(&MasterKey::from_bytes([1; 32]));
    let lent = lend(&house, &vault, &Clock::system(), &Random::seeded(1));
    let name = ChannelName::parse("upstream").unwrap();
    let channels = Channels::new(Routes::none(), [(name.clone(), settings(base_url, more))].into(), &lent);
    channels.outside(&name).unwrap().examine(now).await
}

/// The findings of this level, in one text each.
fn texts(findings: &[Finding], level: Level) -> Vec<String> {
    let of_level = findings.iter().filter(|finding| finding.level == level);
    of_level.map(|finding| format!("{} -> {}", finding.what, finding.advice)).collect()
}

#[track_caller]
fn finds(findings: &[Finding], level: Level, text: &str) {
    assert!(texts(findings, level).iter().any(|found| found.contains(text)), "no {text:?} in {findings:#?}");
}

#[tokio::test]
async fn a_chappe_tells_its_balance_and_its_time() {
    let upstream = Upstream::start("7.5").await;
    let now = Clock::system().now();
    let findings = examine(&upstream.base_url(), json!({}), Some("https://codes.example"), now).await;
    assert!(findings.iter().all(|finding| finding.level == Level::Ok), "{findings:#?}");
    finds(&findings, Level::Ok, "the upstream is there and knows the token");
    finds(&findings, Level::Ok, "the account at the upstream has 7.5");
    finds(&findings, Level::Ok, "the upstream sends its reports below public_url");
    finds(&findings, Level::Ok, "clock and ours are 0 s apart");
    assert!(upstream.messages().await.is_empty());
    assert_eq!(upstream.balance().await, "7.5", "to look costs nothing");

    let findings = examine(&upstream.base_url(), json!({}), None, now + Duration::from_secs(120)).await;
    finds(&findings, Level::Warn, "clock and ours are 1");
    finds(&findings, Level::Ok, "without public_url the upstream sends no reports");
    let findings = examine(&upstream.base_url(), json!({ "token": "wrong" }), None, now).await;
    finds(&findings, Level::Fail, "the upstream does not know the token");
    upstream.operate("credit dev -7.5 --adjust");
    let findings = examine(&upstream.base_url(), json!({}), None, now).await;
    finds(&findings, Level::Fail, "the account at the upstream has 0 -> pay something in");
}

#[tokio::test]
async fn one_like_telegrams_own_shows_that_it_knows_the_token_and_no_more() {
    let refuse = |name: &str| Play::Answer("200 OK", json!({ "ok": false, "error": name }).to_string());
    let double = Double::playing(move |_, call| match call.method.as_str() {
        "checkVerificationStatus" => refuse("REQUEST_ID_INVALID"),
        "getBalance" => refuse("UNKNOWN_METHOD"),
        _ => Play::Answer("404 Not Found", String::new()),
    })
    .await;
    let findings = examine(&double.base_url(), json!({}), None, Clock::system().now()).await;
    assert!(findings.iter().all(|finding| finding.level == Level::Ok), "{findings:#?}");
    finds(&findings, Level::Ok, "does not tell what the account has left");
}

#[tokio::test]
async fn what_is_wrong_is_said_with_what_to_do() {
    let refuse = |name: &str| Play::Answer("200 OK", json!({ "ok": false, "error": name }).to_string());
    for (play, found) in [
        (refuse("IP_NOT_ALLOWED"), "does not take the token from this server's address -> allow this"),
        (refuse("OVERLOADED"), "the upstream has too much to do -> look again later"),
        (
            Play::Answer("404 Not Found", "<html>".to_owned()),
            "HTTP status 404: base_url may lead to no Gateway API",
        ),
        (
            Play::Answer("200 OK", "<html>".to_owned()),
            "the answer is not one of the Gateway API -> check base_url",
        ),
        (Play::Cut, "the connection to the gateway failed -> check base_url, the name and the firewall"),
        (Play::Hang, "no answer in time -> check base_url"),
    ] {
        let double = Double::always(play).await;
        let more = json!({ "timeout_s": 1 });
        let findings = examine(&double.base_url(), more, None, Clock::system().now()).await;
        assert_eq!(texts(&findings, Level::Fail).len(), 1, "{findings:#?}");
        finds(&findings, Level::Fail, found);
    }
    let gone = Double::always(Play::Cut).await.base_url();
    let long = format!("https://codes.example/{}", "x".repeat(200));
    let findings = examine(&gone, json!({}), Some(&long), Clock::system().now()).await;
    finds(&findings, Level::Fail, "the address for reports has");
    finds(&findings, Level::Fail, "the upstream cannot be reached");
    let findings = examine(&gone, json!({}), Some("http://codes.example"), Clock::system().now()).await;
    finds(&findings, Level::Warn, "public_url is not https");
}

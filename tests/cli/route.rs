//! `chappe route explain`: what would happen to a message, and why.

use crate::Operator;
use serde_json::{Value, json};

const CONFIG: &str = r#"
trusted_proxies = ["127.0.0.1"]
[prices]
default = "0.01"
by_prefix = { "39" = "0.05" }
[routes]
live = ["upstream:40", "backup:30", "last"]
by_prefix = { "39" = ["upstream", "last"], "4" = "none", "40" = "sandbox", "7" = ["upstream:29", "last"] }
[channels.upstream]
kind = "gateway"
token = "one"
[channels.backup]
kind = "gateway"
token = "two"
[channels.last]
kind = "gateway"
token = "three"
"#;

fn operator() -> Operator {
    let operator = Operator::new();
    std::fs::write(operator.home.path().join("chappe.toml"), CONFIG).unwrap();
    operator
}

/// The hops of a plan: channel, when it gets its turn, how long it has.
fn hops(plan: &Value) -> Vec<(String, Option<u64>, Option<u64>)> {
    let hop = |hop: &Value| {
        (hop["channel"].as_str().unwrap().to_owned(), hop["turn_s"].as_u64(), hop["wait_s"].as_u64())
    };
    plan["hops"].as_array().unwrap().iter().map(hop).collect()
}

#[test]
fn every_hop_is_told_with_its_turn() {
    let operator = operator();
    let plan = operator.json("route explain +442071838750");
    let hop = |name: &str, turn_s, wait_s| (name.to_owned(), turn_s, wait_s);
    assert_eq!(
        hops(&operator.json("route explain +14155550123")),
        [hop("upstream", Some(0), Some(40)), hop("backup", Some(40), Some(30)), hop("last", Some(70), None)]
    );
    assert_eq!(
        hops(&operator.json("route explain +393331234567")),
        [hop("upstream", Some(0), None), hop("last", None, None)],
        "nobody knows when a hop without a wait fails"
    );
    let plan_too_short = operator.json("route explain +79123456719");
    assert_eq!(hops(&plan_too_short), [hop("upstream", Some(0), Some(29)), hop("last", Some(0), None)]);
    assert_eq!(plan_too_short["hops"][0]["too_short"], true, "an upstream takes nothing for less than 30 s");
    assert_eq!((&plan["refusal"], hops(&plan).len()), (&json!("PHONE_NUMBER_NOT_AVAILABLE"), 0));
    assert!(!operator.home.data().exists(), "to explain makes nothing");
}

#[test]
fn the_price_and_what_chose_the_route_are_told() {
    let operator = operator();
    for (number, country, price, chosen_by, refusal) in [
        ("+14155550123", "US", "0.01", "routes.live", Value::Null),
        ("+393331234567", "IT", "0.05", "routes.by_prefix.39", Value::Null),
        ("+442071838750", "GB", "0.01", "routes.by_prefix.4", json!("PHONE_NUMBER_NOT_AVAILABLE")),
        ("+40721234567", "RO", "0.01", "routes.by_prefix.40", Value::Null),
        (
            "+393331234567 --test",
            "IT",
            "0.05",
            "messages of test accounts always go to the sandbox",
            Value::Null,
        ),
        ("+9996620001 --test", "ZZ", "0.01", "messages of test", json!("PHONE_NUMBER_NOT_AVAILABLE")),
        ("+9996650001 --test", "ZZ", "0.01", "messages of test", json!("FLOOD_WAIT_5")),
    ] {
        let plan = operator.json(&format!("route explain {number}"));
        assert_eq!((&plan["country"], &plan["price"]), (&json!(country), &json!(price)), "{number}");
        assert!(plan["chosen_by"].as_str().unwrap().starts_with(chosen_by), "{number}: {plan:#}");
        assert_eq!(plan["refusal"], refusal, "{number}");
    }
}

#[test]
fn people_are_told_in_words() {
    let operator = operator();
    let said = operator.run("route explain +14155550123").stdout;
    for text in [
        "number   +14155550123 (US)\naccount  live\nprice    0.01\nroute    routes.live\n",
        "CHANNEL   KIND     TURN        HAS           NOTE\n",
        "upstream  gateway  at once     40 s\n",
        "last      gateway  after 70 s  what is left\n",
        "The last hop gets its turn after 70 s at the latest.\nWithout a ttl, a message that no channel has taken by then is given up after 600 s.\n",
        "The database was not looked into: there is no database in",
    ] {
        assert!(said.contains(text), "no {text:?} in {said}");
    }
    let said = operator.run("route explain +393331234567").stdout;
    assert!(said.contains("upstream  gateway  at once                  until it fails\n"), "{said}");
    assert!(said.contains("last      gateway  if the one before fails  what is left\n"), "{said}");
    let said = operator.run("route explain +442071838750").stdout;
    assert!(said.contains("the call is refused as PHONE_NUMBER_NOT_AVAILABLE, and costs nothing"), "{said}");
}

#[test]
fn messages_to_an_accounts_own_number_are_free() {
    let operator = operator();
    operator.table(&[
        (
            "route explain +14155550123 --account alice",
            1,
            "--account needs the database, which cannot be read",
        ),
        ("account create alice --own-number +14155550123", 0, "alice"),
        ("route explain +14155550123 --account alice", 0, "its own number: free"),
        ("route explain +14155550123 --account bob", 1, "there is no customer named \"bob\""),
        ("route explain 12", 1, "\"12\" is no phone number"),
    ]);
    let plan = operator.json("route explain +14155550123 --account alice");
    assert_eq!(
        (&plan["price"], &plan["own_number"], &plan["database_read"]),
        (&json!("0"), &json!(true), &json!(true))
    );
    let plan = operator.json("route explain +14155550124 --account alice");
    assert_eq!((&plan["price"], &plan["own_number"]), (&json!("0.01"), &json!(false)));
}

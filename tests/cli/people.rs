//! `member`, `operator` and `login`.

use crate::Operator;
use serde_json::json;

#[test]
fn members_come_change_and_go_but_never_the_last_owner() {
    let operator = Operator::new();
    operator.run("account create acme");
    operator.table(&[
        ("member list acme", 0, "NUMBER  NAME  ROLE  SINCE"),
        ("member list nobody", 1, "there is no customer named \"nobody\""),
        ("member add nobody +391234567890", 1, "there is no customer named \"nobody\""),
        ("member add acme 12", 1, "\"12\" is no phone number"),
        ("member add acme +391234567890 --role king", 2, "there are owner, developer and finance"),
        ("member add acme +391234567890", 0, "+391234567890  -     owner"),
        ("member add acme +391234567891 --role finance", 0, "+391234567891  -     finance"),
        ("member add acme +391234567891 --role developer", 0, "+391234567891  -     developer"),
        ("member add acme +391234567890 --role finance", 1, "acme would have no owner left"),
        ("member remove acme +391234567890", 1, "acme would have no owner left: add another one first"),
        ("member add acme +391234567891 --role owner", 0, "+391234567891  -     owner"),
        ("member remove acme +391234567890", 0, "+391234567891  -     owner"),
        ("member remove acme +391234567890", 1, "+391234567890 does not act for acme"),
        ("member remove acme +391234567899", 1, "+391234567899 does not act for acme"),
    ]);
    let members = operator.json("member list acme");
    let member = &members.as_array().unwrap()[..];
    assert_eq!(member.len(), 1, "{members}");
    assert_eq!((&member[0]["phone_number"], &member[0]["role"]), (&json!("+391234567891"), &json!("owner")));
}

#[test]
fn operators_come_and_go() {
    let operator = Operator::new();
    operator.table(&[
        ("operator list", 1, "there is no database in"),
        ("operator remove +391234567890", 1, "there is no database in"),
        ("operator add 12", 1, "\"12\" is no phone number"),
        ("operator add +391234567890", 0, "+391234567890  -\n"),
        ("operator add +391234567890", 0, "+391234567890  -\n"),
        ("operator add +391234567891", 0, "+391234567891  -\n"),
        ("operator remove +391234567890", 0, "+391234567891  -\n"),
        ("operator remove +391234567890", 1, "+391234567890 does not run this gateway"),
    ]);
    assert_eq!(operator.json("operator list"), json!([{ "phone_number": "+391234567891", "name": "" }]));
}

#[test]
fn a_link_to_log_in_is_made_for_those_who_are_known() {
    let mut operator = Operator::new();
    operator.run("operator add +391234567890");
    operator.table(&[
        (
            "login +391234567899",
            1,
            "nobody logs in with +391234567899: add them first with `chappe member add`",
        ),
        ("login 12", 1, "\"12\" is no phone number"),
        ("login +391234567890 --base-url codes.example", 1, "is no address"),
        ("login +391234567890 --base-url ftp://codes.example", 1, "is no address such as https://"),
        ("login +391234567890", 0, "http://127.0.0.1:8787/login/link?key="),
        ("login +391234567890 --base-url https://codes.example/", 0, "https://codes.example/login/link?key="),
    ]);
    operator.variables.push(("CHAPPE_PUBLIC_URL", "https://gate.example".to_owned()));
    let made = operator.json("login +391234567890");
    let key = made["link"].as_str().unwrap().strip_prefix("https://gate.example/login/link?key=").unwrap();
    assert!(key.len() == 32 && key.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{made}");
    assert_eq!(made["expires_in"], json!(600));
    let again = operator.json("login +391234567890");
    assert_ne!(made["link"], again["link"]);
}

//! `account`, `sender` and `credit`.

use crate::Operator;
use serde_json::{Value, json};

/// A customer's accounts without what differs from run to run.
fn accounts(operator: &Operator, line: &str) -> Value {
    let mut accounts = operator.json(line);
    for account in accounts.as_array_mut().unwrap() {
        let created_at = account.as_object_mut().unwrap().remove("created_at");
        assert!(created_at.unwrap().is_i64());
    }
    accounts
}

fn account(id: u32, mode: &str) -> Value {
    json!({ "id": id, "customer": "acme", "mode": mode, "balance": "0", "transfers": 0,
            "own_number": null, "single_use": false, "senders": [] })
}

#[test]
fn nothing_works_without_a_database_or_a_key() {
    let mut operator = Operator::new();
    operator.table(&[
        ("account list", 1, "there is no database in"),
        ("account show acme", 1, "there is no database in"),
        ("token list", 1, "there is no database in"),
        ("credit acme 1", 1, "`chappe dev` and `chappe account create` make one"),
        ("audit", 1, "there is no database in"),
        ("request 123456789012345", 1, "there is no database in"),
    ]);
    operator.variables.clear();
    operator.table(&[("account create acme", 1, "no master key: make one with `chappe key generate")]);
    operator.variables.push(("CHAPPE_KEY", "too short".to_owned()));
    operator.table(&[("account create acme", 1, "CHAPPE_KEY does not hold a master key")]);
}

#[test]
fn customers_are_created_shown_and_changed() {
    let operator = Operator::new();
    let both = json!([account(100, "live"), account(101, "test")]);
    assert_eq!(accounts(&operator, "account create acme"), both);
    assert_eq!(accounts(&operator, "account show acme"), both);
    operator.table(&[
        ("account create acme", 1, "there is a customer named \"acme\" already"),
        ("account create other --own-number 12", 1, "\"12\" is no phone number, such as +391234567890"),
        ("account show other", 1, "there is no customer named \"other\""),
        ("account create other --own-number +391234567890", 0, "+391234567890"),
        ("account list", 0, "CUSTOMER  MODE  BALANCE"),
        ("account list", 0, "acme      live  0"),
        ("account list", 0, "other     test  0"),
        ("account set acme --own-number 391234567891 --single-use true", 0, "+391234567891  yes"),
        ("account set acme --single-use false", 0, "+391234567891  no"),
        ("account set acme --own-number none", 0, "-           no"),
        ("account set acme --single-use perhaps", 2, "possible values: true, false"),
        ("account set nobody --single-use true", 1, "there is no customer named \"nobody\""),
    ]);
    assert_eq!(accounts(&operator, "account show acme"), both, "everything was set back");
    for name in ["", "a\nb", "a\u{1b}[31m", &"x".repeat(65)] {
        let mut command = operator.home.command(["account", "create", name]);
        command.envs(operator.variables.iter().cloned());
        let ended = crate::gateway::finish(command);
        assert_eq!(ended.code, Some(1), "{name:?}");
        assert!(ended.stderr.contains("a name has 1 to 64 bytes"), "{ended:?}");
    }
}

#[test]
fn senders_come_and_go() {
    let operator = Operator::new();
    operator.run("account create acme");
    let senders = |expected: Value| {
        for account in accounts(&operator, "account show acme").as_array().unwrap() {
            assert_eq!(account["senders"], expected, "both accounts have the same senders");
        }
    };
    operator.table(&[("sender add acme acme_news", 0, "acme_news (unverified)")]);
    senders(json!([{ "username": "acme_news", "verified": false }]));
    operator.table(&[
        ("sender add acme @acme_news --verified", 0, "acme_news\n"),
        ("sender add acme second_one", 0, "acme_news, second_one (unverified)"),
        ("sender add acme no-name", 1, "\"no-name\" is no channel username"),
        ("sender add nobody acme_news", 1, "there is no customer named \"nobody\""),
        ("sender remove acme second_one", 0, "acme_news\n"),
        ("sender remove acme second_one", 1, "acme has no sender second_one"),
    ]);
    senders(json!([{ "username": "acme_news", "verified": true }]));
}

#[test]
fn money_is_booked_once_and_never_below_zero() {
    let operator = Operator::new();
    operator.run("account create acme");
    operator.run("account create other");
    operator.table(&[
        ("credit acme 25", 0, "booked; the live account of acme now has 25\n"),
        ("credit acme 0.5 --reference invoice-1 --reason paid", 0, "now has 25.5\n"),
        (
            "credit acme 0.5 --reference invoice-1",
            0,
            "nothing was booked: this reference was booked before; the balance is 25.5",
        ),
        (
            "credit other 0.5 --reference invoice-1",
            1,
            "nothing was booked: the reference \"invoice-1\" was used before, for 0.5 to the live account of acme",
        ),
        ("credit acme 0.5 --reference invoice-1 --test", 1, "for 0.5 to the live account of acme"),
        ("credit acme 5 --reference invoice-1", 1, "nothing was booked: the reference \"invoice-1\" was used"),
        ("credit acme -0.5 --adjust --reference invoice-1", 1, "was used before, for 0.5"),
        ("credit acme 3 --test", 0, "booked; the test account of acme now has 3\n"),
        ("credit acme -1", 1, "a payment is above zero; --adjust makes it a correction"),
        ("credit acme 0", 1, "a payment is above zero"),
        ("credit acme -0.5 --adjust", 0, "now has 25\n"),
        ("credit acme 1 --adjust --reason kindness", 0, "now has 26\n"),
        ("credit acme -26.000001 --adjust", 1, "the account has only 26"),
        ("credit acme 0 --adjust", 1, "AMOUNT_INVALID"),
        ("credit acme 0.0000001", 2, "at most six after the point"),
        ("credit acme 1e3", 2, "not an amount"),
        ("credit acme 99999999999999999999", 2, "not an amount"),
        ("credit acme 9000000000000", 1, "AMOUNT_INVALID"),
        ("credit nobody 1", 1, "there is no customer named \"nobody\""),
        ("credit acme -26 --adjust", 0, "now has 0\n"),
        ("account show other", 0, "other     live  0        0"),
    ]);
    let booked = json!({ "booked": true, "balance": "7" });
    assert_eq!(operator.json("credit acme 7 --reference invoice-2"), booked);
    let not_booked = json!({ "booked": false, "balance": "7" });
    assert_eq!(operator.json("credit acme 7 --reference invoice-2"), not_booked);
    // A reference whose booking was refused is still free.
    operator.table(&[
        ("credit acme -8 --adjust --reference correction-1", 1, "the account has only 7"),
        ("credit acme -7 --adjust --reference correction-1", 0, "now has 0\n"),
        ("credit acme -7 --adjust --reference correction-1", 0, "was booked before; the balance is 0\n"),
        ("credit acme 7 --reference correction-1", 1, "was used before, for -7 to the live account of acme"),
    ]);
    assert_eq!(operator.json("audit")["findings"], json!([]));
}

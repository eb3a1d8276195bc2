//! `chappe copy`: a SQLite database becomes a PostgreSQL one, with everything in it.

use crate::Operator;
use crate::database::{Database, database};
use crate::gateway::{Finished, Gateway, TOKEN, finish};
use crate::http::Connection;
use serde_json::{Value, json};
use std::process::{Command, Stdio};
use std::time::Duration;

const SETTINGS: [(&str, &str); 2] =
    [("CHAPPE_TRUSTED_PROXIES", "[\"127.0.0.1\"]"), ("CHAPPE_ROUTES__LIVE", "sandbox")];

fn wait<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

/// An operator with a key and the settings of a server, over a data directory.
fn operator() -> Operator {
    let mut operator = Operator::new();
    operator.variables.extend(SETTINGS.map(|(name, value)| (name, value.to_owned())));
    operator
}

fn start(operator: &Operator, args: &[&str], database: Option<&Database>) -> Gateway {
    let mut command = operator.home.command(args);
    command.envs(operator.variables.iter().map(|(name, value)| (name, value)));
    command.envs(database.map(|database| ("CHAPPE_DATABASE", database.url())));
    Gateway::start(command)
}

fn serve(operator: &Operator, database: Option<&Database>) -> Gateway {
    start(operator, &["serve", "--listen", "127.0.0.1:0"], database)
}

fn dev(operator: &Operator) -> Gateway {
    start(operator, &["dev", "--listen", "127.0.0.1:0", "--token", TOKEN], None)
}

/// `chappe copy` from the operator's data directory, with further arguments.
fn copying(operator: &Operator, to: &Database, args: &[&str]) -> Command {
    let mut command = operator.home.command(["copy", "--from", "sqlite://data", "--to", &to.url()]);
    command.args(args).envs(operator.variables.iter().map(|(name, value)| (name, value)));
    command
}

#[track_caller]
fn copy(operator: &Operator, to: &Database) -> Value {
    let ended = finish(copying(operator, to, &["--json"]));
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{ended:?}");
    serde_json::from_str(&ended.stdout).unwrap()
}

#[track_caller]
fn refused(ended: &Finished, reason: &str) {
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains(reason), "{reason:?} is not in {:?}", ended.stderr);
    assert!(!ended.stderr.contains("panicked"), "{ended:?}");
    assert_eq!(ended.stdout, "");
}

/// Runs a command of the operator's on a PostgreSQL database.
fn on(operator: &Operator, database: &Database, line: &str) -> Finished {
    let mut command = operator.home.command(line.split_whitespace());
    command.envs(operator.variables.iter().map(|(name, value)| (name, value)));
    command.env("CHAPPE_DATABASE", database.url());
    finish(command)
}

fn rows(copied: &Value, table: &str) -> i64 {
    let tables = copied["tables"].as_array().unwrap();
    tables.iter().find(|found| found["name"] == table).unwrap()["rows"].as_i64().unwrap()
}

struct Caller<'gateway>(&'gateway Gateway, &'gateway str);

impl Caller<'_> {
    fn ask(&self, method: &str, params: Value) -> crate::http::Reply {
        let mut connection = Connection::open(self.0.address(), self.1).unwrap();
        connection.call_with(method, &params, "X-Forwarded-For: 192.0.2.7\r\n").unwrap()
    }

    fn send(&self, params: Value) -> String {
        let sent = self.ask("sendVerificationMessage", params);
        sent.result()["request_id"].as_str().unwrap().to_owned()
    }

    fn enter(&self, request: &str, code: &str) -> Value {
        let judged = self.ask("checkVerificationStatus", json!({ "request_id": request, "code": code }));
        judged.result()["verification_status"]["status"].clone()
    }
}

/// Requests in every state and rows of every kind, under `chappe dev`, whose clock can be moved; then it is stopped.
fn lived_in() -> Operator {
    let operator = operator();
    let gateway = dev(&operator);
    let caller = Caller(&gateway, TOKEN);
    let code = |phone: &str| json!({ "phone_number": phone, "code": "4711", "ttl": 60 });
    let id = caller.send(code("+9996600100"));
    assert_eq!(caller.enter(&id, "1234"), "code_invalid");
    assert_eq!(caller.enter(&id, "4711"), "code_valid");
    let mut reported = code("+9996610100");
    reported["callback_url"] = json!("http://127.0.0.1:9/reports");
    reported["payload"] = json!("order-7");
    caller.send(reported);
    for phone in ["+9996630100", "+9996660100", "+9996680100", "+9996690100", "+14155550123"] {
        caller.send(code(phone));
    }
    let withdrawn = caller.send(code("+9996630101"));
    caller.ask("revokeVerificationMessage", json!({ "request_id": withdrawn })).result();
    caller.ask("checkSendAbility", json!({ "phone_number": "+14155550124" })).result();
    let mut connection = Connection::open(gateway.address(), TOKEN).unwrap();
    connection.call_keyed("sendVerificationMessage", &code("+14155550125"), "key-1").unwrap().result();
    // What was never delivered expires, and is refunded.
    let body = "advance_s=120";
    let length = body.len();
    let moved = connection.exchange(&format!(
        "POST /sandbox/clock HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    ));
    assert_eq!(moved.unwrap().status, 200);
    let reads = |status: &str, request: &str| {
        let state = caller.ask("checkVerificationStatus", json!({ "request_id": request }));
        state.result()["delivery_status"]["status"] == status
    };
    assert!(reads("revoked", &withdrawn));
    caller.send(code("+9996630102"));
    // Wrong codes for magic numbers are not counted.
    let guessed = caller.send(code("+14155550126"));
    assert_eq!(caller.enter(&guessed, "1234"), "code_invalid");
    operator.table(&[
        ("account create acme --own-number +391234567890", 0, "+391234567890"),
        ("account set acme --single-use true", 0, "yes"),
        ("sender add acme acme_news --verified", 0, "acme_news"),
        ("credit acme 25 --reference invoice-1 --reason paid", 0, "now has 25"),
        ("credit acme 3 --test", 0, "now has 3"),
        ("token create acme --name web --expires-in 90d --allow 192.0.2.0/24", 0, "192.0.2.0/24"),
        ("token create acme --test", 0, "chappe_test_"),
        ("token rotate 2 --overlap 1h", 0, "192.0.2.0/24"),
        ("token revoke 3", 0, "revoked"),
    ]);
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(gateway.stop().code, Some(0));
    // What only channels outside lead to: names of messages, subscribers, a turn that ends by itself, a message that is
    // asked back.
    let database = rusqlite::Connection::open(operator.home.data().join("chappe.db")).unwrap();
    let rows = "INSERT INTO channel_reference (channel, reference, request_id, hop, at)
                    SELECT 'bot', 'message é ' || id, id, 0, sent_at FROM request WHERE sent_at IS NOT NULL;
                INSERT INTO subscriber (channel, phone_key, phone_sealed, chat_id, language, blocked, created_at) VALUES
                    ('bot', -9223372036854775808, x'0011ff', 4711, 'pt-br', 0, 1795000000000000),
                    ('bot', 7, x'', -1, '', 1, 1795000000000000), ('club', 7, x'00', 4711, 'en', 0, 0);
                INSERT INTO session (digest, id, person_id, customer_id, mode, created_at, seen_at, confirmed_at, address,
                    agent) SELECT x'01', 7, id, NULL, 'test', 1, 2, 3, '192.0.2.1', 'é' FROM person LIMIT 1;
                INSERT INTO login (digest, phone_key, phone_sealed, request_id, attempts, created_at, address)
                    VALUES (x'02', -7, x'00', NULL, 3, 1, '2001:db8::1');
                INSERT INTO audit_log (at, customer_id, person_id, who, action, detail, address)
                    VALUES (1, 1, NULL, 'Ünn', 'log-in', '', '');
                INSERT INTO payment (id, provider, account_id, amount, price, link, state, charge, payer, refunded,
                    created_at, changed_at) VALUES ('p1', 'stripe', 100, 5, '1250 eur', '', 'paid', 'pi_1', 'é', 0, 1, 2);
                UPDATE request SET route = 'sandbox:30,sandbox', hop_until = due_at
                    WHERE delivery = 'sent' AND due_at IS NOT NULL;
                UPDATE request SET progress = 'withdrawing', progress_at = delivery_at, due_at = delivery_at,
                    channel_reference = 'theirs' WHERE delivery = 'revoked';";
    database.execute_batch(rows).unwrap();
    let count = |rows: &str| -> i64 { database.query_row(rows, [], |row| row.get(0)).unwrap() };
    assert!(count("SELECT count(*) FROM request WHERE hop_until IS NOT NULL") > 0);
    assert!(count("SELECT count(*) FROM request WHERE progress = 'withdrawing'") > 0);
    operator
}

/// What the operator sees of a database.
fn seen(operator: &Operator, database: Option<&Database>) -> Vec<Value> {
    ["account list --json", "token list --show --json"]
        .map(|line| {
            let ended = match database {
                Some(database) => on(operator, database, line),
                None => operator.run(line),
            };
            assert_eq!(ended.code, Some(0), "{ended:?}");
            serde_json::from_str(&ended.stdout).unwrap()
        })
        .to_vec()
}

#[test]
fn every_kind_of_row_goes_over_and_ids_go_on_behind_them() {
    let operator = lived_in();
    let before = seen(&operator, None);
    let to = wait(database());
    let copied = copy(&operator, &to);
    assert_eq!((&copied["complete"], &copied["resumed"]), (&json!(true), &json!(false)), "{copied}");
    for table in copied["tables"].as_array().unwrap() {
        let name = table["name"].as_str().unwrap();
        let found = wait(to.number(&format!("SELECT count(*) FROM {name}")));
        assert_eq!(table["rows"], found, "{name}");
        assert!(found > 0, "{name} has no row to be copied");
    }
    for state in ["sent", "delivered", "read", "expired", "revoked"] {
        let count = format!("SELECT count(*) FROM request WHERE delivery = '{state}'");
        assert!(wait(to.number(&count)) > 0, "no request was {state}");
    }
    assert_eq!(seen(&operator, Some(&to)), before);
    // The audit's own words, over the wire of another database.
    let audit = on(&operator, &to, "audit --json");
    assert_eq!(audit.code, Some(0), "{audit:?}");
    let claimed = on(&operator, &to, "serve --listen 127.0.0.1:0");
    refused(&claimed, "belongs to `chappe dev`");
    let next = on(&operator, &to, "token create acme --json");
    let next: Value = serde_json::from_str(&next.stdout).unwrap();
    let last = before[1].as_array().unwrap().iter().map(|token| token["id"].as_i64().unwrap()).max().unwrap();
    assert_eq!(next["id"], last + 1, "{next}");
    let made = on(&operator, &to, "account create other --json");
    assert_eq!(made.code, Some(0), "{made:?}");
}

#[test]
fn a_copy_that_is_complete_is_not_begun_again() {
    let operator = operator();
    operator.run("account create acme");
    let to = wait(database());
    assert_eq!(copy(&operator, &to)["complete_before"], false);
    assert_eq!(copy(&operator, &to)["complete_before"], true);
    operator.run("credit acme 1");
    refused(
        &finish(copying(&operator, &to, &[])),
        "the target: it is not empty, and not a part of this copy",
    );
}

#[test]
fn the_gateway_goes_on_where_it_was() {
    let operator = operator();
    operator.table(&[("account create acme", 0, "acme"), ("credit acme 1", 0, "now has 1")]);
    let token = operator.json("token create acme --allow 192.0.2.0/24")["token"].as_str().unwrap().to_owned();
    let gateway = serve(&operator, None);
    let caller = Caller(&gateway, &token);
    let phone = "+14155550123";
    let id = caller.send(json!({ "phone_number": phone, "code": "4711" }));
    for _ in 0..3 {
        caller.send(json!({ "phone_number": phone, "code": "4711" }));
    }
    assert_eq!(caller.enter(&id, "1234"), "code_invalid");
    let balance = caller.ask("getBalance", json!({})).result();
    assert_eq!(gateway.stop().code, Some(0));

    let to = wait(database());
    assert_eq!(copy(&operator, &to)["windows"], 1);
    let gateway = serve(&operator, Some(&to));
    let caller = Caller(&gateway, &token);
    assert_eq!(caller.ask("getBalance", json!({})).result(), balance);
    assert_eq!(caller.enter(&id, "4711"), "code_valid");
    // Four messages were sent before, and five are allowed.
    caller.send(json!({ "phone_number": phone, "code": "4711" }));
    let sixth = caller.ask("sendVerificationMessage", json!({ "phone_number": phone, "code": "4711" }));
    assert!(sixth.error().unwrap().starts_with("FLOOD_WAIT_"), "{sixth:?}");
    let outside = Connection::open(gateway.address(), &token).unwrap().call_with(
        "getBalance",
        &json!({}),
        "X-Forwarded-For: 198.51.100.1\r\n",
    );
    assert_eq!(outside.unwrap().error().as_deref(), Some("IP_NOT_ALLOWED"), "the allow-list came along");
    assert_eq!(gateway.stop().code, Some(0));
    assert_eq!(on(&operator, &to, "audit --json").code, Some(0));
}

/// Interrupted again and again, each time after a while longer, until it gets to its end.
#[test]
fn a_copy_that_is_killed_goes_on_where_it_was() {
    const MESSAGES: usize = 250;
    let operator = operator();
    let gateway = dev(&operator);
    let mut connection = Connection::open(gateway.address(), TOKEN).unwrap();
    for number in 0..MESSAGES {
        let params = json!({ "phone_number": format!("+1415555{number:04}"), "code": "4711" });
        connection.call("sendVerificationMessage", &params).unwrap().result();
    }
    assert_eq!(gateway.stop().code, Some(0));
    let to = wait(database());
    let (mut kills, mut seen_half, mut delay) = (0, 0, Duration::from_millis(20));
    let ended = loop {
        let mut command = copying(&operator, &to, &["--batch", "3", "--json"]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        std::thread::sleep(delay);
        if child.try_wait().unwrap().is_some() {
            break child.wait_with_output().unwrap();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        kills += 1;
        delay += Duration::from_millis(25);
        let audit = on(&operator, &to, "audit");
        if audit.stderr.contains("is not complete; run the same `chappe copy` again") {
            seen_half += 1;
            if seen_half == 1 {
                for line in ["serve --listen 127.0.0.1:0", "account create other", "token list", "migrate"] {
                    refused(
                        &on(&operator, &to, line),
                        "a copy into this database was begun and is not complete",
                    );
                }
            }
        }
    };
    assert!(ended.status.success(), "{ended:?}");
    let copied: Value = serde_json::from_slice(&ended.stdout).unwrap();
    assert!(kills > 2 && seen_half > 1, "{kills} kills, of which {seen_half} left a half");
    assert_eq!(copied["resumed"], true);
    assert_eq!(rows(&copied, "request"), MESSAGES as i64);
    assert_eq!(wait(to.number("SELECT count(*) FROM request")), MESSAGES as i64);
    assert_eq!(wait(to.number("SELECT count(*) FROM meta WHERE name LIKE 'copy%'")), 0);
    assert_eq!(on(&operator, &to, "audit --json").code, Some(0));
}

#[test]
fn a_source_that_changed_after_an_interruption_is_noticed() {
    let operator = operator();
    operator.run("account create acme");
    let to = wait(database());
    copy(&operator, &to);
    // As if it had been killed at its very end.
    wait(to.run("UPDATE meta SET name = 'copy_from' WHERE name = 'copied_from'"));
    operator.run("credit acme 1");
    refused(&finish(copying(&operator, &to, &[])), "or the source has changed since that was begun");
}

#[test]
fn a_target_that_was_tampered_with_is_never_complete() {
    let operator = operator();
    operator.table(&[("account create acme", 0, "acme"), ("credit acme 1", 0, "now has 1")]);
    let to = wait(database());
    copy(&operator, &to);
    wait(to.run(
        "UPDATE meta SET name = 'copy_from' WHERE name = 'copied_from';
         INSERT INTO meta (name, value) VALUES ('copy_position', '{\"table\":\"idempotency\",\"done\":0,\"after\":[{\"Number\":0},{\"Bytes\":[]}]}');
         UPDATE transfer SET at = at + 1",
    ));
    refused(&finish(copying(&operator, &to, &[])), "the target does not hold what the source does: transfer");
    refused(&on(&operator, &to, "audit"), "is not complete");
}

#[test]
fn what_cannot_be_copied_is_said() {
    let operator = operator();
    let to = wait(database());
    refused(&finish(copying(&operator, &to, &[])), "the source: there is no database in");
    operator.run("account create acme");
    let other = crate::Operator::new();
    let mut wrong = copying(&operator, &to, &[]);
    wrong.env("CHAPPE_KEY", &other.variables[0].1);
    refused(&finish(wrong), "the source: the master key does not belong to this database");

    let of_other = wait(database());
    assert_eq!(on(&other, &of_other, "account create acme").code, Some(0));
    refused(
        &finish(copying(&operator, &of_other, &[])),
        "the target: the master key does not belong to this database",
    );
    let used = wait(database());
    assert_eq!(on(&operator, &used, "account create acme").code, Some(0));
    refused(&finish(copying(&operator, &used, &[])), "the target: it is not empty");

    let gateway = serve(&operator, None);
    refused(&finish(copying(&operator, &to, &[])), "is in use by another chappe server; stop it first");
    assert_eq!(gateway.stop().code, Some(0));
    let gateway = serve(&operator, Some(&to));
    refused(&finish(copying(&operator, &to, &[])), "the target: a server uses this database; stop it first");
    assert_eq!(gateway.stop().code, Some(0));
    // It was served and stopped, and nothing was put into it.
    assert_eq!(copy(&operator, &to)["complete"], true);

    wait(used.run("UPDATE meta SET value = '99' WHERE name = 'version'"));
    refused(&finish(copying(&operator, &used, &[])), "the target: the database is at version 99");
    let url = to.url();
    for (args, reason) in [
        (["--from", &url, "--to", "sqlite://data"], "--from must be sqlite://DIR"),
        (["--from", "sqlite://data", "--to", "sqlite://other"], "--to must be a PostgreSQL database"),
        (["--from", "sqlite://data", "--to", "elsewhere"], "must look like postgres://"),
        (["--from", "sqlite://", "--to", &url], "--from must be sqlite://DIR"),
    ] {
        let mut command = operator.home.command(["copy"].iter().chain(&args));
        command.envs(operator.variables.iter().map(|(name, value)| (name, value)));
        refused(&finish(command), reason);
    }
}

/// A column that a migration adds must be copied as well: the copy names all there are.
#[test]
fn no_table_and_no_column_is_forgotten() {
    let operator = operator();
    operator.run("account create acme");
    let to = wait(database());
    copy(&operator, &to);
    let listed =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/src/store/copy/table.rs")).unwrap();
    let of_postgres = "SELECT table_name || '.' || column_name FROM information_schema.columns
        WHERE table_schema = 'public' AND table_name NOT IN ('meta', 'node', 'phone_window')";
    let found = wait(async { to.client().await.query(of_postgres, &[]).await.unwrap() });
    let mut of_postgres: Vec<String> = found.iter().map(|row| row.get(0)).collect();
    let sqlite = rusqlite::Connection::open(operator.home.data().join("chappe.db")).unwrap();
    let mut statement = sqlite
        .prepare(
            "SELECT m.name || '.' || c.name FROM sqlite_schema m JOIN pragma_table_info(m.name) c
             WHERE m.type = 'table' AND m.name <> 'meta' AND m.name NOT LIKE 'sqlite_%'",
        )
        .unwrap();
    let mut of_sqlite: Vec<String> =
        statement.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap();
    of_postgres.sort();
    of_sqlite.sort();
    assert_eq!(of_postgres, of_sqlite);
    for column in of_sqlite {
        let (table, column) = column.split_once('.').unwrap();
        let table =
            listed.split(&format!("name: \"{table}\"")).nth(1).unwrap_or_else(|| panic!("no {table}"));
        let columns = table.split("Table {").next().unwrap();
        assert!(columns.contains(&format!("(\"{column}\", ")), "{column} is not copied");
    }
}

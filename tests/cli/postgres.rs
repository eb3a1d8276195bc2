//! A PostgreSQL database instead of a data directory: every command takes it, and several servers share it.

use crate::Operator;
use crate::database::{CAREFUL, Database, PASSWORD, database};
use crate::gateway::{Gateway, finish};
use crate::http::Connection;
use serde_json::{Value, json};

const SETTINGS: [(&str, &str); 2] =
    [("CHAPPE_TRUSTED_PROXIES", "[\"127.0.0.1\"]"), ("CHAPPE_ROUTES__LIVE", "sandbox")];

fn empty() -> Database {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(database())
}

/// An operator whose database this is.
fn operator(database: &Database) -> Operator {
    let mut operator = Operator::new();
    operator.variables.push(("CHAPPE_DATABASE", database.url()));
    let settings = SETTINGS.map(|(name, value)| (name, value.to_owned()));
    operator.variables.extend(settings);
    operator
}

fn serve(operator: &Operator) -> Gateway {
    let mut command = operator.home.command(["serve", "--listen", "127.0.0.1:0"]);
    command.envs(operator.variables.iter().map(|(name, value)| (name, value)));
    Gateway::start(command)
}

#[test]
fn every_command_works_on_it_and_servers_share_it() {
    let operator = operator(&empty());
    operator.table(&[
        ("audit", 1, "there is nothing of chappe in this database"),
        ("account list", 1, "there is nothing of chappe in this database"),
        ("account create alice --own-number +391234567890", 0, "alice     live  0"),
        ("account create alice", 1, "there is a customer named \"alice\" already"),
        ("account set alice --single-use true", 0, "yes"),
        ("sender add alice newsroom --verified", 0, "newsroom"),
        ("sender remove alice newsroom", 0, "alice"),
        ("credit alice 1 --reference first", 0, "booked; the live account of alice now has 1"),
        ("credit alice 1 --reference first", 0, "nothing was booked"),
        ("credit alice -2 --adjust", 1, "the account has only 1"),
    ]);
    let token = operator.json("token create alice")["token"].as_str().unwrap().to_owned();
    let (first, second) = (serve(&operator), serve(&operator));
    let call = |gateway: &Gateway, method: &str, params: Value| {
        let mut connection = Connection::open(gateway.address(), &token).unwrap();
        connection.call_with(method, &params, "X-Forwarded-For: 192.0.2.7\r\n").unwrap()
    };
    let sent =
        call(&first, "sendVerificationMessage", json!({ "phone_number": "+14155550123", "code": "4711" }));
    let id = sent.result()["request_id"].as_str().unwrap().to_owned();
    let judged = call(&second, "checkVerificationStatus", json!({ "request_id": id, "code": "4711" }));
    assert_eq!(judged.result()["verification_status"]["status"], "code_valid");
    assert_eq!(call(&second, "getBalance", json!({})).result(), json!({ "balance": 0.99 }));
    operator.table(&[
        (format!("request {id}").leak(), 0, "verified"),
        ("token revoke 1", 0, "revoked"),
        ("audit", 0, "18 checks, all invariants hold"),
    ]);
    assert_eq!(first.stop().code, Some(0));
    assert_eq!(second.stop().code, Some(0));
    assert!(!operator.home.data().exists(), "and no data directory");
}

#[test]
fn what_is_wrong_with_it_is_said_without_its_password() {
    let database = empty();
    let operator = Operator::new();
    let url = |user: &str, password: &str, port: u16, name: &str| {
        format!("postgres://{user}:{password}@127.0.0.1:{port}/{name}?sslmode=disable")
    };
    for (url, reason) in [
        (
            "nonsense-with-hunter2".to_owned(),
            "the database URL cannot be used: it must look like postgres://",
        ),
        (url(CAREFUL, "hunter2", database.port, &database.name), "check the user and the password"),
        (url("chappe", "hunter2", 1, &database.name), "the database cannot be reached: 127.0.0.1:1/"),
        (url("chappe", "hunter2", database.port, "nowhere"), "create it first"),
        (url(CAREFUL, PASSWORD, database.port, &database.name), "own the database"),
    ] {
        for line in ["serve --listen 127.0.0.1:0", "account create alice", "audit"] {
            if line == "audit" && url.contains(PASSWORD) {
                continue; // Reading nothing needs no right to create.
            }
            let mut command = operator.home.command(line.split_whitespace());
            command.envs(operator.variables.iter().map(|(name, value)| (name, value))).envs(SETTINGS);
            command.env("CHAPPE_DATABASE", &url);
            let ended = finish(command);
            assert_eq!(ended.code, Some(1), "{line}: {ended:?}");
            assert!(ended.stderr.contains(reason), "{line}: {reason:?} is not in {:?}", ended.stderr);
            assert!(!ended.stderr.contains("ter2") && !ended.stderr.contains(PASSWORD), "{}", ended.stderr);
            assert_eq!(ended.stdout, "", "{line}");
        }
    }
}

#[test]
fn pages_of_one_server_are_live_with_what_happens_at_another() {
    use std::io::{BufRead, BufReader, Write};
    let operator = operator(&empty());
    operator.table(&[("account create alice", 0, "alice")]);
    let token = operator.json("token create alice --test")["token"].as_str().unwrap().to_owned();
    operator.table(&[("credit alice 1 --test", 0, "booked")]);
    let (first, second) = (serve(&operator), serve(&operator));
    let mut page = std::net::TcpStream::connect(second.address()).unwrap();
    page.set_read_timeout(Some(std::time::Duration::from_secs(2))).unwrap();
    write!(
        page,
        "GET /sandbox/events HTTP/1.1\r\nHost: chappe\r\nAuthorization: Bearer {token}\r\n\
         X-Forwarded-For: 192.0.2.7\r\n\r\n"
    )
    .unwrap();
    let mut lines = BufReader::new(page).lines();
    let mut caller = Connection::open(first.address(), &token).unwrap();
    // The servers begin to hear each other soon after they are ready, not before.
    let heard = (0..10).any(|number| {
        let params = json!({ "phone_number": format!("+1415555012{number}"), "code": "4711" });
        caller.call_with("sendVerificationMessage", &params, "X-Forwarded-For: 192.0.2.7\r\n").unwrap();
        lines.by_ref().map_while(Result::ok).any(|line| line.starts_with("data: {\"request_id\""))
    });
    assert!(heard, "nothing was shown");
    drop(lines);
    assert_eq!(first.stop().code, Some(0));
    assert_eq!(second.stop().code, Some(0));
}

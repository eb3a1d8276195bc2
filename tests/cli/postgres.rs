//! A PostgreSQL database instead of a data directory: every command takes it, and several servers share it.

use crate::Operator;
use crate::database::{CAREFUL, Database, PASSWORD, database};
use crate::gateway::{Finished, Gateway, Home, TOKEN, finish};
use crate::http::Connection;
use serde_json::{Value, json};
use std::process::Command;

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
        ("audit", 0, "22 checks, all invariants hold"),
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

/// `chappe ARGS` in this home, on this database, with no key but the one in the data directory.
fn on(home: &Home, database: &Database, args: &[&str]) -> Command {
    let mut command = home.command(args);
    command.env("CHAPPE_DATABASE", database.url());
    command
}

const DEV: [&str; 5] = ["dev", "--listen", "127.0.0.1:0", "--token", TOKEN];

/// The lanes that servers hold, or crashed ones held.
fn lanes_held(database: &Database) -> i64 {
    let count = database.number("SELECT count(*) FROM node WHERE holder IS NOT NULL");
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(count)
}

#[test]
fn development_works_on_it_as_on_a_directory() {
    let (home, database, elsewhere) = (Home::new(), empty(), empty());
    let call = |gateway: &Gateway, method: &str, params: Value| {
        Connection::open(gateway.address(), TOKEN).unwrap().call(method, &params).unwrap().result()
    };
    let first = Gateway::start(on(&home, &database, &DEV));
    let sent =
        call(&first, "sendVerificationMessage", json!({ "phone_number": "+14155550123", "code": "4711" }));
    assert_eq!(sent["remaining_balance"].to_string(), "99.99");
    let latest = "GET /sandbox/messages/latest?phone_number=14155550123 HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let shown = Connection::open(first.address(), "").unwrap().exchange(latest).unwrap();
    assert_eq!(shown.json()["code"], "4711");

    // A second server over the same database: the same key, token, account and requests. A flag is over the variable.
    let mut beside = on(&home, &elsewhere, &DEV);
    beside.args(["--database", &database.url()]);
    let second = Gateway::start(beside);
    let check = json!({ "request_id": sent["request_id"], "code": "4711" });
    assert_eq!(
        call(&second, "checkVerificationStatus", check)["verification_status"]["status"],
        "code_valid"
    );
    for gateway in [first, second] {
        let ended = gateway.stop();
        assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
    }

    // The account is filled up to the same again, and the last token is good without being named.
    let again =
        Gateway::start(on(&home, &database, &["dev", "--listen", "127.0.0.1:0", "--balance", "99.995"]));
    assert!(again.greeting.contains(&format!("API token     {TOKEN}")), "{:?}", again.greeting);
    assert_eq!(
        call(&again, "getBalance", json!({}))["balance"].to_string(),
        "100",
        "filled up by the second"
    );
    // Commands beside it find the key where `dev` keeps it.
    for line in [&["audit", "--json"][..], &["account", "show", "dev"], &["token", "list"], &["migrate"]] {
        let ended = finish(on(&home, &database, line));
        assert_eq!(ended.code, Some(0), "{line:?}: {ended:?}");
    }
    assert_eq!(again.stop().code, Some(0));
    let files: Vec<_> =
        std::fs::read_dir(home.data()).unwrap().map(|file| file.unwrap().file_name()).collect();
    assert_eq!(files, ["master.key"], "the data directory holds the key alone");
    // An empty variable names no database.
    let mut plain = home.command(DEV);
    plain.env("CHAPPE_DATABASE", "");
    Gateway::start(plain).stop();
    assert!(home.data().join("chappe.db").exists());
}

#[test]
fn a_database_of_development_is_not_served_nor_the_other_way_round() {
    let refused = |command: Command, reason: &str| {
        let Err(ended): Result<_, Finished> = Gateway::try_start(command) else { panic!("it started") };
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(1), ""), "{ended:?}");
        assert!(ended.stderr.contains(reason), "{reason:?} is not in {:?}", ended.stderr);
    };
    let (served, of_dev) = (empty(), empty());
    let operator = operator(&served);
    assert_eq!(serve(&operator).stop().code, Some(0));
    let home = Home::new();
    assert_eq!(Gateway::start(on(&home, &of_dev, &DEV)).stop().code, Some(0));

    let key = &operator.variables[0].1;
    let before = operator.run("account list --json").stdout;
    // More often than there are places for servers: a start that is refused keeps none.
    for _ in 0..9 {
        let mut dev = on(&home, &served, &DEV);
        dev.env("CHAPPE_KEY", key);
        refused(dev, "this database belongs to `chappe serve`");
        let mut serve = on(&home, &of_dev, &["serve", "--listen", "127.0.0.1:0"]);
        serve
            .envs(SETTINGS)
            .env("CHAPPE_KEY", std::fs::read_to_string(home.data().join("master.key")).unwrap());
        refused(serve, "this database belongs to `chappe dev`");
    }
    assert_eq!((lanes_held(&served), lanes_held(&of_dev)), (0, 0));
    assert_eq!(operator.run("account list --json").stdout, before, "no account was made or filled up");
    // What an operator has made for a server that is still to come is as safe.
    let coming = empty();
    let mut create = on(&home, &coming, &["account", "create", "acme"]);
    create.env("CHAPPE_KEY", key);
    assert_eq!(finish(create).code, Some(0));
    let mut dev = on(&home, &coming, &DEV);
    dev.env("CHAPPE_KEY", key);
    refused(dev, "this database belongs to `chappe serve`");
    // Nor does development begin with another key than the database was made with, or keep a place when it cannot go on.
    refused(on(&home, &served, &DEV), "the master key does not belong to this database");
    refused(on(&home, &of_dev, &[&DEV[..4], &["two words"]].concat()), "--token must be printable ASCII");
    assert_eq!((lanes_held(&served), lanes_held(&of_dev)), (0, 0));
}

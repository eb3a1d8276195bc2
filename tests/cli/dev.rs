//! `chappe dev`: what scripts and people may rely on.

use crate::gateway::{Gateway, Home, TOKEN, finish};
use crate::http::Connection;
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

/// `chappe dev` with nothing but a free port.
fn plain(home: &Home) -> Command {
    home.command(["dev", "--listen", "127.0.0.1:0"])
}

/// The token that a gateway says it accepts.
fn token(gateway: &Gateway) -> String {
    let line = gateway.greeting.iter().find_map(|line| line.strip_prefix("API token "));
    line.unwrap().trim().to_owned()
}

fn call(gateway: &Gateway, token: &str, method: &str, params: Value) -> Value {
    Connection::open(gateway.address(), token).unwrap().call(method, &params).unwrap().result()
}

fn balance(gateway: &Gateway, token: &str) -> String {
    call(gateway, token, "getBalance", json!({}))["balance"].to_string()
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn says_all_that_is_needed_and_last_that_it_is_ready() {
    let home = Home::new();
    let gateway = Gateway::start(plain(&home));
    println!("dev: ready {:?} after its start", gateway.ready_after);
    let base_url = gateway.base_url().to_owned();
    assert!(base_url.starts_with("http://127.0.0.1:") && !base_url.ends_with(":0"), "{base_url}");
    let token = token(&gateway);
    assert!(token.starts_with("chappe_live_"), "{token}");
    for line in [format!("API base URL  {base_url}"), format!("Sandbox       {base_url}/sandbox")] {
        assert!(gateway.greeting.contains(&line), "{line:?} is not in {:?}", gateway.greeting);
    }
    assert_eq!(balance(&gateway, &token), "100");
    let page = Connection::open(gateway.address(), "")
        .unwrap()
        .exchange("GET /sandbox HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!(page.unwrap().status, 200);
    let ended = gateway.stop();
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{ended:?}");
    assert_eq!(
        ended.stdout.lines().last(),
        Some(format!("ready {base_url}").as_str()),
        "the last line of all"
    );
    assert_eq!(mode(&home.data()), 0o700);
    assert_eq!(mode(&home.data().join("master.key")), 0o600);
}

#[test]
fn the_printed_curl_line_works_as_it_stands() {
    if !Command::new("curl").arg("--version").output().is_ok_and(|output| output.status.success()) {
        println!("SKIPPED the_printed_curl_line_works_as_it_stands: there is no curl here");
        return;
    }
    let home = Home::new();
    let gateway = Gateway::start(plain(&home));
    let lines = gateway.greeting.iter().skip_while(|line| !line.starts_with("curl "));
    let line: Vec<_> = lines.take_while(|line| !line.is_empty()).cloned().collect();
    let mut shell = Command::new("sh");
    shell.args(["-c", &line.join("\n")]).env("no_proxy", "*");
    let ended = finish(shell);
    let answer: Value = serde_json::from_str(&ended.stdout).unwrap_or_else(|_| panic!("{ended:?}"));
    assert_eq!(
        (&answer["ok"], &answer["result"]["delivery_status"]["status"]),
        (&json!(true), &json!("sent"))
    );
}

#[test]
fn every_flag_has_a_variable_and_the_flag_wins() {
    let home = Home::new();
    let data = home.path().join("elsewhere");
    let variables = [
        ("CHAPPE_LISTEN", "127.0.0.1:0"),
        ("CHAPPE_DATA", data.to_str().unwrap()),
        ("CHAPPE_TOKEN", "token-of-the-environment"),
        ("CHAPPE_OWN_NUMBER", "+391234567890"),
        ("CHAPPE_BALANCE", "7"),
    ];
    let mut command = home.command(["dev"]);
    command.envs(variables);
    let gateway = Gateway::start(command);
    let token = "token-of-the-environment";
    assert_eq!(balance(&gateway, token), "7");
    let own = json!({ "phone_number": "391234567890", "code": "1234" });
    assert_eq!(call(&gateway, token, "sendVerificationMessage", own)["request_cost"], 0);
    assert!(data.join("chappe.db").exists());
    gateway.stop();

    let flags = ["dev", "--token", "token-of-the-flag", "--own-number", "+391234567891", "--balance", "9"];
    let mut command = home.command(flags);
    command.envs(variables);
    let gateway = Gateway::start(command);
    assert_eq!(balance(&gateway, "token-of-the-flag"), "9");
    for (phone, cost) in [("391234567890", "0.01"), ("391234567891", "0")] {
        let message = json!({ "phone_number": phone, "code": "1234" });
        let sent = call(&gateway, "token-of-the-flag", "sendVerificationMessage", message);
        assert_eq!(sent["request_cost"].to_string(), cost, "{phone}");
    }
}

#[test]
fn settings_are_tried_where_a_file_is_named() {
    let home = Home::new();
    let cost = |gateway: &Gateway| {
        let message = json!({ "phone_number": "9996600100", "code": "1234" });
        call(gateway, TOKEN, "sendVerificationMessage", message)["request_cost"].to_string()
    };
    let page = |gateway: &Gateway| {
        let page = "GET /login HTTP/1.1\r\nHost: localhost\r\n\r\n";
        Connection::open(gateway.address(), "").unwrap().exchange(page).unwrap().text
    };
    let telegram =
        "[console.oidc]\nissuer = \"https://id.example\"\nclient_id = \"1\"\nclient_secret = \"s\"\n";
    let settings = format!(
        "listen = \"127.0.0.1:1\"\npublic_url = \"http://127.0.0.1:8787\"\nroutes.live = \"none\"\n\
         [prices]\ndefault = \"0.5\"\n{telegram}"
    );
    std::fs::write(home.path().join("chappe.toml"), settings).unwrap();
    // A file that lies about is meant for `serve`.
    let gateway = Gateway::start(home.dev("100"));
    assert_eq!(cost(&gateway), "0.01");
    assert!(!page(&gateway).contains("Log in with Telegram"));
    gateway.stop();

    let mut command = home.dev("100");
    command.args(["--config", "chappe.toml"]);
    let gateway = Gateway::start(command);
    assert_eq!(cost(&gateway), "0.5", "and the message went to the sandbox");
    assert!(page(&gateway).contains("Log in with Telegram"));
    gateway.stop();

    let mut command = home.dev("100");
    command.args(["--config", "chappe.toml"]).env("CHAPPE_FUNDING__STRIPE__SECRET_KEY", "sk_live_1");
    let Err(ended) = Gateway::try_start(command) else { panic!("it started") };
    assert!(ended.code == Some(1) && ended.stderr.contains("takes real money"), "{ended:?}");
}

#[test]
fn the_token_stays_the_same_until_another_is_wanted() {
    let home = Home::new();
    let first = {
        let gateway = Gateway::start(plain(&home));
        let first = token(&gateway);
        gateway.stop();
        first
    };
    let gateway = Gateway::start(plain(&home));
    assert_eq!(token(&gateway), first);
    gateway.stop();
    for _ in 0..2 {
        let gateway = Gateway::start(home.dev("100"));
        assert_eq!(token(&gateway), TOKEN);
        assert_eq!(balance(&gateway, TOKEN), "100");
        assert_eq!(balance(&gateway, &first), "100", "the other one is good as well");
        gateway.stop();
    }
    // One that was revoked does not come back by itself.
    assert_eq!(home.run(["token", "revoke", "2"]).code, Some(0));
    let Err(ended) = Gateway::try_start(home.dev("100")) else { panic!("a revoked token was accepted") };
    assert!(ended.code == Some(1) && ended.stderr.contains("this token was revoked"), "{ended:?}");
    assert_eq!(home.run(["token", "revoke", "1"]).code, Some(0));
    let gateway = Gateway::start(plain(&home));
    assert!(![TOKEN, &first].contains(&token(&gateway).as_str()));
}

/// Moves the sandbox's clock; the moment that it then shows.
fn advance(gateway: &Gateway, seconds: u64) -> i64 {
    let body = json!({ "advance_s": seconds });
    let moved = Connection::open(gateway.address(), "").unwrap().call("sandbox/clock", &body).unwrap();
    moved.json()["now"].as_i64().unwrap()
}

#[test]
fn a_restart_does_not_turn_the_clock_back() {
    let home = Home::new();
    let gateway = Gateway::start(home.dev("1"));
    let moved = advance(&gateway, 86_400);
    let message = json!({ "phone_number": "9996600100", "code": "1234" });
    call(&gateway, TOKEN, "sendVerificationMessage", message);
    gateway.stop();

    // What is created at the start belongs to the same time as what is done after it.
    let gateway = Gateway::start(home.command(["dev", "--listen", "127.0.0.1:0", "--token", "second"]));
    assert!(advance(&gateway, 0) >= moved);
    let tokens = home.run(["token", "list", "--json"]).stdout;
    let tokens: Value = serde_json::from_str(&tokens).unwrap();
    let created: Vec<i64> =
        tokens.as_array().unwrap().iter().map(|token| token["created_at"].as_i64().unwrap()).collect();
    assert!(created.len() == 2 && created[0] < moved && created[1] >= moved, "{created:?}, moved to {moved}");
    gateway.stop();
    home.audit();
}

#[test]
fn the_balance_is_filled_up_and_never_taken_away() {
    let home = Home::new();
    for (wanted, found, left) in
        [("1", "1", "0.99"), ("1", "1", "0.99"), ("0", "0.99", "0.98"), ("5.5", "5.5", "5.49")]
    {
        let gateway = Gateway::start(home.dev(wanted));
        assert_eq!(balance(&gateway, TOKEN), found, "--balance {wanted}");
        let message = json!({ "phone_number": "9996600100", "code": "1234" });
        let sent = call(&gateway, TOKEN, "sendVerificationMessage", message);
        assert_eq!(sent["remaining_balance"].to_string(), left);
        gateway.stop();
    }
    home.audit();
}

/// What a start that was interrupted leaves behind is no key, and keeps no later start from making one.
#[test]
fn half_a_key_is_never_taken_for_one() {
    let home = Home::new();
    std::fs::create_dir(home.data()).unwrap();
    let left_over = home.data().join("master.key.new");
    std::fs::write(&left_over, "0123").unwrap();
    std::fs::set_permissions(&left_over, PermissionsExt::from_mode(0o644)).unwrap();
    Gateway::start(home.dev("1")).stop();
    let file = home.data().join("master.key");
    let key = std::fs::read_to_string(&file).unwrap();
    assert!(key.len() == 64 && key.bytes().all(|digit| digit.is_ascii_hexdigit()));
    assert_eq!(mode(&file), 0o600);
    assert!(!left_over.exists());

    // The key that there is stays, whatever lies beside it.
    std::fs::write(&left_over, "0123").unwrap();
    Gateway::start(home.dev("1")).stop();
    assert_eq!(std::fs::read_to_string(&file).unwrap(), key);
    home.audit();
}

#[test]
fn says_so_if_others_can_reach_it() {
    let home = Home::new();
    let gateway = Gateway::start(home.command(["dev", "--listen", "0.0.0.0:0"]));
    let address = gateway.address().to_owned();
    let ended = gateway.stop();
    let warning = format!(
        "chappe: warning: {address} can be reached from beyond this machine, and the sandbox shows every code to \
         whoever reaches it\n"
    );
    assert_eq!((ended.code, ended.stderr), (Some(0), warning));
}

#[test]
fn listens_on_ipv6_as_well() {
    let home = Home::new();
    if std::net::TcpListener::bind("[::1]:0").is_err() {
        println!("SKIPPED listens_on_ipv6_as_well: this machine has no IPv6");
        return;
    }
    let gateway = Gateway::start(home.command(["dev", "--listen", "[::1]:0", "--token", TOKEN]));
    assert!(gateway.base_url().starts_with("http://[::1]:"), "{}", gateway.base_url());
    assert_eq!(balance(&gateway, TOKEN), "100");
}

#[test]
fn what_cannot_be_is_refused_with_a_reason() {
    let home = Home::new();
    for (flag, value, code, reason) in [
        ("--listen", "nonsense", 2, "invalid socket address"),
        ("--listen", "127.0.0.1", 2, "invalid socket address"),
        ("--balance", "much", 2, "not an amount"),
        ("--balance", "-1", 1, "--balance must not be below 0"),
        ("--own-number", "12", 1, "--own-number \"12\" is no phone number"),
        ("--token", "two words", 1, "--token must be printable ASCII without spaces"),
        ("--token", "", 1, "--token must be printable ASCII without spaces"),
        ("--token", "münze", 1, "--token must be printable ASCII without spaces"),
    ] {
        let mut command = plain(&home);
        if flag == "--listen" {
            command = home.command(["dev"]);
        }
        command.arg(format!("{flag}={value}"));
        let Err(ended) = Gateway::try_start(command) else { panic!("{flag} {value}: it started") };
        assert_eq!(ended.code, Some(code), "{flag} {value}: {ended:?}");
        assert!(ended.stderr.contains(reason), "{flag} {value}: {}", ended.stderr);
    }
    // The key of a data directory is not to be shown around, not even beside play data.
    Gateway::start(plain(&home)).stop();
    std::fs::set_permissions(home.data().join("master.key"), PermissionsExt::from_mode(0o644)).unwrap();
    let Err(ended) = Gateway::try_start(plain(&home)) else { panic!("it started") };
    assert!(ended.code == Some(1) && ended.stderr.contains("can be read by others"), "{ended:?}");
}

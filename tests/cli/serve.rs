//! `chappe serve`: it refuses to start unsafe, and serves when it is safe.

use crate::gateway::{Gateway, Home, finish};
use crate::http::Connection;
use crate::tokens::soon;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::{Value, json};
use std::net::TcpStream;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

/// What makes a server safe that has no TLS of its own.
pub(crate) const BEHIND_PROXY: &str = "trusted_proxies = [\"127.0.0.1\"]\n";

/// Writes a file that only its owner can read.
fn write(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, PermissionsExt::from_mode(0o600)).unwrap();
}

/// A home with a master key beside the data directory.
pub(crate) fn home_with_key() -> Home {
    let home = Home::new();
    write(&home.path().join("master.key"), &home.run(["key", "generate"]).stdout);
    home
}

/// `chappe serve` with this configuration, on a free port.
pub(crate) fn serve(home: &Home, config: &str) -> Command {
    std::fs::write(home.path().join("chappe.toml"), config).unwrap();
    home.command(["serve", "--listen", "127.0.0.1:0"])
}

#[track_caller]
pub(crate) fn refused(command: Command, reason: &str) {
    match Gateway::try_start(command) {
        Ok(_) => panic!("it started, though {reason:?} should have been said"),
        Err(ended) => {
            assert_eq!(ended.code, Some(1), "{ended:?}");
            assert!(ended.stderr.contains(reason), "{reason:?} is not in {:?}", ended.stderr);
            assert_eq!(ended.stdout, "");
            assert!(!ended.stderr.contains("panicked"), "{}", ended.stderr);
        }
    }
}

#[test]
fn a_start_without_protection_is_refused() {
    let home = home_with_key();
    let key = "key_file = \"master.key\"\n";
    refused(serve(&home, ""), "refusing to serve tokens and codes over plain HTTP");
    refused(serve(&home, key), "trusted_proxies");
    refused(serve(&home, BEHIND_PROXY), "no master key: make one with `chappe key generate > FILE`");
    let half = format!("{key}[tls]\ncertificate = \"cert.pem\"\n");
    refused(serve(&home, &half), "tls.certificate and tls.key belong together");
    let half = format!("{BEHIND_PROXY}{key}[tls]\nkey = \"cert.pem\"\n");
    refused(serve(&home, &half), "tls.certificate and tls.key belong together");
    assert!(!home.data().exists(), "a refused start leaves nothing behind");
}

#[test]
fn a_master_key_must_be_kept_well() {
    let home = home_with_key();
    let serve = |key_file: &str| serve(&home, &format!("{BEHIND_PROXY}key_file = \"{key_file}\"\n"));
    let file = home.path().join("master.key");
    for mode in [0o644, 0o640, 0o604, 0o660] {
        std::fs::set_permissions(&file, PermissionsExt::from_mode(mode)).unwrap();
        refused(serve("master.key"), "can be read by others: `chmod 600 ");
    }
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o600)).unwrap();
    refused(serve("missing.key"), "cannot read the master key file missing.key");
    write(&home.path().join("bad.key"), "not a key");
    refused(serve("bad.key"), "a master key is 64 hexadecimal digits");

    let inside = home.data().join("deep");
    std::fs::create_dir_all(&inside).unwrap();
    std::fs::copy(&file, inside.join("master.key")).unwrap();
    refused(serve("data/deep/master.key"), "lies in the data directory");
    symlink("data/deep/master.key", home.path().join("link.key")).unwrap();
    refused(serve("link.key"), "lies in the data directory");
    assert_eq!(Gateway::start(serve("master.key")).stop().code, Some(0));
}

#[test]
fn settings_that_cannot_be_are_refused_by_name() {
    let home = home_with_key();
    let start = format!("{BEHIND_PROXY}key_file = \"master.key\"\n");
    for (setting, reason) in [
        ("nonsense = 1", "unknown field: found `nonsense`"),
        ("[limits]\nnonsense = 1", "unknown field: found `nonsense`"),
        ("queue = \"many\"", "queue"),
        ("queue = 0", "queue must be above 0"),
        ("queue = -1", "queue"),
        ("[prices]\ndefault = \"cheap\"", "the price \"cheap\" cannot be used"),
        ("[prices]\ndefault = \"-0.01\"", "is below zero"),
        ("[prices]\nby_prefix = { \"39x\" = \"1\" }", "\"39x\""),
        // A bare number is read as a float, which most prices do not fit.
        ("[prices]\ndefault = 0.01", "found float `0.01`, expected a price in quotes, such as \"0.01\""),
        ("[prices]\nby_prefix = { \"39\" = 0.02 }", "expected a price in quotes, such as \"0.01\""),
        ("[prices]\ndefault = true", "expected a price in quotes, such as \"0.01\""),
        ("[prices]\ndefault = \"0.0000001\"", "the price \"0.0000001\" cannot be used"),
        ("[log]\nformat = \"xml\"", "found `xml`"),
        ("[log]\nfilter = \"info,=,\"", "log.filter"),
        ("[routes]\nlive = \"pigeon\"", "a route leads to channel \"pigeon\""),
        ("[limits]\nattempts_per_request = 0", "limits.attempts_per_request"),
        ("[limits]\nattempts_per_request = 256", "limits.attempts_per_request"),
        ("[limits]\nsends_per_phone = 0", "limits.sends_per_phone"),
        ("[limits]\nfailures_per_phone = 0", "limits.failures_per_phone"),
        ("[codes]\nlife_s = -1", "codes.life_s"),
        ("queue = ", "TOML parse error"),
    ] {
        refused(serve(&home, &format!("{start}{setting}\n")), reason);
    }
    refused(
        serve(&home, "trusted_proxies = [\"nearby\"]\nkey_file = \"master.key\"\n"),
        "\"nearby\" in trusted_proxies",
    );
    for (variable, value, reason) in [
        ("CHAPPE_NONSENSE", "1", "unknown field: found `nonsense`"),
        ("CHAPPE_LIMITS__NONSENSE", "1", "unknown field: found `nonsense`"),
        ("CHAPPE_QUEUE", "many", "QUEUE"),
        (
            "CHAPPE_PRICES__DEFAULT",
            "0.0100000000000000001",
            "the price \"0.0100000000000000001\" cannot be used",
        ),
        ("CHAPPE_PRICES__DEFAULT", "1e-2", "the price \"1e-2\" cannot be used"),
        ("CHAPPE_PRICES__BY_PREFIX__39", "cheap", "PRICES.BY_PREFIX.39"),
        ("CHAPPE_PRICES__BY_PREFIX", "{39=0.02}", "expected a price in quotes"),
    ] {
        let mut command = serve(&home, &start);
        command.env(variable, value);
        refused(command, reason);
    }
    let mut command = serve(&home, &start);
    command.env("CHAPPE_CONFIG", "missing.toml");
    refused(command, "there is no file missing.toml");
    assert!(!home.data().exists(), "a refused start leaves nothing behind");
}

/// What can be read and yet makes no sense is refused as well, before anything is started.
#[test]
fn settings_out_of_bounds_are_refused_by_name() {
    let home = home_with_key();
    let start = format!("{BEHIND_PROXY}key_file = \"master.key\"\n");
    for (setting, reason) in [
        // Every code would be dead before it is sent, and paid for.
        ("[codes]\nlife_s = 0", "codes.life_s"),
        ("queue = 9223372036854775807", "queue"),
        ("[console.oidc]\nissuer = \"http://id.example\"", "in console.oidc: issuer is not https"),
        ("[console.oidc]\nissuer = \"https://id.example\"", "in console.oidc: client_id is missing"),
    ] {
        refused(serve(&home, &format!("{start}{setting}\n")), reason);
    }
    // Zeros and all: what looks like a number is a text where one is wanted.
    let mut command = serve(&home, &start);
    for (setting, value) in
        [("ISSUER", "https://id.example"), ("CLIENT_ID", "0123"), ("CLIENT_SECRET", "0456")]
    {
        command.env(format!("CHAPPE_CONSOLE__OIDC__{setting}"), value);
    }
    refused(
        command,
        "in console.oidc: the issuer must be told where to send browsers back to: set public_url",
    );
}

/// What goes into a file has no colours in it.
#[test]
fn the_log_is_plain_text_where_nobody_looks_at_it() {
    let home = home_with_key();
    let ended = Gateway::start(serve(&home, &format!("{BEHIND_PROXY}key_file = \"master.key\"\n"))).stop();
    assert!(ended.stderr.contains("stopped"), "{ended:?}");
    assert!(!ended.stderr.contains('\u{1b}'), "{:?}", ended.stderr);
}

#[test]
fn the_printed_defaults_are_a_configuration() {
    let home = home_with_key();
    let printed = home.run(["serve", "--print-defaults"]);
    assert_eq!((printed.code, printed.stderr.as_str()), (Some(0), ""));
    let config = printed.stdout.replace("trusted_proxies = []", BEHIND_PROXY.trim());
    let config = config.replace("key_file = \"\"", "key_file = \"master.key\"");
    assert_eq!(Gateway::start(serve(&home, &config)).stop().code, Some(0));
}

/// Makes a customer with money and a token, and gives the token back.
pub(crate) fn customer(home: &Home, test: bool) -> String {
    let mode: &[&str] = if test { &["--test"] } else { &[] };
    for line in ["account create acme", "credit acme 5", "credit acme 5 --test"] {
        home.run(line.split(' '));
    }
    let token = home.run([&["token", "create", "acme", "--json", "--allow", "198.51.100.7"], mode].concat());
    let token: Value = serde_json::from_str(&token.stdout).unwrap_or_else(|_| panic!("{token:?}"));
    token["token"].as_str().unwrap().to_owned()
}

#[test]
fn behind_a_proxy_it_serves_and_knows_its_callers() {
    let home = home_with_key();
    let gateway = Gateway::start(serve(&home, &format!("{BEHIND_PROXY}key_file = \"master.key\"\n")));
    let (live, test) = (customer(&home, false), customer(&home, true));
    // Known, and not from here.
    soon(&gateway, &live, "IP_NOT_ALLOWED");
    soon(&gateway, &test, "IP_NOT_ALLOWED");
    let message = json!({ "phone_number": "+391234567890", "code": "1234" });
    let send = |token: &str, headers: &str| {
        let mut connection = Connection::open(gateway.address(), token).unwrap();
        connection.call_with("sendVerificationMessage", &message, headers).unwrap()
    };
    let refused = |token, headers| send(token, headers).error().unwrap();
    assert_eq!(refused(&test, ""), "IP_NOT_ALLOWED");
    assert_eq!(refused(&test, "X-Forwarded-For: 198.51.100.7, 203.0.113.9\r\n"), "IP_NOT_ALLOWED");
    let sent = send(&test, "X-Forwarded-For: 203.0.113.9, 198.51.100.7\r\n").result();
    assert_eq!(sent["request_cost"].to_string(), "0.01");
    // Without a channel to real phones, nobody real is reached, and nothing is charged.
    assert_eq!(refused(&live, "X-Forwarded-For: 198.51.100.7\r\n"), "PHONE_NUMBER_NOT_AVAILABLE");
    // The open page of the sandbox belongs to `dev` alone.
    let mut connection = Connection::open(gateway.address(), "").unwrap();
    let page = connection.exchange("GET /sandbox HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    assert_eq!(page.error().as_deref(), Some("UNKNOWN_METHOD"));
    let ended = gateway.stop();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(ended.stdout.lines().count(), 1, "nothing but the ready line: {}", ended.stdout);
    for secret in [live, test, "391234567890".to_owned()] {
        assert!(!ended.stderr.contains(&secret), "{secret} is in the log");
    }
}

/// A price is what was written, wherever that was.
#[test]
fn prices_are_taken_as_they_are_written() {
    let home = home_with_key();
    let mut token = None;
    for (setting, variable, value, cost) in [
        ("", "", "", "0.01"),
        ("default = \"0.020001\"", "", "", "0.020001"),
        ("default = 2", "", "", "2"),
        ("default = \"2\"", "CHAPPE_PRICES__DEFAULT", "0.030001", "0.030001"),
        ("", "CHAPPE_PRICES__DEFAULT", "1", "1"),
        ("", "CHAPPE_PRICES__DEFAULT", "\"0.04\"", "0.04"),
        ("by_prefix = { \"391\" = \"0.05\" }", "CHAPPE_PRICES__BY_PREFIX__39", "0.06", "0.05"),
        ("by_prefix = { \"39\" = \"0.05\" }", "CHAPPE_PRICES__BY_PREFIX__39", "0.06", "0.06"),
        ("", "CHAPPE_PRICES__BY_PREFIX", "{391=\"0.07\",40=1}", "0.07"),
    ] {
        let config = format!("{BEHIND_PROXY}key_file = \"master.key\"\n[prices]\n{setting}\n");
        let mut command = serve(&home, &config);
        if !variable.is_empty() {
            command.env(variable, value);
        }
        let gateway = Gateway::start(command);
        let token = token.get_or_insert_with(|| customer(&home, true));
        soon(&gateway, token, "IP_NOT_ALLOWED");
        let mut connection = Connection::open(gateway.address(), token).unwrap();
        let check = json!({ "phone_number": "+391234567890" });
        let checked = connection.call_with("checkSendAbility", &check, "X-Forwarded-For: 198.51.100.7\r\n");
        let found = checked.unwrap().result()["request_cost"].to_string();
        assert_eq!(found, cost, "{setting} {variable}={value}");
        assert_eq!(gateway.stop().code, Some(0));
    }
}

/// A certificate for `localhost` and its key, as files; returns the certificate as a client takes it.
fn certificate(home: &Home, name: &str) -> rustls::pki_types::CertificateDer<'static> {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    write(&home.path().join(format!("{name}.pem")), &made.cert.pem());
    write(&home.path().join(format!("{name}-key.pem")), &made.signing_key.serialize_pem());
    made.cert.der().clone()
}

#[test]
fn with_certificates_it_serves_https() {
    let home = home_with_key();
    let certificate = certificate(&home, "cert");
    let tls = "[tls]\ncertificate = \"cert.pem\"\nkey = \"cert-key.pem\"\n";
    let gateway = Gateway::start(serve(&home, &format!("key_file = \"master.key\"\n{tls}")));
    assert!(gateway.base_url().starts_with("https://127.0.0.1:"), "{}", gateway.base_url());

    let mut roots = RootCertStore::empty();
    roots.add(certificate).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = Arc::new(config.with_root_certificates(roots).with_no_client_auth());
    let client = ClientConnection::new(config, ServerName::try_from("localhost").unwrap()).unwrap();
    let stream = StreamOwned::new(client, TcpStream::connect(gateway.address()).unwrap());
    let mut connection = Connection::over(stream, "localhost", "no-token");
    for _ in 0..2 {
        let reply = connection.call("getBalance", &json!({})).unwrap();
        assert_eq!((reply.status, reply.error().as_deref()), (200, Some("ACCESS_TOKEN_INVALID")));
    }
    // Whoever speaks plainly is not answered.
    let plain = Connection::open(gateway.address(), "no-token").unwrap().call("getBalance", &json!({}));
    assert!(plain.is_err(), "{plain:?}");
    drop(connection);
    let ended = gateway.stop();
    assert_eq!(ended.code, Some(0), "{ended:?}");
}

#[test]
fn certificates_that_cannot_be_used_are_refused() {
    let home = home_with_key();
    certificate(&home, "one");
    certificate(&home, "two");
    write(&home.path().join("empty.pem"), "");
    for (certificate, key) in [
        ("missing.pem", "one-key.pem"),
        ("one.pem", "missing.pem"),
        ("empty.pem", "one-key.pem"),
        ("one.pem", "empty.pem"),
        ("one.pem", "two-key.pem"),
        ("one-key.pem", "one.pem"),
    ] {
        let tls = format!("[tls]\ncertificate = \"{certificate}\"\nkey = \"{key}\"\n");
        let command = serve(&home, &format!("key_file = \"master.key\"\n{tls}"));
        refused(command, "tls.certificate and tls.key cannot be used");
    }
}

/// Commands beside a server find its database and key by the same configuration.
#[test]
fn commands_share_the_configuration() {
    let home = home_with_key();
    std::fs::write(home.path().join("chappe.toml"), "data = \"here\"\nkey_file = \"master.key\"\n").unwrap();
    let run = |line: &str| {
        let mut command = home.command(line.split(' '));
        command.env_remove("CHAPPE_DATA");
        finish(command)
    };
    assert_eq!(run("account create acme").code, Some(0));
    assert!(home.path().join("here/chappe.db").exists());
    assert_eq!(run("account show acme").code, Some(0));
    assert_eq!(run("account show acme --config chappe.toml").code, Some(0));
    assert_eq!(run("account show acme --data elsewhere").code, Some(1));
    let missing = run("account list --config missing.toml");
    assert!(
        missing.code == Some(1) && missing.stderr.contains("there is no file missing.toml"),
        "{missing:?}"
    );
}

#[test]
fn a_balancer_is_told_of_a_stop_while_calls_are_still_answered() {
    let home = home_with_key();
    let start = |drain_s: &str| {
        let mut command = serve(&home, &format!("{BEHIND_PROXY}key_file = \"master.key\"\n"));
        command.env("CHAPPE_DRAIN_S", drain_s);
        command
    };
    refused(start("301"), "drain_s must be 300 at most");
    let token = customer(&home, false);
    let gateway = Gateway::start(start("300"));
    let mut balancer = Connection::open(gateway.address(), "").unwrap();
    let mut ready = || balancer.exchange("GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    assert_eq!(ready().status, 200);
    gateway.signal("TERM");
    let told = loop {
        let told = ready();
        if told.status != 200 {
            break told;
        }
    };
    assert_eq!((told.status, told.text.as_str()), (503, "stopping\n"));
    let mut late = Connection::open(gateway.address(), &token).unwrap();
    late.call_with("getBalance", &json!({}), "X-Forwarded-For: 198.51.100.7\r\n").unwrap().result();
    // Who asks twice does not want to wait.
    gateway.signal("TERM");
    let ended = gateway.finish(crate::gateway::STOP_PATIENCE);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains("stopped at once"), "{ended:?}");
}

//! `chappe doctor`: it finds what would keep messages from going out, and says what to do.

use crate::Operator;
use crate::database::database;
use crate::gateway::{Gateway, Home, TOKEN, finish};
use serde_json::Value;

/// What makes a server safe that has no TLS of its own.
const BEHIND_PROXY: &str = "trusted_proxies = [\"127.0.0.1\"]\n";

/// An operator with this configuration.
fn operator(config: &str) -> Operator {
    let operator = Operator::new();
    configure(&operator, config);
    operator
}

fn configure(operator: &Operator, config: &str) {
    std::fs::write(operator.home.path().join("chappe.toml"), format!("{BEHIND_PROXY}{config}")).unwrap();
}

/// What the doctor finds: each as `LEVEL ABOUT: WHAT -> ADVICE`; it must end with 0 only if nothing fails.
#[track_caller]
fn findings(operator: &Operator) -> Vec<String> {
    let ended = operator.run("doctor --json");
    let found: Value = serde_json::from_str(&ended.stdout).unwrap_or_else(|_| panic!("{ended:?}"));
    assert_eq!(ended.stderr, "");
    let list = found["findings"].as_array().unwrap();
    let text = |finding: &Value, field: &str| finding[field].as_str().unwrap().to_owned();
    let well = list.iter().all(|finding| text(finding, "level") != "fail");
    assert_eq!((found["ok"].as_bool(), ended.code), (Some(well), Some(i32::from(!well))), "{found:#}");
    let line = |finding: &Value| {
        let [level, about, what, advice] =
            ["level", "about", "what", "advice"].map(|field| text(finding, field));
        format!("{level} {about}: {what} -> {advice}")
    };
    list.iter().map(line).collect()
}

#[track_caller]
fn finds(operator: &Operator, texts: &[&str]) {
    let found = findings(operator);
    for text in texts {
        assert!(found.iter().any(|line| line.starts_with(text)), "no {text:?} in {found:#?}");
    }
}

/// A route through this upstream.
fn upstream(base_url: &str, token: &str, hop: &str) -> String {
    format!(
        "[routes]\nlive = [\"{hop}\", \"sms\"]\n[channels.upstream]\nkind = \"gateway\"\nbase_url = \"{base_url}\"\n\
         token = \"{token}\"\n[channels.sms]\nkind = \"gateway\"\nbase_url = \"{base_url}\"\ntoken = \"{token}\"\n"
    )
}

#[test]
fn nothing_is_in_place_at_first() {
    let home = Home::new();
    let ended = home.run(["doctor"]);
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(1), ""), "{ended:?}");
    for text in [
        "fail  server: refusing to serve tokens and codes over plain HTTP",
        "fail  master key: no master key: make one with `chappe key generate > FILE`",
        "warn  routes.live: these numbers are refused as PHONE_NUMBER_NOT_AVAILABLE\n      -> set hops",
    ] {
        assert!(ended.stdout.contains(text), "no {text:?} in {}", ended.stdout);
    }
    assert!(!home.data().exists(), "to look makes nothing");
}

#[test]
fn all_is_well_with_an_upstream_that_knows_us_and_money_there() {
    let there = Home::new();
    let gateway = Gateway::start(there.dev("12.5"));
    let operator = operator(&upstream(gateway.base_url(), TOKEN, "upstream:60"));
    finds(&operator, &["warn database: there is no database in", "ok routes.live: upstream:60, sms"]);
    operator.run("account create alice");
    let ended = operator.run("doctor");
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{ended:?}");
    for text in [
        "ok    server: TLS is left to the proxies in trusted_proxies",
        "ok    master key: the master key is there",
        "ok    database: the database is there, belongs to the key and is at version",
        "ok    channels.upstream: the upstream is there and knows the token",
        "ok    channels.upstream: the account at the upstream has 12.5",
        "ok    channels.sms: the upstream is there",
    ] {
        assert!(ended.stdout.contains(text), "no {text:?} in {}", ended.stdout);
    }
    assert!(ended.stdout.lines().all(|line| line.starts_with("ok ")), "{}", ended.stdout);
    // The same with a file of another name, and a server beside.
    std::fs::rename(operator.home.path().join("chappe.toml"), operator.home.path().join("other.toml"))
        .unwrap();
    operator.table(&[("doctor --config other.toml", 0, "12.5")]);
    let missing = operator.run("doctor --config missing.toml");
    assert_eq!(missing.code, Some(1));
    assert!(missing.stdout.contains("fail  configuration: there is no file missing.toml"), "{missing:?}");
}

#[test]
fn a_token_that_is_not_known_there_fails() {
    let there = Home::new();
    let gateway = Gateway::start(there.dev("1"));
    let operator = operator(&upstream(gateway.base_url(), "another-token", "upstream:60"));
    finds(
        &operator,
        &[
            "fail channels.upstream: the upstream does not know the token: it was mistyped, revoked or has expired -> set",
        ],
    );
    let shown = operator.run("doctor").stdout;
    assert!(!shown.contains("another-token"), "{shown}");
}

#[test]
fn a_gateway_that_would_call_itself_is_found_out() {
    let operator = operator("");
    operator.run("account create alice");
    let token = operator.json("token create alice")["token"].as_str().unwrap().to_owned();
    configure(&operator, &upstream("https://127.0.0.1:1", &token, "upstream:60"));
    finds(
        &operator,
        &[
            "fail channels.upstream: its token is one of this gateway's own",
            "fail channels.upstream: the upstream cannot be reached -> check base_url",
        ],
    );
}

#[test]
fn routes_must_leave_each_hop_its_time() {
    let operator = operator(&upstream("http://127.0.0.1:1", "token", "upstream:20"));
    finds(
        &operator,
        &[
            "fail routes.live: upstream:20 has less time than its upstream takes a message for, and is never used -> \
           write \"upstream:30\" or more",
        ],
    );
    let late = upstream("http://127.0.0.1:1", "token", "upstream:600");
    configure(&operator, &late);
    finds(&operator, &["warn routes.live: sms gets its turn after 600 s, and codes are good for 600 s"]);
    configure(
        &operator,
        &late.replace(
            "[channels.upstream]",
            "by_prefix = { 39 = \"sandbox\", 40 = \"none\" }\n[channels.upstream]",
        ),
    );
    finds(
        &operator,
        &[
            "warn routes.by_prefix.39: messages of live accounts end in the sandbox",
            "warn routes.by_prefix.40: these numbers are refused",
        ],
    );
    configure(&operator, &late.replace("live = [\"upstream:600\", \"sms\"]", "live = \"sms\""));
    finds(
        &operator,
        &["ok routes.live: sms ->", "warn configuration: channels.upstream is set up, and no route"],
    );
}

#[test]
fn a_hop_that_fails_at_once_delays_no_other() {
    let config = upstream("http://127.0.0.1:1", "token", "upstream:20");
    let operator = operator(&config.replace("\"sms\"]", "\"sms:590\", \"sms\"]"));
    let found = findings(&operator);
    assert!(found.iter().any(|line| line.contains("upstream:20 has less time")), "{found:#?}");
    assert!(!found.iter().any(|line| line.contains("gets its turn after")), "{found:#?}");
}

#[test]
fn each_doubt_is_told_once() {
    let sms = "[channels.sms]\nkind = \"http\"\nurl = \"http://127.0.0.1:1/send\"\nbody = { to = \"{to}\", text = \"{text}\" }\n";
    let bot = "[channels.bot]\nkind = \"telegram\"\ntoken = \"110201543:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw\"\n\
               base_url = \"http://127.0.0.1:1\"\n";
    let webhook = format!("public_url = \"http://127.0.0.1:1\"\n{bot}updates = \"webhook\"\n");
    for (config, doubt) in [
        (sms, "nothing ever says that a message arrived"),
        (&format!("{bot}updates = \"none\"\n"), "nobody can subscribe through this server"),
        (&webhook, "nothing is believed that comes to the webhook"),
    ] {
        let found = findings(&operator(config));
        let told: Vec<_> = found.iter().filter(|line| line.contains(doubt)).collect();
        assert!(told.len() == 1 && told[0].starts_with("warn "), "{found:#?}");
    }
}

/// What the documentation recommends where providers cannot reach the server.
#[test]
fn a_channel_may_do_without_callbacks() {
    let operator = operator(
        "[channels.sms]\nkind = \"http\"\npreset = \"twilio\"\nfrom = \"+15005550006\"\ncallbacks = false\n\
         url = \"http://127.0.0.1:1/send\"\nvars = { account_sid = \"AC1\", auth_token = \"hunter2hunter2\" }\n",
    );
    finds(&operator, &["warn channels.sms: with callbacks = false no message says where to call back"]);
    let found = findings(&operator);
    assert!(!found.iter().any(|line| line.contains("public_url is not set")), "{found:#?}");
}

#[test]
fn a_configuration_that_cannot_be_is_told_as_the_server_tells_it() {
    let operator = operator("");
    for (config, found) in [
        (
            "nonsense = 1",
            "fail configuration: the configuration cannot be used: unknown field: found `nonsense`",
        ),
        ("[routes]\nlive = \"pigeon\"", "fail configuration: a route leads to channel \"pigeon\""),
        ("[channels.x]\nkind = \"gateway\"", "fail configuration: in channels.x: missing field `token`"),
        (
            "[channels.x]\nkind = \"gateway\"\ntoken = \"t\"\nbase_url = \"http://example.com\"",
            "fail configuration: in channels.x: base_url or token: the base URL cannot be used: it \
             must be https",
        ),
        (
            "[channels.x]\nkind = \"gateway\"\ntoken = \"t\"\npoll_s = 0",
            "fail configuration: in channels.x: poll_s must be from 1 to 600",
        ),
        (
            "[channels.x]\nkind = \"gateway\"\ntoken = \"t\"\ntimeout_s = 10",
            "fail configuration: in channels.x: timeout_s must be from 1 to 9",
        ),
        (
            "[channels.x]\nkind = \"gateway\"\ntoken = \"t\"\nsender_username = \"a b\"",
            "fail configuration: in channels.x: sender_username \"a b\" is no username",
        ),
        (
            "[channels.x]\nkind = \"gateway\"\ntoken = \"t\"\npigeon = 1",
            "fail configuration: in channels.x: unknown field",
        ),
    ] {
        configure(&operator, config);
        finds(&operator, &[found]);
    }
}

#[test]
fn the_public_address_is_looked_up() {
    let operator = operator("public_url = \"https://nowhere.invalid\"\n");
    finds(&operator, &["fail public_url: the name nowhere.invalid has no address -> enter it into the DNS"]);
    for (url, found) in [
        ("https://127.0.0.1:8443/x", "warn public_url: 127.0.0.1 is an address inside"),
        ("http://93.184.215.14", "warn public_url: callbacks come unencrypted"),
        ("https://[2606:4700::1]", "ok public_url: 2606:4700::1 has a public address"),
    ] {
        configure(&operator, &format!("public_url = \"{url}\"\n"));
        finds(&operator, &[found]);
    }
}

#[test]
fn the_database_must_belong_to_the_key_and_the_program() {
    let mut operator = operator("");
    operator.run("account create alice");
    let file = operator.home.data().join("chappe.db");
    let set_version = |change: i64| {
        let database = rusqlite::Connection::open(&file).unwrap();
        let version = |row: &rusqlite::Row<'_>| row.get::<_, i64>(0);
        let version = database.pragma_query_value(None, "user_version", version).unwrap();
        database.pragma_update(None, "user_version", version + change).unwrap();
    };
    set_version(100);
    finds(&operator, &["fail database: the database is at version"]);
    set_version(-101);
    finds(&operator, &["warn database: the database is at version"]);
    set_version(1);
    finds(&operator, &["ok database: the database is there"]);
    operator.variables = vec![("CHAPPE_KEY", operator.home.run(["key", "generate"]).stdout)];
    finds(&operator, &["fail database: the master key does not belong to this database"]);
}

#[test]
fn a_postgresql_database_is_looked_at_as_well() {
    let mut operator = operator("");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    operator.variables.push(("CHAPPE_DATABASE", runtime.block_on(database()).url()));
    finds(&operator, &["warn database: the database is empty -> `chappe migrate`"]);
    operator.run("migrate");
    finds(&operator, &["ok database: the database is there, belongs to the key"]);
    operator.variables.last_mut().unwrap().1 = "postgres://nobody@127.0.0.1:1/nothing".to_owned();
    finds(&operator, &["fail database: "]);
}

#[test]
fn certificates_must_fit() {
    let home = Home::new();
    std::fs::write(home.path().join("chappe.toml"), "[tls]\ncertificate = \"a.pem\"\nkey = \"b.pem\"\n")
        .unwrap();
    let ended = finish(home.command(["doctor"]));
    assert!(ended.stdout.contains("fail  server: tls.certificate and tls.key cannot be used"), "{ended:?}");
}

//! `--help` of everything, `--version`, and `key generate`.

use crate::Operator;
use crate::gateway::Home;
use std::collections::HashSet;

/// Every subcommand. That no other exists is seen from the help itself.
const COMMANDS: [&str; 24] = [
    "dev", "serve", "key", "account", "sender", "member", "operator", "login", "credit", "token", "check",
    "send", "verify", "revoke", "balance", "request", "text", "route", "doctor", "audit", "migrate",
    "backup", "copy", "help",
];

/// The commands that the help of `line` lists.
fn listed(help: &str) -> Vec<String> {
    let commands = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let commands = commands.take_while(|line| !line.is_empty());
    // A command stands two spaces in; what explains it may go on further right.
    let named = commands.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    named.filter_map(|line| line.split_whitespace().next().map(str::to_owned)).collect()
}

#[test]
fn every_command_has_its_help() {
    let home = Home::new();
    let top = home.run(["--help"]);
    assert_eq!(top.code, Some(0), "{top:?}");
    assert_eq!(listed(&top.stdout), COMMANDS);
    let (mut open, mut seen): (Vec<Vec<String>>, usize) = (vec![Vec::new()], 0);
    while let Some(path) = open.pop() {
        for form in ["--help", "-h"] {
            let ended = home.run(path.iter().map(String::as_str).chain([form]));
            assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{path:?} {form}");
            let usage = format!(
                "Usage: {}",
                ["chappe"].into_iter().chain(path.iter().map(String::as_str)).collect::<Vec<_>>().join(" ")
            );
            assert!(ended.stdout.contains(&usage), "{path:?} {form}: {}", ended.stdout);
            if form == "--help" {
                let below = listed(&ended.stdout).into_iter().filter(|name| name != "help");
                open.extend(below.map(|name| path.iter().cloned().chain([name]).collect()));
            }
        }
        seen += 1;
    }
    assert!(seen > 25, "{seen} commands seen");
}

#[test]
fn a_typing_mistake_ends_with_2_and_a_hint() {
    let operator = Operator::new();
    operator.table(&[
        ("bogus", 2, "unrecognized subcommand"),
        ("", 2, "Usage: chappe"),
        ("account", 2, "Usage: chappe account"),
        ("send", 2, "<PHONE_NUMBER>"),
        ("audit --bogus", 2, "--help"),
        ("--version", 0, concat!("chappe ", env!("CARGO_PKG_VERSION"))),
    ]);
}

/// What stands on a command line, every user of the machine can read.
#[test]
fn the_help_says_how_a_token_stays_out_of_the_process_list() {
    let home = Home::new();
    for command in ["check", "send", "verify", "revoke", "balance"] {
        let help = home.run([command, "--help"]).stdout;
        let words = help.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(words.contains("CHAPPE_TOKEN keeps it out of the process list"), "{command}: {help}");
    }
}

#[test]
fn a_key_comes_as_json_too() {
    let operator = Operator::new();
    let key = operator.json("key generate");
    let digits = key["key"].as_str().unwrap();
    assert!(digits.len() == 64 && digits.bytes().all(|digit| digit.is_ascii_hexdigit()), "{key}");
}

#[test]
fn keys_are_64_digits_and_never_the_same() {
    let home = Home::new();
    let keys: HashSet<String> = (0..20).map(|_| home.run(["key", "generate"]).stdout).collect();
    assert_eq!(keys.len(), 20);
    for key in keys {
        let digits = key.strip_suffix('\n').unwrap();
        assert!(digits.len() == 64 && digits.bytes().all(|digit| digit.is_ascii_hexdigit()), "{key:?}");
    }
}

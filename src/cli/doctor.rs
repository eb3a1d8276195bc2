//! `chappe doctor`: whether everything is in place before real messages go out, and what to do where it is not.

use super::serve::refuse_key_beside_database;
use super::{Done, Place, block_on, output};
use crate::app::{Settings, lend};
use crate::channels::finding::{Finding, Level};
use crate::channels::route::Line;
use crate::channels::{ChannelSettings, Channels};
use crate::config::Config;
use crate::env::{Clock, Random};
use crate::net::outbound::OutboundPolicy;
use crate::store::{Migration, Reader, postgres, sqlite};
use crate::vault::Vault;
use axum_server::tls_rustls::RustlsConfig;
use chappe_core::Hop;
use clap::Args;
use futures_util::future::join_all;
use serde_json::json;
use std::process::ExitCode;
use std::time::Duration;

/// How long a look-up of a name may take.
const LOOK_UP_MAX: Duration = Duration::from_secs(5);

#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    #[command(flatten)]
    place: Place,
}

/// What was found, and about what.
type Found = (String, Finding);

pub(super) fn run(args: DoctorArgs, json: bool) -> Done {
    let findings = block_on(async { Ok(examine(&args.place).await) })?;
    let well = findings.iter().all(|(_, finding)| finding.level != Level::Fail);
    if json {
        let list = findings.iter().map(|(about, finding)| {
            let Finding { level, what, advice } = finding;
            json!({ "about": about, "level": level.as_str(), "what": what, "advice": advice })
        });
        output::json(&json!({ "ok": well, "findings": list.collect::<Vec<_>>() }));
    } else {
        for (about, Finding { level, what, advice }) in &findings {
            println!("{:<5} {about}: {what}", level.as_str());
            if !advice.is_empty() {
                println!("      -> {advice}");
            }
        }
    }
    Ok(if well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Looks at everything that can be looked at. What cannot be, for want of something before it, is left out.
async fn examine(place: &Place) -> Vec<Found> {
    let mut findings = Findings::default();
    let config = match place.config() {
        Ok(config) => config,
        Err(error) => {
            let advice = "mend the setting that it names; `chappe serve --print-defaults` shows every one";
            findings.add("configuration", Finding::fail(format!("{error:#}"), advice));
            return findings.0;
        }
    };
    findings.add("server", exposure(&config).await);
    let vault = findings.of("master key", key(place, &config), "the master key is there");
    let reader = match &vault {
        Some(vault) => database(place, &config, vault.clone(), &mut findings).await,
        None => None,
    };
    let settings = match config.settings() {
        Ok(settings) => settings,
        Err(error) => {
            findings
                .add("configuration", Finding::fail(format!("{error:#}"), "mend the setting that it names"));
            return findings.0;
        }
    };
    routes(&settings, &mut findings);
    for doubt in config.doubts().unwrap_or_default() {
        findings.add("configuration", Finding::warn(doubt, "take it out, or set it as it is meant"));
    }
    if let Some(url) = &settings.public_url {
        findings.add("public_url", public_address(url).await);
    }
    if let Some(reader) = reader {
        own_tokens(&settings, &reader, &mut findings).await;
    }
    if let Some(vault) = vault {
        channels(&settings, &vault, &mut findings).await;
    }
    findings.0
}

#[derive(Default)]
struct Findings(Vec<Found>);

impl Findings {
    fn add(&mut self, about: impl Into<String>, finding: Finding) {
        self.0.push((about.into(), finding));
    }

    /// Notes that something went well, or why it did not: such errors say what to do.
    fn of<T>(&mut self, about: &str, done: anyhow::Result<T>, well: &str) -> Option<T> {
        match done {
            Ok(value) => {
                self.add(about, Finding::ok(well));
                Some(value)
            }
            Err(error) => {
                self.add(about, Finding::fail(format!("{error:#}"), ""));
                None
            }
        }
    }
}

/// Whether the server would serve tokens and codes encrypted.
async fn exposure(config: &Config) -> Finding {
    if let Err(error) = config.refuse_if_unsafe() {
        return Finding::fail(format!("{error:#}"), "");
    }
    if config.tls.certificate.as_os_str().is_empty() {
        return Finding::ok("TLS is left to the proxies in trusted_proxies: all others are refused");
    }
    match RustlsConfig::from_pem_file(&config.tls.certificate, &config.tls.key).await {
        Ok(_) => Finding::ok("TLS certificate and key can be used"),
        Err(error) => Finding::fail(
            format!("tls.certificate and tls.key cannot be used: {error}"),
            "give the certificate chain and its private key as PEM files that this user can read",
        ),
    }
}

fn key(place: &Place, config: &Config) -> anyhow::Result<Vault> {
    refuse_key_beside_database(config)?;
    place.vault(config)
}

/// Whether the database is there, belongs to the key and is up to date; a reader, if it is.
async fn database(place: &Place, config: &Config, vault: Vault, findings: &mut Findings) -> Option<Reader> {
    let migration = match config.database.get() {
        Some(url) => postgres::bring_up_to_date(url, vault, true).await,
        None if sqlite::exists(&config.data) => sqlite::bring_up_to_date(&config.data, &vault, true),
        None => {
            let what = format!("there is no database in {} yet", config.data.display());
            let advice = "`chappe account create NAME` makes one, as does a first start of the server";
            findings.add("database", Finding::warn(what, advice));
            return None;
        }
    };
    match migration {
        Ok(Migration { from: 0, .. }) => {
            let advice = "`chappe migrate`, or a first start of the server, fills it";
            findings.add("database", Finding::warn("the database is empty", advice));
            None
        }
        Ok(due) if due.is_due() => {
            let Migration { from, to } = due;
            let what = format!("the database is at version {from}, and this program's is {to}");
            let advice = "`chappe migrate`, or a start of the server, brings it up to date";
            findings.add("database", Finding::warn(what, advice));
            None
        }
        Ok(Migration { to, .. }) => {
            let well = format!("the database is there, belongs to the key and is at version {to}");
            findings.of("database", place.read().await, &well)
        }
        Err(error) => {
            findings.add("database", Finding::fail(error.to_string(), ""));
            None
        }
    }
}

/// Whether routes lead somewhere, and leave each hop the time that it needs.
fn routes(settings: &Settings, findings: &mut Findings) {
    for (prefix, line) in settings.routes.entries() {
        let about =
            if prefix.is_empty() { "routes.live".to_owned() } else { format!("routes.by_prefix.{prefix}") };
        match line {
            Line::Nowhere => findings.add(
                about,
                Finding::warn(
                    "these numbers are refused as PHONE_NUMBER_NOT_AVAILABLE",
                    "set hops, if they are to be reached",
                ),
            ),
            Line::Sandbox => findings.add(
                about,
                Finding::warn(
                    "messages of live accounts end in the sandbox: they are charged, and nobody gets them",
                    "for staging alone; else set hops",
                ),
            ),
            Line::Hops(hops) => {
                let faults = hops_of(settings, hops);
                if faults.is_empty() {
                    let hops: Vec<String> = hops.iter().map(Hop::to_string).collect();
                    findings.add(about, Finding::ok(hops.join(", ")));
                } else {
                    faults.into_iter().for_each(|fault| findings.add(about.clone(), fault));
                }
            }
        }
    }
}

/// What is wrong with the hops of a route.
fn hops_of(settings: &Settings, hops: &[Hop]) -> Vec<Finding> {
    let life = settings.rules.code_life;
    let mut faults = Vec::new();
    let mut turn = Some(Duration::ZERO);
    for hop in hops {
        let channel = &hop.channel;
        if turn.is_some_and(|turn| turn >= life) {
            let late_s = turn.unwrap_or_default().as_secs();
            faults.push(Finding::warn(
                format!(
                    "{channel} gets its turn after {late_s} s, and codes are good for {} s: a message without a ttl \
                     does not get there",
                    life.as_secs()
                ),
                "shorten the waits before it, or set a longer codes.life_s",
            ));
        }
        if settings.is_too_short(hop) {
            let shortest = settings.channels.get(channel).map(ChannelSettings::shortest_hop);
            faults.push(Finding::fail(
                format!("{hop} has less time than its upstream takes a message for, and is never used"),
                format!("write \"{channel}:{}\" or more", shortest.unwrap_or_default().as_secs()),
            ));
        }
        turn = settings.turn_after(hop, turn);
    }
    faults
}

/// Whether providers can find the address where they are to call back.
async fn public_address(url: &str) -> Finding {
    let parsed = url::Url::parse(url).ok();
    let Some((host, port)) =
        parsed.as_ref().and_then(|url| Some((url.host_str()?, url.port_or_known_default()?)))
    else {
        return Finding::fail(format!("{url} has no host"), "write it as in \"https://codes.example.com\"");
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let looked_up = tokio::time::timeout(LOOK_UP_MAX, tokio::net::lookup_host((host, port))).await;
    let addresses: Vec<_> = looked_up.ok().and_then(Result::ok).into_iter().flatten().collect();
    if addresses.is_empty() {
        return Finding::fail(
            format!("the name {host} has no address"),
            "enter it into the DNS, or set public_url to a name that is there",
        );
    }
    if !addresses.iter().any(|address| OutboundPolicy::PublicOnly.permits(address.ip())) {
        return Finding::warn(
            format!("{host} is an address inside: providers outside cannot call back"),
            "set public_url to an address of the internet",
        );
    }
    if !url.starts_with("https://") {
        return Finding::warn(
            "callbacks come unencrypted, and many providers refuse to send them so",
            "put TLS in front, and write https",
        );
    }
    Finding::ok(format!("{host} has a public address"))
}

/// Whether a channel calls this very house: its messages would come back to it until a limit stops them.
async fn own_tokens(settings: &Settings, reader: &Reader, findings: &mut Findings) {
    let Ok(tokens) = reader.tokens(None).await else { return };
    for (name, channel) in &settings.channels {
        if tokens.iter().any(|token| channel.is_token_of_upstream(&token.text)) {
            findings.add(
                format!("channels.{name}"),
                Finding::fail(
                    "its token is one of this gateway's own: messages would come back to where they came from",
                    "set base_url and token to those of another gateway",
                ),
            );
        }
    }
}

/// Asks every channel how it is, all at once.
async fn channels(settings: &Settings, vault: &Vault, findings: &mut Findings) {
    let clock = Clock::system();
    let lent = lend(settings, vault, &clock, &Random::Os);
    let channels = Channels::new(settings.routes.clone(), settings.channels.clone(), &lent);
    let now = clock.now();
    let examined =
        channels.all_outside().map(|(name, outside)| async move { (name, outside.examine(now).await) });
    for (name, found) in join_all(examined).await {
        found.into_iter().for_each(|finding| findings.add(format!("channels.{name}"), finding));
    }
}

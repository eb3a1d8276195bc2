//! API tokens.

use super::{Admin, Done, Place, block_on, output};
use crate::net::address::parse_range;
use crate::store::{NewToken, TokenRow};
use crate::tokens::{draw, masked};
use anyhow::{Context, anyhow, ensure};
use chappe_core::{Mode, Time, TokenId};
use clap::Subcommand;
use ipnet::IpNet;
use serde_json::{Value, json};
use std::process::ExitCode;
use std::time::Duration;

#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// Create a token and print it
    Create {
        /// The customer's name
        customer: String,
        /// For the test account: its messages never leave the sandbox
        #[arg(long)]
        test: bool,
        /// What people call it
        #[arg(long, default_value = "default")]
        name: String,
        /// When it ends by itself: 12h, 30d
        #[arg(long, value_name = "TIME", value_parser = span)]
        expires_in: Option<Duration>,
        /// From where it may be used: an address or a CIDR range; may be repeated [default: from anywhere]
        #[arg(long, value_name = "RANGE", value_parser = range)]
        allow: Vec<IpNet>,
        #[command(flatten)]
        place: Place,
    },
    /// List tokens
    List {
        /// The customer's name [default: all]
        customer: Option<String>,
        /// Show the tokens themselves
        #[arg(long)]
        show: bool,
        #[command(flatten)]
        place: Place,
    },
    /// Replace a token: print a new one, and let the old one work for a while
    Rotate {
        /// The token's number
        id: i64,
        /// How long the old one still works: 0s, 1h, 24h, 7d
        #[arg(long, value_name = "TIME", default_value = "0s", value_parser = span)]
        overlap: Duration,
        #[command(flatten)]
        place: Place,
    },
    /// End a token, within a second
    Revoke {
        /// The token's number
        id: i64,
        #[command(flatten)]
        place: Place,
    },
    /// Limit a token to addresses
    Allow {
        /// The token's number
        id: i64,
        /// Addresses and CIDR ranges; none: from anywhere
        #[arg(value_parser = range)]
        ranges: Vec<IpNet>,
        #[command(flatten)]
        place: Place,
    },
}

pub(super) fn run(command: TokenCommand, json: bool) -> Done {
    block_on(async {
        match command {
            TokenCommand::Create { customer, test, name, expires_in, allow, place } => {
                let mut admin = place.open().await?;
                let mode = if test { Mode::Test } else { Mode::Live };
                let account = admin.reader.account(&customer, mode).await?.id;
                let text = draw(&admin.random, mode)?;
                let now = admin.clock.now();
                let expires_at = expires_in.map(|span| now + span);
                let token = NewToken { account, name: &name, text: &text, expires_at, allowed: &allow };
                let id = admin.store.create_token(&token, now).await?;
                show_one(&admin, id, json).await?;
            }
            TokenCommand::List { customer, show, place } => {
                list(&place, customer.as_deref(), show, json).await?
            }
            TokenCommand::Rotate { id, overlap, place } => {
                let mut admin = place.open().await?;
                let old = find(&admin, id).await?;
                let now = admin.clock.now();
                ensure!(old.is_good(now), "token {id} has ended already; create a new one");
                let text = draw(&admin.random, old.mode)?;
                let new = NewToken {
                    account: old.account,
                    name: &old.name,
                    text: &text,
                    expires_at: old.expires_at,
                    allowed: &old.allowed,
                };
                let new = admin.store.create_token(&new, now).await?;
                admin.store.end_token(old.id, now + overlap, now).await?;
                show_one(&admin, new, json).await?;
            }
            TokenCommand::Revoke { id, place } => {
                let mut admin = place.open().await?;
                let token = find(&admin, id).await?;
                let now = admin.clock.now();
                admin.store.end_token(token.id, now, now).await?;
                show_one(&admin, token.id, json).await?;
            }
            TokenCommand::Allow { id, ranges, place } => {
                let mut admin = place.open().await?;
                let token = find(&admin, id).await?;
                admin.store.allow_token(token.id, &ranges).await?;
                show_one(&admin, token.id, json).await?;
            }
        }
        Ok(ExitCode::SUCCESS)
    })
}

async fn find(admin: &Admin, id: i64) -> anyhow::Result<TokenRow> {
    let tokens = admin.reader.tokens(None).await?;
    let token = tokens.into_iter().find(|token| token.id == TokenId(id));
    token.ok_or_else(|| anyhow!("there is no token {id}; `chappe token list` shows them"))
}

async fn list(place: &Place, customer: Option<&str>, show: bool, json: bool) -> anyhow::Result<()> {
    let reader = place.read().await?;
    let accounts = reader.accounts(customer).await?;
    ensure!(
        customer.is_none() || !accounts.is_empty(),
        "there is no customer named {:?}",
        customer.unwrap_or("")
    );
    let now = crate::env::Clock::system().now();
    let mut lines = Vec::new();
    for account in &accounts {
        for token in reader.tokens(Some(account.id)).await? {
            lines.push((account.customer.clone(), token));
        }
    }
    if json {
        let values = lines.iter().map(|(customer, token)| as_json(customer, token, show, now));
        output::json(&Value::Array(values.collect()));
    } else {
        let rows: Vec<_> = lines.iter().map(|(customer, token)| as_row(customer, token, show, now)).collect();
        let headings = ["ID", "CUSTOMER", "MODE", "NAME", "STATE", "ALLOWED FROM", "LAST USED", "TOKEN"];
        output::table(&headings, &rows);
    }
    Ok(())
}

/// Shows one token with its text: it was just made or changed by hand.
async fn show_one(admin: &Admin, id: TokenId, json: bool) -> anyhow::Result<()> {
    let token = find(admin, id.0).await?;
    let accounts = admin.reader.accounts(None).await?;
    let account = accounts.into_iter().find(|account| account.id == token.account);
    let customer = account.map(|account| account.customer).context("the token's account is gone")?;
    let now = admin.clock.now();
    if json {
        output::json(&as_json(&customer, &token, true, now));
    } else {
        let headings = ["ID", "CUSTOMER", "MODE", "NAME", "STATE", "ALLOWED FROM", "LAST USED", "TOKEN"];
        output::table(&headings, &[as_row(&customer, &token, true, now)]);
    }
    Ok(())
}

fn state(token: &TokenRow, now: Time) -> String {
    match (token.revoked_at, token.expires_at) {
        (Some(_), _) => "revoked".to_owned(),
        (None, Some(at)) if at <= now => "expired".to_owned(),
        (None, Some(at)) => format!("good until {}", output::moment(at)),
        (None, None) => "good".to_owned(),
    }
}

fn shown(token: &TokenRow, show: bool) -> String {
    if show { token.text.to_string() } else { masked(&token.text) }
}

fn as_row(customer: &str, token: &TokenRow, show: bool, now: Time) -> Vec<String> {
    let allowed = token.allowed.iter().map(IpNet::to_string).collect::<Vec<_>>().join(", ");
    let last_used = token.last_used.as_ref().map(|(at, from)| format!("{} from {from}", output::moment(*at)));
    vec![
        token.id.0.to_string(),
        customer.to_owned(),
        token.mode.as_str().to_owned(),
        token.name.clone(),
        state(token, now),
        if allowed.is_empty() { "anywhere".to_owned() } else { allowed },
        last_used.unwrap_or_else(|| "never".to_owned()),
        shown(token, show),
    ]
}

fn as_json(customer: &str, token: &TokenRow, show: bool, now: Time) -> Value {
    json!({
        "id": token.id.0,
        "customer": customer,
        "mode": token.mode.as_str(),
        "name": token.name,
        "good": token.is_good(now),
        "created_at": token.created_at.secs(),
        "expires_at": token.expires_at.map(Time::secs),
        "revoked_at": token.revoked_at.map(Time::secs),
        "allowed": token.allowed.iter().map(IpNet::to_string).collect::<Vec<_>>(),
        "last_used_at": token.last_used.as_ref().map(|(at, _)| at.secs()),
        "last_used_from": token.last_used.as_ref().map(|(_, from)| from),
        "token": shown(token, show),
    })
}

fn range(text: &str) -> Result<IpNet, String> {
    parse_range(text)
        .ok_or_else(|| "give an address or a CIDR range, such as 192.0.2.7 or 2001:db8::/32".to_owned())
}

/// A span of time: a number and s, m, h or d.
fn span(text: &str) -> Result<Duration, String> {
    let mistake = || "give a number and s, m, h or d, such as 24h".to_owned();
    let unit = text.chars().last().ok_or_else(mistake)?;
    let seconds: u64 = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 86400,
        _ => return Err(mistake()),
    };
    let number: u64 = text.trim_end_matches(unit).parse().map_err(|_| mistake())?;
    number
        .checked_mul(seconds)
        .filter(|seconds| *seconds < 1 << 32)
        .map(Duration::from_secs)
        .ok_or_else(mistake)
}

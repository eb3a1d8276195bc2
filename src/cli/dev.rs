//! `chappe dev`: a complete gateway on this machine, in a second.

use super::server::{self, Server};
use super::{Done, carry_out, create_directory, key, open_store};
use crate::config::{Config, DatabaseUrl, key_of_environment};
use crate::console::{EXAMPLE_NUMBER, curl};
use crate::env::{Clock, Random};
use crate::net::server::Bound;
use crate::store::console::people::{self, Role};
use crate::store::{AccountRow, NewToken, Store, StoreError};
use crate::vault::{MasterKey, Vault};
use anyhow::{Context, anyhow, ensure};
use chappe_core::ledger::Kind;
use chappe_core::{Command, Mode, Money, Phone, Rules};
use clap::Args;
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

/// The name of the customer that `chappe dev` creates.
const CUSTOMER: &str = "dev";
/// The file in the data directory that keeps the master key. Good enough beside play data; `serve` wants it elsewhere.
pub(super) const KEY_FILE: &str = "master.key";

#[derive(Debug, Args)]
pub(crate) struct DevArgs {
    /// Where to listen; port 0 takes a free one
    #[arg(long, env = "CHAPPE_LISTEN", default_value = "127.0.0.1:8787", value_name = "ADDRESS")]
    listen: SocketAddr,
    /// The data directory; created if it is missing, and kept
    #[arg(long, env = "CHAPPE_DATA", default_value = "./chappe-data", value_name = "DIR")]
    data: PathBuf,
    /// A PostgreSQL database instead, empty or made by `chappe dev`, as postgres://USER:PASSWORD@HOST/DATABASE; the data
    /// directory then holds the master key alone
    #[arg(long, env = "CHAPPE_DATABASE", value_name = "URL", hide_env_values = true)]
    database: Option<DatabaseUrl>,
    /// The API token to accept [default: the one of the last time, or a new one]
    #[arg(long, env = "CHAPPE_TOKEN", value_name = "TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// The account's own number, to which messages are free
    #[arg(long, env = "CHAPPE_OWN_NUMBER", default_value = "+9996600001", value_name = "NUMBER")]
    own_number: String,
    /// The balance to begin with, in credits; an account that has less is filled up to it
    #[arg(long, env = "CHAPPE_BALANCE", default_value = "100", value_name = "CREDITS")]
    balance: Money,
    /// A configuration file to try: prices, limits, bots, adding funds, logging in with Telegram, and the variables of
    /// settings over it. Messages end in the sandbox whatever it says, and where to listen and to keep data is said here
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

pub(super) fn run(args: DevArgs) -> Done {
    // Only a file that is named: one that lies about is meant for `serve`.
    let mut config = args.config.as_deref().map_or_else(Config::defaults, |file| Config::load(Some(file)))?;
    config.data.clone_from(&args.data);
    config.database = args.database.clone().unwrap_or_default();
    server::init_log(&crate::config::Log {
        filter: "warn".to_owned(),
        format: crate::config::LogFormat::Text,
    })?;
    let own_number = Phone::parse(&args.own_number).ok_or_else(|| {
        anyhow!("--own-number {:?} is no phone number, such as +9996600001", args.own_number)
    })?;
    ensure!(args.balance >= Money::ZERO, "--balance must not be below 0");
    let settings = config.dev_settings()?;
    server::block_on(async {
        create_directory(&args.data)?;
        let vault = Vault::new(&master_key(&args.data)?);
        let mut store = open_store(&config, vault.clone()).await?;
        let clock = Clock::system();
        let (token, bound) = match take_over(&mut store, &settings.rules, &args, own_number, &clock).await {
            Ok(taken) => taken,
            Err(error) => {
                // What matters is why it did not start.
                let _ = store.settle().await;
                return Err(error);
            }
        };
        let server = Server { store, settings, vault, clock, bound, tls: None, drain: Duration::ZERO };
        server::run(server, |_, address| {
            warn_if_reachable(address);
            greet(address, &token);
        })
        .await
    })?;
    Ok(ExitCode::SUCCESS)
}

/// Whoever reaches the sandbox reads codes and spends the balance.
fn warn_if_reachable(address: SocketAddr) {
    if !address.ip().to_canonical().is_loopback() {
        eprintln!(
            "chappe: warning: {address} can be reached from beyond this machine, and the sandbox shows every code to \
             whoever reaches it"
        );
    }
}

/// Prints what a developer needs; last the line that scripts wait for.
fn greet(address: SocketAddr, token: &str) {
    let base_url = format!("http://{address}");
    println!("Chappe {} for development: every message ends in the sandbox.\n", env!("CARGO_PKG_VERSION"));
    println!("API base URL  {base_url}");
    println!("API token     {token}");
    println!("Console       {base_url}/login");
    println!("Sandbox       {base_url}/sandbox");
    println!("\nSend a code:\n\n{}\n", curl(&base_url, token, EXAMPLE_NUMBER));
    println!("ready {base_url}");
    let _ = std::io::stdout().flush();
}

/// Becomes a server of the database, and makes it ready for development.
async fn take_over(
    store: &mut Store,
    rules: &Rules,
    args: &DevArgs,
    own_number: Phone,
    clock: &Clock,
) -> anyhow::Result<(String, Bound)> {
    // First of all the database must be ours. On SQLite nothing is filled up beside a server that runs; on PostgreSQL
    // such a server is of development as well.
    store.start_serving(clock.now(), rules.sends_per_phone.within).await?;
    store.claim_for("dev").await?;
    if let Some(last) = store.last_request().await? {
        // What is created now comes after what was done while the clock was moved.
        clock.reach(last.drawn_at());
    }
    let token = prepare(store, rules, args, own_number, clock).await?;
    Ok((token, server::listen(args.listen)?))
}

/// The master key of a data directory, made the first time.
fn master_key(directory: &Path) -> anyhow::Result<MasterKey> {
    if let Some(key) = key_of_environment()? {
        return Ok(key);
    }
    key::read_or_make(&directory.join(KEY_FILE))
}

/// Creates what is missing: the customer, the balance, the own number, the token. Returns the token's text.
async fn prepare(
    store: &mut Store,
    rules: &Rules,
    args: &DevArgs,
    own_number: Phone,
    clock: &Clock,
) -> anyhow::Result<String> {
    let reader = store.reader()?;
    match store.create_customer(CUSTOMER, clock.now()).await {
        Ok(()) | Err(StoreError::Exists(_)) => {}
        Err(error) => return Err(error.into()),
    }
    for mode in [Mode::Live, Mode::Test] {
        let account = reader.account(CUSTOMER, mode).await?;
        store.set_own_number(account.id, Some(own_number)).await?;
        fill_up(store, rules, &account, args.balance, clock).await?;
    }
    let account = reader.account(CUSTOMER, Mode::Live).await?;
    settle_in(store, own_number, clock).await?;
    let tokens = reader.tokens(None).await?;
    let good = |token: &&crate::store::TokenRow| token.account == account.id && token.is_good(clock.now());
    let text = match &args.token {
        Some(wanted) => {
            let known = tokens.iter().find(|token| *token.text == *wanted);
            if let Some(known) = known {
                ensure!(
                    good(&known),
                    "this token was revoked, or belongs to another account; choose another --token"
                );
                return Ok(wanted.clone());
            }
            ensure!(
                !wanted.trim().is_empty() && wanted.bytes().all(|byte| byte.is_ascii_graphic()),
                "--token must be printable ASCII without spaces"
            );
            wanted.clone()
        }
        None => match tokens.iter().rev().find(good) {
            Some(token) => return Ok(token.text.to_string()),
            None => crate::tokens::draw(&Random::Os, Mode::Live)?.to_string(),
        },
    };
    let token = NewToken { account: account.id, name: "dev", text: &text, expires_at: None, allowed: &[] };
    match store.create_token(&token, clock.now()).await {
        // Servers that start together over one PostgreSQL are given the same token.
        Ok(_) | Err(StoreError::Exists(_)) => Ok(text),
        Err(error) => Err(error.into()),
    }
}

/// Lets the developer log in to the console with the own number, as owner of the account and as who runs the gateway.
async fn settle_in(store: &mut Store, own_number: Phone, clock: &Clock) -> anyhow::Result<()> {
    let reader = store.reader()?;
    store.change(&people::know(reader.vault(), own_number, "Developer", clock.now())).await?;
    let person = reader.person_of(own_number).await?.context("nobody was noted")?;
    let customer = reader.customer_named(CUSTOMER).await?.context("there is no customer")?;
    store.change(&people::set_operator(person.id, true)).await?;
    store.change(&people::join(customer, person.id, Role::Owner, clock.now())).await?;
    Ok(())
}

async fn fill_up(
    store: &mut Store,
    rules: &Rules,
    account: &AccountRow,
    balance: Money,
    clock: &Clock,
) -> anyhow::Result<()> {
    let missing = balance.checked_sub(account.balance).filter(|missing| missing.is_positive());
    let Some(amount) = missing else { return Ok(()) };
    let command = Command::Credit {
        now: clock.now(),
        account: account.id,
        kind: Kind::Deposit,
        amount,
        reference: None,
        reason: "chappe dev".to_owned(),
    };
    carry_out(store, rules, &command)
        .await?
        .map_err(|rejection| anyhow!("the account cannot be filled up: {rejection}"))?;
    Ok(())
}

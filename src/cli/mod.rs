//! The command line. Human tables by default, JSON with `--json`; a command that fails says why on standard error and
//! ends with 1.
#![allow(clippy::print_stdout, clippy::print_stderr)] // Printing is what a command line does.

mod accounts;
mod audit;
mod backup;
mod calls;
mod copy;
mod dev;
mod doctor;
mod key;
mod migrate;
mod output;
mod people;
mod route;
mod seed;
mod serve;
mod server;
mod text;
mod tokens;

use crate::config::{Config, DatabaseUrl, key_of_environment, read_key};
use crate::engine::Judged;
use crate::env::{Clock, Random};
use crate::store::{Durability, Reader, Store, StoreError, postgres, sqlite};
use crate::vault::{MasterKey, Vault};
use anyhow::{Context, ensure};
use chappe_core::{Keys, Rules, decide};
use clap::{Args, Parser, Subcommand};
use std::future::Future;
use std::path::PathBuf;
use std::process::ExitCode;

/// A self-hosted verification-code gateway that speaks Telegram's Gateway API.
///
/// Begin with `chappe dev`: a complete gateway on this machine, with a built-in phone that shows the codes.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100)]
pub struct Cli {
    /// Print JSON instead of tables and sentences
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a gateway for development: everything it needs is created, every message ends in the sandbox
    Dev(dev::DevArgs),
    /// Fill a database of `chappe dev` with requests of the last months, to look at pages that are full
    #[command(hide = true)]
    Seed(seed::SeedArgs),
    /// Run a gateway for real
    Serve(serve::ServeArgs),
    /// Make master keys
    #[command(subcommand)]
    Key(key::KeyCommand),
    /// Create and show customers; each has a live account and a test twin
    #[command(subcommand)]
    Account(accounts::AccountCommand),
    /// Register the channels that customers send from
    #[command(subcommand)]
    Sender(accounts::SenderCommand),
    /// Let people act for a customer on the console
    #[command(subcommand)]
    Member(people::MemberCommand),
    /// Let people run this gateway on the console
    #[command(subcommand)]
    Operator(people::OperatorCommand),
    /// Make a link with which somebody logs in without a code: once, within ten minutes
    Login(people::LoginArgs),
    /// Book a payment or a correction to an account
    Credit(accounts::CreditArgs),
    /// Create, show, limit and end API tokens
    #[command(subcommand)]
    Token(tokens::TokenCommand),
    /// Ask whether a number can be reached (checkSendAbility); charges one message
    Check(calls::CheckArgs),
    /// Send a code (sendVerificationMessage)
    Send(calls::SendArgs),
    /// Judge a code, or show the state of a request (checkVerificationStatus)
    ///
    /// With a code, ends with 0 only if the code is right.
    Verify(calls::VerifyArgs),
    /// Withdraw a message (revokeVerificationMessage)
    Revoke(calls::RevokeArgs),
    /// Show what the account has left (getBalance; not part of Telegram's API)
    Balance(calls::BalanceArgs),
    /// Show what happened to a request, and why
    Request(audit::RequestArgs),
    /// Show the texts of messages
    #[command(subcommand)]
    Text(text::TextCommand),
    /// Explain routes
    #[command(subcommand)]
    Route(route::RouteCommand),
    /// Look whether everything is in place for real messages, and say what to do; ends with 0 only if nothing fails
    Doctor(doctor::DoctorArgs),
    /// Check every invariant of the database, also while a server runs; ends with 0 only if all hold
    Audit(audit::AuditArgs),
    /// Bring the database up to date; a start of the server does so by itself
    Migrate(migrate::MigrateArgs),
    /// Copy the SQLite database to a file, also while a server runs, and check the copy
    Backup(backup::BackupArgs),
    /// Copy the SQLite database into an empty PostgreSQL one; goes on where it was interrupted
    Copy(copy::CopyArgs),
}

/// Which database a command works on.
#[derive(Clone, Debug, Args)]
pub(crate) struct Place {
    /// The data directory [default: `data` of the configuration]
    #[arg(long, env = "CHAPPE_DATA", value_name = "DIR")]
    data: Option<PathBuf>,
    /// A PostgreSQL database instead, as postgres://USER:PASSWORD@HOST/DATABASE
    #[arg(long, env = "CHAPPE_DATABASE", value_name = "URL", hide_env_values = true)]
    database: Option<DatabaseUrl>,
    /// The configuration file [default: chappe.toml, if there is one]
    #[arg(long, env = "CHAPPE_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
}

/// How a command ended, short of an error.
type Done = anyhow::Result<ExitCode>;

/// Carries a command out.
pub fn run(cli: Cli) -> ExitCode {
    // Whatever is written holds secrets or seals of secrets: it is for this user alone.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    // One provider of cryptography for every TLS connection. Fails only if one is installed already.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let done = match cli.command {
        Command::Dev(args) => dev::run(args),
        Command::Seed(args) => seed::run(args),
        Command::Serve(args) => serve::run(args),
        Command::Key(command) => key::run(&command, cli.json),
        Command::Account(command) => accounts::run(command, cli.json),
        Command::Sender(command) => accounts::run_sender(command, cli.json),
        Command::Member(command) => people::run_member(command, cli.json),
        Command::Operator(command) => people::run_operator(command, cli.json),
        Command::Login(args) => people::run_login(args, cli.json),
        Command::Credit(args) => accounts::run_credit(args, cli.json),
        Command::Token(command) => tokens::run(command, cli.json),
        Command::Check(args) => calls::check(args, cli.json),
        Command::Send(args) => calls::send(args, cli.json),
        Command::Verify(args) => calls::verify(args, cli.json),
        Command::Revoke(args) => calls::revoke(args, cli.json),
        Command::Balance(args) => calls::balance(args, cli.json),
        Command::Request(args) => audit::show_request(args, cli.json),
        Command::Text(command) => text::run(&command, cli.json),
        Command::Route(command) => route::run(command, cli.json),
        Command::Doctor(args) => doctor::run(args, cli.json),
        Command::Audit(args) => audit::run(args, cli.json),
        Command::Migrate(args) => migrate::run(args, cli.json),
        Command::Backup(args) => backup::run(args, cli.json),
        Command::Copy(args) => copy::run(args, cli.json),
    };
    done.unwrap_or_else(|error| {
        eprintln!("chappe: {error:#}");
        ExitCode::FAILURE
    })
}

/// A database that a command reads and writes, beside a server that may be running.
struct Admin {
    store: Store,
    reader: Reader,
    clock: Clock,
    random: Random,
}

impl Place {
    fn config(&self) -> anyhow::Result<Config> {
        let mut config = Config::load(self.config.as_deref())?;
        config.data = self.data.clone().unwrap_or(config.data);
        config.database = self.database.clone().unwrap_or(config.database);
        Ok(config)
    }

    /// The vault of the database: with the key of the environment, of the configuration, or of `chappe dev`.
    fn vault(&self, config: &Config) -> anyhow::Result<Vault> {
        let of_dev = config.data.join(dev::KEY_FILE);
        let given = key_of_environment()?.is_some() || !config.key_file.as_os_str().is_empty();
        let key: MasterKey =
            if !given && of_dev.exists() { read_key(&of_dev)? } else { config.master_key()? };
        Ok(Vault::new(&key))
    }

    /// Opens the database, which must exist.
    async fn open(&self) -> anyhow::Result<Admin> {
        let config = self.config()?;
        ensure!(
            config.database.get().is_some() || sqlite::exists(&config.data),
            "there is no database in {}; `chappe dev` and `chappe account create` make one",
            config.data.display()
        );
        self.open_or_create().await
    }

    /// Opens the database, or creates it.
    async fn open_or_create(&self) -> anyhow::Result<Admin> {
        let config = self.config()?;
        let store = open_store(&config, self.vault(&config)?).await?;
        Ok(Admin { reader: store.reader()?, store, clock: Clock::system(), random: Random::Os })
    }

    /// Opens the database to read, which must exist.
    async fn read(&self) -> anyhow::Result<Reader> {
        let config = self.config()?;
        let vault = self.vault(&config)?;
        if let Some(url) = config.database.get() {
            return Ok(Reader::Postgres(postgres::Reader::open(url, vault).await?));
        }
        ensure!(sqlite::exists(&config.data), "there is no database in {}", config.data.display());
        Ok(Reader::Sqlite(sqlite::Reader::open(&config.data, vault)?))
    }
}

/// Opens the database that the configuration names, and brings it up to date.
async fn open_store(config: &Config, vault: Vault) -> anyhow::Result<Store> {
    Ok(match config.database.get() {
        Some(url) => Store::open_postgres(url, vault).await?,
        None => {
            create_directory(&config.data)?;
            Store::open_sqlite(&config.data, vault, Durability::Full)?
        }
    })
}

/// Carries one command of the operator out, in a batch of its own.
async fn carry_out(
    store: &mut Store,
    rules: &Rules,
    command: &chappe_core::Command,
) -> Result<Judged, StoreError> {
    let mut keys = Keys::default();
    command.add_keys(&mut keys);
    let (judged, _) = store.transact(&keys, |book| decide(rules, book, command)).await?;
    Ok(judged)
}

/// Creates a data directory that only its owner can look into.
fn create_directory(directory: &std::path::Path) -> anyhow::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true).mode(0o700);
    builder
        .create(directory)
        .with_context(|| format!("cannot create the data directory {}", directory.display()))
}

/// Runs a short piece of async work to its end.
fn block_on<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(work)
}

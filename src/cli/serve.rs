//! `chappe serve`: a gateway for real. It refuses to start unsafe, and says why.

use super::server::{self, Server};
use super::{Done, open_store};
use crate::config::{Config, DatabaseUrl};
use crate::env::Clock;
use crate::vault::Vault;
use anyhow::{Context, ensure};
use axum_server::tls_rustls::RustlsConfig;
use clap::Args;
use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    /// The configuration file [default: chappe.toml, if there is one]; `chappe serve --print-defaults` shows every
    /// setting
    #[arg(long, env = "CHAPPE_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where to listen, over `listen` of the configuration
    #[arg(long, env = "CHAPPE_LISTEN", value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    /// The data directory, over `data` of the configuration
    #[arg(long, env = "CHAPPE_DATA", value_name = "DIR")]
    data: Option<PathBuf>,
    /// A PostgreSQL database instead, over `database` of the configuration
    #[arg(long, env = "CHAPPE_DATABASE", value_name = "URL", hide_env_values = true)]
    database: Option<DatabaseUrl>,
    /// Print every setting with its default and its meaning, and end
    #[arg(long)]
    print_defaults: bool,
}

pub(super) fn run(args: ServeArgs) -> Done {
    if args.print_defaults {
        print!("{}", crate::config::DEFAULTS);
        return Ok(ExitCode::SUCCESS);
    }
    let mut config = Config::load(args.config.as_deref())?;
    config.listen = args.listen.unwrap_or(config.listen);
    config.data = args.data.unwrap_or(config.data);
    config.database = args.database.unwrap_or(config.database);
    config.refuse_if_unsafe()?;
    let key = config.master_key()?;
    refuse_key_beside_database(&config)?;
    let settings = config.settings()?;
    let drain = config.drain()?;
    server::init_log(&config.log)?;
    if settings.routes.lead_nowhere() {
        tracing::warn!(
            "routes.live is \"none\": messages of live accounts are refused as PHONE_NUMBER_NOT_AVAILABLE until it leads \
             to a channel; only test accounts, which send to the sandbox, can be used"
        );
    }
    for doubt in config.doubts()? {
        tracing::warn!("{doubt}");
    }
    let vault = Vault::new(&key);
    server::block_on(async {
        let tls = if config.tls.certificate.as_os_str().is_empty() {
            None
        } else {
            let loaded = RustlsConfig::from_pem_file(&config.tls.certificate, &config.tls.key).await;
            Some(loaded.context("tls.certificate and tls.key cannot be used")?)
        };
        let scheme = if tls.is_some() { "https" } else { "http" };
        let bound = server::listen(config.listen)?;
        let mut store = open_store(&config, vault.clone()).await?;
        let clock = Clock::system();
        store.start_serving(clock.now(), settings.rules.sends_per_phone.within).await?;
        if let Err(error) = store.claim_for("serve").await {
            // A start that is refused, again and again, takes no place away from those that serve.
            let _ = store.settle().await;
            return Err(error.into());
        }
        let server = Server { store, settings, vault, clock, bound, tls, drain };
        server::run(server, |_, address| {
            println!("ready {scheme}://{address}");
            let _ = std::io::stdout().flush();
        })
        .await
    })?;
    Ok(ExitCode::SUCCESS)
}

/// A key that lies beside the database is in every copy of it, and so protects nothing.
pub(super) fn refuse_key_beside_database(config: &Config) -> anyhow::Result<()> {
    let (Ok(key), Ok(data)) = (config.key_file.canonicalize(), config.data.canonicalize()) else {
        return Ok(());
    };
    ensure!(
        !key.starts_with(&data),
        "the master key {} lies in the data directory, where every backup takes it along: move it elsewhere",
        key.display()
    );
    Ok(())
}

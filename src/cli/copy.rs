//! `chappe copy`: from a SQLite database to a PostgreSQL one, with everything that is in it.

use super::output::Ticker;
use super::{Done, Place, block_on, output};
use crate::config::DatabaseUrl;
use crate::env::Clock;
use crate::store::{CopyOptions, copy};
use anyhow::{Context, bail, ensure};
use clap::Args;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::ExitCode;

/// How a SQLite database is named where a PostgreSQL one could stand.
const SQLITE: &str = "sqlite://";

#[derive(Debug, Args)]
pub(crate) struct CopyArgs {
    /// The SQLite database, as sqlite://DIR [default: the data directory of the configuration]
    #[arg(long, value_name = "URL")]
    from: Option<String>,
    /// The empty PostgreSQL database, as postgres://USER:PASSWORD@HOST/DATABASE; CHAPPE_DATABASE keeps a password out
    /// of the process list
    #[arg(long, env = "CHAPPE_DATABASE", value_name = "URL", hide_env_values = true)]
    to: Option<DatabaseUrl>,
    /// How many rows go over in one transaction
    #[arg(long, value_name = "ROWS", default_value = "1000", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    batch: u32,
    /// The configuration file [default: chappe.toml, if there is one]
    #[arg(long, env = "CHAPPE_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
}

pub(super) fn run(args: CopyArgs, json: bool) -> Done {
    let from = match args.from.as_deref() {
        None => None,
        Some(url) => match url.strip_prefix(SQLITE).filter(|directory| !directory.is_empty()) {
            Some(directory) => Some(PathBuf::from(directory)),
            // The URL may hold a password, so it is not repeated.
            None => bail!(
                "--from must be {SQLITE}DIR: only a SQLite database can be copied, and only to PostgreSQL"
            ),
        },
    };
    let place = Place { data: from, database: None, config: args.config };
    let mut config = place.config()?;
    let to = args.to.unwrap_or(config.database);
    config.database = DatabaseUrl::default();
    let url = to
        .get()
        .context("--to must name a PostgreSQL database, as postgres://USER:PASSWORD@HOST/DATABASE")?;
    ensure!(
        !url.starts_with(SQLITE),
        "--to must be a PostgreSQL database: a copy into a SQLite one is not there"
    );
    let vault = place.vault(&config)?;
    let within = config.rules()?.sends_per_phone.within;
    let options = CopyOptions { batch: args.batch, sends_since: Clock::system().now() - within };
    let mut ticker = Ticker::new(json);
    let copied = block_on(async {
        Ok(copy(&config.data, url, &vault, options, |progress| ticker.tell(progress)).await?)
    })?;
    if json {
        let table = |table: &crate::store::CopiedTable| -> Value {
            json!({ "name": table.name, "rows": table.rows, "sum": table.sum })
        };
        output::json(&json!({
            "complete": true,
            "complete_before": copied.complete_before,
            "resumed": copied.resumed,
            "tables": copied.tables.iter().map(table).collect::<Vec<_>>(),
            "windows": copied.windows,
            "checks": copied.checks,
        }));
    } else if copied.complete_before {
        println!("this copy was completed before: nothing is to be done");
    } else {
        let rows: u64 = copied.tables.iter().map(|table| table.rows).sum();
        println!("{rows} rows copied; both sides hold the same, and all invariants hold on both");
    }
    Ok(ExitCode::SUCCESS)
}

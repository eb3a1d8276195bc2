//! `chappe migrate`: bringing a database up to date, apart from a start of the server.

use super::{Done, Place, block_on, output};
use crate::store::{Migration, postgres, sqlite};
use anyhow::ensure;
use clap::Args;
use serde_json::json;
use std::process::ExitCode;

#[derive(Debug, Args)]
pub(crate) struct MigrateArgs {
    /// Only say what would be done; ends with 1 if anything is
    #[arg(long)]
    check: bool,
    #[command(flatten)]
    place: Place,
}

pub(super) fn run(args: MigrateArgs, json: bool) -> Done {
    let config = args.place.config()?;
    let vault = args.place.vault(&config)?;
    let migration = block_on(async {
        if let Some(url) = config.database.get() {
            return Ok(postgres::bring_up_to_date(url, vault, args.check).await?);
        }
        ensure!(sqlite::exists(&config.data), "there is no database in {}", config.data.display());
        Ok(sqlite::bring_up_to_date(&config.data, &vault, args.check)?)
    })?;
    let Migration { from, to } = migration;
    let pending = args.check && migration.is_due();
    if json {
        let migrated = migration.is_due() && !args.check;
        output::json(&json!({ "from": from, "to": to, "migrated": migrated, "pending": pending }));
    } else if pending {
        println!("the database is at version {from}: `chappe migrate` would bring it to version {to}");
    } else if migration.is_due() {
        println!("the database was brought from version {from} to version {to}");
    } else {
        println!("the database is at version {to}: nothing is to be done");
    }
    Ok(if pending { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

//! `chappe backup`: a checked copy of the SQLite database while the server runs.

use super::output::Ticker;
use super::{Done, Place, output};
use crate::store::sqlite;
use anyhow::ensure;
use clap::Args;
use serde_json::json;
use std::path::PathBuf;
use std::process::ExitCode;

/// What a command ends with that was asked for what it cannot do here.
const NOT_HERE: u8 = 2;

#[derive(Debug, Args)]
pub(crate) struct BackupArgs {
    /// The file to write, in a directory that exists
    #[arg(long, value_name = "FILE")]
    to: PathBuf,
    /// Replace the file if it exists
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    place: Place,
}

pub(super) fn run(args: BackupArgs, json: bool) -> Done {
    let config = args.place.config()?;
    if config.database.get().is_some() {
        eprintln!("chappe: a PostgreSQL database is backed up with its own tools: pg_dump or pg_basebackup");
        return Ok(ExitCode::from(NOT_HERE));
    }
    ensure!(sqlite::exists(&config.data), "there is no database in {}", config.data.display());
    let vault = args.place.vault(&config)?;
    let mut ticker = Ticker::new(json);
    let made = sqlite::back_up(&config.data, &vault, &args.to, args.force, |progress| ticker.tell(progress))?;
    if json {
        let to = args.to.display().to_string();
        output::json(&json!({ "to": to, "bytes": made.bytes, "checks": made.checks }));
    } else {
        let (to, bytes, checks) = (args.to.display(), made.bytes, made.checks);
        println!(
            "{to}: {bytes} bytes, {checks} checks, all invariants hold; it is of no use without the master key"
        );
    }
    Ok(ExitCode::SUCCESS)
}

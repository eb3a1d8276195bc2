//! Master keys.

use super::Done;
use crate::env::Random;
use crate::vault::MasterKey;
use clap::Subcommand;
use std::process::ExitCode;

#[derive(Debug, Subcommand)]
pub(crate) enum KeyCommand {
    /// Print a new master key
    ///
    /// Keep it in a file that only the server can read: (umask 077; chappe key generate > /etc/chappe/key)
    Generate,
}

pub(super) fn run(command: &KeyCommand) -> Done {
    let KeyCommand::Generate = command;
    println!("{}", *generate()?.to_hex());
    Ok(ExitCode::SUCCESS)
}

/// A new master key.
pub(super) fn generate() -> anyhow::Result<MasterKey> {
    let mut bytes = [0; 32];
    Random::Os.fill(&mut bytes)?;
    Ok(MasterKey::from_bytes(bytes))
}

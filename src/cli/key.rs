//! Master keys.

use super::{Done, output};
use crate::config::read_key;
use crate::env::Random;
use crate::vault::MasterKey;
use anyhow::Context;
use clap::Subcommand;
use serde_json::json;
use std::fs::{File, OpenOptions, Permissions};
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::process::ExitCode;

#[derive(Debug, Subcommand)]
pub(crate) enum KeyCommand {
    /// Print a new master key
    ///
    /// Keep it in a file that only the server can read: (umask 077; chappe key generate > /etc/chappe/key)
    Generate,
}

pub(super) fn run(command: &KeyCommand, json: bool) -> Done {
    let KeyCommand::Generate = command;
    let key = generate()?.to_hex();
    if json {
        output::json(&json!({ "key": *key }));
    } else {
        println!("{}", *key);
    }
    Ok(ExitCode::SUCCESS)
}

/// The master key in `path`, made if there is none. Whole or not at all: the file gets its name once it is on the disk.
pub(super) fn read_or_make(path: &Path) -> anyhow::Result<MasterKey> {
    if path.exists() {
        return read_key(path);
    }
    make(path).with_context(|| format!("cannot write {}", path.display()))?;
    read_key(path)
}

fn make(path: &Path) -> anyhow::Result<()> {
    let unfinished = path.with_added_extension("new");
    let mut options = OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(false).mode(0o600).open(&unfinished)?;
    // Of two processes that make a key at once, the second waits here for the first one's.
    file.lock()?;
    if path.exists() {
        // Fails if the other process has given it its name, which is as well.
        let _ = std::fs::remove_file(&unfinished);
        return Ok(());
    }
    // A start that was interrupted may have left something, as may anybody else.
    file.set_permissions(Permissions::from_mode(0o600))?;
    file.set_len(0)?;
    file.write_all(generate()?.to_hex().as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&unfinished, path)?;
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    Ok(File::open(directory.unwrap_or(Path::new(".")))?.sync_all()?)
}

/// A new master key.
fn generate() -> anyhow::Result<MasterKey> {
    let mut bytes = [0; 32];
    Random::Os.fill(&mut bytes)?;
    Ok(MasterKey::from_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_who_make_a_key_at_once_get_the_same() {
        let directory = tempfile::tempdir().unwrap();
        for round in 0..50 {
            let path = directory.path().join(format!("{round}.key"));
            let made = std::thread::scope(|scope| {
                let makers: Vec<_> = (0..4).map(|_| scope.spawn(|| read_or_make(&path))).collect();
                makers.into_iter().map(|maker| maker.join().unwrap().unwrap()).collect::<Vec<_>>()
            });
            let kept = read_or_make(&path).unwrap();
            assert!(made.iter().all(|key| *key.to_hex() == *kept.to_hex()));
        }
    }
}

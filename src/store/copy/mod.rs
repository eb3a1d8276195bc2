//! Copying one database into another of a different kind: SQLite into PostgreSQL.
//!
//! The source is seen in one view from the first row to the last, and no server may change it meanwhile. Rows go over
//! in the order of their keys, a batch in a transaction, and the place reached is noted in the same transaction: a copy
//! that was interrupted goes on from there. Whether both hold the same is judged by the rows themselves, every cell of
//! them. Only then may a server start on the target.

mod table;

pub(super) use super::statement::{Cell, Row};
pub(super) use table::{Kind, NUMBERED, Sum, TABLES, Table};

use super::postgres::copy::{Begun, Target};
use super::records::{Progress, StoreError};
use super::sqlite::copy::Source;
use crate::vault::Vault;
use chappe_core::Time;
use chappe_core::hex::to_hex;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::path::Path;

/// The two sides, as messages name them.
const SOURCE: &str = "the source";
const TARGET: &str = "the target";

/// What a copy is to do.
#[derive(Clone, Copy, Debug)]
pub struct CopyOptions {
    /// How many rows go over in one transaction.
    pub batch: u32,
    /// Messages since then count towards the limit of their numbers.
    pub sends_since: Time,
}

/// A table that was copied.
#[derive(Clone, Debug)]
pub struct CopiedTable {
    /// Its name.
    pub name: &'static str,
    /// How many rows it has, on either side.
    pub rows: u64,
    /// The sum of the digests of its rows, on either side.
    pub sum: String,
}

/// What a copy came to.
#[derive(Clone, Debug)]
pub struct Copied {
    /// Whether an earlier run had begun it.
    pub resumed: bool,
    /// Whether an earlier run had finished it, so that nothing was to be done.
    pub complete_before: bool,
    /// The tables.
    pub tables: Vec<CopiedTable>,
    /// How many numbers were sent to lately.
    pub windows: u64,
    /// How many checks both sides passed.
    pub checks: usize,
}

/// How far a copy has got, as it stands in the target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Position {
    /// The table under way.
    pub(super) table: String,
    /// How many of its rows are there.
    pub(super) done: u64,
    /// The key of the last of them.
    pub(super) after: Vec<Cell>,
}

/// What the whole of a source comes to: the same number only for the same content.
fn fingerprint(source: &Source, sums: &[Sum]) -> Result<String, StoreError> {
    let mut digest = Sha256::new();
    for (table, sum) in TABLES.iter().zip(sums) {
        digest.update(format!("{} {} {}\n", table.name, sum.rows, sum.hex()));
    }
    for (name, value) in source.notes()? {
        digest.update(format!("{name:?} {value:?}\n"));
    }
    Ok(to_hex(&digest.finalize()))
}

/// Copies the SQLite database in `from` into the PostgreSQL database that `to` names, which must be empty or hold a
/// part of this very copy. Both must belong to the key of `vault`.
pub async fn copy(
    from: &Path,
    to: &str,
    vault: &Vault,
    options: CopyOptions,
    mut progress: impl FnMut(Progress<'_>),
) -> Result<Copied, StoreError> {
    let of_source = |error: StoreError| error.of(SOURCE);
    let of_target = |error: StoreError| error.of(TARGET);
    let source = Source::open(from, vault).map_err(of_source)?;
    // Before anything else: what is wrong on one side is better known now than in an hour.
    let mut target = Target::open(to, vault).await.map_err(of_target)?;
    let mut sums = Vec::new();
    for table in &TABLES {
        progress(Progress::step("reading the source", table.name));
        sums.push(source.sum(table).map_err(of_source)?);
    }
    let fingerprint = fingerprint(&source, &sums).map_err(of_source)?;
    let begun = target.begin(&fingerprint).await.map_err(of_target)?;
    let mut copied = Copied {
        resumed: matches!(begun, Begun::Under(_)),
        complete_before: matches!(begun, Begun::Complete),
        tables: TABLES
            .iter()
            .zip(&sums)
            .map(|(table, sum)| CopiedTable { name: table.name, rows: sum.rows, sum: sum.hex() })
            .collect(),
        windows: 0,
        checks: 0,
    };
    let position = match begun {
        Begun::Complete => return Ok(copied),
        Begun::Anew => None,
        Begun::Under(position) => position,
    };
    // Its view is the one that is copied; that nothing changes it, the end makes sure of.
    let audited = source.audit(|check| progress(Progress::step("checking the source", check)));
    refuse_if_broken(SOURCE, audited.map_err(of_source)?.first())?;

    let reached = match &position {
        None => 0,
        Some(position) => TABLES.iter().position(|table| table.name == position.table).ok_or_else(|| {
            StoreError::NotDone(format!("{TARGET} names a table that is none: {:?}", position.table))
        })?,
    };
    for (at, (table, sum)) in TABLES.iter().zip(&sums).enumerate().skip(reached) {
        let position = position.clone().filter(|_| at == reached);
        let (mut done, mut after) = match position {
            Some(position) => (position.done, Some(position.after)),
            None => (0, None),
        };
        progress(Progress { doing: "copying", to: table.name, done, total: sum.rows });
        loop {
            let rows = source.rows(table, after.as_deref(), options.batch).map_err(of_source)?;
            let Some(key) = rows.last().and_then(|row| row.get(..table.keys)) else { break };
            done += rows.len() as u64;
            let position = Position { table: table.name.to_owned(), done, after: key.to_vec() };
            target.put(table, &rows, &position).await.map_err(of_target)?;
            after = Some(position.after);
            progress(Progress { doing: "copying", to: table.name, done, total: sum.rows });
        }
    }
    for (table, sum) in TABLES.iter().zip(&sums) {
        progress(Progress::step("comparing", table.name));
        let found = target.sum(table).await.map_err(of_target)?;
        if found != *sum {
            return Err(StoreError::NotDone(format!(
                "{TARGET} does not hold what the source does: {} has {} rows with the sum {}, and {} with {} in the \
                 source; empty the target and copy again",
                table.name,
                found.rows,
                found.hex(),
                sum.rows,
                sum.hex()
            )));
        }
    }
    progress(Progress::step("counting", "messages of late"));
    let (notes, sequences) = (source.notes().map_err(of_source)?, source.sequences().map_err(of_source)?);
    copied.windows = target.derive(&notes, &sequences, options.sends_since).await.map_err(of_target)?;
    let findings = target
        .audit(|check| {
            copied.checks += 1;
            progress(Progress::step("checking the target", check));
        })
        .await
        .map_err(of_target)?;
    refuse_if_broken(TARGET, findings.first())?;
    source.unchanged().map_err(of_source)?;
    target.complete(&fingerprint).await.map_err(of_target)?;
    Ok(copied)
}

fn refuse_if_broken(side: &str, finding: Option<&super::AuditFinding>) -> Result<(), StoreError> {
    let Some(finding) = finding else { return Ok(()) };
    let what = format!("{side} does not pass its audit: {}: {}", finding.check, finding.detail);
    Err(StoreError::NotDone(what))
}

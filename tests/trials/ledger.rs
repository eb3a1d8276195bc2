//! What the database says, read beside the program: the books, and how many wrong codes were counted.

use rusqlite::{Connection, OpenFlags};
use std::collections::{HashMap, HashSet};
use std::path::Path;

/// The books of the customer's live account. Money is in micro-credits.
#[derive(Debug)]
pub(crate) struct Ledger {
    pub(crate) balance: i64,
    pub(crate) deposits: i64,
    pub(crate) charges: i64,
    pub(crate) refunds: i64,
    /// Every movement in order: request, kind, amount and the balance after it.
    pub(crate) transfers: Vec<(Option<i64>, String, i64, i64)>,
    /// Every request id, as the wire writes it.
    pub(crate) requests: HashSet<String>,
}

impl Ledger {
    /// Reads the books in a data directory.
    pub(crate) fn read(data: &Path) -> Ledger {
        let connection = open(data);
        let account: Option<(i64, i64)> = connection
            .query_row(
                "SELECT id, balance FROM account WHERE customer_id IS NOT NULL AND mode = 'live'",
                [],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )
            .ok();
        let (account, balance) = account.unwrap_or((0, 0));
        let mut find = connection
            .prepare(
                "SELECT request_id, kind, amount, balance_after FROM transfer WHERE account_id = ?1 ORDER BY seq",
            )
            .unwrap();
        let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?));
        let transfers: Vec<(Option<i64>, String, i64, i64)> =
            find.query_map([account], row).unwrap().map(Result::unwrap).collect();
        let sum = |wanted: &str| {
            transfers.iter().filter(|(_, kind, ..)| kind == wanted).map(|(_, _, amount, _)| amount).sum()
        };
        let mut find = connection.prepare("SELECT id FROM request WHERE account_id = ?1").unwrap();
        let requests = find.query_map([account], |row| row.get::<_, i64>(0)).unwrap();
        Ledger {
            balance,
            deposits: sum("deposit"),
            charges: sum("charge"),
            refunds: sum("refund"),
            requests: requests.map(|id| id.unwrap().to_string()).collect(),
            transfers,
        }
    }
}

/// How many wrong codes the database has counted, by request.
pub(crate) fn attempts(data: &Path) -> HashMap<String, u8> {
    let connection = open(data);
    let mut find = connection.prepare("SELECT id, attempts FROM request WHERE sent_at IS NOT NULL").unwrap();
    let row = |row: &rusqlite::Row<'_>| Ok((row.get::<_, i64>(0)?.to_string(), row.get(1)?));
    find.query_map([], row).unwrap().map(Result::unwrap).collect()
}

fn open(data: &Path) -> Connection {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    Connection::open_with_flags(data.join("chappe.db"), flags).unwrap()
}

//! A write-ahead log that was torn or damaged: what opens is a whole piece of history from its beginning, or nothing
//! opens at all.

use crate::crowd::Crowd;
use crate::gateway::{Gateway, Home};
use crate::ledger::Ledger;
use crate::seeded::{Seeded, seed};
use chappe::env::Clock;
use chappe::store::{Durability, Store, StoreError};
use chappe::vault::{MasterKey, Vault};
use std::path::Path;
use std::time::Duration;

const WAL: &str = "chappe.db-wal";
/// The log's header and the header of each page in it, in bytes.
const WAL_HEADER: u64 = 32;
const FRAME: u64 = 24 + 4096;
/// How many places are tried of each kind, in each of the two databases.
const CUTS: u64 = 12;
const FLIPS: u64 = 12;

/// What is done to a log.
#[derive(Clone, Copy, Debug)]
enum Harm {
    None,
    /// It ends here.
    Cut(u64),
    /// This bit of this byte is turned over.
    Flip(u64, u8),
}

/// How a copy fared.
enum Fate {
    /// It opened, with so many movements of money.
    Whole(usize),
    Refused(StoreError),
}

#[test]
fn a_torn_log_opens_as_a_piece_of_history_or_not_at_all() {
    let mut random = Seeded(seed());
    let home = Home::new();
    let mut crowd = Crowd::new(random.below(u64::MAX));
    let mut tally = (0, 0, 0);
    // The first time, everything is in the log alone; the second time, the log lies over a database.
    for first in [true, false] {
        let gateway = Crowd::start(&home, first);
        // What the last kill left in doubt is settled before the clients go on.
        crowd.check(&home, &gateway);
        crowd.work(gateway, Duration::from_millis(500), Gateway::kill);
        try_all(&home, &mut random, &mut tally);
        checkpoint(&home.data());
    }
    let (whole, refused, shortest) = tally;
    println!(
        "torn log: {whole} copies opened whole, {refused} refused; the shortest history has {shortest} movements"
    );
}

/// Harms copies of the log in many ways. A shorter log never has a longer history.
fn try_all(home: &Home, random: &mut Seeded, tally: &mut (u32, u32, usize)) {
    // What the database says unharmed; reading it does not write to it.
    let truth = Ledger::read(&home.data());
    let length = std::fs::metadata(home.data().join(WAL)).unwrap().len();
    assert!(length > 100 * FRAME, "only {length} bytes of log");

    let mut cuts: Vec<u64> =
        vec![0, 1, WAL_HEADER - 1, WAL_HEADER, WAL_HEADER + FRAME, length - FRAME, length - 1];
    cuts.extend((1..CUTS).map(|part| length * part / CUTS / 4096 * 4096));
    cuts.extend((0..CUTS).map(|_| random.below(length)));
    cuts.sort_unstable();
    let mut movements_before = 0;
    for cut in cuts {
        let Fate::Whole(movements) = fate(home, &truth, Harm::Cut(cut), tally) else {
            panic!("a log of {cut} bytes was refused, though all that it holds is whole");
        };
        assert!(movements >= movements_before, "cut at {cut}: {movements} < {movements_before}");
        movements_before = movements;
    }
    let places = [0, 4, 8, 16, 24, 31].into_iter().chain((0..FLIPS).map(|_| random.below(length)));
    for place in places.collect::<Vec<_>>() {
        let bit = random.below(8) as u8;
        if let Fate::Refused(error) = fate(home, &truth, Harm::Flip(place, bit), tally) {
            assert!(!error.to_string().is_empty());
        }
    }
    let Fate::Whole(movements) = fate(home, &truth, Harm::None, tally) else {
        panic!("unharmed, and refused")
    };
    assert_eq!(movements, truth.transfers.len());
}

/// Opens a copy that was harmed, as a server does.
fn fate(home: &Home, truth: &Ledger, harm: Harm, tally: &mut (u32, u32, usize)) -> Fate {
    let copy = tempfile::Builder::new().prefix("chappe-trial-").tempdir().unwrap();
    for entry in std::fs::read_dir(home.data()).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
    }
    let wal = copy.path().join(WAL);
    match harm {
        Harm::None => {}
        Harm::Cut(length) => {
            std::fs::OpenOptions::new().write(true).open(&wal).unwrap().set_len(length).unwrap();
        }
        Harm::Flip(place, bit) => {
            let mut bytes = std::fs::read(&wal).unwrap();
            *bytes.get_mut(usize::try_from(place).unwrap()).unwrap() ^= 1 << bit;
            std::fs::write(&wal, bytes).unwrap();
        }
    }
    match open(copy.path()) {
        Ok(findings) => {
            assert_eq!(findings, Vec::<String>::new(), "{harm:?}");
            let found = Ledger::read(copy.path());
            assert!(truth.transfers.starts_with(&found.transfers), "{harm:?}: another history");
            assert!(found.requests.is_subset(&truth.requests), "{harm:?}: other requests");
            assert_eq!(found.balance, found.deposits - found.charges + found.refunds, "{harm:?}");
            let movements = found.transfers.len();
            *tally = (tally.0 + 1, tally.1, if tally.0 == 0 { movements } else { tally.2.min(movements) });
            Fate::Whole(movements)
        }
        Err(error) => {
            tally.1 += 1;
            Fate::Refused(error)
        }
    }
}

/// Opens a database, becomes its server, and audits it.
fn open(data: &Path) -> Result<Vec<String>, StoreError> {
    let key = std::fs::read_to_string(data.join("master.key")).unwrap();
    let vault = Vault::new(&MasterKey::parse(&key).unwrap());
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let mut store = Store::open_sqlite(data, vault, Durability::Full)?;
        store.start_serving(Clock::system().now(), Duration::from_secs(600)).await?;
        let findings = store.reader()?.audit(|_| {}).await?;
        Ok(findings.into_iter().map(|finding| format!("{}: {}", finding.check, finding.detail)).collect())
    })
}

/// Folds the log into the database.
fn checkpoint(data: &Path) {
    let connection = rusqlite::Connection::open(data.join("chappe.db")).unwrap();
    let busy: i64 = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0)).unwrap();
    assert_eq!(busy, 0);
}

//! The audit, all in one consistent view, and a look at the file itself.

use super::{Reader, StoreError};
use crate::store::audit::{CHECKS, PLACES};
use crate::store::records::AuditFinding;
use rusqlite::TransactionBehavior;

impl Reader {
    /// See [`super::super::Reader::audit`].
    pub fn audit(&self, mut progress: impl FnMut(&str)) -> Result<Vec<AuditFinding>, StoreError> {
        let mut connection = self.connection();
        // One read transaction: every check sees the same moment, whatever the server writes meanwhile.
        let view = connection.transaction_with_behavior(TransactionBehavior::Deferred)?;
        let mut findings = Vec::new();
        for (check, query) in CHECKS {
            progress(check);
            let mut statement = view.prepare(query)?;
            let places = statement.query_map([], |row| row.get::<_, String>(0))?.take(PLACES);
            for detail in places {
                findings.push(AuditFinding { check, detail: detail? });
            }
        }
        let check = "the database file is sound";
        progress(check);
        let verdicts = view
            .prepare("PRAGMA quick_check(20)")?
            .query_map([], |row| row.get::<_, String>(0))?
            .collect::<Result<Vec<_>, _>>()?;
        let faults = verdicts.into_iter().filter(|verdict| verdict != "ok");
        findings.extend(faults.map(|detail| AuditFinding { check, detail }));
        Ok(findings)
    }
}

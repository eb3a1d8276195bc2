//! The audit, all in one consistent view.

use super::{Reader, rows};
use crate::store::audit::{CHECKS, PLACES};
use crate::store::records::{AuditFinding, StoreError};
use tokio_postgres::IsolationLevel;

impl Reader {
    /// See [`super::super::Reader::audit`].
    pub async fn audit(&self, mut progress: impl FnMut(&str)) -> Result<Vec<AuditFinding>, StoreError> {
        let mut connection = self.connection().await?;
        // One snapshot: every check sees the same moment, whatever servers write meanwhile.
        let view =
            connection.build_transaction().isolation_level(IsolationLevel::RepeatableRead).read_only(true);
        let view = view.start().await?;
        // It reads all there is, however long that takes.
        view.batch_execute("SET LOCAL statement_timeout = 0").await?;
        let mut findings = Vec::new();
        for (check, query) in CHECKS {
            progress(check);
            let places = view.query(&format!("{query} LIMIT {PLACES}"), &[]).await?;
            for place in &places {
                findings.push(AuditFinding { check, detail: rows::get(place, 0)? });
            }
        }
        view.rollback().await?;
        Ok(findings)
    }
}

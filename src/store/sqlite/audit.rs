//! The audit: every invariant that the rows must hold, each as a query for the rows that break it, all in one
//! consistent view. The trials and the simulator ask the same questions as `chappe audit`.

use super::{Reader, StoreError};
use crate::store::records::AuditFinding;
use rusqlite::TransactionBehavior;

/// How many places are told per broken invariant.
const PLACES: usize = 20;

/// What must never be found. Each query gives one text column that says where.
const CHECKS: [(&str, &str); 17] = [
    (
        "a balance is the sum of its transfers",
        "SELECT 'account ' || account.id || ': balance ' || account.balance || ', transfers sum to ' || total FROM (
             SELECT account_id, sum(iif(credit = account_id, amount, -amount)) AS total, count(*) AS number
             FROM transfer GROUP BY account_id) AS sums
         JOIN account ON account.id = sums.account_id
         WHERE account.balance <> total OR account.transfers <> number",
    ),
    (
        "an account without transfers has no balance",
        "SELECT 'account ' || id || ': balance ' || balance FROM account
         WHERE (balance <> 0 OR transfers <> 0) AND NOT EXISTS (SELECT 1 FROM transfer WHERE account_id = account.id)",
    ),
    ("no balance is below zero", "SELECT 'account ' || id || ': ' || balance FROM account WHERE balance < 0"),
    (
        "every transfer carries the running balance on, without a gap",
        "SELECT 'account ' || account_id || ', transfer ' || seq FROM (
             SELECT account_id, seq, balance_after, iif(credit = account_id, amount, -amount) AS change,
                 lag(balance_after, 1, 0) OVER accounts AS before, row_number() OVER accounts AS place
             FROM transfer WINDOW accounts AS (PARTITION BY account_id ORDER BY seq))
         WHERE balance_after <> before + change OR seq <> place",
    ),
    (
        "every transfer is between a customer and the house side of its kind and mode",
        "SELECT 'account ' || transfer.account_id || ', transfer ' || seq FROM transfer
         JOIN account ON account.id = transfer.account_id
         WHERE account.id < 100
            OR iif(debit = account.id, credit, debit)
               <> iif(kind IN ('charge', 'refund'), 1, 2) + iif(account.mode = 'test', 2, 0)
            OR (kind = 'charge' AND debit <> account.id) OR (kind = 'refund' AND credit <> account.id)",
    ),
    (
        "a request's fee was charged exactly once, to its account",
        "SELECT 'request ' || request.id || ': fee ' || cost FROM request
         LEFT JOIN transfer ON transfer.request_id = request.id AND kind = 'charge'
         WHERE cost <> coalesce(transfer.amount, 0)
            OR (transfer.account_id IS NOT NULL AND transfer.account_id <> request.account_id)",
    ),
    (
        "a refund is the fee of an expired request, exactly once",
        "SELECT 'request ' || request.id FROM request
         LEFT JOIN transfer ON transfer.request_id = request.id AND kind = 'refund'
         WHERE iif(refunded, cost, 0) <> coalesce(transfer.amount, 0)
            OR (transfer.account_id IS NOT NULL AND transfer.account_id <> request.account_id)",
    ),
    (
        "a fee is refunded if and only if the delivery expired",
        "SELECT 'request ' || id FROM request WHERE refunded <> (coalesce(delivery, '') = 'expired' AND cost > 0)",
    ),
    (
        "every charge and refund belongs to a request",
        "SELECT 'account ' || account_id || ', transfer ' || seq FROM transfer
         WHERE request_id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM request WHERE request.id = transfer.request_id)",
    ),
    (
        "the statistics are the sums over the requests",
        "SELECT 'account ' || account_id || ', day ' || day || ', ' || country || ', ' || channel FROM (
             SELECT account_id, day, country, channel, checked, sent, delivered, read, expired, revoked, verified,
                 charged, refunded FROM day
             UNION ALL
             SELECT account_id, created_at / 86400000000, country, channel, -sum(ability_checked),
                 -sum(sent_at IS NOT NULL), -sum(coalesce(delivery IN ('delivered', 'read'), 0)),
                 -sum(coalesce(delivery = 'read', 0)), -sum(coalesce(delivery = 'expired', 0)),
                 -sum(coalesce(delivery = 'revoked', 0)), -sum(verified_at IS NOT NULL), -sum(cost),
                 -sum(iif(refunded, cost, 0))
             FROM request GROUP BY 1, 2, 3, 4)
         GROUP BY account_id, day, country, channel
         HAVING sum(checked) <> 0 OR sum(sent) <> 0 OR sum(delivered) <> 0 OR sum(read) <> 0 OR sum(expired) <> 0
             OR sum(revoked) <> 0 OR sum(verified) <> 0 OR sum(charged) <> 0 OR sum(refunded) <> 0",
    ),
    (
        "a message on its way has a worker to come, or a channel that has it",
        "SELECT 'request ' || id FROM request
         WHERE delivery = 'sent' AND due_at IS NULL AND progress NOT IN ('accepted', 'uncertain')",
    ),
    (
        "a message that ended is not worked on",
        "SELECT 'request ' || id FROM request
         WHERE delivery IN ('expired', 'revoked') AND (due_at IS NOT NULL OR progress <> 'ended')",
    ),
    (
        "a withdrawn or expired message's code is dead",
        "SELECT 'request ' || id FROM request
         WHERE code_expires_at > delivery_at
           AND (delivery = 'expired' OR (delivery = 'revoked' AND verified_at IS NULL))",
    ),
    (
        "a code is verified only within its life",
        "SELECT 'request ' || id FROM request WHERE verified_at < sent_at OR verified_at > code_expires_at",
    ),
    (
        "every change of a delivery status is reported, if reports are wanted",
        "SELECT 'request ' || request.id FROM request
         LEFT JOIN (SELECT request_id, count(*) AS number, max(seq) AS last FROM report GROUP BY request_id) AS made
             ON made.request_id = request.id
         WHERE coalesce(number, 0) <> reports OR coalesce(last, 0) <> reports
            OR (callback_url IS NOT NULL AND delivery <> 'sent' AND reports = 0)
            OR (callback_url IS NULL AND reports > 0)",
    ),
    (
        "the last report tells the delivery status",
        "SELECT 'request ' || request.id FROM request
         JOIN report ON report.request_id = request.id AND report.seq = request.reports
         WHERE report.delivery <> request.delivery OR report.delivery_at <> request.delivery_at",
    ),
    (
        "no report is tried more often than the schedule says",
        "SELECT 'request ' || request_id || ', report ' || seq FROM report
         WHERE attempts > 11 OR (state = 'lost' AND attempts < 11) OR (state = 'acknowledged' AND attempts < 1)",
    ),
];

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

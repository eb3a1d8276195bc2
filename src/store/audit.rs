//! The audit: every invariant that the rows must hold, each as a query for the rows that break it. The trials and the
//! simulator ask the same questions as `chappe audit`, and every database the same texts.

/// How many places are told per broken invariant.
pub(super) const PLACES: usize = 20;

/// What must never be found. Each query gives one text column that says where. They are written so that every database
/// takes them as they are: CASE instead of functions of one dialect, and flags are the numbers 0 and 1.
pub(super) const CHECKS: [(&str, &str); 22] = [
    (
        "a balance is the sum of its transfers",
        "SELECT 'account ' || account.id || ': balance ' || account.balance || ', transfers sum to ' || total FROM (
             SELECT account_id, sum(CASE WHEN credit = account_id THEN amount ELSE -amount END) AS total, count(*) AS number
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
             SELECT account_id, seq, balance_after, CASE WHEN credit = account_id THEN amount ELSE -amount END AS change,
                 coalesce(lag(balance_after) OVER accounts, 0) AS before, row_number() OVER accounts AS place
             FROM transfer WINDOW accounts AS (PARTITION BY account_id ORDER BY seq)) AS steps
         WHERE balance_after <> before + change OR seq <> place",
    ),
    (
        "every transfer is between a customer and the house side of its kind and mode",
        "SELECT 'account ' || transfer.account_id || ', transfer ' || seq FROM transfer
         JOIN account ON account.id = transfer.account_id
         WHERE account.id < 100
            OR (CASE WHEN debit = account.id THEN credit ELSE debit END)
               <> (CASE WHEN kind IN ('charge', 'refund') THEN 1 ELSE 2 END)
                  + (CASE WHEN account.mode = 'test' THEN 2 ELSE 0 END)
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
         WHERE (CASE WHEN refunded = 1 THEN cost ELSE 0 END) <> coalesce(transfer.amount, 0)
            OR (transfer.account_id IS NOT NULL AND transfer.account_id <> request.account_id)",
    ),
    (
        "a fee is refunded if and only if the delivery expired",
        "SELECT 'request ' || id FROM request 
         WHERE refunded <> (CASE WHEN delivery = 'expired' AND cost > 0 THEN 1 ELSE 0 END)",
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
                 -count(sent_at), -sum(CASE WHEN delivery IN ('delivered', 'read') THEN 1 ELSE 0 END),
                 -sum(CASE WHEN delivery = 'read' THEN 1 ELSE 0 END),
                 -sum(CASE WHEN delivery = 'expired' THEN 1 ELSE 0 END),
                 -sum(CASE WHEN delivery = 'revoked' THEN 1 ELSE 0 END), -count(verified_at), -sum(cost),
                 -sum(CASE WHEN refunded = 1 THEN cost ELSE 0 END)
             FROM request GROUP BY 1, 2, 3, 4) AS sums
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
        "a message that ended is not worked on, but to be taken back",
        "SELECT 'request ' || id FROM request
         WHERE delivery IN ('expired', 'revoked')
           AND (progress NOT IN ('ended', 'withdrawing') OR (progress = 'ended' AND due_at IS NOT NULL))",
    ),
    (
        "a message that is being taken back is no longer on its way, and its channel has a name for it",
        "SELECT 'request ' || id FROM request
         WHERE progress = 'withdrawing' AND (delivery = 'sent' OR channel_reference IS NULL OR due_at IS NULL)",
    ),
    (
        "a hop's turn ends by itself only while the message is on its way and another hop follows",
        "SELECT 'request ' || id || ': hop ' || hop FROM request
         WHERE hop_until IS NOT NULL
           AND (delivery <> 'sent' OR hop >= length(route) - length(replace(route, ',', '')) OR due_at > hop_until)",
    ),
    (
        "only hops that have had their turn may still deliver, and only while the message is on its way",
        "SELECT 'request ' || id || ': hops ' || open_hops FROM request
         WHERE open_hops <> 0 AND (sent_at IS NULL OR delivery <> 'sent' OR open_hops >= 2 << hop)",
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
    (
        "what a channel calls a message is the name of a hop that there is",
        "SELECT 'channel ' || channel_reference.channel || ', request ' || request_id || ', hop ' || channel_reference.hop
         FROM channel_reference LEFT JOIN request ON request.id = request_id
         WHERE request.id IS NULL OR sent_at IS NULL
            OR channel_reference.hop > length(route) - length(replace(route, ',', ''))",
    ),
    (
        "a request, a transfer and a report belong to rows that exist",
        "SELECT 'request ' || id FROM request
         WHERE NOT EXISTS (SELECT 1 FROM account WHERE account.id = request.account_id)
         UNION ALL
         SELECT 'account ' || account_id || ', transfer ' || seq FROM transfer
         WHERE NOT EXISTS (SELECT 1 FROM account WHERE account.id = transfer.account_id)
         UNION ALL
         SELECT 'request ' || request_id || ', report ' || seq FROM report
         WHERE NOT EXISTS (SELECT 1 FROM request WHERE request.id = report.request_id)",
    ),
];

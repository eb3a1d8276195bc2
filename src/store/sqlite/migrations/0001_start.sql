-- No CHECK on a table that every call writes uses IN: SQLite builds a table of its own for that, each time.
-- Times are Unix microseconds, money is micro-credits, both 64-bit integers. Names of states are the wire's own.

CREATE TABLE meta (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE customer (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    name       TEXT NOT NULL UNIQUE,
    created_at INTEGER NOT NULL
) STRICT;

-- Every customer has a live account and a test twin. Ids below 100 are the house's own sides of the ledger; they carry
-- no running balance.
CREATE TABLE account (
    id                INTEGER PRIMARY KEY AUTOINCREMENT,
    customer_id       INTEGER REFERENCES customer (id),
    mode              TEXT NOT NULL CHECK (mode IN ('live', 'test')),
    balance           INTEGER NOT NULL DEFAULT 0,
    transfers         INTEGER NOT NULL DEFAULT 0,
    own_number_sealed BLOB,
    single_use        INTEGER NOT NULL DEFAULT 0 CHECK (single_use IN (0, 1)),
    rate_spent_until  INTEGER NOT NULL DEFAULT 0,
    created_at        INTEGER NOT NULL,
    CHECK (id < 100 OR (customer_id IS NOT NULL AND balance >= 0)),
    UNIQUE (customer_id, mode)
) STRICT;

INSERT INTO account (id, mode, created_at) VALUES
    (1, 'live', 0), -- fees
    (2, 'live', 0), -- money from outside
    (3, 'test', 0), -- play fees
    (4, 'test', 0), -- play money from outside
    (99, 'test', 0); -- so that customers begin at 100
DELETE FROM account WHERE id = 99;

CREATE TABLE token (
    id             INTEGER PRIMARY KEY AUTOINCREMENT,
    account_id     INTEGER NOT NULL REFERENCES account (id),
    name           TEXT NOT NULL,
    digest         BLOB NOT NULL UNIQUE,
    sealed         BLOB NOT NULL,
    allowed        TEXT NOT NULL DEFAULT '', -- addresses and CIDR ranges, parted by commas; empty: from anywhere
    created_at     INTEGER NOT NULL,
    expires_at     INTEGER,
    revoked_at     INTEGER,
    last_used_at   INTEGER,
    last_used_from TEXT
) STRICT;
CREATE INDEX token_of_account ON token (account_id);

CREATE TABLE sender (
    account_id INTEGER NOT NULL REFERENCES account (id),
    username   TEXT NOT NULL,
    verified   INTEGER NOT NULL CHECK (verified IN (0, 1)),
    created_at INTEGER NOT NULL,
    PRIMARY KEY (account_id, username)
) STRICT, WITHOUT ROWID;

CREATE TABLE request (
    id                INTEGER PRIMARY KEY,
    account_id        INTEGER NOT NULL REFERENCES account (id),
    token_id          INTEGER NOT NULL,
    phone_key         INTEGER NOT NULL,
    phone_sealed      BLOB NOT NULL,
    country           TEXT NOT NULL,
    created_at        INTEGER NOT NULL,
    cost              INTEGER NOT NULL CHECK (cost >= 0),
    refunded          INTEGER NOT NULL CHECK (refunded = 0 OR refunded = 1),
    ability_checked   INTEGER NOT NULL CHECK (ability_checked = 0 OR ability_checked = 1),
    route             TEXT NOT NULL, -- channels in order, parted by commas
    channel           TEXT NOT NULL, -- the one whose turn it is
    reports           INTEGER NOT NULL,
    events            INTEGER NOT NULL,
    timeline          TEXT NOT NULL, -- a line each: microseconds, name, detail
    -- The message, once one was sent.
    sender            TEXT,
    payload           TEXT,
    callback_url      TEXT,
    ttl_s             INTEGER,
    code_mac          BLOB,
    code_sealed       BLOB,
    sent_at           INTEGER,
    delivery          TEXT, -- sent, delivered, read, expired, revoked
    delivery_at       INTEGER,
    code_expires_at   INTEGER,
    verified_at       INTEGER,
    last_check        TEXT,
    last_check_at     INTEGER,
    attempts          INTEGER NOT NULL DEFAULT 0,
    hop               INTEGER NOT NULL DEFAULT 0,
    progress          TEXT, -- queued, leased, accepted, uncertain, ended
    progress_at       INTEGER,
    channel_reference TEXT,
    due_at            INTEGER, -- when a worker must next look at it
    CHECK ((sent_at IS NULL) = (delivery IS NULL)),
    CHECK (refunded = 0 OR (cost > 0 AND delivery = 'expired'))
) STRICT;
CREATE INDEX request_due ON request (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX request_in_sandbox ON request (account_id, id) WHERE channel = 'sandbox' AND code_sealed IS NOT NULL;
-- A request follows the clock by its id, but one that was only asked about may be sent much later.
CREATE INDEX request_sent_late ON request (sent_at) WHERE ability_checked = 1 AND sent_at IS NOT NULL;

-- Every movement of money, append-only: who pays, who receives, and the customer's balance after it.
CREATE TABLE transfer (
    account_id    INTEGER NOT NULL REFERENCES account (id),
    seq           INTEGER NOT NULL,
    debit         INTEGER NOT NULL,
    credit        INTEGER NOT NULL,
    amount        INTEGER NOT NULL CHECK (amount > 0),
    kind          TEXT NOT NULL, -- charge, refund, deposit, adjustment
    request_id    INTEGER,
    reference     TEXT,
    reason        TEXT,
    balance_after INTEGER NOT NULL CHECK (balance_after >= 0),
    at            INTEGER NOT NULL,
    PRIMARY KEY (account_id, seq),
    CHECK (debit <> credit AND (account_id = debit OR account_id = credit)),
    CHECK ((request_id IS NOT NULL) = (kind = 'charge' OR kind = 'refund'))
) STRICT, WITHOUT ROWID;
-- A second charge or refund of a request cannot exist, nor can a payment be booked twice.
CREATE UNIQUE INDEX transfer_of_request ON transfer (request_id, kind) WHERE request_id IS NOT NULL;
CREATE UNIQUE INDEX transfer_reference ON transfer (reference) WHERE reference IS NOT NULL;

CREATE TABLE report (
    request_id      INTEGER NOT NULL REFERENCES request (id),
    seq             INTEGER NOT NULL,
    account_id      INTEGER NOT NULL,
    token_id        INTEGER NOT NULL,
    receiver        TEXT NOT NULL, -- scheme, host and port of the callback URL
    delivery        TEXT NOT NULL,
    delivery_at     INTEGER NOT NULL,
    verification    TEXT,
    verification_at INTEGER,
    refunded        INTEGER NOT NULL,
    state           TEXT NOT NULL, -- pending, acknowledged, lost
    attempts        INTEGER NOT NULL,
    due_at          INTEGER NOT NULL,
    leased          INTEGER NOT NULL,
    last_result     TEXT,
    PRIMARY KEY (request_id, seq)
) STRICT, WITHOUT ROWID;
CREATE INDEX report_due ON report (due_at) WHERE state = 'pending';

-- Recent wrong codes for a number, per account.
CREATE TABLE phone_failure (
    account_id INTEGER NOT NULL,
    phone_key  INTEGER NOT NULL,
    moments    TEXT NOT NULL, -- microseconds, parted by commas, oldest first
    last_at    INTEGER NOT NULL,
    PRIMARY KEY (account_id, phone_key)
) STRICT, WITHOUT ROWID;
CREATE INDEX phone_failure_age ON phone_failure (last_at);

-- Live and exact statistics: sums over the requests of a day.
CREATE TABLE day (
    account_id INTEGER NOT NULL,
    day        INTEGER NOT NULL, -- days since 1970-01-01, UTC
    country    TEXT NOT NULL,
    channel    TEXT NOT NULL,
    checked    INTEGER NOT NULL,
    sent       INTEGER NOT NULL,
    delivered  INTEGER NOT NULL,
    read       INTEGER NOT NULL,
    expired    INTEGER NOT NULL,
    revoked    INTEGER NOT NULL,
    verified   INTEGER NOT NULL,
    charged    INTEGER NOT NULL,
    refunded   INTEGER NOT NULL,
    PRIMARY KEY (account_id, day, country, channel)
) STRICT, WITHOUT ROWID;

CREATE TABLE idempotency (
    account_id        INTEGER NOT NULL,
    key               BLOB NOT NULL,
    body              BLOB NOT NULL,
    request_id        INTEGER NOT NULL,
    cost              INTEGER NOT NULL,
    remaining_balance INTEGER NOT NULL,
    sent_at           INTEGER,
    at                INTEGER NOT NULL,
    PRIMARY KEY (account_id, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX idempotency_age ON idempotency (at);

-- The account of the house's own messages, which are the codes that people log in with. They cost nothing, so it has no
-- transfers.
INSERT INTO account (id, mode, created_at) VALUES (5, 'live', 0);

-- Who a customer is, as they said it themselves.
ALTER TABLE customer ADD COLUMN company TEXT NOT NULL DEFAULT '';
ALTER TABLE customer ADD COLUMN email TEXT NOT NULL DEFAULT '';
ALTER TABLE customer ADD COLUMN country TEXT NOT NULL DEFAULT '';
ALTER TABLE customer ADD COLUMN city TEXT NOT NULL DEFAULT '';
ALTER TABLE customer ADD COLUMN website TEXT NOT NULL DEFAULT '';
ALTER TABLE customer ADD COLUMN purpose TEXT NOT NULL DEFAULT '';
-- Below which balance its people are warned, in micro-credits.
ALTER TABLE customer ADD COLUMN low_balance INTEGER;

-- When its owner proved that a sender channel is theirs.
ALTER TABLE sender ADD COLUMN proven_at INTEGER;

-- Somebody who logs in: a number, and what they are called.
CREATE TABLE person (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    phone_key    INTEGER NOT NULL UNIQUE,
    phone_sealed BLOB NOT NULL,
    name         TEXT NOT NULL,
    operator     INTEGER NOT NULL CHECK (operator = 0 OR operator = 1),
    created_at   INTEGER NOT NULL
) STRICT;

CREATE TABLE member (
    customer_id INTEGER NOT NULL REFERENCES customer (id),
    person_id   INTEGER NOT NULL REFERENCES person (id),
    role        TEXT NOT NULL CHECK (role IN ('owner', 'developer', 'finance')),
    created_at  INTEGER NOT NULL,
    accepted_at INTEGER, -- NULL: they were asked, and have not answered
    PRIMARY KEY (customer_id, person_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX member_of_person ON member (person_id);

-- A browser in which somebody is logged in. What the browser holds is found by its keyed digest.
CREATE TABLE session (
    digest       BLOB PRIMARY KEY,
    id           INTEGER NOT NULL UNIQUE, -- what pages call it: of no use to whoever learns it
    person_id    INTEGER NOT NULL REFERENCES person (id),
    customer_id  INTEGER REFERENCES customer (id), -- whose pages are shown
    mode         TEXT NOT NULL CHECK (mode IN ('live', 'test')), -- of which of its accounts
    created_at   INTEGER NOT NULL,
    seen_at      INTEGER NOT NULL,
    confirmed_at INTEGER NOT NULL, -- when the person last proved who they are
    address      TEXT NOT NULL,
    agent        TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX session_of_person ON session (person_id);
CREATE INDEX session_age ON session (seen_at);

-- A log-in that was begun: the number that was typed, and the request that carries its code. Without a request, no code
-- was sent, and whoever waits for one is not told so.
CREATE TABLE login (
    digest       BLOB PRIMARY KEY,
    phone_key    INTEGER NOT NULL,
    phone_sealed BLOB NOT NULL,
    request_id   INTEGER,
    attempts     INTEGER NOT NULL,
    created_at   INTEGER NOT NULL,
    address      TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX login_from ON login (address, created_at);
CREATE INDEX login_age ON login (created_at);

-- Who did what, append-only.
CREATE TABLE audit_log (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    at          INTEGER NOT NULL,
    customer_id INTEGER, -- whom it concerns; NULL: the house
    person_id   INTEGER, -- NULL: the command line, or the program itself
    who         TEXT NOT NULL, -- the name at that time
    action      TEXT NOT NULL,
    detail      TEXT NOT NULL,
    address     TEXT NOT NULL
) STRICT;
CREATE INDEX audit_log_of_customer ON audit_log (customer_id, id);
CREATE INDEX audit_log_of_action ON audit_log (customer_id, action, at);

-- Money that a provider was asked to collect. What came of it is booked by the provider's name for it, which no two
-- transfers share.
CREATE TABLE payment (
    id         TEXT PRIMARY KEY, -- what we call it: drawn, and told to the provider
    provider   TEXT NOT NULL, -- stripe, stars
    account_id INTEGER NOT NULL REFERENCES account (id),
    amount     INTEGER NOT NULL CHECK (amount > 0), -- micro-credits
    price      TEXT NOT NULL, -- what is paid for them, in the smallest unit, such as '1250 eur'
    link       TEXT NOT NULL, -- where it is paid; empty until the provider has said it
    state      TEXT NOT NULL CHECK (state IN ('open', 'paid', 'refunded', 'failed')),
    charge     TEXT, -- what the provider calls it, once it is paid
    payer      TEXT NOT NULL, -- whom the provider names as the payer
    refunded   INTEGER NOT NULL CHECK (refunded >= 0 AND refunded <= amount), -- micro-credits that went back
    created_at INTEGER NOT NULL,
    changed_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX payment_of_account ON payment (account_id, created_at);
CREATE UNIQUE INDEX payment_charge ON payment (provider, charge) WHERE charge IS NOT NULL;

-- What is not a charge is rare among an account's transfers, and looked for.
CREATE INDEX transfer_not_charged ON transfer (account_id, kind, seq, at) WHERE kind <> 'charge';

-- The requests of an account, newest last, and those to one number without a look at each row. It grows at its end and
-- never changes, so that it costs a call next to nothing.
CREATE INDEX request_of_account ON request (account_id, id, phone_key);
-- The messages in an account's sandbox, and those to one number without a look at each row.
DROP INDEX request_in_sandbox;
CREATE INDEX request_in_sandbox ON request (account_id, id, phone_key)
    WHERE channel = 'sandbox' AND code_sealed IS NOT NULL;
-- The reports of an account in the same order, whatever became of them: a small customer's page must not go through
-- those of all others.
CREATE INDEX report_of_account ON report (account_id, request_id, seq);
CREATE INDEX report_lost ON report (account_id, state, request_id, seq, receiver) WHERE state = 'lost';

-- When the last attempt at a report ended, and how many milliseconds it took.
ALTER TABLE report ADD COLUMN last_at INTEGER;
ALTER TABLE report ADD COLUMN last_ms INTEGER;

-- What a gateway does that spends a transaction on every message: the yardstick of `./bench postgres`.
CREATE TABLE naive_account (id BIGINT PRIMARY KEY, balance BIGINT NOT NULL CHECK (balance >= 0));
INSERT INTO naive_account VALUES (1, 1000000000000);
CREATE TABLE naive_request (
    id         BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_id BIGINT NOT NULL REFERENCES naive_account (id),
    phone      BIGINT NOT NULL,
    code       TEXT NOT NULL,
    delivery   TEXT NOT NULL,
    sent_at    TIMESTAMPTZ NOT NULL DEFAULT now()
);
CREATE INDEX naive_request_phone ON naive_request (phone, sent_at);
CREATE TABLE naive_transfer (
    id            BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_id    BIGINT NOT NULL REFERENCES naive_account (id),
    request_id    BIGINT NOT NULL UNIQUE REFERENCES naive_request (id),
    amount        BIGINT NOT NULL,
    balance_after BIGINT NOT NULL
);

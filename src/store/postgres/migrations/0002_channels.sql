-- What channels call messages, so that whatever they say later finds the message, also when another hop has long had
-- its turn.
CREATE TABLE channel_reference (
    channel    TEXT NOT NULL,
    reference  TEXT NOT NULL,
    request_id BIGINT NOT NULL,
    hop        SMALLINT NOT NULL,
    at         BIGINT NOT NULL,
    PRIMARY KEY (channel, reference)
);
CREATE INDEX channel_reference_age ON channel_reference (at);

-- Who can be reached through a channel that serves subscribers alone: a number and the chat that it belongs to.
CREATE TABLE subscriber (
    channel      TEXT NOT NULL,
    phone_key    BIGINT NOT NULL,
    phone_sealed BYTEA NOT NULL,
    chat_id      BIGINT NOT NULL,
    language     TEXT NOT NULL, -- as the channel says it, such as pt-br; empty: not known
    blocked      SMALLINT NOT NULL CHECK (blocked IN (0, 1)),
    created_at   BIGINT NOT NULL,
    PRIMARY KEY (channel, phone_key)
);
CREATE UNIQUE INDEX subscriber_chat ON subscriber (channel, chat_id);

-- When the next hop gets its turn, unless delivery is confirmed before. Every call writes to this table: it comes last.
ALTER TABLE request ADD COLUMN hop_until BIGINT;
-- The hops that may still deliver, one bit each, the lowest for the first.
ALTER TABLE request ADD COLUMN open_hops SMALLINT NOT NULL DEFAULT 0;
UPDATE request SET open_hops = 1 << hop WHERE progress = 'uncertain' AND delivery = 'sent';

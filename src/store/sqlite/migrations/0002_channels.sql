-- When the next hop gets its turn, unless delivery is confirmed before.
ALTER TABLE request ADD COLUMN hop_until INTEGER;
-- The hops that may still deliver, one bit each, the lowest for the first.
ALTER TABLE request ADD COLUMN open_hops INTEGER NOT NULL DEFAULT 0;
UPDATE request SET open_hops = 1 << hop WHERE progress = 'uncertain' AND delivery = 'sent';

-- What channels call messages, so that whatever they say later finds the message, also when another hop has long had
-- its turn.
CREATE TABLE channel_reference (
    channel    TEXT NOT NULL,
    reference  TEXT NOT NULL,
    request_id INTEGER NOT NULL,
    hop        INTEGER NOT NULL,
    at         INTEGER NOT NULL,
    PRIMARY KEY (channel, reference)
) STRICT, WITHOUT ROWID;
CREATE INDEX channel_reference_age ON channel_reference (at);

-- Who can be reached through a channel that serves subscribers alone: a number and the chat that it belongs to.
CREATE TABLE subscriber (
    channel      TEXT NOT NULL,
    phone_key    INTEGER NOT NULL,
    phone_sealed BLOB NOT NULL,
    chat_id      INTEGER NOT NULL,
    language     TEXT NOT NULL, -- as the channel says it, such as pt-br; empty: not known
    blocked      INTEGER NOT NULL CHECK (blocked = 0 OR blocked = 1),
    created_at   INTEGER NOT NULL,
    PRIMARY KEY (channel, phone_key)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX subscriber_chat ON subscriber (channel, chat_id);

-- Histories of this installation, from the oldest to the current one. A restore begins a new one, which shares the
-- events up to begins_after with the one before it: `diptych rebase` adds a row. Positions above that are assigned
-- again, to other events, so whatever names a position also names its history.
CREATE TABLE histories (
    history_number bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    history_id     uuid        NOT NULL UNIQUE DEFAULT gen_random_uuid(),
    begins_after   bigint      NOT NULL CHECK (begins_after >= 0),
    begun_at       timestamptz NOT NULL DEFAULT statement_timestamp()
);
INSERT INTO histories (begins_after) VALUES (0);

-- Secret key of consistency tokens.
ALTER TABLE installation ADD COLUMN token_key bytea NOT NULL
    DEFAULT uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()) CHECK (length(token_key) = 32);

-- Why no event is stored until an operator acts; NULL normally. Set by the relay when the log shows that this database
-- lost events, and cleared by `diptych rebase`.
ALTER TABLE installation ADD COLUMN suspended_because text;

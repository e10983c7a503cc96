-- Lease and cursor of the queue of commands, which is on Kafka. One row. Every queued command before done_before has
-- its outcome.
CREATE TABLE command_queue (
    only_row    boolean     PRIMARY KEY DEFAULT true CHECK (only_row),
    fence       bigint      NOT NULL DEFAULT 0,
    owner       text,
    expires_at  timestamptz NOT NULL DEFAULT '-infinity',
    done_before bigint      NOT NULL DEFAULT 0
) WITH (fillfactor = 10);

INSERT INTO command_queue DEFAULT VALUES;

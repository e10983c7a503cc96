-- The relay's lease and cursor. One row. last_positions has one entry per partition; NULL until the cursor is first
-- moved.
CREATE TABLE relay (
    only_row        boolean     PRIMARY KEY DEFAULT true CHECK (only_row),
    fence           bigint      NOT NULL DEFAULT 0,
    owner           text,
    expires_at      timestamptz NOT NULL DEFAULT '-infinity',
    published_up_to bigint      NOT NULL DEFAULT 0,
    last_positions  bigint[]
) WITH (fillfactor = 10);

INSERT INTO relay DEFAULT VALUES;

CREATE TABLE installation (
    partitions INTEGER NOT NULL
);

-- The smallest schema that a program must have been made for to use this file. A migration that removes or changes what
-- earlier programs use sets this to its own number; others leave it, so that an earlier program can come back.
CREATE TABLE program_schema_min (
    version INTEGER NOT NULL
);
INSERT INTO program_schema_min (version) VALUES (1);

-- Commands that wait for the write database. AUTOINCREMENT, so that the offset of a deleted record never comes again:
-- the cursor in events.db names offsets.
CREATE TABLE commands (
    record_offset    INTEGER PRIMARY KEY AUTOINCREMENT,
    request_id       BLOB NOT NULL,
    fingerprint      BLOB NOT NULL,
    expected_version INTEGER,
    -- With line feeds between them.
    streams          TEXT NOT NULL,
    command_type     TEXT NOT NULL,
    payload          BLOB NOT NULL,
    traceparent      TEXT,
    queued_by        TEXT NOT NULL,
    -- Microseconds since 1970.
    expires_at       INTEGER NOT NULL
);

-- The write database.

CREATE TABLE installation (
    partitions INTEGER NOT NULL
);

-- Append-only. position is transaction << 20 | ordinal. Only the first event of a request has a fingerprint; the events
-- of a request have consecutive positions.
CREATE TABLE events (
    position    INTEGER PRIMARY KEY,
    partition   INTEGER NOT NULL,
    version     INTEGER NOT NULL,
    recorded_at INTEGER NOT NULL,
    stream_id   TEXT    NOT NULL,
    event_type  TEXT    NOT NULL,
    request_id  BLOB    NOT NULL,
    payload     BLOB    NOT NULL,
    traceparent TEXT,
    fingerprint BLOB
);

-- Index of events. Written after the events and in large batches, because otherwise each entry would change a page of
-- its own. The index covers all events up to indexed_up_to, and may cover more. Requests up to forgotten_up_to count as
-- new, even if they are still in the index.
CREATE TABLE event_index (
    indexed_up_to   INTEGER NOT NULL,
    forgotten_up_to INTEGER NOT NULL
);
INSERT INTO event_index (indexed_up_to, forgotten_up_to) VALUES (0, 0);
CREATE TABLE events_by_stream (
    stream_id TEXT    NOT NULL,
    version   INTEGER NOT NULL,
    position  INTEGER NOT NULL,
    PRIMARY KEY (stream_id, version)
) WITHOUT ROWID;
CREATE TABLE events_by_request (
    request_id BLOB    PRIMARY KEY,
    position   INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE events_by_partition (
    partition INTEGER NOT NULL,
    position  INTEGER NOT NULL,
    PRIMARY KEY (partition, position)
) WITHOUT ROWID;

CREATE TABLE snapshots (
    stream_id TEXT    PRIMARY KEY,
    version   INTEGER NOT NULL,
    format    INTEGER NOT NULL,
    state     BLOB    NOT NULL
) WITHOUT ROWID;

-- The relay's lease and cursor. One row. last_positions: 8 bytes little-endian per partition; NULL until the first
-- move.
CREATE TABLE relay (
    fence           INTEGER NOT NULL,
    owner           TEXT,
    expires_at      INTEGER NOT NULL,
    published_up_to INTEGER NOT NULL,
    last_positions  BLOB
);
INSERT INTO relay (fence, owner, expires_at, published_up_to, last_positions) VALUES (0, NULL, 0, 0, NULL);

-- The event log.

CREATE TABLE installation (
    partitions INTEGER NOT NULL
);

-- sequence: the order of appending over all partitions. A watermark has last_event, and NULL in the columns after it.
CREATE TABLE records (
    sequence      INTEGER PRIMARY KEY,
    partition     INTEGER NOT NULL,
    record_offset INTEGER NOT NULL,
    position      INTEGER NOT NULL,
    recorded_at   INTEGER NOT NULL,
    last_event    INTEGER,
    version       INTEGER,
    stream_id     TEXT,
    event_type    TEXT,
    request_id    BLOB,
    payload       BLOB,
    traceparent   TEXT
);
CREATE UNIQUE INDEX records_by_partition ON records (partition, record_offset);

-- The end of each partition that was ever written to. last_event_offset is NULL if the partition never had an event.
CREATE TABLE partition_ends (
    partition         INTEGER PRIMARY KEY,
    next_offset       INTEGER NOT NULL,
    last_event        INTEGER,
    last_event_offset INTEGER
);

-- generation grows with every change of ownership.
CREATE TABLE groups (
    group_name TEXT    PRIMARY KEY,
    generation INTEGER NOT NULL
) WITHOUT ROWID;

-- session distinguishes a member from an earlier one of the same name.
CREATE TABLE group_members (
    group_name TEXT    NOT NULL,
    member     TEXT    NOT NULL,
    session    INTEGER NOT NULL,
    last_seen  INTEGER NOT NULL,
    PRIMARY KEY (group_name, member)
) WITHOUT ROWID;

-- owner: the member whose commits are accepted. since: the generation in which it became the owner. successor: the
-- member that gets the partition once the owner has released it, at the latest at hand_over_by. former: a member that
-- owned the partition when it left, and gets it back when it rejoins.
CREATE TABLE group_partitions (
    group_name   TEXT    NOT NULL,
    partition    INTEGER NOT NULL,
    next_offset  INTEGER NOT NULL,
    owner        TEXT,
    session      INTEGER,
    since        INTEGER NOT NULL,
    successor    TEXT,
    hand_over_by INTEGER,
    former       TEXT,
    PRIMARY KEY (group_name, partition)
) WITHOUT ROWID;

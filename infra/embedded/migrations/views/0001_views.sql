-- The read database. The tables of views, "{name}_g{generation}", are created when the views are first used.

CREATE TABLE installation (
    partitions INTEGER NOT NULL
);

-- parked: NULL if no stream is parked.
CREATE TABLE progress (
    view        TEXT    NOT NULL,
    partition   INTEGER NOT NULL,
    position    INTEGER NOT NULL,
    as_of       INTEGER NOT NULL,
    next_offset INTEGER NOT NULL,
    parked      BLOB,
    PRIMARY KEY (view, partition)
) WITHOUT ROWID;

-- Number of saves, so that other processes notice new ones. One row.
CREATE TABLE progress_saves (
    count INTEGER NOT NULL
);
INSERT INTO progress_saves (count) VALUES (0);

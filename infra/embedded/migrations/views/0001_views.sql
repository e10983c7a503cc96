-- The read database. The tables of the views, "{name}_g{generation}", are made when the views are first used.

CREATE TABLE installation (
    partitions INTEGER NOT NULL
);

-- parked: NULL where no stream is.
CREATE TABLE progress (
    view        TEXT    NOT NULL,
    partition   INTEGER NOT NULL,
    position    INTEGER NOT NULL,
    as_of       INTEGER NOT NULL,
    next_offset INTEGER NOT NULL,
    parked      BLOB,
    PRIMARY KEY (view, partition)
) WITHOUT ROWID;

-- Counts the saves, so that other processes notice them. One row.
CREATE TABLE progress_saves (
    count INTEGER NOT NULL
);
INSERT INTO progress_saves (count) VALUES (0);

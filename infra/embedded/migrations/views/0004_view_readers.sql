-- Query services that read tables of views. expires_at: microseconds since 1970.
CREATE TABLE view_readers (
    view       TEXT    NOT NULL,
    instance   TEXT    NOT NULL,
    expires_at INTEGER NOT NULL,
    PRIMARY KEY (view, instance)
) WITHOUT ROWID;

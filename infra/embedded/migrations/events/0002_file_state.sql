-- State of the file and of the clock. One row.
--
-- is_open: 1 while a process has the file open, and after a crash. SQLite deletes the write-ahead log when the file is
-- closed, after this is set to 0. A file with 1 and without a write-ahead log is therefore a copy that lacks its newest
-- events.
--
-- retention_time: the time by which request ids age, in microseconds. It advances only while a process runs, so a wrong
-- clock cannot age them. NULL until it is first needed.
--
-- seen_at: the time of the system clock when retention_time was last stored.
CREATE TABLE file_state (
    is_open        INTEGER NOT NULL,
    retention_time INTEGER,
    seen_at        INTEGER
);
INSERT INTO file_state (is_open, retention_time, seen_at) VALUES (0, NULL, NULL);

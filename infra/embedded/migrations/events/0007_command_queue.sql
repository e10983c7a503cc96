-- Lease and cursor of the queue of commands (queue.db). One row. Every command before done_before has its outcome.
CREATE TABLE command_queue (
    fence       INTEGER NOT NULL,
    owner       TEXT,
    expires_at  INTEGER NOT NULL,
    done_before INTEGER NOT NULL
);
INSERT INTO command_queue (fence, expires_at, done_before) VALUES (0, 0, 0);

-- Histories of this folder, from the oldest to the current one; each start begins a new one. Another copy of this file
-- that goes its own way has other histories, so positions of the two are never confused.
CREATE TABLE histories (
    history_number INTEGER PRIMARY KEY,
    history_id     BLOB    NOT NULL,
    -- Position of the last event that it shares with the history before it.
    begins_after   INTEGER NOT NULL
);

-- Secret key of consistency tokens, made by the first start.
ALTER TABLE installation ADD COLUMN token_key BLOB;

-- Why no event is stored until an operator acts; NULL normally.
ALTER TABLE installation ADD COLUMN suspended_because TEXT;

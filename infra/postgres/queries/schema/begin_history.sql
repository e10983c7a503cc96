-- Begins a history that shares all stored events, and returns the position of the last one.
INSERT INTO histories (begins_after)
SELECT coalesce((SELECT position FROM events ORDER BY position DESC LIMIT 1), 0)
RETURNING begins_after

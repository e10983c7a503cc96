-- Begins a history that shares the events up to the relay's cursor, and returns where it begins and the position of the
-- last event. Every event up to the cursor is on the log. What the log has after it may be lost events, whose positions
-- were assigned again before the loss was noticed; so events after the cursor are published again, in the new history.
INSERT INTO histories (begins_after)
SELECT greatest(
    (SELECT max(begins_after) FROM histories),
    least(published_up_to, coalesce((SELECT position FROM events ORDER BY position DESC LIMIT 1), 0))
) FROM relay
RETURNING begins_after, coalesce((SELECT position FROM events ORDER BY position DESC LIMIT 1), 0) AS last_position

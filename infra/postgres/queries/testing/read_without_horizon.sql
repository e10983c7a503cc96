-- Up to $2 events after position $1, without regard to transactions that are still open and will commit smaller
-- positions.
SELECT
    position, recorded_at, version, request_id, partition, stream_id, payload, event_type, traceparent,
    statement_timestamp() AS read_at
FROM events WHERE position > $1 ORDER BY position LIMIT $2

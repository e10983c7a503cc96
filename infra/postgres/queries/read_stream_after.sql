-- Up to $3 events of stream $1 after version $2.
SELECT position, recorded_at, version, request_id, partition, stream_id, payload, event_type, traceparent
FROM events WHERE stream_id = $1 AND version > $2 ORDER BY version LIMIT $3

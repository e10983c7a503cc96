-- Up to $2 events after position $1, as a reader writes it that does not know of events that are still to appear before those it sees.
SELECT position, recorded_at, version, request_id, partition, stream_id, payload, event_type, traceparent, statement_timestamp() AS read_at
FROM events WHERE position > $1 ORDER BY position LIMIT $2

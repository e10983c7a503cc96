-- Compares up to $2 events after position $1 with their checksums; is_damaged is NULL for one without a checksum.
SELECT
    position, stream_id, version,
    checksum <> event_checksum(position, version, request_id, stream_id, event_type, payload) AS is_damaged
FROM events WHERE position > $1 ORDER BY position LIMIT $2

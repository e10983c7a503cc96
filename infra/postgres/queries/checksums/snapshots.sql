-- Compares up to $2 snapshots after stream $1 with their checksums; is_damaged is NULL for one without a checksum.
SELECT
    stream_id, version, checksum <> snapshot_checksum(version, format, stream_id, state) AS is_damaged
FROM snapshots WHERE stream_id > $1 ORDER BY stream_id LIMIT $2

-- The installation, the last position, and the next transaction id.
SELECT
    partitions, position_base,
    coalesce((SELECT position FROM events ORDER BY position DESC LIMIT 1), 0) AS last_position,
    pg_snapshot_xmax(pg_current_snapshot())::text::bigint AS next_transaction_id
FROM installation

-- The installation, the last position there is, the largest id that a transaction has had, and how commits are made safe here.
SELECT
    partitions, position_base, coalesce((SELECT position FROM events ORDER BY position DESC LIMIT 1), 0) AS last_position,
    pg_snapshot_xmax(pg_current_snapshot())::text::bigint AS next_transaction_id
FROM installation

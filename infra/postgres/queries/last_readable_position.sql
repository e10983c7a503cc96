-- The position of the last event after position $1 and below the horizon, or NULL; see read_after.
SELECT
    (
        SELECT position FROM events WHERE position > $1 AND position < horizon_exclusive
        ORDER BY position DESC LIMIT 1
    ) AS position
FROM (
    SELECT (position_base + pg_snapshot_xmin(pg_current_snapshot())::text::bigint) << 20 AS horizon_exclusive
    FROM installation
) AS bounds

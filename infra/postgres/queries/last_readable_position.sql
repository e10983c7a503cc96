-- The position of the last event after position $1 and below the horizon, or NULL; see read_after.
SELECT
    (
        SELECT position FROM events WHERE position > $1 AND position < horizon_exclusive
        ORDER BY position DESC LIMIT 1
    ) AS position
FROM (
    SELECT
        CASE
            WHEN EXISTS (SELECT FROM events WHERE position > $1 AND position >= oldest_exclusive) THEN read_horizon()
            ELSE oldest_exclusive
        END AS horizon_exclusive
    FROM (
        SELECT (position_base + pg_snapshot_xmin(pg_current_snapshot())::text::bigint) << 20 AS oldest_exclusive
        FROM installation
        OFFSET 0
    ) AS oldest
    OFFSET 0
) AS bounds

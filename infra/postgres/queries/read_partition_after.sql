-- Up to $2 events of partition $3 after position $1, below the horizon; see read_after. last_below_horizon is the
-- position of the last event of any partition after $1 and below the horizon.
WITH now AS MATERIALIZED (
    SELECT
        horizon_exclusive, held_back.recorded_at AS held_back_at, held_back.partition AS held_back_partition,
        (
            SELECT position FROM events WHERE position > $1 AND position < horizon_exclusive
            ORDER BY position DESC LIMIT 1
        ) AS last_below_horizon
    FROM (
        SELECT
            CASE
                WHEN EXISTS (SELECT FROM events WHERE position > $1 AND position >= oldest_exclusive)
                THEN read_horizon()
                ELSE oldest_exclusive
            END AS horizon_exclusive
        FROM (
            SELECT (position_base + pg_snapshot_xmin(pg_current_snapshot())::text::bigint) << 20 AS oldest_exclusive
            FROM installation
            OFFSET 0
        ) AS oldest
        OFFSET 0
    ) AS bounds
    LEFT JOIN LATERAL (
        SELECT recorded_at, partition FROM events WHERE position > $1 AND position >= horizon_exclusive
        ORDER BY position LIMIT 1
    ) AS held_back ON true
)
SELECT
    event.position, event.recorded_at, event.version, event.request_id, event.partition, event.stream_id, event.payload,
    event.event_type, event.traceparent, now.horizon_exclusive, now.held_back_at, now.held_back_partition,
    statement_timestamp() AS read_at, now.last_below_horizon
FROM now LEFT JOIN LATERAL (
    SELECT * FROM events WHERE partition = $3 AND position > $1 AND position < now.horizon_exclusive
    ORDER BY position LIMIT $2
) AS event ON true

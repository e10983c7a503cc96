-- Up to $2 events after position $1, below the horizon: no event can still appear between them.
--
-- Everything below horizon_exclusive is final: each transaction with a smaller id has ended, and the same snapshot that
-- shows this also shows what it has committed; or it belongs to another database (see read_horizon). So horizon and
-- events must come from one snapshot, that is, from one statement without functions that take snapshots of their own.
-- Every condition on position includes the cursor, so that segments before it are excluded when the statement starts.
-- held_back_at and held_back_partition are of the first committed event at or above the horizon.
WITH now AS MATERIALIZED (
    SELECT
        horizon_exclusive, held_back.recorded_at AS held_back_at, held_back.partition AS held_back_partition
    FROM (
        -- Only if the oldest transaction of the server holds an event back are the databases of transactions looked up.
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
    statement_timestamp() AS read_at
FROM now LEFT JOIN LATERAL (
    SELECT * FROM events WHERE position > $1 AND position < now.horizon_exclusive ORDER BY position LIMIT $2
) AS event ON true

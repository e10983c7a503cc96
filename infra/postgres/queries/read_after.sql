-- Up to $2 events after position $1, below the horizon: no event can still appear between them.
--
-- Everything below horizon_exclusive is final: each transaction with a smaller id has ended, and the same snapshot that
-- shows this also shows what it has committed. So horizon and events must come from one snapshot, that is, from one
-- statement without functions that take snapshots of their own. Every condition on position includes the cursor, so
-- that segments before it are excluded when the statement starts. held_back_at is the recording time of the first
-- committed event at or above the horizon.
WITH now AS MATERIALIZED (
    SELECT
        horizon_exclusive,
        (
            SELECT recorded_at FROM events WHERE position > $1 AND position >= horizon_exclusive
            ORDER BY position LIMIT 1
        ) AS held_back_at
    FROM (
        SELECT (position_base + pg_snapshot_xmin(pg_current_snapshot())::text::bigint) << 20 AS horizon_exclusive
        FROM installation
    ) AS bounds
)
SELECT
    event.position, event.recorded_at, event.version, event.request_id, event.partition, event.stream_id, event.payload,
    event.event_type, event.traceparent, now.horizon_exclusive, now.held_back_at, statement_timestamp() AS read_at
FROM now LEFT JOIN LATERAL (
    SELECT * FROM events WHERE position > $1 AND position < now.horizon_exclusive ORDER BY position LIMIT $2
) AS event ON true

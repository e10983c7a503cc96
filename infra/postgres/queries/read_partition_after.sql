-- Up to $2 events of partition $3 after position $1, none of which could still be passed; see read_after. decided_up_to is the last event
-- of any partition below the bound.
WITH now AS MATERIALIZED (
    SELECT
        undecided_from,
        (SELECT recorded_at FROM events WHERE position >= undecided_from ORDER BY position LIMIT 1) AS held_back_at,
        (SELECT position FROM events WHERE position < undecided_from ORDER BY position DESC LIMIT 1) AS decided_up_to
    FROM (
        SELECT (position_base + pg_snapshot_xmin(pg_current_snapshot())::text::bigint) << 20 AS undecided_from FROM installation
    ) AS bound
)
SELECT
    event.position, event.recorded_at, event.version, event.request_id, event.partition, event.stream_id, event.payload,
    event.event_type, event.traceparent, now.undecided_from, now.held_back_at, statement_timestamp() AS read_at, now.decided_up_to
FROM now LEFT JOIN LATERAL (
    SELECT * FROM events WHERE partition = $3 AND position > $1 AND position < now.undecided_from ORDER BY position LIMIT $2
) AS event ON true

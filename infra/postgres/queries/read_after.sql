-- Up to $2 events after position $1, none of which could still be passed.
--
-- Everything below undecided_from is decided for ever: each transaction with a smaller id is over, and the same snapshot that says so
-- shows what it has committed. So bound and events must come from one snapshot, that is, from one statement, with no function in it that
-- takes a snapshot of its own. held_back_at is when the first event was recorded that is committed and not below the bound.
WITH now AS MATERIALIZED (
    SELECT
        undecided_from,
        (SELECT recorded_at FROM events WHERE position >= undecided_from ORDER BY position LIMIT 1) AS held_back_at
    FROM (
        SELECT (position_base + pg_snapshot_xmin(pg_current_snapshot())::text::bigint) << 20 AS undecided_from FROM installation
    ) AS bound
)
SELECT
    event.position, event.recorded_at, event.version, event.request_id, event.partition, event.stream_id, event.payload,
    event.event_type, event.traceparent, now.undecided_from, now.held_back_at, statement_timestamp() AS read_at
FROM now LEFT JOIN LATERAL (
    SELECT * FROM events WHERE position > $1 AND position < now.undecided_from ORDER BY position LIMIT $2
) AS event ON true

-- A commit that changes nothing. When it is acknowledged, everything that was committed before it is durable, as the
-- WAL is sequential. An empty message in the WAL makes it a commit like any other, which waits for disk and standby.
-- What the snapshot shows was committed before.
SELECT
    position_base, pg_current_snapshot()::text AS snapshot,
    pg_logical_emit_message(true, 'diptych', '') IS NOT NULL AS is_written
FROM installation

-- A commit that changes nothing. When it is acknowledged, so is everything that was committed before it: the log is one line.
-- An empty message in that line makes it a commit like any other, which waits for disk and standby. What the snapshot shows was committed
-- before.
SELECT position_base, pg_current_snapshot()::text AS snapshot, pg_logical_emit_message(true, 'diptych', '') IS NOT NULL AS is_written
FROM installation

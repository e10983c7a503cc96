-- The last event that can be read; see read_after.
SELECT (SELECT position FROM events WHERE position < undecided_from ORDER BY position DESC LIMIT 1) AS position
FROM (
    SELECT (position_base + pg_snapshot_xmin(pg_current_snapshot())::text::bigint) << 20 AS undecided_from FROM installation
) AS bound

-- Makes segments of the table of events ahead of the newest one. used_count is the number of ranges of positions that
-- are used up, with or without a segment.
SELECT
    prepare_event_segments(2) > 0 AS done,
    (position_base + pg_snapshot_xmax(pg_current_snapshot())::text::bigint) >> 30 AS used_count
FROM installation

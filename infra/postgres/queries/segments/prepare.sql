-- Makes segments of the table of events ahead of the newest one.
SELECT prepare_event_segments(2) > 0 AS done

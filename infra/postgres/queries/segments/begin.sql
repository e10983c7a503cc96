-- Begins the next segment of the table of events if the newest one has at least $1 bytes.
SELECT begin_event_segment($1) AS done

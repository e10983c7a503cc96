-- The number of events and commits among the newest $2 events whose stream ids begin with $1, and the newest of these
-- events; also the number of partitions. No row if there is no such event.
WITH newest AS MATERIALIZED (
    SELECT position, event_type, payload, traceparent, stream_id FROM events ORDER BY position DESC LIMIT $2
),
matching AS (
    SELECT * FROM newest WHERE starts_with(stream_id, $1)
)
SELECT partitions, events_count, commits_count, event_type, payload, traceparent
FROM (SELECT count(*) AS events_count, count(DISTINCT position >> 20) AS commits_count FROM matching) AS counted
CROSS JOIN (SELECT event_type, payload, traceparent FROM matching ORDER BY position DESC LIMIT 1) AS example
CROSS JOIN installation

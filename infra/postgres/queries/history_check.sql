-- What a new connection is compared with: the current history, the request of the event at position $1, and how durable
-- commits of this session are.
SELECT
    (SELECT history_id FROM histories ORDER BY history_number DESC LIMIT 1) AS history_id,
    (SELECT request_id FROM events WHERE position = $1) AS request_id,
    current_setting('synchronous_commit') AS synchronous_commit,
    current_setting('synchronous_standby_names') AS synchronous_standby_names

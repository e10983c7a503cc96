-- Advances the retention time to $1, which the caller counted, or starts it if $1 is NULL; see advance_retention.
SELECT retention_time, newest_event_at, statement_timestamp() AS server_time
FROM advance_retention($1, statement_timestamp())

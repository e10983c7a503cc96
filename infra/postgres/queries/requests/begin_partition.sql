-- Begins a new partition of requests if the newest one is older than $1 seconds, or begun before $2.
SELECT begin_request_partition(greatest(statement_timestamp() - make_interval(secs => $1), $2), statement_timestamp())
    AS done

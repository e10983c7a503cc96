-- Begins a new partition of requests if the newest one is older than $1 seconds.
SELECT begin_request_partition(make_interval(secs => $1)) AS done

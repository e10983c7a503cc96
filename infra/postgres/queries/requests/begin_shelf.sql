-- Begins a new shelf where the newest one is older than $1 seconds.
SELECT begin_request_shelf(make_interval(secs => $1)) AS done

-- Moves the cursor to $2 and extends the lease to $3 seconds from now, if fence $1 is the newest and was not released.
-- A lease that has expired and was not taken since is still valid.
UPDATE command_queue SET
    done_before = $2,
    expires_at = greatest(expires_at, statement_timestamp() + make_interval(secs => $3))
WHERE fence = $1 AND owner IS NOT NULL
RETURNING fence

-- Moves the cursor to $2 and, for each partition, to $3, never backwards, and extends the lease to $4 seconds from now,
-- if fence $1 is the newest and was not released. A lease that has expired and was not taken since is still valid.
UPDATE relay SET
    published_up_to = greatest(published_up_to, $2),
    last_positions = ARRAY(
        SELECT greatest(stored, moved)
        FROM unnest(last_positions, $3::bigint[]) WITH ORDINALITY AS positions (stored, moved, ordinal)
        ORDER BY ordinal
    ),
    expires_at = greatest(expires_at, statement_timestamp() + make_interval(secs => $4))
WHERE fence = $1 AND owner IS NOT NULL
RETURNING fence

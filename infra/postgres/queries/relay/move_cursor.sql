-- Moves the cursor to $2 and, partition by partition, $3, never back, and extends the lease to $4 seconds from now, where fence $1 is the
-- newest and was not given back. A lease that has ended and that nobody took counts on.
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

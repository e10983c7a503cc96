-- Moves the cursor to $2 and, for each partition, to $3, never backwards, and extends the lease to $4 seconds from now,
-- if fence $1 is the newest and was not released. A lease that has expired and was not taken since is still valid.
--
-- $5 and $6 are the position and the request of the newest event that was read. If the server lacks it, another one
-- answered before, and nothing is moved: the cursor may be about events that this server does not have.
WITH read_event AS MATERIALIZED (
    SELECT $5::bigint IS NULL OR EXISTS (SELECT FROM events WHERE position = $5 AND request_id = $6::uuid) AS is_there
),
moved AS (
    UPDATE relay SET
        published_up_to = greatest(published_up_to, $2),
        last_positions = ARRAY(
            SELECT greatest(stored, moved)
            FROM unnest(last_positions, $3::bigint[]) WITH ORDINALITY AS positions (stored, moved, ordinal)
            ORDER BY ordinal
        ),
        expires_at = greatest(expires_at, statement_timestamp() + make_interval(secs => $4))
    FROM read_event WHERE is_there AND fence = $1 AND owner IS NOT NULL
    RETURNING fence
)
SELECT is_there AS has_read_event, EXISTS (SELECT FROM moved) AS is_moved FROM read_event

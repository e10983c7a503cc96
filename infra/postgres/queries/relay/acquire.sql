-- Acquires or extends the lease for owner $1 and $2 seconds, if it is free or already that owner's. If is_held is
-- false, the row shows the holder at the beginning of the statement: if the lease was_free then, another owner has
-- taken it meanwhile.
WITH taken AS (
    UPDATE relay SET
        fence = CASE WHEN owner = $1 AND expires_at > statement_timestamp() THEN fence ELSE fence + 1 END,
        owner = $1,
        expires_at = statement_timestamp() + make_interval(secs => $2)
    WHERE owner IS NULL OR owner = $1 OR expires_at <= statement_timestamp()
    RETURNING true AS is_held, true AS was_free, fence, owner, expires_at, published_up_to, last_positions
)
SELECT * FROM taken
UNION ALL
SELECT
    false, owner IS NULL OR owner = $1 OR expires_at <= statement_timestamp(), fence, owner, expires_at,
    published_up_to, last_positions
FROM relay WHERE NOT EXISTS (SELECT FROM taken)

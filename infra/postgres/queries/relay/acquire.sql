-- Takes or extends the lease for owner $1 and $2 seconds, where it is free or the owner's own. A row that is not is_held tells who holds it,
-- as of the beginning of the statement: where it was_free then, somebody was faster.
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
    false, owner IS NULL OR owner = $1 OR expires_at <= statement_timestamp(), fence, owner, expires_at, published_up_to,
    last_positions
FROM relay WHERE NOT EXISTS (SELECT FROM taken)

-- Acquires the lease for owner $1 and $2 seconds if it is free, has expired or is already that owner's. The fence stays
-- the same only if the owner extends a lease that has not expired.
--
-- Returns one row. is_held: the lease is $1's now. If is_held is false, another owner has it, and the row is the one at
-- the beginning of the statement: if was_free is true in it, another owner took the lease after the beginning of the
-- statement and before the update, and the row does not show that owner.
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

-- Acquires the lease for owner $1 and $2 seconds if it is free, has expired or is already that owner's. The fence stays
-- the same only if the owner extends a lease that has not expired.
--
-- Returns one row. is_held is false if another owner has the lease, also if it was taken while this statement ran.
WITH taken AS (
    UPDATE command_queue SET
        fence = CASE WHEN owner = $1 AND expires_at > statement_timestamp() THEN fence ELSE fence + 1 END,
        owner = $1,
        expires_at = statement_timestamp() + make_interval(secs => $2)
    WHERE owner IS NULL OR owner = $1 OR expires_at <= statement_timestamp()
    RETURNING true AS is_held, fence, done_before
)
SELECT * FROM taken
UNION ALL
SELECT false, fence, done_before FROM command_queue WHERE NOT EXISTS (SELECT FROM taken)

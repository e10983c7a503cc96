-- The oldest open transaction of the server that has written, in any database: it holds readers back. The state of
-- other users' sessions is visible to members of pg_read_all_stats only.
SELECT
    pid, prepared_as, application_name, state,
    extract(epoch FROM clock_timestamp() - begun_at)::double precision AS age_seconds
FROM (
    SELECT
        pid, NULL::text AS prepared_as, application_name, state, xact_start AS begun_at, backend_xid AS transaction_id
    FROM pg_stat_activity WHERE backend_xid IS NOT NULL AND pid <> pg_backend_pid()
    UNION ALL
    SELECT NULL, gid, NULL, 'prepared', prepared, transaction FROM pg_prepared_xacts
) AS writer
ORDER BY age(transaction_id) DESC LIMIT 1

-- The oldest open transaction of this database that has written, and its last or current statement: it holds readers
-- back. Those of other databases do not; see read_horizon. State and statement of other users' sessions are visible to
-- members of pg_read_all_stats only.
SELECT
    pid, prepared_as, database, application_name, state, left(query, 200) AS query,
    extract(epoch FROM clock_timestamp() - begun_at)::double precision AS age_seconds
FROM (
    SELECT
        pid, NULL::text AS prepared_as, datname::text AS database, application_name, state, query,
        xact_start AS begun_at, backend_xid AS transaction_id
    FROM pg_stat_activity
    WHERE backend_xid IS NOT NULL AND pid <> pg_backend_pid() AND datname = current_database()
    UNION ALL
    SELECT NULL, gid, database::text, NULL, 'prepared', NULL, prepared, transaction FROM pg_prepared_xacts
    WHERE database = current_database()
) AS writer
ORDER BY age(transaction_id) DESC LIMIT 1

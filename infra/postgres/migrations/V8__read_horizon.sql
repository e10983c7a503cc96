-- The position below which events can be read, not held back by transactions of other databases.
--
-- Every transaction below it has ended, and the snapshot of the calling statement shows what it has committed, or it
-- belongs to another database and cannot store events here. The sessions are looked up after that snapshot was taken:
-- a transaction that it lists as in progress is found with the database of its session, which never changes, or it has
-- ended meanwhile, and then nothing is known of it, and readers wait for the next statement. The ids of sessions and
-- databases are visible to every role.
--
-- STABLE, so that the function uses the snapshot of the calling statement. It must be called in the first statement of
-- a transaction, as the server shows the same sessions to all statements of one.
CREATE FUNCTION read_horizon() RETURNS bigint LANGUAGE sql STABLE AS $$
    SELECT (
        position_base + coalesce(
            (
                SELECT min(running.id::text::bigint)
                FROM pg_snapshot_xip(snapshot) AS running (id)
                WHERE NOT EXISTS (
                    SELECT FROM pg_stat_get_activity(NULL) AS session
                    WHERE session.backend_xid = running.id::xid
                        AND session.datid <> (SELECT oid FROM pg_database WHERE datname = current_database())
                ) AND NOT EXISTS (
                    SELECT FROM pg_prepared_xact() AS prepared
                    WHERE prepared.transaction = running.id::xid
                        AND prepared.dbid <> (SELECT oid FROM pg_database WHERE datname = current_database())
                )
            ),
            pg_snapshot_xmax(snapshot)::text::bigint
        )
    ) << 20
    FROM installation CROSS JOIN (SELECT pg_current_snapshot() AS snapshot OFFSET 0) AS taken
$$;

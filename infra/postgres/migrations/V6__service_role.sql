-- A role that serves needs no right to change tables: rotation is done by functions that run as their owner, the role
-- that migrates. And the time by which request ids are forgotten is decided here, not by the clock of one process.

ALTER TABLE installation
    -- Time by which request ids age. It follows the time of the server, but is advanced at most by the time that really
    -- passed in a process; see advance_retention.
    ADD COLUMN retention_time        timestamptz,
    -- The time that request ids had aged to when they were last forgotten, or first could have been: the retention time
    -- then, or that of the newest event.
    ADD COLUMN requests_forgotten_at timestamptz;

DROP FUNCTION begin_request_partition(interval);
DROP FUNCTION drop_request_partition();
DROP FUNCTION add_request_partition(integer);

-- Advances the retention time to a time that the caller counted from an earlier retention time by a clock that cannot
-- be set, and returns it. The first call begins at the newest event. It never passes the time of the server, and never
-- goes back.
--
-- Request ids are forgotten by the smaller of it and the time of the newest event.
CREATE FUNCTION advance_retention(
    counted timestamptz, server_time timestamptz,
    OUT retention_time timestamptz, OUT newest_event_at timestamptz
) LANGUAGE plpgsql AS $$
DECLARE
    stored timestamptz;
BEGIN
    SELECT recorded_at INTO newest_event_at FROM events ORDER BY position DESC LIMIT 1;
    SELECT installation.retention_time INTO STRICT stored FROM installation FOR UPDATE;
    retention_time := greatest(
        coalesce(stored, least(newest_event_at, server_time)),
        -- greatest ignores NULL, and least would too.
        CASE WHEN counted < server_time THEN counted WHEN counted IS NOT NULL THEN server_time END,
        -- All ids are newer. Without this, an installation made while the clock was in the past would keep its ids for
        -- ever.
        (SELECT least(min(begun_at), server_time) FROM request_partitions)
    );
    IF newest_event_at IS NULL THEN
        -- Nothing can be forgotten, and nothing is known about time.
        retention_time := NULL;
    ELSIF retention_time IS DISTINCT FROM stored THEN
        UPDATE installation SET retention_time = advance_retention.retention_time;
    END IF;
END
$$;

-- Adds an empty partition. Does not block appends.
CREATE FUNCTION add_request_partition(new_partition integer, server_time timestamptz) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('CREATE TABLE requests_%s (LIKE requests INCLUDING ALL)', new_partition);
    EXECUTE format('CREATE UNIQUE INDEX requests_%1$s_by_id ON requests_%1$s (request_id)', new_partition);
    -- Rows are inserted in the order of time, so a small BRIN index is enough to find the old ones.
    EXECUTE format('CREATE INDEX requests_%1$s_by_time ON requests_%1$s USING brin (recorded_at)', new_partition);
    EXECUTE format('ALTER TABLE requests ATTACH PARTITION requests_%1$s FOR VALUES IN (%1$s)', new_partition);
    INSERT INTO request_partitions (partition_number, begun_at) VALUES (new_partition, server_time);
END
$$;

-- Begins a new partition for new requests if the newest one began before a time. Returns whether it did. So the newest
-- one contains nothing that is to be forgotten: its rows are never deleted, but dropped with it later.
--
-- The lock waits until no append runs, and blocks appends until this transaction ends. An append takes its snapshot
-- after its locks, so it sees either no request of the new partition, or every request of the old one: the same id
-- cannot be stored in both. An append that does not end, because a standby is down, must not block the others behind
-- this lock: hence the short lock timeout.
CREATE FUNCTION begin_request_partition(begun_before timestamptz, server_time timestamptz) RETURNS boolean
LANGUAGE plpgsql SET lock_timeout = '200ms' AS $$
DECLARE
    old_partition integer;
BEGIN
    SELECT current_request_partition INTO STRICT old_partition FROM installation FOR UPDATE;
    IF NOT EXISTS (
        SELECT FROM request_partitions
        WHERE partition_number = old_partition
            -- In the future: begun while the clock of the server was wrong.
            AND (begun_at < begun_before OR begun_at > server_time + interval '1 day')
    ) THEN
        RETURN false;
    END IF;
    PERFORM add_request_partition(old_partition + 1, server_time);
    -- ONLY: appends lock the table before its partitions, and a vacuum of a partition is not waited for.
    LOCK TABLE ONLY requests IN SHARE MODE;
    UPDATE installation SET current_request_partition = old_partition + 1;
    -- Every append to the old partition has ended, so its requests were recorded before now, or, if the clock of the
    -- server is behind, at the retention time.
    UPDATE request_partitions SET ended_at = greatest(
        server_time + (clock_timestamp() - statement_timestamp()), (SELECT retention_time FROM installation)
    )
    WHERE partition_number = old_partition;
    RETURN true;
END
$$;

-- Forgets requests that were recorded before a time, in all partitions but the newest, by moving one mark, however many
-- they are. Returns how many, at most count_max.
--
-- The mark follows the time that ids have aged to. A step of more than a day beyond what passed since the last one is
-- refused, with NULL: then the retention was made much shorter, or a clock was wrong when the retention time was first
-- stored.
CREATE FUNCTION forget_requests(before timestamptz, count_max bigint) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    stored    installation;
    aged_to   timestamptz;
    forgotten bigint;
BEGIN
    SELECT * INTO STRICT stored FROM installation FOR UPDATE;
    aged_to := least(stored.retention_time, (SELECT recorded_at FROM events ORDER BY position DESC LIMIT 1));
    IF before <= stored.requests_forgotten_before THEN
        UPDATE installation SET requests_forgotten_at = aged_to WHERE requests_forgotten_at IS NULL;
        RETURN 0;
    END IF;
    IF before - greatest(stored.requests_forgotten_before, (SELECT min(begun_at) FROM request_partitions))
        > interval '1 day' + (aged_to - coalesce(stored.requests_forgotten_at, aged_to))
    THEN
        UPDATE installation SET requests_forgotten_at = aged_to WHERE requests_forgotten_at IS NULL;
        RETURN NULL;
    END IF;
    SELECT count(*) INTO forgotten FROM (
        SELECT FROM requests
        WHERE partition_number < stored.current_request_partition
            AND recorded_at >= stored.requests_forgotten_before AND recorded_at < before
        LIMIT count_max
    ) AS counted;
    UPDATE installation SET requests_forgotten_before = before, requests_forgotten_at = aged_to;
    RETURN forgotten;
END
$$;

-- Drops the oldest partition, if everything in it is forgotten. Returns whether it did.
CREATE FUNCTION drop_request_partition() RETURNS boolean LANGUAGE plpgsql SET lock_timeout = '200ms' AS $$
DECLARE
    old_partition integer;
BEGIN
    SELECT partition_number INTO old_partition FROM request_partitions
    WHERE ended_at <= (SELECT requests_forgotten_before FROM installation)
    ORDER BY partition_number LIMIT 1 FOR UPDATE SKIP LOCKED;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    EXECUTE format('DROP TABLE requests_%s', old_partition);
    DELETE FROM request_partitions WHERE partition_number = old_partition;
    RETURN true;
END
$$;

-- These run with the rights of their owner, so the names in them must not be resolved by the caller's search_path.
DO $$
DECLARE
    function_name regprocedure;
BEGIN
    FOREACH function_name IN ARRAY ARRAY[
        'prepare_event_segments(integer)', 'begin_event_segment(bigint)',
        'begin_request_partition(timestamptz, timestamptz)', 'forget_requests(timestamptz, bigint)',
        'drop_request_partition()', 'advance_retention(timestamptz, timestamptz)',
        'add_request_partition(integer, timestamptz)'
    ]::regprocedure[] LOOP
        EXECUTE format('ALTER FUNCTION %s SECURITY DEFINER', function_name);
        EXECUTE format('ALTER FUNCTION %s SET search_path = %I, pg_temp', function_name, current_schema());
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', function_name);
    END LOOP;
END
$$;

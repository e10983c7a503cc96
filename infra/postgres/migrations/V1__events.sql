-- The write database: events, the requests that caused them, and snapshots.

-- Properties of the installation. One row, written when the database is created.
CREATE TABLE installation (
    only_row                  boolean     PRIMARY KEY DEFAULT true CHECK (only_row),
    -- Never changes: a stream's partition is computed from it.
    partitions                smallint    NOT NULL CHECK (partitions BETWEEN 1 AND 256),
    -- Added to every transaction id. Raised after a restore into a server whose transaction ids are smaller, so that
    -- positions only grow.
    position_base             bigint      NOT NULL DEFAULT 0 CHECK (position_base >= 0),
    -- The partition of the table requests that new rows go to.
    current_request_partition integer     NOT NULL DEFAULT 1,
    -- Requests in older partitions that were recorded before this are forgotten: their ids count as new.
    requests_forgotten_before timestamptz NOT NULL DEFAULT '-infinity'
);

-- Append-only. position is (position_base + transaction id) << 20 | ordinal of the event in its transaction. The narrow
-- columns come first, in an order without alignment padding, and the wide ones last.
CREATE TABLE events (
    position    bigint           PRIMARY KEY CHECK (position > 0),
    recorded_at timestamptz      NOT NULL,
    version     bigint           NOT NULL CHECK (version > 0),
    request_id  uuid             NOT NULL,
    partition   smallint         NOT NULL,
    stream_id   text COLLATE "C" NOT NULL,
    event_type  text COLLATE "C" NOT NULL,
    payload     bytea            NOT NULL,
    traceparent text COLLATE "C"
);
CREATE UNIQUE INDEX events_by_stream ON events (stream_id, version);
CREATE INDEX events_by_partition ON events (partition, position);

-- A request and the position of its first event; its events_count events follow each other. The receipt is read from
-- the events, so it never changes.
--
-- Partitioned by time, one partition for some days. New requests go to the newest partition, whose unique index keeps
-- their ids unique; an id in an older partition is looked up before an append, and cannot be missed, as partitions
-- change only while no append runs (see begin_request_partition). Old partitions are dropped whole.
CREATE TABLE requests (
    request_id       uuid        NOT NULL,
    recorded_at      timestamptz NOT NULL,
    position         bigint      NOT NULL,
    events_count     integer     NOT NULL CHECK (events_count > 0),
    partition_number integer     NOT NULL,
    fingerprint      bytea       NOT NULL
) PARTITION BY LIST (partition_number);

-- The partitions of the table requests. ended_at is NULL for the newest one.
CREATE TABLE request_partitions (
    partition_number integer     PRIMARY KEY,
    begun_at         timestamptz NOT NULL,
    ended_at         timestamptz
);

-- Adds an empty partition. Does not block appends.
CREATE FUNCTION add_request_partition(new_partition integer) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('CREATE TABLE requests_%s (LIKE requests INCLUDING ALL)', new_partition);
    EXECUTE format('CREATE UNIQUE INDEX requests_%1$s_by_id ON requests_%1$s (request_id)', new_partition);
    -- Rows are inserted in the order of time, so a small BRIN index is enough to find the old ones.
    EXECUTE format('CREATE INDEX requests_%1$s_by_time ON requests_%1$s USING brin (recorded_at)', new_partition);
    EXECUTE format('ALTER TABLE requests ATTACH PARTITION requests_%1$s FOR VALUES IN (%1$s)', new_partition);
    INSERT INTO request_partitions (partition_number, begun_at) VALUES (new_partition, statement_timestamp());
END
$$;

-- Begins a new partition for new requests, if the newest one is older than age_min. Returns whether it did.
--
-- The lock waits until no append runs, and blocks appends until this transaction ends. An append takes its snapshot
-- after its locks, so it sees either no request of the new partition, or every request of the old one: the same id
-- cannot be stored in both. An append that does not end, because a standby is down, must not block the others behind
-- this lock: hence the short lock timeout.
CREATE FUNCTION begin_request_partition(age_min interval) RETURNS boolean
LANGUAGE plpgsql SET lock_timeout = '200ms' AS $$
DECLARE
    old_partition integer;
BEGIN
    SELECT current_request_partition INTO STRICT old_partition FROM installation FOR UPDATE;
    IF (
        SELECT begun_at > statement_timestamp() - age_min FROM request_partitions WHERE partition_number = old_partition
    ) THEN
        RETURN false;
    END IF;
    PERFORM add_request_partition(old_partition + 1);
    LOCK TABLE requests IN SHARE MODE;
    UPDATE installation SET current_request_partition = old_partition + 1;
    -- Every append to the old partition has ended, so its requests were recorded before now.
    UPDATE request_partitions SET ended_at = greatest(statement_timestamp(), clock_timestamp())
    WHERE partition_number = old_partition;
    RETURN true;
END
$$;

-- Drops the oldest partition, if everything in it is forgotten. Returns whether it did.
CREATE FUNCTION drop_request_partition() RETURNS boolean LANGUAGE plpgsql SET lock_timeout = '200ms' AS $$
DECLARE
    old_partition integer;
BEGIN
    SELECT partition_number INTO old_partition FROM request_partitions
    WHERE ended_at < (SELECT requests_forgotten_before FROM installation)
    ORDER BY partition_number LIMIT 1 FOR UPDATE SKIP LOCKED;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    EXECUTE format('DROP TABLE requests_%s', old_partition);
    DELETE FROM request_partitions WHERE partition_number = old_partition;
    RETURN true;
END
$$;

SELECT add_request_partition(1);

-- The newest stored state of a stream. position is that of the transaction that stored it. Rows are updated often,
-- so pages keep space free.
CREATE TABLE snapshots (
    stream_id text COLLATE "C" PRIMARY KEY,
    version   bigint           NOT NULL,
    format    bigint           NOT NULL,
    position  bigint           NOT NULL,
    state     bytea            NOT NULL
) WITH (fillfactor = 80);

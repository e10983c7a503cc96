-- The write database: events, the requests that caused them, and snapshots.

-- One row, written when the database is made.
CREATE TABLE installation (
    only_row                  boolean     PRIMARY KEY DEFAULT true CHECK (only_row),
    -- Fixed for good: a stream's partition is computed from it.
    partitions                smallint    NOT NULL CHECK (partitions BETWEEN 1 AND 256),
    -- Added to every transaction id. Raised where a restored database gives out its ids anew, so that positions only grow.
    position_base             bigint      NOT NULL DEFAULT 0 CHECK (position_base >= 0),
    -- The shelf that new requests go to.
    request_shelf             integer     NOT NULL DEFAULT 1,
    -- Requests on older shelves that were recorded before this count as new.
    requests_forgotten_before timestamptz NOT NULL DEFAULT '-infinity'
);

-- Only ever added to. position is (position_base + transaction id) << 20 | ordinal of the event in its transaction. The wide columns
-- stand last, and the narrow ones in an order that leaves no gaps between them.
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

-- A request and where its events are: events_count of them, from position on. Its receipt is read from them, so it never changes.
--
-- Requests stand on shelves, one for some days each. New ones go to the newest shelf, whose index keeps their ids unique; an id on an older
-- shelf is found by looking, and cannot be missed, as shelves change only while nobody appends (see begin_request_shelf).
-- Old shelves are dropped whole.
CREATE TABLE requests (
    request_id   uuid        NOT NULL,
    recorded_at  timestamptz NOT NULL,
    position     bigint      NOT NULL,
    events_count integer     NOT NULL CHECK (events_count > 0),
    shelf        integer     NOT NULL,
    fingerprint  bytea       NOT NULL
) PARTITION BY LIST (shelf);

-- ended_at is NULL on the newest shelf.
CREATE TABLE request_shelves (
    shelf    integer     PRIMARY KEY,
    begun_at timestamptz NOT NULL,
    ended_at timestamptz
);

-- Puts an empty shelf up. Does not disturb appends.
CREATE FUNCTION add_request_shelf(new_shelf integer) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('CREATE TABLE requests_%s (LIKE requests INCLUDING ALL)', new_shelf);
    EXECUTE format('CREATE UNIQUE INDEX requests_%1$s_by_id ON requests_%1$s (request_id)', new_shelf);
    -- Rows come in the order of time, so a few bytes for many pages are enough to find the old ones.
    EXECUTE format('CREATE INDEX requests_%1$s_by_time ON requests_%1$s USING brin (recorded_at)', new_shelf);
    EXECUTE format('ALTER TABLE requests ATTACH PARTITION requests_%1$s FOR VALUES IN (%1$s)', new_shelf);
    INSERT INTO request_shelves (shelf, begun_at) VALUES (new_shelf, statement_timestamp());
END
$$;

-- Lets new requests go to a new shelf, where the newest one is older than age_min. Says whether it did.
--
-- The lock waits until nobody appends and keeps appends out until this transaction is over. An append takes its snapshot after its locks, so
-- it sees either no request of the new shelf, or every request of the old one: the same id cannot come onto both. An append that does
-- not end, because a standby is away, must not hold up the others behind this lock: hence the short wait for it.
CREATE FUNCTION begin_request_shelf(age_min interval) RETURNS boolean LANGUAGE plpgsql SET lock_timeout = '200ms' AS $$
DECLARE
    old_shelf integer;
BEGIN
    SELECT request_shelf INTO STRICT old_shelf FROM installation FOR UPDATE;
    IF (SELECT begun_at > statement_timestamp() - age_min FROM request_shelves WHERE shelf = old_shelf) THEN
        RETURN false;
    END IF;
    PERFORM add_request_shelf(old_shelf + 1);
    LOCK TABLE requests IN SHARE MODE;
    UPDATE installation SET request_shelf = old_shelf + 1;
    -- Every append to the old shelf is over, so its requests were recorded before now.
    UPDATE request_shelves SET ended_at = greatest(statement_timestamp(), clock_timestamp()) WHERE shelf = old_shelf;
    RETURN true;
END
$$;

-- Takes the oldest shelf down, where everything on it is forgotten. Says whether it did.
CREATE FUNCTION drop_request_shelf() RETURNS boolean LANGUAGE plpgsql SET lock_timeout = '200ms' AS $$
DECLARE
    old_shelf integer;
BEGIN
    SELECT shelf INTO old_shelf FROM request_shelves
    WHERE ended_at < (SELECT requests_forgotten_before FROM installation)
    ORDER BY shelf LIMIT 1 FOR UPDATE SKIP LOCKED;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    EXECUTE format('DROP TABLE requests_%s', old_shelf);
    DELETE FROM request_shelves WHERE shelf = old_shelf;
    RETURN true;
END
$$;

SELECT add_request_shelf(1);

-- The newest state of a stream that was stored. position is that of the transaction which stored it. Rows are replaced, so pages keep room.
CREATE TABLE snapshots (
    stream_id text COLLATE "C" PRIMARY KEY,
    version   bigint           NOT NULL,
    format    bigint           NOT NULL,
    position  bigint           NOT NULL,
    state     bytea            NOT NULL
) WITH (fillfactor = 80);

-- The table of events in segments, and the current version of each stream in a table of its own.
--
-- events is partitioned by RANGE (position). A segment is one of its partitions: its indexes stay small, only the
-- newest one is written to, and older ones never change, so they can be moved to another tablespace and are vacuumed
-- once. A cursor selects its segments when a statement starts, and readers get the segments in the order of position
-- without sorting. Each segment has an index by stream partition, so several relays could share the work.
--
-- Segments are made ahead, each for the same range of positions, much wider than the positions that one segment takes.
-- When the newest one is large enough, position_base is raised, so that the next position is the first one of the next
-- segment. So rotation changes no table, and rows are never moved.
--
-- Why positions still only grow, and no event appears behind a reader's cursor: position_base is raised while no append
-- runs (see begin_event_segment). An append takes its snapshot after its locks, so it reads the base before the raise
-- and has committed by then, or the raised one. A reader takes base and xmin from one snapshot. If its base is the
-- raised one, then every append with an earlier base has committed, as that snapshot shows; all others have positions
-- from raised base + xmin on. If its base is the earlier one, nothing has changed for it.
--
-- (stream_id, version) is unique over all segments. An index over all of them would be as large as the whole table, so
-- the fence is the row of the stream in the table streams: an append moves it from the version that it builds on, or
-- fails; see queries/append.sql. In a segment it is a unique index too.

-- Until this transaction ends no append runs, also none that began before: what is read below, by a statement with a
-- snapshot of its own, is all that is stored, so the versions in streams are those of events. Readers wait too: an
-- append that waits for this lock holds the weaker lock of its own reads, so a lock that lets readers in could not be
-- raised for the ALTER TABLE below without a deadlock.
LOCK TABLE events IN ACCESS EXCLUSIVE MODE;

CREATE TABLE streams (
    stream_id      text COLLATE "C" PRIMARY KEY,
    version        bigint           NOT NULL CHECK (version > version_before),
    -- The version that the last append built on.
    version_before bigint           NOT NULL CHECK (version_before >= 0)
-- Rows are updated at every append: pages keep room, so that no update changes the index.
) WITH (fillfactor = 70);

CREATE TABLE event_segments (
    segment_number integer PRIMARY KEY,
    -- Range of positions.
    begins_at      bigint  NOT NULL CHECK (begins_at >= 0),
    ends_before    bigint  NOT NULL CHECK (ends_before > begins_at)
);

-- The existing table becomes the first segment, in this transaction: its rows are read twice and written not at all.
INSERT INTO streams (stream_id, version, version_before)
SELECT stream_id, max(version), max(version) - 1 FROM events GROUP BY stream_id;

ALTER TABLE events RENAME TO events_1;
ALTER INDEX events_pkey RENAME TO events_1_pkey;
ALTER INDEX events_by_stream RENAME TO events_1_by_stream;
ALTER INDEX events_by_partition RENAME TO events_1_by_partition;
CREATE TABLE events (LIKE events_1 INCLUDING CONSTRAINTS) PARTITION BY RANGE (position);
ALTER TABLE events ADD PRIMARY KEY (position);
CREATE INDEX events_by_partition ON events (partition, position);

-- The transaction number at which a segment ends or begins is a multiple of 2^30, so its positions are multiples of
-- 2^50: 8,192 segments fit.
INSERT INTO event_segments (segment_number, begins_at, ends_before)
SELECT 1, 0, (greatest(next_position, last_position) / (1::bigint << 50) + 1) * (1::bigint << 50)
FROM (
    SELECT
        (coalesce((SELECT position_base FROM installation), 0)
            + pg_snapshot_xmax(pg_current_snapshot())::text::bigint) << 20 AS next_position,
        coalesce((SELECT max(position) FROM events_1), 0) AS last_position
) AS positions;

DO $$
BEGIN
    EXECUTE format(
        'ALTER TABLE events ATTACH PARTITION events_1 FOR VALUES FROM (0) TO (%s)',
        (SELECT ends_before FROM event_segments)
    );
END
$$;

-- Adds empty segments until this many begin after the next position, and one contains it. Returns how many it added.
-- Blocks neither appends nor readers.
CREATE FUNCTION prepare_event_segments(ahead integer) RETURNS integer LANGUAGE plpgsql SET lock_timeout = '200ms' AS $$
DECLARE
    width         CONSTANT bigint := 1::bigint << 50;
    next_position bigint;
    last_segment  event_segments;
    added         integer := 0;
BEGIN
    -- One caller at a time.
    LOCK TABLE event_segments IN SHARE ROW EXCLUSIVE MODE;
    SELECT greatest(
        (position_base + pg_snapshot_xmax(pg_current_snapshot())::text::bigint) << 20,
        (SELECT position FROM events ORDER BY position DESC LIMIT 1)
    ) INTO STRICT next_position FROM installation;
    WHILE (SELECT count(*) FROM event_segments WHERE begins_at > next_position) < ahead LOOP
        SELECT * INTO STRICT last_segment FROM event_segments ORDER BY segment_number DESC LIMIT 1;
        last_segment.segment_number := last_segment.segment_number + 1;
        -- After a restore the next position may be far ahead.
        last_segment.begins_at := greatest(last_segment.ends_before, next_position / width * width);
        last_segment.ends_before := last_segment.begins_at + width;
        EXECUTE format('CREATE TABLE events_%s (LIKE events INCLUDING ALL)', last_segment.segment_number);
        EXECUTE format(
            'CREATE UNIQUE INDEX events_%1$s_by_stream ON events_%1$s (stream_id, version)', last_segment.segment_number
        );
        EXECUTE format(
            'ALTER TABLE events ATTACH PARTITION events_%s FOR VALUES FROM (%s) TO (%s)',
            last_segment.segment_number, last_segment.begins_at, last_segment.ends_before
        );
        INSERT INTO event_segments SELECT last_segment.*;
        added := added + 1;
    END LOOP;
    RETURN added;
END
$$;

-- The position at which the next segment begins; NULL if the newest one has less than size_min bytes, or is the last
-- one that was made. VOLATILE, so that it takes a snapshot of its own.
CREATE FUNCTION next_segment_begin(size_min bigint) RETURNS bigint LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    next_position bigint;
    newest        integer;
BEGIN
    SELECT (position_base + pg_snapshot_xmax(pg_current_snapshot())::text::bigint) << 20
    INTO STRICT next_position FROM installation;
    SELECT segment_number INTO newest FROM event_segments
    WHERE next_position >= begins_at AND next_position < ends_before;
    IF newest IS NULL OR pg_relation_size(format('events_%s', newest)) < size_min THEN
        RETURN NULL;
    END IF;
    RETURN (SELECT begins_at FROM event_segments WHERE begins_at > next_position ORDER BY begins_at LIMIT 1);
END
$$;

-- Begins the next segment if the newest one has at least size_min bytes, without its indexes, and another one was made
-- ahead. Returns whether it did.
--
-- The locks wait until neither an append nor a refusal runs, and block them until this transaction ends. One that does
-- not end, because a standby is down, must not block the others behind these locks: hence the short lock timeout. They
-- are taken in the order in which an append takes them.
--
-- Each statement has a snapshot of its own, and what is computed must come from one taken after the lock: a row that is
-- read again after a wait is combined with the old snapshot of its statement. So a statement that waits computes
-- nothing.
CREATE FUNCTION begin_event_segment(size_min bigint) RETURNS boolean LANGUAGE plpgsql SET lock_timeout = '200ms' AS $$
DECLARE
    next_begin bigint;
BEGIN
    -- One caller at a time.
    PERFORM FROM installation FOR UPDATE;
    IF next_segment_begin(size_min) IS NULL THEN
        RETURN false;
    END IF;
    LOCK TABLE ONLY requests, ONLY events IN SHARE MODE;
    next_begin := next_segment_begin(size_min);
    IF next_begin IS NULL THEN
        RETURN false;
    END IF;
    -- Every later append gets a transaction id from xmax on.
    UPDATE installation SET position_base
        = greatest(position_base, (next_begin >> 20) - pg_snapshot_xmax(pg_current_snapshot())::text::bigint);
    RETURN true;
END
$$;

-- Ends an append whose streams were changed since its snapshot.
CREATE FUNCTION raise_version_conflict() RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
    RAISE unique_violation USING MESSAGE = 'a stream has another version than the append builds on';
END
$$;

-- Refuses events from sessions that do not keep the table streams, such as those of a program that was started before
-- this migration.
CREATE FUNCTION check_writer() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF current_setting('diptych.keeps_streams', true) IS DISTINCT FROM 'on' THEN
        RAISE insufficient_privilege USING
            MESSAGE = 'events are refused from this session, as it does not update the table streams',
            HINT = 'Restart the programs that were started before `diptych migrate`.';
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER check_writer BEFORE INSERT ON events FOR EACH STATEMENT EXECUTE FUNCTION check_writer();

-- Stores a batch: all of it, or nothing, without a result row, if it conflicts with what is stored, or appends are
-- suspended.
--
-- One statement, so that position grows with version. The statement's snapshot is taken first, and the transaction id
-- is assigned after it, by pg_current_xact_id. Every version of a stream that the snapshot shows was committed before,
-- by a transaction with a smaller id. A concurrent append to the same stream, which the snapshot does not show, has
-- changed the stream's row: moved_streams waits for it, then finds another version, and the statement fails with a
-- unique violation. So does one with the same request, by the index.
--
-- Look-ups are correlated subqueries with OFFSET 0, which the planner cannot turn into joins: plans are kept, and one
-- that was made while a table was small would read all of it later.
--
-- Events: $1 ordinals, $2 streams, $3 versions, $4 partitions, $5 types, $6 payloads, $7 requests, $8 traceparents.
-- Streams, each once: $9 streams, $10 the version that each is expected to have, $19 the version that it gets.
-- Requests: $11 ids, $12 fingerprints, $13 ordinals of their first events, $14 numbers of their events. Snapshots:
-- $15 streams, $16 versions, $17 formats, $18 states. Events are sorted by stream and version, requests by id, streams
-- and snapshots by stream: the same order in every append, so that concurrent appends do not deadlock.
WITH accepted AS MATERIALIZED (
    SELECT
        (position_base + pg_current_xact_id()::text::bigint) << 20 AS first_position,
        position_base,
        pg_current_snapshot()::text AS snapshot,
        statement_timestamp() AS recorded_at,
        -- Ids age by the retention time, so no id is recorded before it, also while the clock of the server is behind.
        greatest(statement_timestamp(), retention_time) AS request_recorded_at,
        current_request_partition
    FROM installation
    WHERE suspended_because IS NULL AND NOT EXISTS (
        SELECT FROM unnest($9::text[], $10::bigint[]) AS stream (stream_id, expected)
        WHERE expected <> coalesce(
            (SELECT version FROM streams WHERE streams.stream_id = stream.stream_id), 0)
    ) AND NOT EXISTS (
        SELECT FROM unnest($11::uuid[]) AS request (id)
        WHERE EXISTS (
            SELECT FROM requests
            WHERE requests.request_id = request.id AND (
                requests.partition_number = installation.current_request_partition
                OR requests.recorded_at >= requests_forgotten_before
            )
            OFFSET 0
        )
    )
),
moved_streams AS (
    INSERT INTO streams (stream_id, version, version_before)
    SELECT stream.stream_id, stream.version, stream.expected
    FROM accepted CROSS JOIN unnest($9::text[], $10::bigint[], $19::bigint[]) AS stream (stream_id, expected, version)
    ON CONFLICT (stream_id) DO UPDATE SET version = excluded.version, version_before = excluded.version_before
    WHERE streams.version = excluded.version_before
    RETURNING 1
),
stored_snapshots AS (
    INSERT INTO snapshots (stream_id, version, format, position, state, checksum)
    SELECT
        snapshot.stream_id, snapshot.version, snapshot.format, first_position, snapshot.state,
        snapshot_checksum(snapshot.version, snapshot.format, snapshot.stream_id, snapshot.state)
    FROM accepted CROSS JOIN unnest($15::text[], $16::bigint[], $17::bigint[], $18::bytea[])
        AS snapshot (stream_id, version, format, state)
    ON CONFLICT (stream_id) DO UPDATE
    SET version = excluded.version, format = excluded.format, position = excluded.position, state = excluded.state,
        checksum = excluded.checksum
    WHERE (excluded.version, excluded.format) > (snapshots.version, snapshots.format)
),
stored_requests AS (
    INSERT INTO requests (request_id, recorded_at, position, events_count, partition_number, fingerprint)
    SELECT
        request.id, request_recorded_at, first_position + request.ordinal, request.events_count,
        current_request_partition, request.fingerprint
    FROM accepted CROSS JOIN unnest($11::uuid[], $12::bytea[], $13::integer[], $14::integer[])
        AS request (id, fingerprint, ordinal, events_count)
),
stored_events AS (
    INSERT INTO events (
        position, recorded_at, version, request_id, partition, stream_id, event_type, payload, traceparent,
        checksum
    )
    SELECT
        first_position + event.ordinal, recorded_at, event.version, event.request_id, event.partition, event.stream_id,
        event.event_type, event.payload, event.traceparent,
        event_checksum(
            first_position + event.ordinal, event.version, event.request_id, event.stream_id, event.event_type,
            event.payload
        )
    FROM accepted CROSS JOIN unnest(
        $1::integer[], $2::text[], $3::bigint[], $4::smallint[], $5::text[], $6::bytea[], $7::uuid[], $8::text[]
    ) AS event (ordinal, stream_id, version, partition, event_type, payload, request_id, traceparent)
)
SELECT
    CASE
        WHEN (SELECT count(*) FROM moved_streams) = cardinality($9) THEN first_position ELSE raise_version_conflict()
    END AS first_position,
    position_base, snapshot, recorded_at
FROM accepted

-- Loads streams and looks up requests, in one snapshot. A refused request has one row, without event columns. See
-- append for OFFSET 0.
--
-- $1 streams, $2 the known version of each (0: start at the newest snapshot), $3 the format of snapshots, $4 request
-- ids. A snapshot that differs from its checksum is not used: a row of kind 3 names it, and all events are loaded.
WITH wanted AS MATERIALIZED (
    SELECT
        stream.ordinal, stream.stream_id, stream.known_version, snapshots.version AS snapshot_version,
        snapshots.position, snapshots.state
    FROM unnest($1::text[], $2::bigint[]) WITH ORDINALITY AS stream (stream_id, known_version, ordinal)
    LEFT JOIN LATERAL (
        SELECT version, position, state FROM snapshots
        WHERE snapshots.stream_id = stream.stream_id AND snapshots.format = $3 AND stream.known_version = 0
            AND (
                checksum IS NULL
                OR checksum = snapshot_checksum(snapshots.version, snapshots.format, snapshots.stream_id, state)
            )
        OFFSET 0
    ) AS snapshots ON true
)
SELECT
    0 AS kind, ordinal, position, NULL::timestamptz AS recorded_at, snapshot_version AS version,
    NULL::uuid AS request_id, NULL::smallint AS partition, stream_id, state AS payload, NULL::text AS event_type,
    NULL::text AS traceparent, NULL::bytea AS refusal
FROM wanted WHERE snapshot_version IS NOT NULL
UNION ALL
SELECT
    1, wanted.ordinal, events.position, events.recorded_at, events.version, events.request_id, events.partition,
    events.stream_id, events.payload, events.event_type, events.traceparent, NULL
FROM wanted
-- A stream without later events is not looked up in every segment.
CROSS JOIN LATERAL (
    SELECT FROM streams
    WHERE streams.stream_id = wanted.stream_id
        AND streams.version > coalesce(wanted.snapshot_version, wanted.known_version)
    OFFSET 0
) AS streams
CROSS JOIN LATERAL (
    SELECT * FROM events
    WHERE events.stream_id = wanted.stream_id
        AND events.version > coalesce(wanted.snapshot_version, wanted.known_version)
    OFFSET 0
) AS events
UNION ALL
SELECT
    2, request.ordinal, coalesce(events.position, requests.position),
    coalesce(events.recorded_at, requests.recorded_at), events.version, requests.request_id, events.partition,
    events.stream_id, requests.fingerprint, NULL, NULL, requests.refusal
FROM installation
CROSS JOIN unnest($4::uuid[]) WITH ORDINALITY AS request (id, ordinal)
CROSS JOIN LATERAL (
    SELECT * FROM requests
    WHERE requests.request_id = request.id AND (
        requests.partition_number = installation.current_request_partition
        OR requests.recorded_at >= requests_forgotten_before
    )
    OFFSET 0
) AS requests
LEFT JOIN LATERAL (
    SELECT * FROM events
    WHERE events.position >= requests.position AND events.position < requests.position + requests.events_count
    OFFSET 0
) AS events ON true
UNION ALL
SELECT
    3, wanted.ordinal, snapshots.position, NULL, snapshots.version, NULL, NULL, wanted.stream_id, NULL, NULL, NULL, NULL
FROM wanted
CROSS JOIN LATERAL (
    SELECT position, version FROM snapshots
    WHERE snapshots.stream_id = wanted.stream_id AND snapshots.format = $3 AND wanted.known_version = 0
    OFFSET 0
) AS snapshots
WHERE wanted.snapshot_version IS NULL

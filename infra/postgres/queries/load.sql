-- Loads streams and looks up requests, in one snapshot.
--
-- $1 streams, $2 the known version of each (0: start at the newest snapshot), $3 the format of snapshots, $4 request
-- ids. A snapshot that differs from its checksum is not used: a row of kind 3 names it, and all events are loaded.
WITH wanted AS MATERIALIZED (
    SELECT
        stream.ordinal, stream.stream_id, stream.known_version, snapshots.version AS snapshot_version,
        snapshots.position, snapshots.state
    FROM unnest($1::text[], $2::bigint[]) WITH ORDINALITY AS stream (stream_id, known_version, ordinal)
    LEFT JOIN snapshots ON snapshots.stream_id = stream.stream_id AND snapshots.format = $3 AND stream.known_version = 0
        AND (
            snapshots.checksum IS NULL
            OR snapshots.checksum =
                snapshot_checksum(snapshots.version, snapshots.format, snapshots.stream_id, snapshots.state)
        )
)
SELECT
    0 AS kind, ordinal, position, NULL::timestamptz AS recorded_at, snapshot_version AS version,
    NULL::uuid AS request_id, NULL::smallint AS partition, stream_id, state AS payload, NULL::text AS event_type,
    NULL::text AS traceparent
FROM wanted WHERE snapshot_version IS NOT NULL
UNION ALL
SELECT
    1, wanted.ordinal, events.position, events.recorded_at, events.version, events.request_id, events.partition,
    events.stream_id, events.payload, events.event_type, events.traceparent
FROM wanted
JOIN events ON events.stream_id = wanted.stream_id
    AND events.version > coalesce(wanted.snapshot_version, wanted.known_version)
UNION ALL
SELECT
    2, request.ordinal, events.position, events.recorded_at, events.version, requests.request_id, events.partition,
    events.stream_id, requests.fingerprint, NULL, NULL
FROM installation
CROSS JOIN unnest($4::uuid[]) WITH ORDINALITY AS request (id, ordinal)
JOIN requests ON requests.request_id = request.id
    AND (
        requests.partition_number = installation.current_request_partition
        OR requests.recorded_at >= requests_forgotten_before
    )
JOIN events ON events.position >= requests.position AND events.position < requests.position + requests.events_count
UNION ALL
SELECT
    3, wanted.ordinal, snapshots.position, NULL, snapshots.version, NULL, NULL, wanted.stream_id, NULL, NULL, NULL
FROM wanted
JOIN snapshots ON snapshots.stream_id = wanted.stream_id AND snapshots.format = $3 AND wanted.known_version = 0
WHERE wanted.snapshot_version IS NULL

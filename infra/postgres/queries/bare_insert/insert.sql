-- Inserts a batch of events, each with its request, without any check. $1 position of the first event, $2 ordinals,
-- $3 streams, $4 versions, $5 partitions, $6 types, $7 payloads, $8 requests, $9 traceparents,
-- $10 fingerprints.
WITH stored_requests AS (
    INSERT INTO diptych_bench_requests (
        request_id, recorded_at, position, events_count, partition_number, fingerprint
    )
    SELECT id, statement_timestamp(), $1::bigint + ordinal, 1, 1, fingerprint
    FROM unnest($8::uuid[], $10::bytea[], $2::integer[]) AS request (id, fingerprint, ordinal)
)
INSERT INTO diptych_bench_events (
    position, recorded_at, version, request_id, partition, stream_id, event_type, payload, traceparent
)
SELECT
    $1::bigint + ordinal, statement_timestamp(), version, request_id, partition, stream_id, event_type, payload,
    traceparent
FROM unnest(
    $2::integer[], $3::text[], $4::bigint[], $5::smallint[], $6::text[], $7::bytea[], $8::uuid[], $9::text[]
) AS event (ordinal, stream_id, version, partition, event_type, payload, request_id, traceparent)

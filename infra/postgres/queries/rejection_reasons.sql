-- The reasons why a batch was rejected, in one snapshot: the versions of its streams ($1), and those of its requests
-- ($2) that are stored; see load.
SELECT
    0 AS kind, stream.ordinal, NULL::bigint AS position, NULL::timestamptz AS recorded_at,
    coalesce((SELECT version FROM streams WHERE streams.stream_id = stream.stream_id), 0) AS version,
    NULL::uuid AS request_id, NULL::smallint AS partition, stream.stream_id, NULL::bytea AS payload,
    NULL::bytea AS refusal
FROM unnest($1::text[]) WITH ORDINALITY AS stream (stream_id, ordinal)
UNION ALL
SELECT
    2, request.ordinal, coalesce(events.position, requests.position),
    coalesce(events.recorded_at, requests.recorded_at), events.version, requests.request_id, events.partition,
    events.stream_id, requests.fingerprint, requests.refusal
FROM installation
CROSS JOIN unnest($2::uuid[]) WITH ORDINALITY AS request (id, ordinal)
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

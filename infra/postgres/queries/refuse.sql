-- Stores refusals, each if its request id is new and its streams have the versions at which it was decided. Returns one
-- row with the transaction, and the ordinals of the stored refusals, from 1; no row if appends are suspended.
--
-- A row of an append or a refusal with the same id that is not committed yet is waited for, by the unique index. The
-- statement's snapshot does not show that row afterwards: the refusal is then not stored, and the caller looks it up.
--
-- Refusals, sorted by id as in every append, so that the two do not deadlock on index entries: $1 ids, $2 fingerprints,
-- $3 refusals. Their streams: $4 ordinals of the refusals, $5 streams, $6 the versions at which they were decided.
WITH changed AS MATERIALIZED (
    SELECT DISTINCT stream.ordinal
    FROM unnest($4::bigint[], $5::text[], $6::bigint[]) AS stream (ordinal, stream_id, expected)
    WHERE expected <> coalesce((SELECT version FROM streams WHERE streams.stream_id = stream.stream_id), 0)
),
claim AS MATERIALIZED (
    SELECT
        (position_base + pg_current_xact_id()::text::bigint) << 20 AS first_position, position_base,
        pg_current_snapshot()::text AS snapshot, current_request_partition, requests_forgotten_before,
        -- As in append.
        greatest(statement_timestamp(), retention_time) AS recorded_at
    FROM installation WHERE suspended_because IS NULL
),
stored AS (
    INSERT INTO requests (request_id, recorded_at, position, events_count, partition_number, fingerprint, refusal)
    SELECT
        request.id, recorded_at, first_position, 0, current_request_partition, request.fingerprint, request.refusal
    FROM claim CROSS JOIN unnest($1::uuid[], $2::bytea[], $3::bytea[]) WITH ORDINALITY
        AS request (id, fingerprint, refusal, ordinal)
    WHERE request.ordinal NOT IN (SELECT ordinal FROM changed) AND NOT EXISTS (
        SELECT FROM requests WHERE requests.request_id = request.id
            AND requests.partition_number <> current_request_partition
            AND requests.recorded_at >= requests_forgotten_before
        OFFSET 0
    )
    ORDER BY request.ordinal
    ON CONFLICT DO NOTHING
    RETURNING request_id
)
SELECT
    first_position, position_base, snapshot,
    ARRAY(
        SELECT request.ordinal FROM unnest($1::uuid[]) WITH ORDINALITY AS request (id, ordinal)
        JOIN stored ON stored.request_id = request.id
    ) AS stored
FROM claim

-- What an operator asks about the write database, in one snapshot.
SELECT
    last_event.position AS last_position, last_event.recorded_at AS last_recorded_at,
    relay.owner AS relay_owner, relay.expires_at > statement_timestamp() AS is_relay_leading, relay.published_up_to,
    first_unpublished.recorded_at AS unpublished_since, held_back.recorded_at AS held_back_since,
    (
        SELECT count(*) FROM event_segments
        WHERE begins_at <= (position_base + pg_snapshot_xmax(pg_current_snapshot())::text::bigint) << 20
    ) AS segments_count,
    (SELECT count(*) FROM event_segments) AS segments_made_count,
    (
        SELECT sum(pg_total_relation_size(relid))::bigint FROM pg_partition_tree('events') WHERE isleaf
    ) AS events_bytes,
    (SELECT count(*) FROM request_partitions) AS request_partitions_count,
    requests_forgotten_before, isfinite(requests_forgotten_before) AS is_anything_forgotten,
    statement_timestamp() AS read_at
FROM installation CROSS JOIN relay
LEFT JOIN LATERAL (
    SELECT position, recorded_at FROM events ORDER BY position DESC LIMIT 1
) AS last_event ON true
LEFT JOIN LATERAL (
    SELECT recorded_at FROM events WHERE position > relay.published_up_to ORDER BY position LIMIT 1
) AS first_unpublished ON true
LEFT JOIN LATERAL (
    SELECT recorded_at FROM events WHERE position >= (SELECT read_horizon()) ORDER BY position LIMIT 1
) AS held_back ON true

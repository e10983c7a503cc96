-- Checksums of events and snapshots: the first 8 bytes of SHA-256, computed where a row is inserted. NULL in rows from
-- before. They show bytes that were changed since: by a fault of the storage, or by hand.
ALTER TABLE events ADD COLUMN checksum bytea;
ALTER TABLE snapshots ADD COLUMN checksum bytea;

CREATE FUNCTION event_checksum(
    event_position bigint, version bigint, request_id uuid, stream_id text, event_type text, payload bytea
) RETURNS bytea LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT substring(sha256(
        int8send($1) || int8send($2) || uuid_send($3) || convert_to($4 || E'\n' || $5 || E'\n', 'UTF8') || $6
    ) FOR 8)
$$;

CREATE FUNCTION snapshot_checksum(version bigint, format bigint, stream_id text, state bytea) RETURNS bytea
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT substring(sha256(int8send($1) || int8send($2) || convert_to($3 || E'\n', 'UTF8') || $4) FOR 8)
$$;

-- Raises position_base so that the next event gets a position above transaction $1.
UPDATE installation SET
    suspended_because = NULL,
    position_base = greatest(position_base, $1::bigint + 1 - pg_snapshot_xmin(pg_current_snapshot())::text::bigint)

-- Waits for the turn to write to partitions $1, sorted, so that no two sessions wait for each other. Locks of a
-- session: they end with end_turn, or with the connection. The first key is that of turns: "turn" in ASCII. If the
-- process hangs or its machine is gone, the server ends the session: no turn lasts as long.
SELECT pg_advisory_lock(1953854062, partition), set_config('idle_session_timeout', '5s', false)
FROM unnest($1::integer[]) AS partition

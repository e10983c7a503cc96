-- Waits for the turn to write to partitions $1, sorted, so that no two sessions wait for each other. Locks of a
-- session: they end with end_turn, or with the connection. The first key is that of turns: "turn" in ASCII.
SELECT pg_advisory_lock(1953854062, partition) FROM unnest($1::integer[]) AS partition

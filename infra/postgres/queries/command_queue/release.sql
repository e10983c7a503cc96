-- Releases the lease if it is held with fence $1.
UPDATE command_queue SET owner = NULL, expires_at = '-infinity' WHERE fence = $1 AND owner IS NOT NULL

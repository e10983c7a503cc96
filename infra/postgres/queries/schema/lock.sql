-- Whoever migrates waits for whoever else does; it is over with the session. The key is "diptych" as a number. What a migration changes may be in
-- use for a while, and its statements may take long.
SET statement_timeout = 0;
SET lock_timeout = '60s';
SELECT pg_advisory_lock(28263429382431592);

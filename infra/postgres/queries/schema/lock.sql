-- Concurrent migrations wait for each other; the lock is released with the session. The key is the bytes of "diptych"
-- as a number. A migration may have to wait for locks of running transactions, and its statements may take long.
SET statement_timeout = 0;
SET lock_timeout = '60s';
SELECT pg_advisory_lock(28263429382431592);

-- Concurrent migrations wait for each other; the lock is released with the session. The key is the bytes of "diptych"
-- as a number. Its statements may take long.
SET statement_timeout = 0;
SET lock_timeout = '60s';
SELECT pg_advisory_lock(28263429382431592);
-- A migration that waits for running transactions to end makes all later ones wait behind it: rather an early error,
-- after which `diptych migrate` tries again.
SET lock_timeout = '5s';

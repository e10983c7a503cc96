-- Takes the lock of the benchmark's tables for this session, unless another session has it. The key is that of
-- migrations (see schema/lock.sql) plus 1.
SELECT pg_try_advisory_lock(28263429382431593) AS is_locked

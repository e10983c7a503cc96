-- Plans are made once per session, so they must not depend on the table sizes at that time: every look-up uses its
-- index.
SET plan_cache_mode = force_generic_plan;
SET enable_seqscan = off;
SET enable_hashjoin = off;
SET enable_mergejoin = off;
SET jit = off;
-- A snapshot per statement, taken after its locks: append, read_after and begin_request_partition rely on it.
SET default_transaction_isolation = 'read committed';
-- A receipt promises that its events are on disk, and on the standby if there is one. Stronger settings of the server
-- are kept.
SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') IN ('off', 'local');
-- Appends update the table streams; see check_writer.
SET diptych.keeps_streams = on;
SET client_min_messages = warning;

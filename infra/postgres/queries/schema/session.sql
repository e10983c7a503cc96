-- Plans are made once per session and do not depend on how full the tables were then: every look-up has an index, and goes by it.
SET plan_cache_mode = force_generic_plan;
SET enable_seqscan = off;
SET enable_hashjoin = off;
SET enable_mergejoin = off;
SET jit = off;
-- A snapshot per statement, taken after its locks: append, read_after and begin_request_shelf rest on it.
SET default_transaction_isolation = 'read committed';
-- A receipt says that it is on disk, and on the standby where there is one. Stronger settings of the server stay.
SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') IN ('off', 'local');
SET client_min_messages = warning;

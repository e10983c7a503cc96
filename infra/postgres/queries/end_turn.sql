-- Ends the turn of this session. Also of an attempt that got a part of its locks.
SELECT pg_advisory_unlock_all(), set_config('idle_session_timeout', '0', false)

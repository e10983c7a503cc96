-- Ends the turn of this session. Also of an attempt that got a part of its locks.
SELECT pg_advisory_unlock_all()

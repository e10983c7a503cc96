-- A commit that changes nothing; see commit_barrier. Needs no table.
SELECT pg_logical_emit_message(true, 'diptych', '')

-- A commit that changes nothing; see prove. Needs no table.
SELECT pg_logical_emit_message(true, 'diptych', '')

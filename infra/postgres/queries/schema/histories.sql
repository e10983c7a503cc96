-- All histories, from the oldest to the current one, and the key of tokens.
SELECT history_id, begins_after, token_key FROM histories CROSS JOIN installation ORDER BY history_number

-- Refused commands claim their request ids, so that none is committed later by an append that was in flight.
--
-- refusal is the encoded refusal; NULL for a committed request. A refused request has no events, and its position is
-- the first one of its transaction. Partitions that exist get the column and the constraint with the table, and new
-- ones with add_request_partition.
ALTER TABLE requests ADD COLUMN refusal bytea;
ALTER TABLE requests DROP CONSTRAINT requests_events_count_check;
ALTER TABLE requests ADD CONSTRAINT requests_outcome_check
    -- Not checked against existing rows, which would be read while no append can run: the constraint before it and the
    -- new column, which is NULL in them, fulfil it.
    CHECK (events_count >= 0 AND (events_count = 0) = (refusal IS NOT NULL)) NOT VALID;

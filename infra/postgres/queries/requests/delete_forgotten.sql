-- Deletes up to $2 requests of the newest partition that were recorded before $1, and counts them. Its unique index
-- contains their ids, so ignoring them in look-ups would not be enough to make the ids new.
WITH deleted AS (
    DELETE FROM requests
    WHERE partition_number = (SELECT current_request_partition FROM installation) AND request_id = ANY (ARRAY(
        SELECT request_id FROM requests
        WHERE partition_number = (SELECT current_request_partition FROM installation) AND recorded_at < $1
        LIMIT $2
    ))
    RETURNING 1
)
SELECT count(*) FROM deleted

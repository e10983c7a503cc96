-- Deletes up to $2 requests of the newest shelf that were recorded before $1, and counts them. Its index still knows their ids, so leaving
-- them out when looking would not make them new.
WITH deleted AS (
    DELETE FROM requests
    WHERE shelf = (SELECT request_shelf FROM installation) AND request_id = ANY (ARRAY(
        SELECT request_id FROM requests
        WHERE shelf = (SELECT request_shelf FROM installation) AND recorded_at < $1
        LIMIT $2
    ))
    RETURNING 1
)
SELECT count(*) FROM deleted

-- Moves the moment before which requests on older shelves count as new on to $1, and counts up to $2 of those that this concerns.
WITH before AS MATERIALIZED (
    SELECT request_shelf, requests_forgotten_before FROM installation WHERE requests_forgotten_before < $1 FOR UPDATE
),
marked AS (
    UPDATE installation SET requests_forgotten_before = $1 FROM before
)
SELECT count(*) FROM (
    SELECT FROM before
    JOIN requests ON requests.shelf < before.request_shelf
        AND requests.recorded_at >= before.requests_forgotten_before AND requests.recorded_at < $1
    LIMIT $2
) AS forgotten

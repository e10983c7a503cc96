-- Raises the time before which requests in older partitions are forgotten to $1, and counts up to $2 of the requests
-- that this affects.
WITH before AS MATERIALIZED (
    SELECT current_request_partition, requests_forgotten_before FROM installation
    WHERE requests_forgotten_before < $1 FOR UPDATE
),
marked AS (
    UPDATE installation SET requests_forgotten_before = $1 FROM before
)
SELECT count(*) FROM (
    SELECT FROM before
    JOIN requests ON requests.partition_number < before.current_request_partition
        AND requests.recorded_at >= before.requests_forgotten_before AND requests.recorded_at < $1
    LIMIT $2
) AS forgotten

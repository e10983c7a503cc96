-- Fixes the number of partitions ($1) where it is not fixed yet, and tells it.
WITH created AS (
    INSERT INTO installation (partitions) VALUES ($1) ON CONFLICT DO NOTHING RETURNING partitions
)
SELECT partitions FROM created UNION ALL SELECT partitions FROM installation

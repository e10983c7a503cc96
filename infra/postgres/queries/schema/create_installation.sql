-- Records the number of partitions ($1) if none is recorded yet, and returns the recorded one.
WITH created AS (
    INSERT INTO installation (partitions) VALUES ($1) ON CONFLICT DO NOTHING RETURNING partitions
)
SELECT partitions FROM created UNION ALL SELECT partitions FROM installation

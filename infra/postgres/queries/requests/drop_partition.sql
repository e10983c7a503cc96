-- Drops the oldest partition of requests if everything in it is forgotten.
SELECT drop_request_partition() AS done

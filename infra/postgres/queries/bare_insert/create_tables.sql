-- The tables of a run that was killed.
DROP TABLE IF EXISTS diptych_bench_events, diptych_bench_requests;
CREATE TABLE diptych_bench_events (LIKE events INCLUDING ALL);
CREATE TABLE diptych_bench_requests (LIKE requests INCLUDING ALL);
-- The index of a segment of events; see prepare_event_segments.
CREATE UNIQUE INDEX diptych_bench_events_by_stream ON diptych_bench_events (stream_id, version);
-- The indexes of a partition of requests; see add_request_partition.
CREATE UNIQUE INDEX diptych_bench_requests_by_id ON diptych_bench_requests (request_id);
CREATE INDEX diptych_bench_requests_by_time ON diptych_bench_requests USING brin (recorded_at);

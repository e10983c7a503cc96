DROP TABLE IF EXISTS diptych_bench_events, diptych_bench_requests

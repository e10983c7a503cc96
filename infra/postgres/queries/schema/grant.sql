-- The rights of the role that services use, for format(): the role, and the schema of the tables.
GRANT USAGE ON SCHEMA %2$I TO %1$I;
GRANT SELECT ON
    installation, histories, event_segments, request_partitions, refinery_schema_history, program_schema_min
TO %1$I;
GRANT UPDATE (suspended_because) ON installation TO %1$I;
GRANT SELECT, INSERT ON events, requests TO %1$I;
GRANT SELECT, INSERT, UPDATE ON streams, snapshots TO %1$I;
GRANT SELECT, UPDATE ON relay, command_queue TO %1$I;
GRANT EXECUTE ON FUNCTION
    prepare_event_segments(integer), begin_event_segment(bigint), begin_request_partition(timestamptz, timestamptz),
    forget_requests(timestamptz, bigint), drop_request_partition(), advance_retention(timestamptz, timestamptz)
TO %1$I;

-- Refused commands: each claims its request id, so that it is never committed later. number grows with recorded_at.
CREATE TABLE refusals (
    number      INTEGER PRIMARY KEY,
    recorded_at INTEGER NOT NULL,
    request_id  BLOB    NOT NULL UNIQUE,
    fingerprint BLOB    NOT NULL,
    refusal     BLOB    NOT NULL
);

-- The smallest schema that a program must have been made for to use this file. A migration that removes or changes what
-- earlier programs use sets this to its own number; others leave it, so that an earlier program can come back.
CREATE TABLE program_schema_min (
    version INTEGER NOT NULL
);
INSERT INTO program_schema_min (version) VALUES (3);

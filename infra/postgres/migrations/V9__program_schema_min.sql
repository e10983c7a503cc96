-- The smallest schema that a program must have been made for to use this database. Migrations add, so that an earlier
-- program can go on, and come back after a rollback; one that removes or changes what earlier programs use sets this to
-- its own number.
CREATE TABLE program_schema_min (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    version  integer NOT NULL
);
INSERT INTO program_schema_min (version) VALUES (9);

-- The smallest schema that a program must have been made for. Asked only in a schema that is newer than the program.
SELECT version FROM program_schema_min

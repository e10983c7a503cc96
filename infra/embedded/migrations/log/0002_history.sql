-- History of the write database whose events this file has. NULL in a file of an older version, until the next start.
ALTER TABLE installation ADD COLUMN history_id BLOB;

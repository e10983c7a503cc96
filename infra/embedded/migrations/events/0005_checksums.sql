-- Checksums of events and snapshots: the first 8 bytes of SHA-256. NULL in rows from before.
ALTER TABLE events ADD COLUMN checksum BLOB;
ALTER TABLE snapshots ADD COLUMN checksum BLOB;

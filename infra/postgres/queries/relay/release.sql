-- Gives the lease back where it is held under fence $1.
UPDATE relay SET owner = NULL, expires_at = '-infinity' WHERE fence = $1 AND owner IS NOT NULL

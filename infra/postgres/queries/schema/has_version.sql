-- Returns whether any migration was applied.
SELECT to_regclass('refinery_schema_history') IS NOT NULL AS has_version
